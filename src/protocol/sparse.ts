import { fault } from "./fault.ts";
import { Cursor } from "./msgpack.ts";

/** The bitmap at the head of a sparse batch's records: which positions of its span survived. First byte: unused bits of the last byte; then the bits, most significant first. */
export class Bitmap {
  private readonly bytes: Uint8Array;
  private readonly start: number;
  /** How many offsets and sequences the batch covers. */
  readonly span: number;
  /** Where the records begin. */
  readonly end: number;

  /** Reads the bitmap at `at`. Errors: bad_record. */
  constructor(bytes: Uint8Array, at: number, end: number) {
    const cursor = new Cursor(bytes, at, end);
    const head = bytes[at] ?? 0;
    const isBin = head >= 0xc4 && head <= 0xc6;
    const length = isBin && at < end ? cursor.blob() : 0;
    const start = cursor.at;
    const unused = bytes[start] ?? 8;
    const span = (length - 1) * 8 - unused;
    if (length < 1 || start + length > end || unused > 7 || span < 0) {
      throw fault("bad_record", "a sparse batch does not begin with its bitmap");
    }
    this.bytes = bytes;
    this.start = start + 1;
    this.span = span;
    this.end = start + length;
  }

  has(position: number): boolean {
    const byte = this.bytes[this.start + (position >>> 3)] as number;
    return position < this.span && (byte & (0x80 >>> (position & 7))) !== 0;
  }

  /** The first surviving position at or after `position`, or -1. */
  next(position: number): number {
    for (let at = position; at < this.span; at++) {
      if (this.has(at)) return at;
    }
    return -1;
  }
}

/** The msgpack bin with the bitmap of `positions` (ascending, each below `span`). */
export function encodeBitmap(span: number, positions: Iterable<number>): Uint8Array {
  const bits = Math.ceil(span / 8);
  const out = new Uint8Array(5 + 1 + bits);
  out.set([0xc6, 0, 0, 0, 0, bits * 8 - span]);
  new DataView(out.buffer).setUint32(1, 1 + bits);
  for (const position of positions) {
    const at = 6 + (position >>> 3);
    out[at] = (out[at] as number) | (0x80 >>> (position & 7));
  }
  return out;
}
