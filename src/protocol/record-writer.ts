import { INTEGER_MAX } from "./constants.ts";
import { fault } from "./fault.ts";
import { writeU16, writeU32, writeU64 } from "./header.ts";
import { utf8BytesMax, writeUtf8 } from "./utf8.ts";

/** Writes the values of a record by hand: no per-record msgpack library call, no views, no allocation. */

export type HeaderValue = null | boolean | number | string | Uint8Array;
export type Headers = Readonly<Record<string, HeaderValue>>;
/** The content of a key or value: text is stored as msgpack str, bytes as bin. */
export type Content = string | Uint8Array | null | undefined;

/** Heads of msgpack take at most this, so does any scalar. */
const HEAD_BYTES_MAX = 9;

/** An upper bound of the bytes that a record takes, for making room once. */
export function recordBytesMax(key: Content, value: Content, headers: Headers | null | undefined): number {
  let bytes = 4 * HEAD_BYTES_MAX + contentBytesMax(key) + contentBytesMax(value);
  if (headers) {
    for (const name in headers) {
      const entry = headers[name];
      bytes += 2 * HEAD_BYTES_MAX + utf8BytesMax(name);
      if (typeof entry === "string" || entry instanceof Uint8Array) bytes += contentBytesMax(entry);
    }
  }
  return bytes;
}

/** An upper bound of the content alone, without its head. */
export function contentBytesMax(content: Content): number {
  if (content === null || content === undefined) return 0;
  return typeof content === "string" ? utf8BytesMax(content) : content.length;
}

/**
 * Writes one record at `at`; the caller has made room for `recordBytesMax`.
 *
 * @param timestamp a delta, or absolute milliseconds, as the batch says; null
 * is the broker's time (only in PUBLISH_ONE and with absolute timestamps)
 * @returns the position behind the record
 */
export function writeRecord(
  bytes: Uint8Array,
  at: number,
  timestamp: number | null,
  key: Content,
  value: Content,
  headers: Headers | null | undefined,
): number {
  bytes[at] = 0x94;
  let end = timestamp === null ? writeNil(bytes, at + 1) : writeUint(bytes, at + 1, timestamp);
  end = writeContent(bytes, end, key);
  end = writeContent(bytes, end, value);
  return headers ? writeHeaders(bytes, end, headers) : writeNil(bytes, end);
}

export function writeNil(bytes: Uint8Array, at: number): number {
  bytes[at] = 0xc0;
  return at + 1;
}

/** Writes a non-negative integer in the fewest bytes. */
export function writeUint(bytes: Uint8Array, at: number, value: number): number {
  if (value <= 0x7f) {
    bytes[at] = value;
    return at + 1;
  }
  if (value <= 0xff) {
    bytes[at] = 0xcc;
    bytes[at + 1] = value;
    return at + 2;
  }
  if (value <= 0xffff) {
    bytes[at] = 0xcd;
    writeU16(bytes, at + 1, value);
    return at + 3;
  }
  if (value <= 0xffffffff) {
    bytes[at] = 0xce;
    writeU32(bytes, at + 1, value);
    return at + 5;
  }
  bytes[at] = 0xcf;
  writeU64(bytes, at + 1, value);
  return at + 9;
}

export function writeContent(bytes: Uint8Array, at: number, content: Content): number {
  if (content === null || content === undefined) return writeNil(bytes, at);
  if (typeof content === "string") return writeText(bytes, at, content);
  const start = writeBinHead(bytes, at, content.length);
  bytes.set(content, start);
  return start + content.length;
}

function writeBinHead(bytes: Uint8Array, at: number, length: number): number {
  if (length <= 0xff) {
    bytes[at] = 0xc4;
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length <= 0xffff) {
    bytes[at] = 0xc5;
    writeU16(bytes, at + 1, length);
    return at + 3;
  }
  bytes[at] = 0xc6;
  writeU32(bytes, at + 1, length);
  return at + 5;
}

function textHeadBytes(length: number): number {
  if (length < 32) return 1;
  if (length <= 0xff) return 2;
  return length <= 0xffff ? 3 : 5;
}

/** The text goes behind a head sized for ASCII first, because it nearly always is; otherwise it is moved. */
function writeText(bytes: Uint8Array, at: number, text: string): number {
  const guess = textHeadBytes(text.length);
  const length = writeUtf8(bytes, at + guess, text);
  const head = textHeadBytes(length);
  if (head !== guess) bytes.copyWithin(at + head, at + guess, at + guess + length);
  if (head === 1) {
    bytes[at] = 0xa0 | length;
  } else if (head === 2) {
    bytes[at] = 0xd9;
    bytes[at + 1] = length;
  } else if (head === 3) {
    bytes[at] = 0xda;
    writeU16(bytes, at + 1, length);
  } else {
    bytes[at] = 0xdb;
    writeU32(bytes, at + 1, length);
  }
  return at + head + length;
}

function writeHeaders(bytes: Uint8Array, at: number, headers: Headers): number {
  const names = Object.keys(headers);
  if (names.length === 0) return writeNil(bytes, at);
  if (names.length > 0xffff) throw fault("invalid_argument", "more than 65,535 headers");
  let end = at;
  if (names.length < 16) {
    bytes[end++] = 0x80 | names.length;
  } else {
    bytes[end] = 0xde;
    writeU16(bytes, end + 1, names.length);
    end += 3;
  }
  for (const name of names) {
    end = writeText(bytes, end, name);
    end = writeHeaderValue(bytes, end, name, headers[name]);
  }
  return end;
}

function writeHeaderValue(bytes: Uint8Array, at: number, name: string, value: unknown): number {
  if (value === null || value === undefined) return writeNil(bytes, at);
  if (typeof value === "string" || value instanceof Uint8Array) return writeContent(bytes, at, value);
  if (typeof value === "boolean") {
    bytes[at] = value ? 0xc3 : 0xc2;
    return at + 1;
  }
  if (typeof value !== "number") {
    throw fault("invalid_argument", `header ${name} is neither nil, boolean, number, text nor bytes`);
  }
  return writeNumber(bytes, at, value);
}

function writeNumber(bytes: Uint8Array, at: number, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= INTEGER_MAX && !Object.is(value, -0)) {
    return writeUint(bytes, at, value);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEAD_BYTES_MAX);
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    if (value >= -32) {
      view.setInt8(0, value);
      return at + 1;
    }
    view.setUint8(0, 0xd3);
    view.setBigInt64(1, BigInt(value));
  } else {
    view.setUint8(0, 0xcb);
    view.setFloat64(1, value);
  }
  return at + 9;
}
