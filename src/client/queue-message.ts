import { type Death, type HeaderValue, Outcome, type Record, type Redelivery } from "../protocol/index.ts";
import { bodyWithoutStore, jsonOf, textOf } from "./payloads/payloads.ts";
import { type QueueChannel, unknownDelivery } from "./queue-channel.ts";

/** A message of a queue, to be settled once: by `ack` or one of its neighbours. */

export interface NackOptions {
  /** False dead-letters the message, or drops it where the queue has no dead-letter exchange. Default true. */
  requeue?: boolean;
  /** When it comes again. Default: what the queue's retry policy says. */
  delayMs?: number;
  /** The class of the queue's retry policy to take. */
  errorClass?: string;
}

export interface AckOptions {
  /** What `queue.session(group).state()` is from now on, in the broker's log together with the ack; null removes it. */
  state?: Uint8Array | string | null;
}

export class QueueMessage {
  /** Names this delivery on its subscription. */
  readonly tag: number;
  /** The message's number, the same in every queue that holds it. */
  readonly number: number;
  /** Key, value, headers and time, as positions in the bytes that came. */
  readonly record: Record;
  isSettled: boolean = false;
  private readonly channel: QueueChannel;
  private readonly redelivery: Redelivery | undefined;
  /** A body that came from a store, or comes. */
  private fetching: Promise<Uint8Array> | null = null;
  private fetched: Uint8Array | null = null;

  constructor(channel: QueueChannel, tag: number, number: number, record: Record, redelivery: Redelivery | undefined) {
    this.channel = channel;
    this.tag = tag;
    this.number = number;
    this.record = record;
    this.redelivery = redelivery;
  }

  get queue(): string {
    return this.channel.queue;
  }

  /** The value's bytes: a view of what came, so copy what lives long. Of a large body a reference, until `body` has fetched it. */
  get value(): Uint8Array | null {
    return this.fetched ?? this.record.value;
  }

  /**
   * The value, or a promise of it where it is kept in a store (`payloads`).
   * Then `value`, `text()` and `json()` have it too.
   *
   * Errors, of the promise: payload_missing, payload_corrupt, payload_store_failed.
   */
  body(): Uint8Array | null | Promise<Uint8Array> {
    if (this.fetched) return this.fetched;
    if (this.fetching) return this.fetching;
    const body = this.channel.payloads?.body(this) ?? bodyWithoutStore(this);
    if (!(body instanceof Promise)) return body;
    this.fetching = body.then((bytes) => (this.fetched = bytes)).finally(() => (this.fetching = null));
    return this.fetching;
  }

  get routingKey(): string {
    return this.record.keyText() ?? "";
  }

  get headers(): { [name: string]: HeaderValue } {
    return this.record.headers;
  }

  /** Milliseconds since 1970. */
  get timestamp(): number {
    return this.record.timestamp;
  }

  /** Earlier deliveries from this queue. */
  get deliveries(): number {
    return this.redelivery?.deliveries ?? 0;
  }

  get isRedelivered(): boolean {
    return this.deliveries > 0;
  }

  /** Why and where it was dead-lettered, oldest first. */
  get deaths(): readonly Death[] {
    return this.redelivery?.deaths ?? [];
  }

  /** The value as text. */
  text(): string | null {
    return this.fetched ? textOf(this.fetched) : this.record.text();
  }

  /** The value as JSON. Errors: bad_record. */
  json<T = unknown>(): T {
    return this.fetched ? jsonOf<T>(this.fetched) : this.record.json<T>();
  }

  /**
   * Done; with `state`, for a queue that is ordered, its session has that state from the same moment on (null: none).
   *
   * Errors, of this and all others: unknown_delivery when it was settled before, or its connection is gone.
   */
  ack(options: AckOptions = {}): void {
    const { state } = options;
    if (state === undefined) this.settle(Outcome.ACK, null);
    else this.settle(Outcome.ACK_STATE, typeof state === "string" ? new TextEncoder().encode(state) : state);
    this.channel.payloads?.acked(this.record, () => this.channel.confirm());
  }

  /** Not done: it comes again, after the queue's retry policy or as the options say. */
  nack(options: NackOptions = {}): void {
    const { requeue = true, delayMs, errorClass } = options;
    if (!requeue) this.reject();
    else if (delayMs === 0) this.settle(Outcome.REQUEUE, null);
    else this.settle(Outcome.RETRY, delayMs ?? errorClass ?? null);
  }

  /** Dead-lettered, or dropped where the queue has no dead-letter exchange. */
  reject(): void {
    this.settle(Outcome.REJECT, null);
  }

  /** Back to its place at once, as if it had not been delivered. */
  release(): void {
    this.settle(Outcome.RELEASE, null);
  }

  /** Put aside; `queue.take` gets it by its number. */
  defer(): void {
    this.settle(Outcome.DEFER, null);
  }

  /** The lease begins anew. */
  renew(): void {
    if (this.isSettled) throw this.settledBefore();
    this.channel.settle(this.tag, 1, Outcome.RENEW, null);
  }

  /** Where a transaction acks it. Errors: unknown_delivery. */
  channelForAck(): QueueChannel {
    if (this.isSettled) throw this.settledBefore();
    return this.channel;
  }

  private settle(outcome: number, argument: number | string | Uint8Array | null): void {
    if (this.isSettled) throw this.settledBefore();
    this.channel.settle(this.tag, 1, outcome, argument);
    this.isSettled = true;
  }

  private settledBefore(): Error {
    return unknownDelivery(this.tag, "it was settled before");
  }
}
