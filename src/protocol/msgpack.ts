import { Packr, Unpackr } from "msgpackr";
import { DEPTH_MAX, INTEGER_MAX, UINT32_MAX } from "./constants.ts";
import { fault } from "./fault.ts";
import { readUtf8 } from "./utf8.ts";

/**
 * msgpack for control frames, and a cursor for what is read by hand.
 *
 * msgpackr decodes only what `skip` has walked first: msgpackr by itself would
 * follow extension types (its own record structures among them) and any depth.
 */

const TWO_32 = 2 ** 32;

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  int64AsType: "number",
  encodeUndefinedAsNil: true,
});
const unpackr = new Unpackr({
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: "number",
});

function malformed(at: number, why: string): Error {
  return fault("malformed_frame", `${why} at byte ${at}`);
}

/**
 * msgpackr writes integers past 32 bits as floats, which other languages would
 * read as floats: they go in as BigInt, which it writes as int64.
 */
function withWideIntegers(value: unknown): unknown {
  if (typeof value === "number") {
    const wide = Number.isSafeInteger(value) && (value > UINT32_MAX || value < -0x80000000);
    return wide ? BigInt(value) : value;
  }
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(withWideIntegers);
  const out: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (entry !== undefined) out[key] = withWideIntegers(entry);
  }
  return out;
}

/** Encodes a plain value: nil, booleans, numbers, strings, bytes, arrays, objects. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(withWideIntegers(value));
}

/** Decodes the one value that fills `start..end`. Errors: malformed_frame. */
export function unpack(bytes: Uint8Array, start: number, end: number): unknown {
  if (skip(bytes, start, end) !== end) {
    throw malformed(start, "bytes after the value that began");
  }
  return unpackr.unpack(bytes.subarray(start, end));
}

/**
 * The position behind the value at `at`. Errors: malformed_frame for bytes that
 * end inside the value, an extension type, a map key that is neither string
 * nor integer, or nesting deeper than `DEPTH_MAX`.
 */
export function skip(bytes: Uint8Array, at: number, end: number): number {
  return skipNested(bytes, at, end, 0);
}

function skipNested(bytes: Uint8Array, at: number, end: number, depth: number): number {
  const cursor = new Cursor(bytes, at, end);
  const head = cursor.peek();
  const isMap = (head >= 0x80 && head <= 0x8f) || head === 0xde || head === 0xdf;
  const isArray = (head >= 0x90 && head <= 0x9f) || head === 0xdc || head === 0xdd;
  if (!isMap && !isArray) {
    cursor.skipScalar();
    return cursor.at;
  }
  if (depth === DEPTH_MAX) throw malformed(at, `nesting deeper than ${DEPTH_MAX}`);
  const count = isMap ? cursor.map() : cursor.array();
  let position = cursor.at;
  for (let entry = 0; entry < count; entry++) {
    if (isMap) position = skipKey(bytes, position, end);
    position = skipNested(bytes, position, end, depth + 1);
  }
  return position;
}

function skipKey(bytes: Uint8Array, at: number, end: number): number {
  const cursor = new Cursor(bytes, at, end);
  const head = cursor.peek();
  const isString = (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
  const isInteger = head <= 0x7f || (head >= 0xcc && head <= 0xd3);
  if (!isString && !isInteger) throw malformed(at, "a map key that is no string");
  cursor.skipScalar();
  return cursor.at;
}

/** Reads msgpack values one after another from `at` to `end`. Every method throws malformed_frame where another type or too few bytes stand. */
export class Cursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  peek(): number {
    if (this.at >= this.end) throw malformed(this.at, "the bytes end inside a value");
    return this.bytes[this.at] as number;
  }

  /** The position of the next `length` bytes, which are stepped over. */
  take(length: number): number {
    const start = this.at;
    if (length > this.end - start) throw malformed(start, "the bytes end inside a value");
    this.at = start + length;
    return start;
  }

  private byte(): number {
    return this.bytes[this.take(1)] as number;
  }

  private be16(): number {
    const at = this.take(2);
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  private be32(): number {
    return this.be16() * 0x10000 + this.be16();
  }

  private lengthOf(width: number): number {
    if (width === 1) return this.byte();
    return width === 2 ? this.be16() : this.be32();
  }

  /** True, and moves on, where a nil stands. */
  nil(): boolean {
    if (this.peek() !== 0xc0) return false;
    this.at++;
    return true;
  }

  /** A non-negative integer in any of msgpack's encodings, below 2^53. */
  uint(): number {
    const start = this.at;
    const head = this.byte();
    if (head <= 0x7f) return head;
    let value: number;
    if (head === 0xcc) value = this.byte();
    else if (head === 0xcd) value = this.be16();
    else if (head === 0xce) value = this.be32();
    else if (head === 0xcf) value = this.be32() * TWO_32 + this.be32();
    else if (head === 0xd0) value = signed(this.byte(), 0x80);
    else if (head === 0xd1) value = signed(this.be16(), 0x8000);
    else if (head === 0xd2) value = signed(this.be32(), 0x80000000);
    else if (head === 0xd3) value = signed(this.be32(), 0x80000000) * TWO_32 + this.be32();
    else throw malformed(start, "no unsigned integer");
    if (value < 0 || value > INTEGER_MAX) throw malformed(start, "an integer out of range");
    return value;
  }

  /** An integer in any of msgpack's encodings, between -2^53 and 2^53. */
  int(): number {
    const start = this.at;
    const head = this.peek();
    if (head >= 0xe0) return this.byte() - 0x100;
    if (head < 0xd0 || head > 0xd3) return this.uint();
    this.at++;
    if (head === 0xd0) return signed(this.byte(), 0x80);
    if (head === 0xd1) return signed(this.be16(), 0x8000);
    if (head === 0xd2) return signed(this.be32(), 0x80000000);
    const value = signed(this.be32(), 0x80000000) * TWO_32 + this.be32();
    if (value < -INTEGER_MAX || value > INTEGER_MAX) throw malformed(start, "an integer out of range");
    return value;
  }

  uintOrNil(): number | null {
    return this.nil() ? null : this.uint();
  }

  array(): number {
    const start = this.at;
    const head = this.byte();
    if (head >= 0x90 && head <= 0x9f) return head & 0x0f;
    if (head === 0xdc) return this.be16();
    if (head === 0xdd) return this.be32();
    throw malformed(start, "no array");
  }

  map(): number {
    const start = this.at;
    const head = this.byte();
    if (head >= 0x80 && head <= 0x8f) return head & 0x0f;
    if (head === 0xde) return this.be16();
    if (head === 0xdf) return this.be32();
    throw malformed(start, "no map");
  }

  str(): string {
    const start = this.at;
    const head = this.byte();
    let length: number;
    if (head >= 0xa0 && head <= 0xbf) length = head & 0x1f;
    else if (head >= 0xd9 && head <= 0xdb) length = this.lengthOf(1 << (head - 0xd9));
    else throw malformed(start, "no string");
    const at = this.take(length);
    return readUtf8(this.bytes, at, this.at);
  }

  /** The content length of a str or bin, whose content begins at `at` then. */
  blob(): number {
    const start = this.at;
    const head = this.byte();
    if (head >= 0xa0 && head <= 0xbf) return head & 0x1f;
    if (head >= 0xc4 && head <= 0xc6) return this.lengthOf(1 << (head - 0xc4));
    if (head >= 0xd9 && head <= 0xdb) return this.lengthOf(1 << (head - 0xd9));
    throw malformed(start, "no string or bytes");
  }

  /** Steps over one value that is neither array nor map. */
  skipScalar(): void {
    const start = this.at;
    const head = this.peek();
    const isText = (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
    if (isText || (head >= 0xc4 && head <= 0xc6)) {
      this.take(this.blob());
      return;
    }
    const width = SCALAR_BYTES[head] as number;
    if (width === 0) throw malformed(start, "a type that the protocol does not use");
    this.take(width);
  }
}

function signed(value: number, half: number): number {
  return value >= half ? value - 2 * half : value;
}

/** Bytes of a scalar by its head; 0 for what is no scalar and for extensions. */
const SCALAR_BYTES: Uint8Array = scalarBytes();

function scalarBytes(): Uint8Array {
  const table = new Uint8Array(256);
  table.fill(1, 0x00, 0x80);
  table.fill(1, 0xe0, 0x100);
  table[0xc0] = 1;
  table[0xc2] = 1;
  table[0xc3] = 1;
  const wide: [head: number, bytes: number][] = [
    [0xca, 5],
    [0xcb, 9],
    [0xcc, 2],
    [0xcd, 3],
    [0xce, 5],
    [0xcf, 9],
    [0xd0, 2],
    [0xd1, 3],
    [0xd2, 5],
    [0xd3, 9],
  ];
  for (const [head, bytes] of wide) table[head] = bytes;
  return table;
}
