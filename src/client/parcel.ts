import {
  BatchEncoder,
  type Condition,
  type Content,
  encodePublish,
  type Headers,
  PUBLISH_HEAD_BYTES_MAX,
  renumberBatch,
  writePublishHead,
} from "../protocol/index.ts";
import { Outcome } from "./delivery.ts";
import type { MillraceError } from "./errors.ts";

/** What a producer sends as one: a batch in a PUBLISH frame, or a run of PUBLISH_ONE frames. A parcel keeps its bytes until it is answered, to send them again after a lost connection. */

export interface Identity {
  producerId: number;
  producerEpoch: number;
}

/** Sent ahead of a parcel's content. */
export interface Envelope {
  publisher: number;
  correlation: number;
  partition: number | null;
  acks: number;
  identity: Identity | null;
  sequence: number;
}

export abstract class Parcel {
  readonly outcome: Outcome = new Outcome();
  readonly condition: Condition;
  /** When its first record came, in ms. */
  readonly since: number;
  /** Sequence of the first record, or -1 while it has none. */
  sequence: number = -1;
  /** First correlation id of the last sending. */
  correlation: number = 0;
  /** Correlation ids of the last sending that have no answer yet. */
  outstanding: number = 0;

  /** True when a connection broke while it was under way: it may be stored. */
  isDoubtful: boolean = false;
  /** True when somebody holds the result of a record in it. */
  hasResults: boolean = false;
  /** Bytes that it counts towards the producer's limit, until it is retired; compression and answers make the bytes themselves fewer. */
  chargedBytes: number = 0;

  constructor(condition: Condition, since: number) {
    this.condition = condition;
    this.since = since;
  }

  /** Records still to be stored, which is also how many sequences it takes. */
  abstract get recordCount(): number;
  /** Correlation ids that it takes. */
  abstract get correlations(): number;
  /** Bytes of the next sending, about. */
  abstract get bytes(): number;
  abstract get isFull(): boolean;
  /**
   * Takes a record in, copied.
   *
   * @param timestamp the record's own, or undefined for `now`
   * @returns the bytes it took; 0 when it must wait for the next parcel
   */
  abstract append(
    now: number,
    timestamp: number | undefined,
    key: Content,
    value: Content,
    headers: Headers | null | undefined,
  ): number;
  /** The frames to write, with the envelope's numbers in them. */
  protected abstract encode(envelope: Envelope): Uint8Array;
  /** The buffer, once nothing needs it. */
  abstract release(): Uint8Array;

  frames(envelope: Envelope): Uint8Array {
    const frames = this.encode(envelope);
    this.sequence = envelope.sequence;
    this.correlation = envelope.correlation;
    this.outstanding = this.correlations;
    return frames;
  }

  /** `count` correlation ids from the `first` of the last sending are stored. */
  acked(_first: number, count: number, partition: number, baseOffset: number | null, level: number): void {
    this.outstanding -= count;
    this.outcome.acked(0, this.recordCount, partition, baseOffset, level);
  }

  /** Records of the publish `first` went nowhere, by their positions in it. */
  unrouted(_first: number, positions: readonly number[], error: MillraceError): void {
    for (const position of positions) this.outcome.except(position, error);
  }

  /** They are refused for good. */
  failed(_first: number, count: number, error: MillraceError): void {
    this.outstanding -= count;
    this.outcome.failed(0, this.recordCount, error);
  }

  /** They are to be sent again: refused for now, so not stored. */
  deferred(_first: number, count: number): void {
    this.outstanding -= count;
    this.isDoubtful = false;
  }

  /** Fails what has no answer. */
  failRest(error: MillraceError): void {
    if (!this.outcome.isSettled) this.outcome.failed(0, this.recordCount, error);
  }

  /** Prepares for another sending: what was answered falls away. */
  compact(): void {
    this.outstanding = 0;
  }
}

const HEAD_ROOM = PUBLISH_HEAD_BYTES_MAX;
/** Room behind a batch of the full size, so that its last record does not make the buffer grow. */
const SLACK = 4096;

/** Bytes of a pooled buffer for batches up to `batchBytes`. */
export function pooledBytes(batchBytes: number): number {
  return HEAD_ROOM + batchBytes + SLACK;
}

export class BatchParcel extends Parcel {
  private readonly encoder: BatchEncoder;
  private readonly batchBytes: number;
  private readonly compression: "none" | "zstd";
  private isFinished = false;

  constructor(
    batchBytes: number,
    compression: "none" | "zstd",
    buffer: Uint8Array,
    condition: Condition,
    isAbsolute: boolean,
    now: number,
  ) {
    super(condition, now);
    this.batchBytes = batchBytes;
    this.compression = compression;
    this.encoder = new BatchEncoder({
      headRoomBytes: HEAD_ROOM,
      batchBytesMax: batchBytes,
      absoluteTimestamps: isAbsolute,
      buffer,
    });
  }

  get recordCount(): number {
    return this.encoder.recordCount;
  }

  get correlations(): number {
    return 1;
  }

  get bytes(): number {
    return this.encoder.end;
  }

  get isFull(): boolean {
    return this.encoder.batchBytes >= this.batchBytes;
  }

  /** True when a record's time does not fit this batch's deltas. */
  isOutOfTime(timestamp: number): boolean {
    return !this.encoder.holdsTime(timestamp);
  }

  append(
    now: number,
    timestamp: number | undefined,
    key: Content,
    value: Content,
    headers: Headers | null | undefined,
  ): number {
    const { encoder } = this;
    const before = encoder.end;
    if (!encoder.append(timestamp ?? now, key, value, headers)) return 0;
    this.outcome.count++;
    return encoder.end - before;
  }

  protected encode(envelope: Envelope): Uint8Array {
    const { encoder } = this;
    const { identity } = envelope;
    const isRenumbered = this.sequence !== envelope.sequence;
    const producer = {
      producerId: identity?.producerId ?? 0,
      producerEpoch: identity?.producerEpoch ?? 0,
      baseSequence: identity ? envelope.sequence : 0,
    };
    if (!this.isFinished) {
      this.isFinished = true;
      // The broker refuses compressed batches with absolute timestamps.
      encoder.finish({ ...producer, compression: encoder.isAbsolute ? "none" : this.compression });
    } else if (isRenumbered) {
      renumberBatch(encoder.bytes, encoder.start, encoder.end, producer);
    }
    const head = { ...envelope, condition: this.condition };
    const { condition } = this;
    if (condition !== null && typeof condition !== "number") return encodePublish(head, encoder.batch());
    const start = writePublishHead(encoder.bytes, encoder.start, encoder.end, head);
    return encoder.bytes.subarray(start, encoder.end);
  }

  release(): Uint8Array {
    return this.encoder.bytes;
  }
}

/** A batch that the caller encoded, such as a load generator that sends one over and over. */
export class EncodedParcel extends Parcel {
  readonly correlations: number = 1;
  readonly isFull: boolean = true;
  readonly recordCount: number;
  private readonly buffer: Uint8Array;
  private readonly end: number;

  constructor(batch: Uint8Array, recordCount: number, buffer: Uint8Array, now: number) {
    super(null, now);
    this.recordCount = recordCount;
    this.outcome.count = recordCount;
    this.end = HEAD_ROOM + batch.length;
    this.buffer = buffer.length >= this.end ? buffer : new Uint8Array(this.end);
    this.buffer.set(batch, HEAD_ROOM);
  }

  get bytes(): number {
    return this.end;
  }

  append(): number {
    return 0;
  }

  protected encode(envelope: Envelope): Uint8Array {
    const { identity } = envelope;
    if (identity && this.sequence !== envelope.sequence) {
      renumberBatch(this.buffer, HEAD_ROOM, this.end, { ...identity, baseSequence: envelope.sequence });
    }
    const start = writePublishHead(this.buffer, HEAD_ROOM, this.end, { ...envelope, condition: null });
    return this.buffer.subarray(start, this.end);
  }

  release(): Uint8Array {
    return this.buffer;
  }
}
