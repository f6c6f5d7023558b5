import { crc32, zstdDecompressSync } from "node:zlib";
import { Unpackr } from "msgpackr";
import type { SegmentFile } from "./segment-file.ts";

/**
 * Walks a segment with a general msgpack library and zlib's CRC, on purpose without the broker's own code: it shows
 * that a segment can be read with these alone, and a fault in our codec cannot hide itself here.
 */

export const HEADER_BYTES = 64;
/** Positions and msgpack heads that the layout of a batch fixes: an array of 11 with fixed-width fields. */
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
const MARKER = 0x9b;
const CRC_START = 15;
const CRC_END = 20;
const RECORDS_LENGTH_AT = 60;
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024;
const COMPRESSIONS = ["none", "zstd"];

/** One batch as it stands in the file. */
export interface Batch {
  position: number;
  bytes: number;
  baseOffset: number;
  /** Offset behind the batch. */
  nextOffset: number;
  epoch: number;
  crc: number;
  attributes: number;
  recordCount: number;
  baseTimestamp: number;
  maxTimestamp: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
  compression: string;
  flags: string[];
  /** What is wrong with it; empty for a sound batch. */
  faults: string[];
}

export type RecordContent = null | string | Uint8Array;

export interface StoredRecord {
  offset: number;
  timestamp: number;
  key: RecordContent;
  value: RecordContent;
  headers: Record<string, null | boolean | number | string | Uint8Array> | null;
}

/** What the walk comes across, in the order of the file. */
export type Step =
  | { kind: "batch"; batch: Batch; records: StoredRecord[] }
  /** Bytes that are neither a batch nor zeros. */
  | { kind: "garbage"; position: number; bytes: number; reason: string };

const unpackr = (): Unpackr => new Unpackr({ useRecords: false, int64AsType: "number" });

/** All steps of a segment. After damage it goes on where the next sound batch stands. */
export function* walk(file: SegmentFile, withRecords: boolean): IterableIterator<Step> {
  const reader = new BatchReader(withRecords);
  let position = 0;
  while (position < file.size) {
    const fault = headFault(file, position);
    if (fault === null) {
      const bytes = batchBytes(file, position);
      const step = reader.read(file.view(position, bytes), position);
      const isSound = step.kind === "batch" && step.batch.faults.length === 0;
      yield step;
      position = isSound ? position + bytes : behindDamage(file, position, bytes, reader);
      continue;
    }
    const data = file.nextNonZero(position);
    if (data === file.size) return;
    const next = nextSound(file, data + 1, reader);
    yield { kind: "garbage", position, bytes: next - position, reason: fault };
    position = next;
  }
}

function recordsLength(head: Buffer): number {
  return head.readUInt32BE(RECORDS_LENGTH_AT);
}

function batchBytes(file: SegmentFile, position: number): number {
  return HEADER_BYTES + recordsLength(file.view(position, HEADER_BYTES));
}

/** Where to go on behind a batch whose length may be what is wrong: where it says, unless a sound batch stands elsewhere. */
function behindDamage(file: SegmentFile, position: number, bytes: number, reader: BatchReader): number {
  const end = position + bytes;
  if (isSoundAt(file, end, reader)) return end;
  const next = nextSound(file, position + 1, reader);
  return next < file.size ? next : end;
}

function isSoundAt(file: SegmentFile, position: number, reader: BatchReader): boolean {
  return headFault(file, position) === null && reader.hasRightCrc(file.view(position, batchBytes(file, position)));
}

/** Why no batch stands at the position; null when one does. */
function headFault(file: SegmentFile, position: number): string | null {
  const head = file.view(position, HEADER_BYTES);
  if (head.length < HEADER_BYTES) return "fewer bytes than a batch header";
  for (const [at, expected] of HEADS) {
    if (head[at] !== expected) return `byte ${at} is not the msgpack head that a batch has there`;
  }
  const bytes = HEADER_BYTES + recordsLength(head);
  if (position + bytes > file.size) return `a batch of ${bytes} bytes does not fit into the file`;
  return null;
}

/** Where the next batch with a right CRC stands; the file's size when there is none. */
function nextSound(file: SegmentFile, from: number, reader: BatchReader): number {
  for (let at = file.nextByte(MARKER, from); at < file.size; at = file.nextByte(MARKER, at + 1)) {
    if (isSoundAt(file, at, reader)) return at;
  }
  return file.size;
}

class BatchReader {
  private readonly unpackr = unpackr();
  private readonly withRecords: boolean;

  constructor(withRecords: boolean) {
    this.withRecords = withRecords;
  }

  private crcOf(bytes: Buffer): number {
    return crc32(bytes.subarray(CRC_END), crc32(bytes.subarray(0, CRC_START)));
  }

  hasRightCrc(bytes: Buffer): boolean {
    return this.crcOf(bytes) === bytes.readUInt32BE(CRC_START + 1);
  }

  read(bytes: Buffer, position: number): Step {
    const values = this.unpackr.unpack(bytes) as [...number[], Uint8Array];
    const fields = values.slice(0, 10) as number[];
    const [baseOffset = 0, epoch = 0, crc = 0, attributes = 0, recordCount = 0, baseTimestamp = 0] = fields;
    const [maxDelta = 0, producerId = 0, producerEpoch = 0, baseSequence = 0] = fields.slice(6);
    const batch: Batch = {
      position,
      bytes: bytes.length,
      baseOffset,
      nextOffset: baseOffset + recordCount,
      epoch,
      crc,
      attributes,
      recordCount,
      baseTimestamp,
      maxTimestamp: baseTimestamp + maxDelta,
      producerId,
      producerEpoch,
      baseSequence,
      compression: COMPRESSIONS[(attributes >> 4) & 7] ?? "unknown",
      flags: flagsOf(attributes),
      faults: [],
    };
    const computed = this.crcOf(bytes);
    if (computed !== crc) {
      batch.faults.push(`CRC is ${hex(computed)}, stored is ${hex(crc)}`);
      return { kind: "batch", batch, records: [] };
    }
    return { kind: "batch", batch, records: this.records(batch, values[10] as unknown as Uint8Array) };
  }

  /** The records of a batch whose CRC is right; what does not fit its header becomes a fault. */
  private records(batch: Batch, content: Uint8Array): StoredRecord[] {
    const records: StoredRecord[] = [];
    const isSparse = batch.flags.includes("sparse");
    let positions: number[] | null = null;
    let count = 0;
    try {
      if (((batch.attributes >> 7) & 7) !== 0) throw new Error("the record encoding is unknown to this version");
      const plain = this.plainOf(batch, content);
      const take = (value: unknown): void => {
        if (isSparse && positions === null) {
          const bitmap = bitmapOf(value);
          positions = bitmap.positions;
          batch.nextOffset = batch.baseOffset + bitmap.span;
          return;
        }
        const place = positions === null ? count : positions[count];
        count++;
        const record = recordOf(batch, value, place);
        if (this.withRecords) records.push(record);
      };
      if (plain.length > 0) this.unpackr.unpackMultiple(plain, take);
      if (count !== batch.recordCount)
        throw new Error(`the header counts ${batch.recordCount} records, there are ${count}`);
    } catch (error) {
      batch.faults.push(error instanceof Error ? error.message : String(error));
    }
    return records;
  }

  private plainOf(batch: Batch, content: Uint8Array): Uint8Array {
    if (batch.compression === "none") return content;
    if (batch.compression === "unknown") throw new Error("the compression is unknown to this version");
    return zstdDecompressSync(content, { maxOutputLength: DECOMPRESSED_BYTES_MAX });
  }
}

const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [10, "append-time"],
  [11, "control"],
  [12, "transactional"],
  [13, "sparse"],
  [14, "absolute-times"],
];

function flagsOf(attributes: number): string[] {
  return FLAGS.filter(([bit]) => (attributes & (1 << bit)) !== 0).map(([, name]) => name);
}

export function hex(crc: number): string {
  return crc.toString(16).padStart(8, "0");
}

/** The surviving positions of a sparse batch: bits from the highest, after a byte that counts the unused ones. */
function bitmapOf(value: unknown): { positions: number[]; span: number } {
  if (!(value instanceof Uint8Array) || value.length === 0)
    throw new Error("a sparse batch does not begin with its bitmap");
  const span = (value.length - 1) * 8 - (value[0] as number);
  const positions: number[] = [];
  for (let at = 0; at < span; at++) {
    if (((value[1 + (at >>> 3)] as number) & (0x80 >>> (at & 7))) !== 0) positions.push(at);
  }
  return { positions, span };
}

function recordOf(batch: Batch, value: unknown, place: number | undefined): StoredRecord {
  if (!Array.isArray(value) || value.length !== 4) throw new Error("a record is no array of 4");
  if (place === undefined) throw new Error("there are more records than the bitmap has bits");
  const [time, key, content, headers] = value as [number | null, RecordContent, RecordContent, StoredRecord["headers"]];
  const isAbsolute = batch.flags.includes("absolute-times");
  const created = time === null ? batch.baseTimestamp : isAbsolute ? time : batch.baseTimestamp + time;
  const timestamp = batch.flags.includes("append-time") ? batch.baseTimestamp : created;
  return { offset: batch.baseOffset + place, timestamp, key, value: content, headers };
}
