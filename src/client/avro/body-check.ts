import type { Type, types } from "avsc";
import { inside, Invalid } from "./invalid.ts";

/**
 * Checks that a body is one value of a schema, before avsc reads it: avsc reads
 * on past the end of its bytes, and takes an array's length on trust. What
 * passes and what does not is as in the broker (`core/schema`).
 */

/** Records, arrays and maps within each other. */
const DEPTH_MAX = 256;
/** Items without a byte in one body: a few bytes state any number of them. */
const EMPTY_ITEMS_MAX = 65_536;
/** What a number of this many bytes is still read as: 64 bits in groups of 7. */
const LONG_BYTES_MAX = 10;
const INT_BYTES_MAX = 5;
const INT_MAX = 0x7fff_ffff;

/** Moves the cursor past one value. Throws Invalid. */
type Check = (cursor: Cursor, depth: number) => void;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Cursor {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  emptyItems = 0;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  take(length: number, kind: string): void {
    if (length > this.end - this.at) throw new Invalid(`the body ends inside a value of type ${kind}`);
    this.at += length;
  }

  /** A number, rounded past 2^53: what is compared with a length or a count is wrong there anyway. */
  long(kind: string): number {
    const { bytes, end } = this;
    let scale = 1;
    let raw = 0;
    for (let count = 1; count <= LONG_BYTES_MAX; count++) {
      if (this.at >= end) throw new Invalid(`the body ends inside a value of type ${kind}`);
      const byte = bytes[this.at++] as number;
      raw += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (count === LONG_BYTES_MAX && byte > 1) break;
        // Parity is that of the lowest byte: the sum may have lost it.
        const isNegative = (bytes[this.at - count] as number) & 1;
        return isNegative ? -Math.floor(raw / 2) - 1 : Math.floor(raw / 2);
      }
      scale *= 128;
    }
    throw new Invalid(`a number that is too large for type ${kind}`);
  }

  int(): void {
    const start = this.at;
    const value = this.long("int");
    if (value <= INT_MAX && value >= -INT_MAX - 1 && this.at - start <= INT_BYTES_MAX) return;
    throw new Invalid("a number that is too large for type int");
  }

  /** A length, then as many bytes. */
  blob(kind: string): void {
    const length = this.long(kind);
    if (length < 0) throw new Invalid(`a length of ${length}`);
    this.take(length, kind);
  }

  text(): string {
    const length = this.long("string");
    if (length < 0) throw new Invalid(`a length of ${length}`);
    const start = this.at;
    this.take(length, "string");
    // Nearly all text is ASCII, for which a decoder costs more than the loop.
    for (let at = start; at < this.at; at++) {
      if ((this.bytes[at] as number) >= 0x80) return this.decoded(start);
    }
    return "";
  }

  private decoded(start: number): string {
    try {
      return utf8.decode(this.bytes.subarray(start, this.at));
    } catch {
      throw new Invalid("a string that is not UTF-8");
    }
  }

  index(count: number, what: string): number {
    const index = this.long(what);
    if (index >= 0 && index < count) return index;
    const [part, whole] = what === "union" ? ["branch", "a union"] : ["symbol", "an enum"];
    throw new Invalid(`${part} ${index} of ${whole} that has ${count}`);
  }

  /** Items of a block of an array or a map, 0 at the end; `passItem` moves past one. */
  blocks(kind: string, passItem: (index: number) => void): void {
    let index = 0;
    for (;;) {
      let count = this.long(kind);
      if (count === 0) return;
      const hasSize = count < 0;
      let blockEnd = 0;
      if (hasSize) {
        count = -count;
        const size = this.long(kind);
        blockEnd = this.at + size;
      }
      for (let left = count; left > 0; left--) {
        const start = this.at;
        passItem(index++);
        if (this.at === start) this.countEmpty();
      }
      if (hasSize && blockEnd !== this.at) throw new Invalid("a block's size is not that of its items");
    }
  }

  private countEmpty(): void {
    this.emptyItems++;
    if (this.emptyItems > EMPTY_ITEMS_MAX) throw new Invalid(`items without a byte, over ${EMPTY_ITEMS_MAX}`);
  }
}

function deeper(depth: number): number {
  if (depth === DEPTH_MAX) throw new Invalid(`nested deeper than ${DEPTH_MAX}`);
  return depth + 1;
}

function recordCheck(type: types.RecordType, known: Map<Type, Check>): Check {
  const names = type.fields.map(({ name }) => name);
  const checks: Check[] = [];
  const check: Check = (cursor, depth) => {
    const inner = deeper(depth);
    let index = 0;
    try {
      for (; index < checks.length; index++) (checks[index] as Check)(cursor, inner);
    } catch (error) {
      throw inside(error, names[index] as string);
    }
  };
  // Known before its fields are looked at: they may be of this type.
  known.set(type, check);
  for (const field of type.fields) checks.push(checkOf(field.type, known));
  return check;
}

function arrayCheck(type: types.ArrayType, known: Map<Type, Check>): Check {
  const check = checkOf(type.itemsType, known);
  return (cursor, depth) => {
    const inner = deeper(depth);
    cursor.blocks("array", (index) => {
      try {
        check(cursor, inner);
      } catch (error) {
        throw inside(error, index);
      }
    });
  };
}

function mapCheck(type: types.MapType, known: Map<Type, Check>): Check {
  const check = checkOf(type.valuesType as Type, known);
  return (cursor, depth) => {
    const inner = deeper(depth);
    cursor.blocks("map", () => {
      cursor.text();
      check(cursor, inner);
    });
  };
}

function unionCheck(type: types.UnwrappedUnionType, known: Map<Type, Check>): Check {
  const checks = type.types.map((branch) => checkOf(branch, known));
  return (cursor, depth) => (checks[cursor.index(checks.length, "union")] as Check)(cursor, depth);
}

const PRIMITIVES: Readonly<Record<string, Check>> = {
  null: () => undefined,
  boolean: (cursor) => {
    const { at, bytes } = cursor;
    cursor.take(1, "boolean");
    if ((bytes[at] as number) > 1) throw new Invalid(`a boolean is the byte 0 or 1, not ${bytes[at]}`);
  },
  int: (cursor) => cursor.int(),
  long: (cursor) => void cursor.long("long"),
  float: (cursor) => cursor.take(4, "float"),
  double: (cursor) => cursor.take(8, "double"),
  bytes: (cursor) => cursor.blob("bytes"),
  string: (cursor) => void cursor.text(),
};

function complexCheck(type: Type, known: Map<Type, Check>): Check {
  switch (type.typeName) {
    case "record":
    case "error":
      return recordCheck(type as types.RecordType, known);
    case "array":
      return arrayCheck(type as types.ArrayType, known);
    case "map":
      return mapCheck(type as types.MapType, known);
    case "enum": {
      const count = (type as types.EnumType).symbols.length;
      return (cursor) => void cursor.index(count, "enum");
    }
    case "fixed": {
      const { size } = type as types.FixedType;
      return (cursor) => cursor.take(size, "fixed");
    }
    default:
      return unionCheck(type as types.UnwrappedUnionType, known);
  }
}

function checkOf(type: Type, known: Map<Type, Check>): Check {
  const found = PRIMITIVES[type.typeName] ?? known.get(type);
  if (found) return found;
  const check = complexCheck(type, known);
  known.set(type, check);
  return check;
}

/** Checks a body: it throws Invalid where it is not exactly one value. */
export type BodyCheck = (bytes: Uint8Array, start: number, end: number) => void;

/** The check for bodies of a type that was parsed without forms of its own (`parsePlain`). */
export function bodyCheck(type: Type): BodyCheck {
  const check = checkOf(type, new Map());
  return (bytes, start, end) => {
    const cursor = new Cursor(bytes, start, end);
    check(cursor, 0);
    if (cursor.at < end) throw new Invalid(`${end - cursor.at} bytes are left behind the value`);
  };
}
