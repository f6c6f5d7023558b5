import { CliError } from "./exit.ts";

/** Cuts a stream of bytes into records without decoding it, in memory bounded by one record. */

/** Receives one record at `start..end` of the bytes, which stay unchanged afterwards: views of them may be kept. */
export type Emit = (bytes: Uint8Array, start: number, end: number) => void;

export interface Splitter {
  /** Takes a chunk; emits every record that ends in it. Errors: bad_input. */
  push(chunk: Uint8Array): void;
  /** The input is over: emits what is left. Errors: bad_input. */
  end(): void;
}

export type InputFormat = "lines" | "ndjson" | "json-array";

/** @param recordBytesMax of one record; past it, the input is refused rather than gathered. */
export function splitterOf(format: InputFormat, emit: Emit, recordBytesMax: number): Splitter {
  return format === "json-array" ? new ArraySplitter(emit, recordBytesMax) : new LineSplitter(emit, recordBytesMax);
}

export function badInput(message: string, action: string): CliError {
  return new CliError("bad_input", message, action);
}

/** A record's beginning in chunks that are gone. */
class Carry {
  private parts: Uint8Array[] = [];
  private bytes = 0;
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get isEmpty(): boolean {
    return this.bytes === 0;
  }

  add(part: Uint8Array, name: string): void {
    if (part.length === 0) return;
    this.bytes += part.length;
    if (this.bytes > this.bytesMax) {
      throw badInput(
        `${name} is longer than ${this.bytesMax} bytes`,
        "check --format, or raise messageBytesMax on the broker",
      );
    }
    this.parts.push(part);
  }

  /** All of it as one, and begins anew. */
  take(): Uint8Array {
    const { parts } = this;
    this.parts = [];
    this.bytes = 0;
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  }
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** One record a line; `\r\n` ends a line too. A last line needs no line end. */
class LineSplitter implements Splitter {
  private readonly emit: Emit;
  private readonly carry: Carry;
  private count = 0;

  constructor(emit: Emit, recordBytesMax: number) {
    this.emit = emit;
    this.carry = new Carry(recordBytesMax);
  }

  private line(bytes: Uint8Array, start: number, end: number): void {
    this.count++;
    this.emit(bytes, start, end > start && bytes[end - 1] === RETURN ? end - 1 : end);
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    if (!this.carry.isEmpty) {
      const end = chunk.indexOf(NEWLINE);
      this.keep(end < 0 ? chunk : chunk.subarray(0, end));
      if (end < 0) return;
      const whole = this.carry.take();
      this.line(whole, 0, whole.length);
      start = end + 1;
    }
    for (let end = chunk.indexOf(NEWLINE, start); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.line(chunk, start, end);
      start = end + 1;
    }
    this.keep(chunk.subarray(start));
  }

  private keep(part: Uint8Array): void {
    this.carry.add(part, `line ${this.count + 1}`);
  }

  end(): void {
    if (this.carry.isEmpty) return;
    const whole = this.carry.take();
    this.line(whole, 0, whole.length);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** 1 for the bytes that mean something between values. */
const STRUCTURAL = new Uint8Array(256);
for (const byte of [QUOTE, COMMA, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE]) STRUCTURAL[byte] = 1;

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === NEWLINE || byte === RETURN || byte === 0x09;
}

/** One record an element of one large array. It finds where elements end; whether each is JSON is for its parser to say. */
class ArraySplitter implements Splitter {
  private readonly emit: Emit;
  private readonly carry: Carry;
  private place: "before" | "inside" | "behind" = "before";
  private depth = 0;
  private isInString = false;
  private isEscaped = false;
  private count = 0;

  constructor(emit: Emit, recordBytesMax: number) {
    this.emit = emit;
    this.carry = new Carry(recordBytesMax);
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    if (this.place === "before") at = this.open(chunk);
    if (this.place === "inside") at = this.elements(chunk, at);
    if (this.place === "behind") this.checkRest(chunk, at);
  }

  /** Finds the array's beginning, behind white space and a byte order mark. */
  private open(chunk: Uint8Array): number {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      if (byte === OPEN_BRACKET) {
        this.place = "inside";
        return at + 1;
      }
      const isMark = byte === 0xef || byte === 0xbb || byte === 0xbf;
      if (!isSpace(byte) && !isMark) throw badInput("the input is no JSON array", "use --format ndjson or lines");
    }
    return chunk.length;
  }

  private elements(chunk: Uint8Array, from: number): number {
    let start = from;
    let at = from;
    while (at < chunk.length) {
      if (this.isInString) {
        at = this.stringEnd(chunk, at);
        continue;
      }
      const byte = chunk[at] as number;
      at++;
      if (STRUCTURAL[byte] === 0) continue;
      if (byte === QUOTE) {
        this.isInString = true;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        this.depth++;
      } else if (this.depth > 0) {
        if (byte !== COMMA) this.depth--;
      } else {
        this.element(chunk, start, at - 1, byte);
        start = at;
        if (byte !== COMMA) return at;
      }
    }
    this.carry.add(chunk.subarray(start), this.name());
    return at;
  }

  /** The position behind the string's closing quote, or the chunk's end. */
  private stringEnd(chunk: Uint8Array, from: number): number {
    let at = from;
    if (this.isEscaped) {
      this.isEscaped = false;
      at++;
    }
    while (at < chunk.length) {
      const byte = chunk[at] as number;
      at++;
      if (byte === QUOTE) {
        this.isInString = false;
        return at;
      }
      if (byte !== BACKSLASH) continue;
      if (at === chunk.length) this.isEscaped = true;
      at++;
    }
    return chunk.length;
  }

  private element(chunk: Uint8Array, from: number, to: number, ending: number): void {
    let [bytes, start, end] = [chunk, from, to];
    if (!this.carry.isEmpty) {
      this.carry.add(chunk.subarray(from, to), this.name());
      bytes = this.carry.take();
      start = 0;
      end = bytes.length;
    }
    while (start < end && isSpace(bytes[start])) start++;
    while (end > start && isSpace(bytes[end - 1])) end--;
    const isEmptyArray = ending === CLOSE_BRACKET && this.count === 0 && start === end;
    if (ending !== COMMA) {
      if (ending !== CLOSE_BRACKET) throw badInput(`${this.name()} has one closing brace too many`, "repair the file");
      this.place = "behind";
    }
    if (isEmptyArray) return;
    if (start === end) throw badInput(`${this.name()} is empty`, "repair the file: there is a comma too many");
    this.count++;
    this.emit(bytes, start, end);
  }

  private name(): string {
    return `element ${this.count + 1} of the array`;
  }

  private checkRest(chunk: Uint8Array, from: number): void {
    for (let at = from; at < chunk.length; at++) {
      if (!isSpace(chunk[at]))
        throw badInput("there is more behind the array's end", "give one JSON array, or use --format ndjson");
    }
  }

  end(): void {
    if (this.place === "before")
      throw badInput("the input is empty", "give a JSON array, or use --format ndjson or lines");
    if (this.place === "inside") throw badInput(`the input ends inside ${this.name()}`, "check that the file is whole");
  }
}
