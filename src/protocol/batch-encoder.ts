import {
  ABSOLUTE_TIMESTAMPS,
  BATCH_HEADER_BYTES,
  BATCH_VERSION,
  COMPRESSION_SHIFT,
  COMPRESSION_ZSTD,
  INTEGER_MAX,
  UINT32_MAX,
} from "./constants.ts";
import { compress } from "./compression.ts";
import { fault } from "./fault.ts";
import { sealBatch, writeHeader } from "./header.ts";
import {
  type Content,
  contentBytesMax,
  type Headers,
  recordBytesMax,
  writeContent,
  writeRecord,
} from "./record-writer.ts";

const BYTES_MIN = 1024;
const RECORD_HEAD = 0x94;
const NIL = 0xc0;
/** What surrounds key and value in a record without headers whose delta is small. */
const PLAIN_BYTES_MAX = 3 + 5 + 5;

export interface BatchEncoderOptions {
  /** Bytes kept free before the batch, for the head of a publish frame. Default 0. */
  headRoomBytes?: number;
  /** No record is added that takes the batch past this; the first record always is. Default 64 KiB. */
  batchBytesMax?: number;
  /** Records carry their own time in full, so that they may come in any order of time. Default false. */
  absoluteTimestamps?: boolean;
  /** A buffer to use from the start, for callers that pool buffers. */
  buffer?: Uint8Array;
}

export interface BatchSeal {
  producerId?: number;
  producerEpoch?: number;
  baseSequence?: number;
  compression?: "none" | "zstd";
}

/**
 * Builds one batch: records are appended straight behind the room for its
 * header, into a buffer that grows. `finish` writes header and CRC; after it
 * only `reset` is allowed.
 */
export class BatchEncoder {
  /** The buffer; the batch stands at `start..end`. It is replaced when it grows. */
  bytes: Uint8Array;
  readonly start: number;
  end: number;
  recordCount: number = 0;
  readonly isAbsolute: boolean;
  private readonly limit: number;
  private baseTimestamp = 0;
  private timestampMin = 0;
  private timestampMax = 0;

  constructor(options: BatchEncoderOptions = {}) {
    this.start = options.headRoomBytes ?? 0;
    this.end = this.start + BATCH_HEADER_BYTES;
    this.limit = this.start + (options.batchBytesMax ?? 64 * 1024);
    this.isAbsolute = options.absoluteTimestamps ?? false;
    this.bytes = options.buffer ?? new Uint8Array(this.end + BYTES_MIN);
    if (this.bytes.length < this.end) this.grow(this.end);
  }

  /** Bytes of the batch so far, header included. */
  get batchBytes(): number {
    return this.end - this.start;
  }

  /**
   * Appends a record.
   *
   * @param timestamp milliseconds since 1970
   * @returns false when the record must go into the next batch: this one is
   * full, or its deltas cannot hold the time
   */
  append(timestamp: number, key: Content, value: Content, headers?: Headers | null): boolean {
    if (this.recordCount === 0) this.begin(timestamp);
    const stored = this.isAbsolute ? timestamp : timestamp - this.baseTimestamp;
    if (!this.isAbsolute && !(stored >= 0 && stored <= UINT32_MAX)) return false;
    const end =
      headers || stored > 0x7f ? this.write(stored, key, value, headers) : this.writePlain(stored, key, value);
    if (end > this.limit && this.recordCount > 0) return false;
    this.end = end;
    this.recordCount++;
    if (timestamp > this.timestampMax) this.timestampMax = timestamp;
    else if (timestamp < this.timestampMin) this.timestampMin = timestamp;
    return true;
  }

  /** The same for a delta below 128 and no headers, which nearly all records have. */
  private writePlain(delta: number, key: Content, value: Content): number {
    const at = this.end;
    const needed = at + PLAIN_BYTES_MAX + contentBytesMax(key) + contentBytesMax(value);
    if (needed > this.bytes.length) this.grow(needed);
    const { bytes } = this;
    bytes[at] = RECORD_HEAD;
    bytes[at + 1] = delta;
    const end = writeContent(bytes, writeContent(bytes, at + 2, key), value);
    bytes[end] = NIL;
    return end + 1;
  }

  private write(stored: number, key: Content, value: Content, headers: Headers | null | undefined): number {
    const needed = this.end + recordBytesMax(key, value, headers);
    if (needed > this.bytes.length) this.grow(needed);
    return writeRecord(this.bytes, this.end, stored, key, value, headers);
  }

  /** Whether a record of this time fits into this batch. */
  holdsTime(timestamp: number): boolean {
    const delta = timestamp - this.baseTimestamp;
    return this.isAbsolute || this.recordCount === 0 || (delta >= 0 && delta <= UINT32_MAX);
  }

  private begin(timestamp: number): void {
    if (!(timestamp >= 0 && timestamp <= INTEGER_MAX)) {
      throw fault("invalid_argument", `timestamp ${timestamp} is not in milliseconds since 1970`);
    }
    this.baseTimestamp = timestamp;
    this.timestampMin = timestamp;
    this.timestampMax = timestamp;
  }

  private grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.end));
    this.bytes = grown;
  }

  /**
   * Writes header and CRC, compressing first where asked and where it helps.
   *
   * Errors: invalid_argument for a batch without records; unsupported_feature
   * where the runtime cannot compress.
   */
  finish(seal: BatchSeal = {}): void {
    if (this.recordCount === 0) throw fault("invalid_argument", "a batch needs a record");
    let attributes = BATCH_VERSION | (this.isAbsolute ? ABSOLUTE_TIMESTAMPS : 0);
    if (seal.compression === "zstd" && this.compressRecords()) {
      attributes |= COMPRESSION_ZSTD << COMPRESSION_SHIFT;
    }
    // Absolute times may span more than a u32 of deltas; the maximum must come out right.
    const base = this.isAbsolute ? Math.max(this.timestampMin, this.timestampMax - UINT32_MAX) : this.baseTimestamp;
    writeHeader(this.bytes, this.start, {
      baseOffset: 0,
      epoch: 0,
      crc: 0,
      attributes,
      recordCount: this.recordCount,
      baseTimestamp: base,
      maxTimestampDelta: this.timestampMax - base,
      producerId: seal.producerId ?? 0,
      producerEpoch: seal.producerEpoch ?? 0,
      baseSequence: seal.baseSequence ?? 0,
      recordsBytes: this.end - this.start - BATCH_HEADER_BYTES,
    });
    sealBatch(this.bytes, this.start, this.end);
  }

  /** True when the compressed records are smaller, and then in place. */
  private compressRecords(): boolean {
    const start = this.start + BATCH_HEADER_BYTES;
    const packed = compress(this.bytes.subarray(start, this.end));
    if (packed.length >= this.end - start) return false;
    this.bytes.set(packed, start);
    this.end = start + packed.length;
    return true;
  }

  /** The finished batch as a view. */
  batch(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }

  /** Begins a new batch in the same buffer. */
  reset(): void {
    this.end = this.start + BATCH_HEADER_BYTES;
    this.recordCount = 0;
  }
}
