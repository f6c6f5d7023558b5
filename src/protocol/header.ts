import {
  ABSOLUTE_TIMESTAMPS,
  APPEND_TIME,
  BATCH_HEADER_BYTES,
  BATCH_VERSION,
  COMPRESSION_MASK,
  COMPRESSION_SHIFT,
  COMPRESSION_ZSTD,
  ENCODING_MASK,
  INTEGER_MAX,
  RESERVED,
  SPARSE,
} from "./constants.ts";
import { crc32 } from "./crc32.ts";
import { fault } from "./fault.ts";

/** The 64 bytes at the head of a batch: a msgpack array of 11 whose values have fixed widths, so that each stands at a fixed byte. */

const TWO_32 = 2 ** 32;
/** Where the CRC value stands, and the five bytes it does not cover. */
const CRC_AT = 16;
const CRC_SKIP_START = 15;
const CRC_SKIP_END = 20;

/** The msgpack heads of the layout: [byte, head]. */
const HEADS: readonly (readonly [at: number, head: number])[] = [
  [0, 0x9b],
  [1, 0xcf],
  [10, 0xce],
  [15, 0xce],
  [20, 0xcd],
  [23, 0xce],
  [28, 0xcf],
  [37, 0xce],
  [42, 0xcf],
  [51, 0xcd],
  [54, 0xce],
  [59, 0xc6],
];

export interface BatchHeader {
  /** The broker writes it; 0 in a publish. */
  baseOffset: number;
  /** The broker writes it; 0 in a publish. */
  epoch: number;
  crc: number;
  attributes: number;
  recordCount: number;
  /** Milliseconds since 1970. */
  baseTimestamp: number;
  maxTimestampDelta: number;
  /** 0 = none; then producerEpoch and baseSequence are 0 too. */
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
  /** Length of the records behind the header. */
  recordsBytes: number;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) * 0x10000 + readU16(bytes, at + 2);
}

export function readU64(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * TWO_32 + readU32(bytes, at + 4);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / TWO_32));
  writeU32(bytes, at + 4, value % TWO_32);
}

/** Writes the header at `at`, with `header.crc` as it stands. */
export function writeHeader(bytes: Uint8Array, at: number, header: BatchHeader): void {
  for (const [byte, head] of HEADS) bytes[at + byte] = head;
  writeU64(bytes, at + 2, header.baseOffset);
  writeU32(bytes, at + 11, header.epoch);
  writeU32(bytes, at + CRC_AT, header.crc);
  writeU16(bytes, at + 21, header.attributes);
  writeU32(bytes, at + 24, header.recordCount);
  writeU64(bytes, at + 29, header.baseTimestamp);
  writeU32(bytes, at + 38, header.maxTimestampDelta);
  writeU64(bytes, at + 43, header.producerId);
  writeU16(bytes, at + 52, header.producerEpoch);
  writeU32(bytes, at + 55, header.baseSequence);
  writeU32(bytes, at + 60, header.recordsBytes);
}

/**
 * Reads the header of the batch at `at`, whose bytes must not go past `end`.
 *
 * Errors: bad_batch for a cut batch, another version, unknown attributes or a
 * layout that is not the fixed one.
 */
export function readHeader(bytes: Uint8Array, at: number, end: number): BatchHeader {
  if (end - at < BATCH_HEADER_BYTES) throw fault("bad_batch", "fewer bytes than a batch header");
  for (const [byte, head] of HEADS) {
    if (bytes[at + byte] !== head) {
      throw fault("bad_batch", `byte ${byte} of the header is not the msgpack head of the layout`);
    }
  }
  const header: BatchHeader = {
    baseOffset: readU64(bytes, at + 2),
    epoch: readU32(bytes, at + 11),
    crc: readU32(bytes, at + CRC_AT),
    attributes: readU16(bytes, at + 21),
    recordCount: readU32(bytes, at + 24),
    baseTimestamp: readU64(bytes, at + 29),
    maxTimestampDelta: readU32(bytes, at + 38),
    producerId: readU64(bytes, at + 43),
    producerEpoch: readU16(bytes, at + 52),
    baseSequence: readU32(bytes, at + 55),
    recordsBytes: readU32(bytes, at + 60),
  };
  checkAttributes(header.attributes);
  const largest = Math.max(header.baseOffset, header.baseTimestamp, header.producerId);
  if (largest > INTEGER_MAX) throw fault("bad_batch", "a header field is 2^53 or more");
  if (header.recordsBytes > end - at - BATCH_HEADER_BYTES) {
    throw fault("bad_batch", "the batch ends before its stated length");
  }
  return header;
}

function checkAttributes(attributes: number): void {
  const version = attributes & 0x0f;
  if (version !== BATCH_VERSION) throw fault("bad_batch", `batch version ${version}`);
  const compression = compressionOf(attributes);
  const isUnknown =
    compression > COMPRESSION_ZSTD ||
    (attributes & ENCODING_MASK) !== 0 ||
    (attributes & RESERVED) !== 0 ||
    (isSparse(attributes) && compression !== 0);
  if (isUnknown) throw fault("bad_batch", `attributes 0x${attributes.toString(16)} use unknown bits`);
}

export function compressionOf(attributes: number): number {
  return (attributes & COMPRESSION_MASK) >> COMPRESSION_SHIFT;
}

export function isSparse(attributes: number): boolean {
  return (attributes & SPARSE) !== 0;
}

export function isAbsolute(attributes: number): boolean {
  return (attributes & ABSOLUTE_TIMESTAMPS) !== 0;
}

export function isAppendTime(attributes: number): boolean {
  return (attributes & APPEND_TIME) !== 0;
}

/** The CRC of the batch at `start..end`: all of it except the CRC's own five bytes. */
export function batchCrc(bytes: Uint8Array, start: number, end: number): number {
  const head = crc32(bytes.subarray(start, start + CRC_SKIP_START));
  return crc32(bytes.subarray(start + CRC_SKIP_END, end), head);
}

/** Computes the CRC of the batch at `start..end` and writes it into its header. */
export function sealBatch(bytes: Uint8Array, start: number, end: number): void {
  writeU32(bytes, start + CRC_AT, batchCrc(bytes, start, end));
}

/** Changes a batch's producer fields in place and seals it again: a producer that got a new epoch renumbers what was not acknowledged. */
export function renumberBatch(
  bytes: Uint8Array,
  start: number,
  end: number,
  producer: { producerId: number; producerEpoch: number; baseSequence: number },
): void {
  writeU64(bytes, start + 43, producer.producerId);
  writeU16(bytes, start + 52, producer.producerEpoch);
  writeU32(bytes, start + 55, producer.baseSequence);
  sealBatch(bytes, start, end);
}
