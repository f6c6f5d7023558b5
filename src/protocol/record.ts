import { fault } from "./fault.ts";
import { isAppendTime } from "./header.ts";
import { unpack } from "./msgpack.ts";
import type { HeaderValue } from "./record-writer.ts";
import { readUtf8 } from "./utf8.ts";

/** What the records of one batch share. */
export interface RecordBatch {
  /** The bytes that hold the records: the chunk of the socket, or what was decompressed. */
  readonly bytes: Uint8Array;
  readonly attributes: number;
  /** Empty where the reader does not know (a batch from a file). */
  readonly topic: string;
  readonly partition: number;
}

/**
 * One record, as positions in its batch. Nothing is copied or decoded before it
 * is asked for, and nothing is cached: keep what you use twice.
 *
 * `key` and `value` are views of the batch's bytes: a kept view keeps all of
 * those bytes (up to a whole delivery) in memory. Copy what lives long.
 */
export class Record {
  readonly batch: RecordBatch;
  readonly offset: number;
  /** Milliseconds since 1970, from the producer or from the broker (`timestampType`). */
  readonly timestamp: number;
  /** Where key and value stand in `batch.bytes`, for reading them without a view; -1 for nil. */
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  private readonly headersStart: number;
  private readonly end: number;

  /** Positions are into `batch.bytes`; a start of -1 is nil. */
  constructor(
    batch: RecordBatch,
    offset: number,
    timestamp: number,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    headersStart: number,
    end: number,
  ) {
    this.batch = batch;
    this.offset = offset;
    this.timestamp = timestamp;
    this.keyStart = keyStart;
    this.keyEnd = keyEnd;
    this.valueStart = valueStart;
    this.valueEnd = valueEnd;
    this.headersStart = headersStart;
    this.end = end;
  }

  get topic(): string {
    return this.batch.topic;
  }

  get partition(): number {
    return this.batch.partition;
  }

  get timestampType(): "create" | "append" {
    return isAppendTime(this.batch.attributes) ? "append" : "create";
  }

  /** The key's bytes, or null. */
  get key(): Uint8Array | null {
    if (this.keyStart < 0) return null;
    return this.batch.bytes.subarray(this.keyStart, this.keyEnd);
  }

  /** The value's bytes; null is a tombstone. */
  get value(): Uint8Array | null {
    if (this.valueStart < 0) return null;
    return this.batch.bytes.subarray(this.valueStart, this.valueEnd);
  }

  get keyBytes(): number {
    return this.keyStart < 0 ? 0 : this.keyEnd - this.keyStart;
  }

  get valueBytes(): number {
    return this.valueStart < 0 ? 0 : this.valueEnd - this.valueStart;
  }

  /** The headers by name; an empty object where there are none. */
  get headers(): { [name: string]: HeaderValue } {
    if (this.batch.bytes[this.headersStart] === 0xc0) return {};
    return unpack(this.batch.bytes, this.headersStart, this.end) as { [name: string]: HeaderValue };
  }

  /** The key as text, or null. */
  keyText(): string | null {
    if (this.keyStart < 0) return null;
    return readUtf8(this.batch.bytes, this.keyStart, this.keyEnd);
  }

  /** The value as text; null is a tombstone. */
  text(): string | null {
    if (this.valueStart < 0) return null;
    return readUtf8(this.batch.bytes, this.valueStart, this.valueEnd);
  }

  /** The value as JSON; null also for a tombstone. Errors: bad_record where it is no JSON. */
  json<T = unknown>(): T {
    const text = this.text();
    if (text === null) return null as T;
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw fault("bad_record", `the value at offset ${this.offset} is no JSON: ${why}`);
    }
  }
}
