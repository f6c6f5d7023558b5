import {
  type Condition,
  type Content,
  type Headers,
  publishOneBytesMax,
  UINT32_MAX,
  writePublishOne,
} from "../protocol/index.ts";
import type { MillraceError } from "./errors.ts";
import { type Envelope, Parcel } from "./parcel.ts";

/** Single records, each in a PUBLISH_ONE frame of its own, sent as one run of bytes. */

export interface SinglesLane {
  publisher: number;
  /** null lets the broker choose by the record's key. */
  partition: number | null;
  acks: number;
  isIdempotent: boolean;
  /** No frame is added that takes the run past this. */
  runBytes: number;
}

interface Answer {
  first: number;
  count: number;
  isStored: boolean;
}

/** Frame head, array head and op, before the publisher number. */
const BEFORE_PUBLISHER = 5 + 1 + 1;

function uintBytes(value: number): number {
  if (value <= 0x7f) return 1;
  if (value <= 0xff) return 2;
  return value <= 0xffff ? 3 : 5;
}

/**
 * Frames are encoded as records come, with correlation id and sequence at their
 * full width, so that the numbers can be written in place when the run is sent.
 */
export class SinglesParcel extends Parcel {
  private readonly lane: SinglesLane;
  /** Where each frame begins. */
  private starts: number[] = [];
  /** Which record of the outcome each frame holds; null while all of them are here. */
  private records: number[] | null = null;
  private answers: Answer[] = [];
  private readonly correlationAt: number;
  private readonly sequenceAt: number;
  private buffer: Uint8Array;
  private end = 0;

  constructor(lane: SinglesLane, buffer: Uint8Array, condition: Condition, now: number) {
    super(condition, now);
    this.lane = lane;
    this.buffer = buffer;
    this.correlationAt = BEFORE_PUBLISHER + uintBytes(lane.publisher) + 1;
    const partitionBytes = lane.partition === null ? 1 : uintBytes(lane.partition);
    this.sequenceAt = this.correlationAt + 4 + partitionBytes + 1 + 1;
  }

  get recordCount(): number {
    return this.starts.length;
  }

  get correlations(): number {
    return this.starts.length;
  }

  get bytes(): number {
    return this.end;
  }

  get isFull(): boolean {
    return this.end >= this.lane.runBytes;
  }

  append(
    _now: number,
    timestamp: number | undefined,
    key: Content,
    value: Content,
    headers: Headers | null | undefined,
  ): number {
    const { lane, condition } = this;
    const needed = this.end + publishOneBytesMax(condition, key, value, headers);
    if (needed > this.buffer.length) {
      if (this.end > 0 && needed > lane.runBytes) return 0;
      this.grow(needed);
    }
    const head = {
      publisher: lane.publisher,
      correlation: UINT32_MAX,
      partition: lane.partition,
      acks: lane.acks,
      condition,
      sequence: lane.isIdempotent ? UINT32_MAX : null,
    };
    const start = this.end;
    const end = writePublishOne(this.buffer, start, head, timestamp ?? null, key, value, headers);
    this.starts.push(start);
    this.end = end;
    this.outcome.count++;
    return end - start;
  }

  private grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, 2 * this.buffer.length));
    grown.set(this.buffer.subarray(0, this.end));
    this.buffer = grown;
  }

  override acked(first: number, count: number, partition: number, baseOffset: number | null, level: number): void {
    this.outstanding -= count;
    this.answers.push({ first, count, isStored: true });
    if (this.records === null) {
      this.outcome.acked(first, count, partition, baseOffset, level);
      return;
    }
    for (let index = 0; index < count; index++) {
      const offset = baseOffset === null ? null : baseOffset + index;
      this.outcome.acked(this.records[first + index] as number, 1, partition, offset, level);
    }
  }

  override unrouted(first: number, _positions: readonly number[], error: MillraceError): void {
    this.outcome.except(this.records?.[first] ?? first, error);
  }

  override failed(first: number, count: number, error: MillraceError): void {
    this.outstanding -= count;
    this.answers.push({ first, count, isStored: false });
    for (let index = first; index < first + count; index++) {
      this.outcome.failed(this.records?.[index] ?? index, 1, error);
    }
  }

  override failRest(error: MillraceError): void {
    this.compact();
    this.failed(0, this.starts.length, error);
  }

  /** Keeps the frames without an answer; those stored have used their sequences up. */
  override compact(): void {
    this.outstanding = 0;
    if (this.answers.length === 0) return;
    const done = new Set<number>();
    for (const { first, count, isStored } of this.answers) {
      for (let index = first; index < first + count; index++) done.add(index);
      if (isStored && this.sequence >= 0) this.sequence = (this.sequence + count) >>> 0;
    }
    this.answers = [];
    const out = new Uint8Array(this.end);
    const starts: number[] = [];
    const records: number[] = [];
    let end = 0;
    for (let index = 0; index < this.starts.length; index++) {
      if (done.has(index)) continue;
      const frame = this.buffer.subarray(this.starts[index] as number, this.starts[index + 1] ?? this.end);
      out.set(frame, end);
      starts.push(end);
      records.push(this.records?.[index] ?? index);
      end += frame.length;
    }
    this.starts = starts;
    this.records = records;
    this.buffer = out;
    this.end = end;
  }

  protected encode(envelope: Envelope): Uint8Array {
    for (let index = 0; index < this.starts.length; index++) {
      const start = this.starts[index] as number;
      this.write32(start + this.correlationAt, (envelope.correlation + index) >>> 0);
      if (envelope.identity) this.write32(start + this.sequenceAt, (envelope.sequence + index) >>> 0);
    }
    return this.buffer.subarray(0, this.end);
  }

  private write32(at: number, value: number): void {
    const { buffer } = this;
    buffer[at] = value >>> 24;
    buffer[at + 1] = value >>> 16;
    buffer[at + 2] = value >>> 8;
    buffer[at + 3] = value;
  }

  release(): Uint8Array {
    return this.buffer;
  }
}
