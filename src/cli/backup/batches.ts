import { crc32 } from "node:zlib";
import { HEADER_BYTES } from "../segment-walk.ts";
import type { SegmentFile } from "../segment-file.ts";

/**
 * Goes over the batches of a segment by their headers and CRCs alone, at the speed of zlib's CRC. The layout is that of
 * core/batch; every byte of a segment is under the CRC of its batch.
 */

export interface BatchHead {
  readonly position: number;
  readonly bytes: number;
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly isControl: boolean;
}

const AT = { base: 2, crc: 16, attributes: 21, count: 24, timestamp: 29, delta: 38, records: 60 } as const;
const CRC_END = 20;
const CRC_START = 15;
const MARKER = 0x9b;
const CONTROL = 1 << 11;
const SPARSE = 1 << 13;
/** msgpack's heads of bin 8, 16 and 32: how many bytes their lengths have. */
const BIN_LENGTHS: ReadonlyMap<number, number> = new Map([
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
]);

/** The batch at a position before `end`. Errors: an Error that says what is wrong. */
export function batchAt(file: SegmentFile, position: number, end: number): BatchHead {
  const head = file.view(position, HEADER_BYTES);
  if (head.length < HEADER_BYTES || head[0] !== MARKER) throw new Error("no batch stands there");
  const bytes = HEADER_BYTES + head.readUInt32BE(AT.records);
  if (position + bytes > end) throw new Error("the batch is longer than what the backup has of the segment");
  const batch = file.view(position, bytes);
  if (crc32(batch.subarray(CRC_END), crc32(batch.subarray(0, CRC_START))) !== batch.readUInt32BE(AT.crc)) {
    throw new Error("the batch's CRC is wrong");
  }
  const attributes = batch.readUInt16BE(AT.attributes);
  const baseOffset = Number(batch.readBigUInt64BE(AT.base));
  const baseTimestampMs = Number(batch.readBigUInt64BE(AT.timestamp));
  const span = (attributes & SPARSE) === 0 ? batch.readUInt32BE(AT.count) : spanOf(batch.subarray(HEADER_BYTES));
  return {
    position,
    bytes,
    baseOffset,
    nextOffset: baseOffset + span,
    baseTimestampMs,
    maxTimestampMs: baseTimestampMs + batch.readUInt32BE(AT.delta),
    isControl: (attributes & CONTROL) !== 0,
  };
}

/** Offsets that a sparse batch covers: the bits of the bitmap in front of its records. */
function spanOf(records: Buffer): number {
  const width = BIN_LENGTHS.get(records[0] ?? 0);
  if (width === undefined) throw new Error("a sparse batch does not begin with its bitmap");
  const length = records.readUIntBE(1, width);
  return (length - 1) * 8 - records.readUInt8(1 + width);
}
