import { canCompress, type Condition, type Content, type Headers, Op, readHeader } from "../protocol/index.ts";
import type { Client, Endpoint } from "./client.ts";
import { Delivery, LEVELS } from "./delivery.ts";
import { clientError, type MillraceError, asMillraceError } from "./errors.ts";
import type { Lane, LaneHost } from "./lane.ts";
import { Lanes } from "./lanes.ts";
import { BatchParcel, EncodedParcel, type Identity, type Parcel } from "./parcel.ts";
import {
  conditionOf,
  copyOf,
  type ProducerOptions,
  type ProducerRecord,
  producerSettings,
  type ProducerSettings,
  type ProducerTarget,
  type SendOptions,
  traced,
} from "./producer-options.ts";
import { BufferPool, Room } from "./room.ts";
import type { PublisherSink, Session } from "./session.ts";
import { SinglesParcel } from "./singles.ts";
import { CoarseClock, every, sleep, soon } from "./timing.ts";
import { Changes, type WaitingSend, WaitingSends } from "./waiting.ts";

/** Publishes to one topic or exchange: batching, partitioning, idempotence, back-pressure. */

const SWEEP_MS = 1_000;
const EPOCH_MAX = 0xffff;
const OPEN_RETRY_MS = 100;
export class Producer implements PublisherSink, Endpoint, LaneHost, AsyncDisposable {
  readonly number: number;
  /** The name of the topic, or of the exchange. */
  readonly topic: string;
  /** Partitions of the topic; 0 until the producer is open. */
  partitions: number = 0;
  identity: Identity | null = null;
  readonly acks: number;
  readonly inFlightMax: number;
  readonly isInFlightMaxGiven: boolean;
  private readonly client: Client;
  private readonly target: ProducerTarget;
  private readonly options: ProducerOptions;
  private readonly settings: ProducerSettings;
  private readonly lanes: Lanes;
  private readonly dirty = new Set<Lane>();
  private readonly pool: BufferPool;
  private readonly room: Room;
  private readonly clock = new CoarseClock();
  private readonly waiting = new WaitingSends();
  private readonly changes = new Changes();
  private session: Session | null = null;
  private isOpen = false;
  private isClosed = false;
  private needsEpoch = false;
  private isFlushing = false;
  private isTicking = false;
  private isCreditShort = false;
  private failure: MillraceError | null = null;
  private unseenFailure: MillraceError | null = null;
  private correlation = 0;
  private readonly sweep: ReturnType<typeof setInterval>;

  constructor(client: Client, number: number, target: ProducerTarget, options: ProducerOptions) {
    this.client = client;
    this.number = number;
    this.target = target;
    this.topic = "topic" in target ? target.topic : target.exchange;
    this.options = options;
    this.settings = producerSettings(options);
    this.acks = LEVELS.indexOf(this.settings.acks);
    this.inFlightMax = this.settings.inFlightMax;
    this.isInFlightMaxGiven = options.inFlightMax !== undefined;
    const { bufferBytesMax, batchBytes, acks } = this.settings;
    this.room = new Room(bufferBytesMax, batchBytes, acks === "synced");
    const isSingle = this.settings.mode === "single" && !this.settings.idempotent;
    this.lanes = new Lanes(this, isSingle || "exchange" in target);
    this.pool = new BufferPool(this.settings.batchBytes);
    if (this.settings.compression === "zstd" && !canCompress()) {
      throw clientError("unsupported_feature", "this runtime cannot compress with zstd");
    }
    if (this.settings.idempotent && this.acks === 0) {
      throw clientError("invalid_argument", 'an idempotent producer needs acks other than "none"');
    }
    this.sweep = every(SWEEP_MS, () => this.expire());
  }

  // -- Opening -------------------------------------------------------------

  connected(session: Session): void {
    this.session = session;
    void this.open(session);
  }

  private async open(session: Session): Promise<void> {
    try {
      if (this.settings.idempotent && (!this.identity || this.needsEpoch)) await this.identify(session);
      const identity = this.identity ?? {};
      const args = [this.number, { ...this.target, ...identity }];
      const opened = (await session.request(Op.PUBLISHER_OPEN, args, this.settings.deliveryTimeoutMs)) as {
        partitions: number;
      };
      if (this.session !== session || this.isClosed) return;
      this.partitions = opened.partitions;
      this.isOpen = true;
      this.admitWaiting();
      this.lanes.pump();
      this.changes.happened();
    } catch (error) {
      await this.openFailed(session, asMillraceError(error));
    }
  }

  private async openFailed(session: Session, error: MillraceError): Promise<void> {
    if (this.session !== session || this.isClosed) return;
    if (!error.retryable) return this.abandon(error);
    await sleep(OPEN_RETRY_MS);
    if (this.session === session && session.isOpen) await this.open(session);
  }

  /** Gets a producer id, or a new epoch of the one it has, and numbers what waits anew. */
  private async identify(session: Session): Promise<void> {
    const { producerId, producerEpoch } = this.identity ?? this.options;
    const isSpent = producerEpoch === EPOCH_MAX;
    const args = producerId === undefined || isSpent ? {} : { producerId, producerEpoch };
    const timeoutMs = this.settings.deliveryTimeoutMs;
    const { producerId: id, producerEpoch: epoch } = (await session.request(
      Op.PRODUCER_INIT,
      [args],
      timeoutMs,
    )) as Identity;
    this.identity = { producerId: id, producerEpoch: epoch };
    this.needsEpoch = false;
    for (const lane of this.lanes) lane.renumber();
  }

  requestEpoch(): void {
    this.needsEpoch = this.settings.idempotent;
  }

  /** Once nothing is in flight, opens again with a new epoch. */
  private renewIfQuiet(): void {
    const { session } = this;
    if (!this.needsEpoch || !this.isOpen || !session) return;
    for (const lane of this.lanes) if (lane.hasInFlight) return;
    this.isOpen = false;
    void session
      .request(Op.PUBLISHER_CLOSE, [this.number], this.settings.deliveryTimeoutMs)
      .catch(() => undefined)
      .then(() => this.open(session));
  }

  disconnected(): void {
    this.session = null;
    this.isOpen = false;
    this.isCreditShort = false;
    for (const lane of this.lanes) lane.disconnected();
  }

  failed(error: MillraceError): void {
    this.session = null;
    this.abandon(error);
  }

  abandon(error: MillraceError): void {
    if (this.failure) return;
    this.failure = error;
    this.isOpen = false;
    clearInterval(this.sweep);
    for (const lane of this.lanes) lane.fail(error);
    for (const send of this.waiting.clear()) this.refuse(send, error);
    this.changes.happened();
  }

  // -- Taking records --------------------------------------------------------

  /**
   * Publishes a record. The result settles when the broker has answered; await
   * it, or leave it and let `flush` throw what nobody awaited.
   *
   * Errors of the result: ConflictError, message_too_large, topic_deleted,
   * timeout, limit_exceeded, closed, and others that the broker refuses with.
   */
  send(given: ProducerRecord, options?: SendOptions): Delivery {
    const record = traced(given, this.options.traceContext);
    const condition = options ? conditionOf(record, options) : null;
    if (this.isAccepting) {
      const { outcome } = this.acceptRecord(record, condition, true);
      return new Delivery(outcome, outcome.count - 1);
    }
    const delivery = new Delivery(null, 0);
    this.wait({ record, condition, delivery });
    return delivery;
  }

  /**
   * Publishes a record without a result; failures go to `onError` and `flush`.
   *
   * @returns false when enough is under way: await `ready()` before the next
   * @throws limit_exceeded when `waitingRecordsMax` are waiting already; closed
   */
  sendNoWait(given: ProducerRecord): boolean {
    const record = traced(given, this.options.traceContext);
    if (this.isAccepting) {
      this.acceptRecord(record, null, false);
      return !this.room.isPressed;
    }
    this.wait({ record, condition: null, delivery: null });
    return false;
  }

  /**
   * Publishes a record without a result and without a record object, the
   * quickest way to publish many. The bytes are copied before it returns, so
   * one buffer can serve for all values. Otherwise as `sendNoWait`.
   *
   * @param partition default: by the key's hash; without a key, one partition per batch
   * @returns false when enough is under way: await `ready()` before the next
   * @throws limit_exceeded when `waitingRecordsMax` are waiting already; closed
   */
  append(value: Content, key?: Content, partition?: number): boolean {
    if (this.isAccepting) {
      this.accept(this.clock.now(), partition, undefined, key, value, undefined, null, false);
      return !this.room.isPressed;
    }
    const record: ProducerRecord = { key: copyOf(key), value: copyOf(value) };
    if (partition !== undefined) record.partition = partition;
    this.wait({ record, condition: null, delivery: null });
    return false;
  }

  /** Why it takes no more records, or null. */
  get error(): MillraceError | null {
    return this.failure;
  }

  private get isAccepting(): boolean {
    return this.isOpen && this.room.isThere && this.waiting.count === 0;
  }

  private wait(send: WaitingSend): void {
    const { count } = this.waiting;
    const closed = this.isClosed ? clientError("closed", "the producer was closed") : null;
    const isFull = count >= this.settings.waitingRecordsMax;
    const full = isFull ? clientError("limit_exceeded", `${count} sends wait already`) : null;
    const error = this.failure ?? closed ?? full;
    if (!error) this.waiting.push(send);
    else if (send.delivery) send.delivery.reject(error);
    else throw error;
  }

  /** Takes waiting sends in, in order, while there is room. */
  private admitWaiting(): void {
    while (this.isOpen && this.room.isThere && this.waiting.count > 0) this.admit(this.waiting.shift());
  }

  /** Takes a send in whose result was given out before. Failures reach whoever hears of them. */
  private admit(send: WaitingSend): void {
    try {
      const { outcome } = this.acceptRecord(send.record, send.condition, send.delivery !== null);
      send.delivery?.assign(outcome, outcome.count - 1);
    } catch (error) {
      this.refuse(send, asMillraceError(error));
    }
  }

  /** Takes a send in, or has it wait. Failures as above. */
  protected offer(send: WaitingSend): void {
    if (this.failure) this.refuse(send, this.failure);
    else if (this.isAccepting) this.admit(send);
    else this.waiting.push(send);
  }

  protected refuse({ delivery }: WaitingSend, error: MillraceError): void {
    if (!delivery?.reject(error)) this.report(error);
  }

  private acceptRecord(record: ProducerRecord, condition: Condition, hasResult: boolean): Parcel {
    const { partition, timestamp, key, value, headers } = record;
    return this.accept(this.clock.read(), partition, timestamp, key, value, headers, condition, hasResult);
  }

  private accept(
    now: number,
    partition: number | undefined,
    timestamp: number | undefined,
    key: Content,
    value: Content,
    headers: Headers | null | undefined,
    condition: Condition,
    hasResult: boolean,
  ): Parcel {
    const lane = this.lanes.laneFor(partition, key);
    if (condition !== null) lane.seal();
    let parcel = lane.current;
    let taken = parcel === null ? 0 : parcel.append(now, timestamp, key, value, headers);
    if (parcel === null || taken === 0) {
      // Times out of order would end a batch at every step back; from then on records carry their times in full.
      if (parcel instanceof BatchParcel && parcel.isOutOfTime(timestamp ?? now)) lane.isUnordered = true;
      lane.seal();
      parcel = this.newParcel(lane, condition, now);
      parcel.append(now, timestamp, key, value, headers);
      lane.current = parcel;
      taken = parcel.bytes;
    }
    if (hasResult) parcel.hasResults = true;
    this.room.charge(parcel, taken);
    if (condition !== null || parcel.isFull) {
      this.clock.expire();
      lane.seal();
      this.lanes.sent(lane);
      lane.pump();
    } else if (!lane.isTouched) {
      this.touch(lane);
    }
    this.room.check();
    return parcel;
  }

  private newParcel(lane: Lane, condition: Condition, now: number): Parcel {
    const { batchBytes, compression, mode, idempotent: isIdempotent } = this.settings;
    const buffer = this.pool.take();
    if (mode === "batch") return new BatchParcel(batchBytes, compression, buffer, condition, lane.isUnordered, now);
    const { number: publisher, acks } = this;
    const run = { publisher, partition: lane.partition, acks, isIdempotent, runBytes: batchBytes };
    return new SinglesParcel(run, buffer, condition, now);
  }

  /**
   * Publishes a batch that the caller encoded (BatchEncoder), copied once. An
   * idempotent producer writes its own numbers into the copy.
   *
   * Errors: bad_batch; not_ready before `ready()`; limit_exceeded without room.
   */
  sendBatch(batch: Uint8Array, partition: number): Delivery {
    if (this.failure) throw this.failure;
    if (!this.isOpen && this.partitions === 0) throw clientError("not_ready", "await ready() first");
    if (!this.room.isThere) throw clientError("limit_exceeded", "no room: await ready() first");
    const { recordCount } = readHeader(batch, 0, batch.length);
    const lane = this.lanes.laneFor(partition, null);
    const buffer = this.pool.take();
    const parcel = new EncodedParcel(batch, recordCount, buffer, Date.now());
    this.room.charge(parcel, parcel.bytes);
    lane.add(parcel);
    parcel.hasResults = true;
    if (this.isOpen) lane.pump();
    return new Delivery(parcel.outcome, 0);
  }

  // -- Sending ---------------------------------------------------------------

  sealed(parcel: Parcel): void {
    this.room.sealed(parcel);
  }

  /** Has the next tick send what the lane holds. */
  private touch(lane: Lane): void {
    lane.isTouched = true;
    this.dirty.add(lane);
    if (this.isTicking) return;
    this.isTicking = true;
    const { lingerMs } = this.settings;
    if (lingerMs > 0) setTimeout(() => this.tick(), lingerMs);
    else soon(() => this.tick());
  }

  /** The linger is over for every lane that got records. */
  private tick(): void {
    this.isTicking = false;
    this.clock.expire();
    for (const lane of this.dirty) {
      lane.isTouched = false;
      lane.isDue = lane.current !== null;
      this.lanes.sent(lane);
      if (this.isOpen) lane.pump();
    }
    this.dirty.clear();
  }

  transmit(lane: Lane, parcel: Parcel): boolean {
    const { session } = this;
    if (!session || !this.isOpen || this.needsEpoch) return false;
    if (!session.hasCredit(parcel.bytes)) {
      this.isCreditShort = true;
      return false;
    }
    const { correlation } = this;
    const frames = parcel.frames({
      publisher: this.number,
      correlation,
      partition: lane.partition,
      acks: this.acks,
      identity: this.identity,
      sequence: lane.sequenceOf(parcel),
    });
    this.correlation = (correlation + parcel.correlations) >>> 0;
    session.publish(frames);
    return true;
  }

  creditReturned(): void {
    if (!this.isCreditShort) return;
    this.isCreditShort = false;
    this.lanes.pump();
  }

  retryLater(lane: Lane, delayMs: number): void {
    setTimeout(() => lane.resume(), delayMs);
  }

  retire(parcel: Parcel): void {
    this.room.released(parcel);
    const { failure } = parcel.outcome;
    if (failure && !parcel.outcome.isObserved) this.report(failure);
    const buffer = parcel.release();
    // What the broker has not answered may still be on its way out of the transport.
    if (this.acks !== 0 && !failure) this.pool.giveBack(buffer);
    if (this.waiting.count > 0) this.admitWaiting();
    this.room.relax();
    if (this.changes.isAwaited) this.changes.happened();
  }

  acked(correlation: number, count: number, partition: number, baseOffset: number | null, level: number): void {
    this.lanes.ownerOf(correlation, partition)?.acked(correlation, count, partition, baseOffset, level);
    if (this.needsEpoch) this.renewIfQuiet();
  }

  refused(correlation: number, count: number, error: MillraceError): void {
    this.lanes.ownerOf(correlation)?.refused(correlation, count, error);
    if (this.needsEpoch) this.renewIfQuiet();
  }

  returned(correlation: number, positions: readonly number[], error: MillraceError): void {
    this.lanes.ownerOf(correlation)?.unrouted(correlation, positions, error);
  }

  /** Fails what has been here for longer than the delivery timeout. */
  private expire(): void {
    const { deliveryTimeoutMs } = this.settings;
    const limit = Date.now() - deliveryTimeoutMs;
    for (const lane of this.lanes) {
      if (lane.oldest >= limit) continue;
      const error = clientError("timeout", `not acknowledged within ${deliveryTimeoutMs} ms; it may have been stored`);
      if (lane.fail(error)) this.requestEpoch();
    }
    if (this.needsEpoch) this.renewIfQuiet();
  }

  private report(error: MillraceError): void {
    this.unseenFailure ??= error;
    this.options.onError?.(error);
  }

  // -- Waiting ---------------------------------------------------------------

  private get isReady(): boolean {
    return this.isAccepting && !this.room.isPressed;
  }

  /** Resolves when the producer is open and has room. Errors: why it failed, cancelled. */
  async ready(signal?: AbortSignal): Promise<void> {
    if (!this.isReady) await this.changes.until(() => this.failure !== null || this.isReady, signal);
    if (this.failure) throw this.failure;
  }

  /** Sends everything and resolves when all of it is answered. Errors: the first failure that nobody awaited; cancelled. */
  async flush(signal?: AbortSignal): Promise<void> {
    const isDone = (): boolean => {
      if (this.failure) return true;
      for (const lane of this.lanes) {
        lane.isDue = lane.current !== null;
        if (this.isOpen) lane.pump();
      }
      return this.waiting.count === 0 && [...this.lanes].every((lane) => lane.isIdle);
    };
    await this.changes.until(isDone, signal);
    const error = this.unseenFailure ?? (this.isClosed ? null : this.failure);
    this.unseenFailure = null;
    if (error) throw error;
  }

  /** Flushes and closes. Errors: as `flush`. */
  async close(): Promise<void> {
    if (this.isFlushing) return;
    this.isFlushing = true;
    try {
      await this.flush();
    } finally {
      const { session, isOpen } = this;
      this.isClosed = true;
      if (session && isOpen) {
        await session.request(Op.PUBLISHER_CLOSE, [this.number], SWEEP_MS).catch(() => undefined);
      }
      this.client.detach(this.number, this);
      this.abandon(clientError("closed", "the producer was closed"));
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
