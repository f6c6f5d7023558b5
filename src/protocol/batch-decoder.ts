import { BATCH_HEADER_BYTES } from "./constants.ts";
import { decompress } from "./compression.ts";
import { fault } from "./fault.ts";
import {
  type BatchHeader,
  batchCrc,
  compressionOf,
  isAbsolute,
  isAppendTime,
  isSparse,
  readHeader,
  readU16,
  readU32,
} from "./header.ts";
import { Cursor } from "./msgpack.ts";
import { Record, type RecordBatch } from "./record.ts";
import { Bitmap } from "./sparse.ts";

/** Reads batches and their records. Everything is a position in the bytes that came. */

export interface BatchOrigin {
  topic?: string;
  partition?: number;
  /** False leaves the CRC unchecked (the default checks). */
  verify?: boolean;
}

const NIL = 0xc0;
const RECORD_HEAD = 0x94;

/** One batch in a larger buffer. Iterate it for its records, as often as needed. */
export class BatchReader implements RecordBatch {
  readonly header: BatchHeader;
  readonly topic: string;
  readonly partition: number;
  /** Where the batch ends in the bytes given: the next one begins here. */
  readonly batchEnd: number;
  /** The bytes that hold the plain records; not the given ones if compressed. */
  readonly bytes: Uint8Array;
  readonly recordsStart: number;
  readonly recordsEnd: number;
  readonly bitmap: Bitmap | null;

  /**
   * Reads and checks the batch at `at`.
   *
   * Errors: bad_batch, bad_crc, bad_record (a bitmap), decompress_failed,
   * unsupported_feature (zstd in a runtime without it).
   */
  constructor(bytes: Uint8Array, at: number, end: number, origin: BatchOrigin = {}) {
    const header = readHeader(bytes, at, end);
    this.header = header;
    this.topic = origin.topic ?? "";
    this.partition = origin.partition ?? 0;
    this.batchEnd = at + BATCH_HEADER_BYTES + header.recordsBytes;
    if (origin.verify !== false) {
      const actual = batchCrc(bytes, at, this.batchEnd);
      if (actual !== header.crc) {
        throw fault("bad_crc", `batch at offset ${header.baseOffset}: stated ${header.crc}, computed ${actual}`);
      }
    }
    const start = at + BATCH_HEADER_BYTES;
    if (compressionOf(header.attributes) === 0) {
      this.bytes = bytes;
      this.recordsStart = start;
      this.recordsEnd = this.batchEnd;
    } else {
      this.bytes = decompress(bytes.subarray(start, this.batchEnd));
      this.recordsStart = 0;
      this.recordsEnd = this.bytes.length;
    }
    this.bitmap = isSparse(header.attributes) ? new Bitmap(this.bytes, this.recordsStart, this.recordsEnd) : null;
  }

  get attributes(): number {
    return this.header.attributes;
  }

  /** How many offsets the batch covers. */
  get span(): number {
    return this.bitmap ? this.bitmap.span : this.header.recordCount;
  }

  /** The offset behind the batch. */
  get nextOffset(): number {
    return this.header.baseOffset + this.span;
  }

  /** The records, lazily. */
  records(): RecordReader {
    return new RecordReader(this);
  }

  [Symbol.iterator](): Iterator<Record> {
    return this.records();
  }
}

/** Iterates the records of one batch. Errors while it goes: bad_record, record_count_mismatch. */
export class RecordReader implements IterableIterator<Record> {
  private readonly batch: BatchReader;
  private readonly bytes: Uint8Array;
  private readonly end: number;
  private readonly base: number;
  private readonly isPlain: boolean;
  private readonly cursor: Cursor;
  private at: number;
  private position = 0;
  private count = 0;
  /** Length of the content that `blob` read the head of, or -1 for nil. */
  private length = 0;

  constructor(batch: BatchReader) {
    const { attributes } = batch.header;
    this.batch = batch;
    this.bytes = batch.bytes;
    this.at = batch.bitmap ? batch.bitmap.end : batch.recordsStart;
    this.end = batch.recordsEnd;
    this.base = isAbsolute(attributes) ? 0 : batch.header.baseTimestamp;
    this.isPlain = !isAppendTime(attributes) && !isAbsolute(attributes);
    this.cursor = new Cursor(this.bytes, this.at, this.end);
  }

  /** The next record, or undefined behind the last. */
  read(): Record | undefined {
    if (this.at >= this.end) {
      this.checkCount();
      return undefined;
    }
    const start = this.at;
    if (this.bytes[start] !== RECORD_HEAD) throw this.bad(start);
    const timestamp = this.timestamp(start + 1);
    const keyStart = this.blob(this.at);
    const keyEnd = keyStart < 0 ? -1 : keyStart + this.length;
    const valueStart = this.blob(this.at);
    const valueEnd = valueStart < 0 ? -1 : valueStart + this.length;
    const headersStart = this.at;
    if (this.bytes[headersStart] === NIL) this.at++;
    else this.skipHeaders(start);
    if (this.at > this.end) throw this.bad(start);
    const offset = this.batch.header.baseOffset + this.nextPosition(start);
    const { batch } = this;
    return new Record(batch, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd, headersStart, this.at);
  }

  /** The time of the record, whose encoding begins at `at`. */
  private timestamp(at: number): number {
    const head = this.bytes[at] as number;
    if (this.isPlain && head <= 0x7f && at < this.end) {
      this.at = at + 1;
      return this.base + head;
    }
    this.cursor.at = at;
    const stored = this.guard(() => this.cursor.uintOrNil(), at);
    this.at = this.cursor.at;
    const { attributes, baseTimestamp } = this.batch.header;
    if (stored === null && !isAbsolute(attributes)) throw this.bad(at);
    // The broker sets the base to its own time where the topic says so.
    if (stored === null || isAppendTime(attributes)) return baseTimestamp;
    return this.base + stored;
  }

  /** Start of the str or bin at `at`, or -1 for nil; moves behind it. */
  private blob(at: number): number {
    const bytes = this.bytes;
    const head = bytes[at] as number;
    let start: number;
    if (head >= 0xa0 && head <= 0xbf) {
      this.length = head & 0x1f;
      start = at + 1;
    } else if (head === 0xc4 || head === 0xd9) {
      this.length = bytes[at + 1] as number;
      start = at + 2;
    } else if (head === NIL) {
      this.length = 0;
      this.at = at + 1;
      return -1;
    } else if (head === 0xc5 || head === 0xda) {
      this.length = readU16(bytes, at + 1);
      start = at + 3;
    } else if (head === 0xc6 || head === 0xdb) {
      this.length = readU32(bytes, at + 1);
      start = at + 5;
    } else {
      throw this.bad(at);
    }
    // A head that is cut gives a NaN or a foreign length; the end check below covers both.
    const end = start + this.length;
    if (!(end < this.end)) throw this.bad(at);
    this.at = end;
    return start;
  }

  private skipHeaders(start: number): void {
    const { cursor } = this;
    cursor.at = this.at;
    this.guard(() => {
      for (let left = cursor.map(); left > 0; left--) {
        cursor.str();
        cursor.skipScalar();
      }
    }, start);
    this.at = cursor.at;
  }

  private nextPosition(start: number): number {
    const { bitmap } = this.batch;
    const position = bitmap ? bitmap.next(this.position) : this.position;
    if (position < 0) throw this.bad(start);
    this.position = position + 1;
    this.count++;
    return position;
  }

  private checkCount(): void {
    const stated = this.batch.header.recordCount;
    if (this.count !== stated) {
      throw fault("record_count_mismatch", `the header counts ${stated} records, the body holds ${this.count}`);
    }
  }

  private guard<T>(read: () => T, at: number): T {
    try {
      return read();
    } catch {
      throw this.bad(at);
    }
  }

  private bad(at: number): Error {
    return fault("bad_record", `the record at byte ${at - this.batch.recordsStart} of the records is malformed`);
  }

  next(): IteratorResult<Record, undefined> {
    const value = this.read();
    return value ? { done: false, value } : { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** The batches that stand one after another in `start..end`. Errors: as BatchReader. */
export function* decodeBatches(
  bytes: Uint8Array,
  start: number = 0,
  end: number = bytes.length,
  origin: BatchOrigin = {},
): IterableIterator<BatchReader> {
  let at = start;
  while (at < end) {
    const batch = new BatchReader(bytes, at, end, origin);
    at = batch.batchEnd;
    yield batch;
  }
}
