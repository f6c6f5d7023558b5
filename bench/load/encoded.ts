import {
  BATCH_HEADER_BYTES,
  BATCH_VERSION,
  BatchEncoder,
  FRAME_HEAD_BYTES,
  PUBLISH_HEAD_BYTES_MAX,
  publishOneBytesMax,
  sealBatch,
  writeHeader,
  writePublishHead,
  writePublishOne,
} from "../../src/protocol/index.ts";
import { writeStamp } from "./payload.ts";

/**
 * Payloads that are encoded before the clock starts. What is left per message is a copy of its bytes and its stamp; a
 * batch gets its header and CRC when it is full.
 */

/** Publishers of raw connections: one each. */
export const PUBLISHER = 1;
/** Where the correlation id stands in a PUBLISH_ONE frame whose publisher is below 128. */
const CORRELATION_AT = FRAME_HEAD_BYTES + 4;
/** A correlation id that is written in four bytes, so that any other fits in its place. */
const WIDE_CORRELATION = 0xffffffff;

/** Encoded messages one behind the other. */
export class EncodedPool {
  readonly bytes: Uint8Array;
  /** Where each message begins, and behind them where the last one ends. */
  readonly starts: Uint32Array;
  /** Where each message's value begins. */
  readonly values: Uint32Array;
  readonly valueBytes: Uint32Array;

  private constructor(bytes: Uint8Array, ends: readonly number[], values: readonly Uint8Array[]) {
    this.bytes = bytes;
    this.starts = Uint32Array.from([0, ...ends]);
    this.valueBytes = Uint32Array.from(values, (value) => value.length);
    // A record ends with its value and the nil of its headers.
    this.values = Uint32Array.from(values, (value, index) => (ends[index] as number) - 1 - value.length);
  }

  get length(): number {
    return this.values.length;
  }

  /** As records of a batch. */
  static ofRecords(values: readonly Uint8Array[], keyOf: (index: number) => string | null): EncodedPool {
    const encoder = new BatchEncoder({ batchBytesMax: Number.POSITIVE_INFINITY });
    const first = encoder.start + BATCH_HEADER_BYTES;
    const ends = values.map((value, index) => {
      encoder.append(0, keyOf(index), value);
      return encoder.end - first;
    });
    return new EncodedPool(encoder.bytes.slice(first, encoder.end), ends, values);
  }

  /** As whole PUBLISH_ONE frames. */
  static ofSingles(
    values: readonly Uint8Array[],
    keyOf: (index: number) => string | null,
    partition: number,
    acks: number,
  ): EncodedPool {
    const head = { publisher: PUBLISHER, correlation: WIDE_CORRELATION, partition, acks, condition: null };
    const room = values.reduce((sum, value, index) => sum + publishOneBytesMax(null, keyOf(index), value, null), 0);
    const bytes = new Uint8Array(room);
    let end = 0;
    const ends = values.map((value, index) => {
      end = writePublishOne(bytes, end, { ...head, sequence: null }, null, keyOf(index), value, null);
      return end;
    });
    return new EncodedPool(bytes.slice(0, end), ends, values);
  }
}

const HEAD_BYTES = PUBLISH_HEAD_BYTES_MAX + BATCH_HEADER_BYTES;

/** What is gathered to be sent as one: the records of a batch, or PUBLISH_ONE frames in a row. */
export class Gathering {
  records: number = 0;
  /** Of the values. */
  valueBytes: number = 0;
  private bytes: Uint8Array;
  private readonly start: number;
  private end: number;
  private readonly limit: number;
  private readonly isSingle: boolean;

  /** @param limitBytes no message goes past it, but the first always fits */
  constructor(limitBytes: number, isSingle: boolean) {
    this.isSingle = isSingle;
    this.start = isSingle ? 0 : HEAD_BYTES;
    this.end = this.start;
    this.limit = this.start + limitBytes - (isSingle ? 0 : BATCH_HEADER_BYTES);
    this.bytes = new Uint8Array(this.limit);
  }

  /** Takes the pool's message with this index and stamps it. False: it does not fit any more. */
  add(pool: EncodedPool, index: number, dueUs: number, number: number, correlation: number): boolean {
    const from = pool.starts[index] as number;
    const size = (pool.starts[index + 1] as number) - from;
    if (this.end + size > this.limit && !this.makeRoom(size)) return false;
    this.bytes.set(pool.bytes.subarray(from, from + size), this.end);
    this.stamp(pool, index, this.end, dueUs, number, correlation);
    this.end += size;
    return true;
  }

  /** Takes as many messages in a row as fit, from the pool's `index` on to its end at most. Returns how many. */
  addRun(pool: EncodedPool, index: number, dueUs: number, number: number, correlation: number): number {
    const { starts } = pool;
    const from = starts[index] as number;
    const room = this.limit - this.end;
    let past = index;
    while (past < pool.length && (starts[past + 1] as number) - from <= room) past += 1;
    if (past === index) return this.add(pool, index, dueUs, number, correlation) ? 1 : 0;
    this.bytes.set(pool.bytes.subarray(from, starts[past] as number), this.end);
    for (let at = index; at < past; at += 1) {
      const to = this.end + (starts[at] as number) - from;
      this.stamp(pool, at, to, dueUs, number + at - index, correlation + at - index);
    }
    this.end += (starts[past] as number) - from;
    return past - index;
  }

  private stamp(
    pool: EncodedPool,
    index: number,
    to: number,
    dueUs: number,
    number: number,
    correlation: number,
  ): void {
    const { bytes } = this;
    writeStamp(bytes, to + (pool.values[index] as number) - (pool.starts[index] as number), dueUs, number);
    if (this.isSingle) {
      const at = to + CORRELATION_AT;
      bytes[at] = correlation >>> 24;
      bytes[at + 1] = correlation >>> 16;
      bytes[at + 2] = correlation >>> 8;
      bytes[at + 3] = correlation;
    }
    this.records += 1;
    this.valueBytes += pool.valueBytes[index] as number;
  }

  /** Only the first message may be larger than the limit. */
  private makeRoom(size: number): boolean {
    if (this.records > 0) return false;
    const needed = this.end + size;
    if (needed > this.bytes.length) this.bytes = new Uint8Array(needed);
    return true;
  }

  /** The frames with what was gathered, valid until the next `reset`. */
  frames(correlation: number, partition: number, acks: number): Uint8Array {
    const { bytes, end } = this;
    if (this.isSingle) return bytes.subarray(0, end);
    const start = this.start - BATCH_HEADER_BYTES;
    const header = { baseOffset: 0, epoch: 0, crc: 0, attributes: BATCH_VERSION, recordCount: this.records };
    const times = { baseTimestamp: Date.now(), maxTimestampDelta: 0 };
    const origin = { producerId: 0, producerEpoch: 0, baseSequence: 0, recordsBytes: end - this.start };
    writeHeader(bytes, start, { ...header, ...times, ...origin });
    sealBatch(bytes, start, end);
    const head = { publisher: PUBLISHER, correlation, partition, acks, condition: null };
    return bytes.subarray(writePublishHead(bytes, start, end, head), end);
  }

  reset(): void {
    this.records = 0;
    this.valueBytes = 0;
    this.end = this.start;
  }
}
