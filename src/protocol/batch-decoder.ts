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

/** Bytes of a record's time by its head: nil or a msgpack integer; 0 for anything else. */
const TIME_BYTES: Uint8Array = timeBytes();

function timeBytes(): Uint8Array {
  const table = new Uint8Array(256);
  table.fill(1, 0, 0x80);
  table[NIL] = 1;
  for (const unsigned of [0xcc, 0xd0]) {
    for (let power = 0; power < 4; power++) table[unsigned + power] = 1 + (1 << power);
  }
  return table;
}

/** Iterates the records of one batch. Errors while it goes: bad_record, record_count_mismatch. */
export class RecordReader implements IterableIterator<Record> {
  /** What `scan` found: positions in the batch's bytes, starts of -1 for nil. */
  keyStart: number = -1;
  keyEnd: number = -1;
  valueStart: number = -1;
  valueEnd: number = -1;
  headersStart: number = 0;
  /** Behind the record. */
  recordEnd: number;
  private readonly batch: BatchReader;
  private readonly bytes: Uint8Array;
  private readonly end: number;
  private readonly base: number;
  private readonly isPlain: boolean;
  private position = 0;
  private count = 0;
  /** Where the content ends that `contentStart` read the head of. */
  private contentEnd = 0;

  constructor(batch: BatchReader) {
    const { attributes } = batch.header;
    this.batch = batch;
    this.bytes = batch.bytes;
    this.recordEnd = batch.bitmap ? batch.bitmap.end : batch.recordsStart;
    this.end = batch.recordsEnd;
    this.base = isAbsolute(attributes) ? 0 : batch.header.baseTimestamp;
    this.isPlain = !isAppendTime(attributes) && !isAbsolute(attributes);
  }

  /** The next record, or undefined behind the last. */
  read(): Record | undefined {
    const start = this.recordEnd;
    if (start >= this.end) {
      this.checkCount(this.count);
      return undefined;
    }
    this.scan(start);
    return this.record(start, this.batch.header.baseOffset + this.nextPosition(start));
  }

  /** The record at `start`, which `scan` found. */
  record(start: number, offset: number): Record {
    const { batch, keyStart, keyEnd, valueStart, valueEnd, headersStart, recordEnd } = this;
    const time = this.timeAt(start);
    return new Record(batch, offset, time, keyStart, keyEnd, valueStart, valueEnd, headersStart, recordEnd);
  }

  /** Finds the parts of the record that begins at `start`. Errors: bad_record. */
  scan(start: number): void {
    const { bytes } = this;
    const timeWidth = TIME_BYTES[bytes[start + 1] as number] as number;
    if (bytes[start] !== RECORD_HEAD || timeWidth === 0) throw this.bad(start);
    const keyStart = this.contentStart(start + 1 + timeWidth);
    this.keyStart = keyStart;
    this.keyEnd = keyStart < 0 ? -1 : this.contentEnd;
    const valueStart = this.contentStart(this.contentEnd);
    this.valueStart = valueStart;
    this.valueEnd = valueStart < 0 ? -1 : this.contentEnd;
    this.headersStart = this.contentEnd;
    const end = bytes[this.contentEnd] === NIL ? this.contentEnd + 1 : this.headersEnd(start);
    if (end > this.end) throw this.bad(start);
    this.recordEnd = end;
  }

  /** Milliseconds since 1970 of the record at `start`. Errors: bad_record. */
  timeAt(start: number): number {
    const head = this.bytes[start + 1] as number;
    if (this.isPlain && head <= 0x7f) return this.base + head;
    return this.unusualTime(start);
  }

  private unusualTime(start: number): number {
    const stored = this.guard(() => new Cursor(this.bytes, start + 1, this.end).uintOrNil(), start);
    const { attributes, baseTimestamp } = this.batch.header;
    if (stored === null && !isAbsolute(attributes)) throw this.bad(start);
    // The broker sets the base to its own time where the topic says so.
    if (stored === null || isAppendTime(attributes)) return baseTimestamp;
    return this.base + stored;
  }

  /** Start of the content of the str or bin at `at`, or -1 for nil; `contentEnd` is behind it then. */
  private contentStart(at: number): number {
    const bytes = this.bytes;
    const head = bytes[at] as number;
    let start: number;
    let end: number;
    if (head === NIL) {
      this.contentEnd = at + 1;
      return -1;
    }
    if (head >= 0xa0 && head <= 0xbf) {
      start = at + 1;
      end = start + (head & 0x1f);
    } else if (head === 0xc4 || head === 0xd9) {
      start = at + 2;
      end = start + (bytes[at + 1] as number);
    } else if (head === 0xc5 || head === 0xda) {
      start = at + 3;
      end = start + readU16(bytes, at + 1);
    } else if (head === 0xc6 || head === 0xdb) {
      start = at + 5;
      end = start + readU32(bytes, at + 1);
    } else {
      throw this.bad(at);
    }
    // A head that is cut gives a NaN or a foreign length; this covers both.
    if (!(end < this.end)) throw this.bad(at);
    this.contentEnd = end;
    return start;
  }

  private headersEnd(start: number): number {
    const cursor = new Cursor(this.bytes, this.headersStart, this.end);
    this.guard(() => {
      for (let left = cursor.map(); left > 0; left--) {
        cursor.str();
        cursor.skipScalar();
      }
    }, start);
    return cursor.at;
  }

  /** Position in the batch's span of the next record. */
  private nextPosition(start: number): number {
    const { bitmap } = this.batch;
    const position = bitmap ? bitmap.next(this.position) : this.position;
    if (position < 0) throw this.bad(start);
    this.position = position + 1;
    this.count++;
    return position;
  }

  /** Errors: record_count_mismatch. */
  checkCount(count: number): void {
    const stated = this.batch.header.recordCount;
    if (count !== stated) {
      throw fault("record_count_mismatch", `the header counts ${stated} records, the body holds ${count}`);
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
