import type { BatchReader, RecordReader } from "./batch-decoder.ts";
import type { Record } from "./record.ts";
import { readUtf8 } from "./utf8.ts";

/** All records of a batch as positions, found in one pass: reading one costs neither an object nor a typed array. */

const RECORD_HEAD = 0x94;
const NIL = 0xc0;
const BIN8 = 0xc4;
const RECORD_BYTES_MIN = 5;
/** What is kept of each record: where it begins, where its value begins and ends (-1 = nil). */
const STRIDE = 3;

/** Which records of a batch a view holds. */
export interface ViewRange {
  /** Records before this offset are left out. Default: none. */
  from?: number;
  /** Records from this offset on are left out. Default: none. */
  until?: number;
  countMax?: number;
}

/**
 * The records of one batch, numbered from 0 to `length`. Positions are into
 * `bytes`, which nothing overwrites: a view may be kept, and keeps the bytes
 * that came with it (up to 1 MiB) in memory.
 */
export class BatchView implements Iterable<Record> {
  /** Holds keys and values; what else is in it is not this view's. */
  readonly bytes: Uint8Array;
  /** How many records the view has. */
  readonly length: number;
  private readonly batch: BatchReader;
  private readonly reader: RecordReader;
  private readonly positions: Int32Array;
  /** Offset of record 0, where offsets have no gaps. */
  private readonly firstOffset: number;
  /** Offsets of a batch that compaction took records from; null where there are no gaps. */
  private readonly offsets: number[] | null;

  /** Errors: bad_record, record_count_mismatch. */
  constructor(batch: BatchReader, range: ViewRange = {}) {
    const { header, recordsStart, recordsEnd } = batch;
    const { from = 0, until = Number.POSITIVE_INFINITY, countMax = Number.POSITIVE_INFINITY } = range;
    const { baseOffset, recordCount } = header;
    this.batch = batch;
    this.bytes = batch.bytes;
    this.reader = batch.records();
    // A count that the bytes cannot hold must not become an allocation.
    const possible = Math.floor((recordsEnd - recordsStart) / RECORD_BYTES_MIN);
    this.positions = new Int32Array(STRIDE * Math.min(recordCount, possible, countMax));
    this.firstOffset = Math.max(baseOffset, from);
    if (batch.bitmap) {
      this.offsets = [];
      this.length = this.indexSparse(this.offsets, from, until);
    } else {
      this.offsets = null;
      this.length = this.index(this.firstOffset - baseOffset, until - baseOffset);
    }
  }

  /** Keeps the positions of the records numbered `first` to `behind` in the batch. Returns how many there are. */
  private index(first: number, behind: number): number {
    const { bytes, positions, reader } = this;
    const { header, recordsStart, recordsEnd: end } = this.batch;
    const { recordCount } = header;
    let at = recordsStart;
    let slot = 0;
    for (let record = 0; record < recordCount; record++) {
      const start = at;
      // The shape nearly all have: a small time delta, no key, bytes of a value below 256, no headers.
      let value = at + 5;
      let valueEnd = value + (bytes[at + 4] as number);
      const isPlain =
        bytes[at] === RECORD_HEAD &&
        (bytes[at + 1] as number) <= 0x7f &&
        bytes[at + 2] === NIL &&
        bytes[at + 3] === BIN8 &&
        valueEnd < end &&
        bytes[valueEnd] === NIL;
      if (isPlain) {
        at = valueEnd + 1;
      } else {
        if (at >= end) reader.checkCount(record);
        reader.scan(at);
        value = reader.valueStart;
        valueEnd = reader.valueEnd;
        at = reader.recordEnd;
      }
      if (record < first || record >= behind || slot === positions.length) continue;
      positions[slot] = start;
      positions[slot + 1] = value;
      positions[slot + 2] = valueEnd;
      slot += STRIDE;
    }
    if (at !== end) reader.checkCount(recordCount + 1);
    return slot / STRIDE;
  }

  /** The same for a batch with a bitmap, into `offsets` too. */
  private indexSparse(offsets: number[], from: number, until: number): number {
    const { positions, reader } = this;
    let slot = 0;
    for (let start = reader.recordEnd; ; start = reader.recordEnd) {
      const record = reader.read();
      if (!record) return slot / STRIDE;
      if (record.offset < from || record.offset >= until || slot === positions.length) continue;
      offsets.push(record.offset);
      positions[slot] = start;
      positions[slot + 1] = record.valueStart;
      positions[slot + 2] = record.valueEnd;
      slot += STRIDE;
    }
  }

  get topic(): string {
    return this.batch.topic;
  }

  get partition(): number {
    return this.batch.partition;
  }

  /** Where the value of record `index` begins in `bytes`; -1 for a tombstone. */
  valueStart(index: number): number {
    return this.positions[STRIDE * index + 1] as number;
  }

  /** Where it ends; -1 for a tombstone. */
  valueEnd(index: number): number {
    return this.positions[STRIDE * index + 2] as number;
  }

  /** Where the key of record `index` begins in `bytes`; -1 where there is none. */
  keyStart(index: number): number {
    return this.scan(index).keyStart;
  }

  /** Where it ends; -1 where there is none. */
  keyEnd(index: number): number {
    return this.scan(index).keyEnd;
  }

  offsetAt(index: number): number {
    return this.offsets === null ? this.firstOffset + index : (this.offsets[index] as number);
  }

  /** Milliseconds since 1970. */
  timestampAt(index: number): number {
    return this.reader.timeAt(this.startOf(index));
  }

  /** The value's bytes as a typed array, which costs more than reading them in place; null is a tombstone. */
  valueAt(index: number): Uint8Array | null {
    const start = this.valueStart(index);
    return start < 0 ? null : this.bytes.subarray(start, this.valueEnd(index));
  }

  /** The value as text; null is a tombstone. */
  textAt(index: number): string | null {
    const start = this.valueStart(index);
    return start < 0 ? null : readUtf8(this.bytes, start, this.valueEnd(index));
  }

  /** The key as text, or null. */
  keyTextAt(index: number): string | null {
    const { keyStart, keyEnd } = this.scan(index);
    return keyStart < 0 ? null : readUtf8(this.bytes, keyStart, keyEnd);
  }

  /** The record as an object, with headers and all. */
  at(index: number): Record {
    return this.scan(index).record(this.startOf(index), this.offsetAt(index));
  }

  *[Symbol.iterator](): IterableIterator<Record> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  private startOf(index: number): number {
    const start = index < this.length ? this.positions[STRIDE * index] : undefined;
    if (start === undefined) throw new RangeError(`a view of ${this.length} has no record ${index}`);
    return start;
  }

  private scan(index: number): RecordReader {
    this.reader.scan(this.startOf(index));
    return this.reader;
  }
}
