import { canCompress, KeyPartitioner, type Condition, Op, readHeader } from "../protocol/index.ts";
import type { Client, Endpoint } from "./client.ts";
import { Delivery, LEVELS } from "./delivery.ts";
import { clientError, type MillraceError, asMillraceError } from "./errors.ts";
import { Lane, type LaneHost } from "./lane.ts";
import { BatchParcel, EncodedParcel, type Identity, type Parcel, pooledBytes } from "./parcel.ts";
import {
  conditionOf,
  type ProducerOptions,
  type ProducerRecord,
  producerSettings,
  type ProducerSettings,
  type SendOptions,
} from "./producer-options.ts";
import type { PublisherSink, Session } from "./session.ts";
import { SinglesParcel } from "./singles.ts";
import { every, sleep, soon, withSignal } from "./timing.ts";

/** Publishes to one topic: batching, partitioning, idempotence, back-pressure. */

interface WaitingSend {
  record: ProducerRecord;
  condition: Condition;
  delivery: Delivery | null;
}

const SWEEP_MS = 1_000;
const POOL_MAX = 64;
const EPOCH_MAX = 0xffff;
const OPEN_RETRY_MS = 100;

export class Producer implements PublisherSink, Endpoint, LaneHost, AsyncDisposable {
  readonly number: number;
  readonly topic: string;
  /** Partitions of the topic; 0 until the producer is open. */
  partitions: number = 0;
  identity: Identity | null = null;
  readonly acks: number;
  readonly inFlightMax: number;
  private readonly client: Client;
  private readonly options: ProducerOptions;
  private readonly settings: ProducerSettings;
  private readonly lanes = new Map<number | null, Lane>();
  private readonly dirty = new Set<Lane>();
  private readonly partitioner = new KeyPartitioner();
  private readonly pool: Uint8Array[] = [];
  private waiting: WaitingSend[] = [];
  private waitingStart = 0;
  private readonly changes = new Set<() => void>();
  private session: Session | null = null;
  private isOpen = false;
  private isClosed = false;
  private needsEpoch = false;
  private isFlushing = false;
  private isTicking = false;
  private isCreditShort = false;
  private failure: MillraceError | null = null;
  private unseenFailure: MillraceError | null = null;
  private bufferedBytes = 0;
  private correlation = 0;
  private sticky = 0;
  private readonly sweep: ReturnType<typeof setInterval>;

  constructor(client: Client, number: number, topic: string, options: ProducerOptions) {
    this.client = client;
    this.number = number;
    this.topic = topic;
    this.options = options;
    this.settings = producerSettings(options);
    this.acks = LEVELS.indexOf(this.settings.acks);
    this.inFlightMax = this.settings.inFlightMax;
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
      const args = [this.number, { topic: this.topic, ...identity }];
      const opened = (await session.request(Op.PUBLISHER_OPEN, args, this.settings.deliveryTimeoutMs)) as {
        partitions: number;
      };
      if (this.session !== session || this.isClosed) return;
      this.partitions = opened.partitions;
      this.isOpen = true;
      this.admitWaiting();
      for (const lane of this.lanes.values()) lane.pump();
      this.changed();
    } catch (error) {
      await this.openFailed(session, asMillraceError(error));
    }
  }

  private async openFailed(session: Session, error: MillraceError): Promise<void> {
    if (this.session !== session || this.isClosed) return;
    if (!error.retryable) {
      this.abandon(error);
      return;
    }
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
    for (const lane of this.lanes.values()) lane.renumber();
  }

  requestEpoch(): void {
    this.needsEpoch = this.settings.idempotent;
  }

  /** Once nothing is in flight, opens again with a new epoch. */
  private renewIfQuiet(): void {
    const { session } = this;
    if (!this.needsEpoch || !this.isOpen || !session) return;
    for (const lane of this.lanes.values()) if (lane.hasInFlight) return;
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
    for (const lane of this.lanes.values()) lane.disconnected();
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
    for (const lane of this.lanes.values()) lane.fail(error);
    const waiting = this.waiting.slice(this.waitingStart);
    this.waiting = [];
    this.waitingStart = 0;
    for (const { delivery } of waiting) {
      if (!delivery?.reject(error)) this.report(error);
    }
    this.changed();
  }

  // -- Taking records --------------------------------------------------------

  /**
   * Publishes a record. The result settles when the broker has answered; await
   * it, or leave it and let `flush` throw what nobody awaited.
   *
   * Errors of the result: ConflictError, message_too_large, topic_deleted,
   * timeout, limit_exceeded, closed, and others that the broker refuses with.
   */
  send(record: ProducerRecord, options?: SendOptions): Delivery {
    const condition = options ? conditionOf(record, options) : null;
    if (this.isOpen && this.hasRoom && this.waitingCount === 0) {
      const parcel = this.accept(record, condition);
      return new Delivery(parcel.outcome, parcel.outcome.count - 1);
    }
    const delivery = new Delivery(null, 0);
    this.wait({ record, condition, delivery });
    return delivery;
  }

  /**
   * Publishes a record without a result; failures go to `onError` and `flush`.
   *
   * @returns false when no more room is there: await `ready()` before the next
   * @throws limit_exceeded when `waitingRecordsMax` are waiting already; closed
   */
  sendNoWait(record: ProducerRecord): boolean {
    if (this.isOpen && this.hasRoom && this.waitingCount === 0) {
      this.accept(record, null);
      return this.hasRoom;
    }
    if (this.failure) throw this.failure;
    this.wait({ record, condition: null, delivery: null });
    return false;
  }

  private get hasRoom(): boolean {
    return this.bufferedBytes < this.settings.bufferBytesMax;
  }

  private get waitingCount(): number {
    return this.waiting.length - this.waitingStart;
  }

  private wait(send: WaitingSend): void {
    const isFull = this.waitingCount >= this.settings.waitingRecordsMax;
    const closed = this.isClosed ? clientError("closed", "the producer was closed") : null;
    const full = isFull ? clientError("limit_exceeded", `${this.waitingCount} sends wait already`) : null;
    const error = this.failure ?? closed ?? full;
    if (!error) {
      this.waiting.push(send);
      return;
    }
    if (!send.delivery) throw error;
    send.delivery.reject(error);
  }

  /** Takes waiting sends in, in order, while there is room. */
  private admitWaiting(): void {
    while (this.isOpen && this.hasRoom && this.waitingCount > 0) {
      const { record, condition, delivery } = this.waiting[this.waitingStart++] as WaitingSend;
      try {
        const parcel = this.accept(record, condition);
        delivery?.assign(parcel.outcome, parcel.outcome.count - 1);
      } catch (error) {
        const failure = asMillraceError(error);
        if (!delivery?.reject(failure)) this.report(failure);
      }
    }
    if (this.waitingCount === 0) {
      this.waiting = [];
      this.waitingStart = 0;
    }
  }

  private accept(record: ProducerRecord, condition: Condition): Parcel {
    const lane = this.laneOf(record);
    const now = Date.now();
    if (condition !== null) lane.seal();
    let parcel = lane.current;
    const before = parcel?.bytes ?? 0;
    if (!parcel?.append(record, now)) {
      // Times out of order would end a batch at every step back; from then on records carry their times in full.
      if (parcel instanceof BatchParcel && parcel.isOutOfTime(record, now)) lane.isUnordered = true;
      lane.seal();
      parcel = this.newParcel(lane, condition, now);
      parcel.append(record, now);
      lane.current = parcel;
      this.bufferedBytes += parcel.bytes;
    } else {
      this.bufferedBytes += parcel.bytes - before;
    }
    if (condition !== null || parcel.isFull) {
      lane.seal();
      if (lane.partition === this.sticky) this.turnSticky();
      lane.pump();
    } else {
      this.touch(lane);
    }
    return parcel;
  }

  private newParcel(lane: Lane, condition: Condition, now: number): Parcel {
    const { batchBytes, compression } = this.settings;
    const buffer = this.pool.pop() ?? new Uint8Array(pooledBytes(batchBytes));
    if (this.settings.mode === "batch") {
      return new BatchParcel(batchBytes, compression, buffer, condition, lane.isUnordered, now);
    }
    const { number: publisher, acks } = this;
    const isIdempotent = this.settings.idempotent;
    const run = { publisher, partition: lane.partition, acks, isIdempotent, runBytes: batchBytes };
    return new SinglesParcel(run, buffer, condition, now);
  }

  private laneOf(record: ProducerRecord): Lane {
    const partition = this.partitionFor(record);
    let lane = this.lanes.get(partition);
    if (!lane) {
      lane = new Lane(this, partition);
      this.lanes.set(partition, lane);
    }
    return lane;
  }

  private partitionFor(record: ProducerRecord): number | null {
    const { partition, key } = record;
    if (partition !== undefined) {
      if (Number.isInteger(partition) && partition >= 0 && partition < this.partitions) return partition;
      throw clientError("partition_not_found", `${this.topic} has no partition ${partition}`);
    }
    // The broker can choose only where no sequence is involved.
    if (this.settings.mode === "single" && !this.settings.idempotent) return null;
    if (key === null || key === undefined) return this.sticky;
    return this.partitioner.partitionOf(key, this.partitions);
  }

  /** Records without a key go to one partition until its batch is full, then to the next. */
  private turnSticky(): void {
    this.sticky = (this.sticky + 1) % Math.max(1, this.partitions);
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
    if (!this.hasRoom) throw clientError("limit_exceeded", "no room: await ready() first");
    const { recordCount } = readHeader(batch, 0, batch.length);
    const lane = this.laneOf({ partition });
    const buffer = this.pool.pop() ?? new Uint8Array(pooledBytes(this.settings.batchBytes));
    const parcel = new EncodedParcel(batch, recordCount, buffer, Date.now());
    this.bufferedBytes += parcel.bytes;
    lane.add(parcel);
    if (this.isOpen) lane.pump();
    return new Delivery(parcel.outcome, 0);
  }

  // -- Sending ---------------------------------------------------------------

  private touch(lane: Lane): void {
    if (lane.isTouched) return;
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
    for (const lane of this.dirty) {
      lane.isTouched = false;
      lane.isDue = lane.current !== null;
      if (lane.partition === this.sticky) this.turnSticky();
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
    for (const lane of this.lanes.values()) lane.pump();
  }

  retryLater(lane: Lane, delayMs: number): void {
    setTimeout(() => lane.resume(), delayMs);
  }

  retire(parcel: Parcel): void {
    this.bufferedBytes -= parcel.bytes;
    const failure = parcel.outcome.failure;
    if (failure && !parcel.outcome.isObserved) this.report(failure);
    const buffer = parcel.release();
    const isReusable = this.acks !== 0 && buffer.length === pooledBytes(this.settings.batchBytes);
    if (isReusable && this.pool.length < POOL_MAX) this.pool.push(buffer);
    if (this.waitingCount > 0) this.admitWaiting();
    if (this.changes.size > 0) this.changed();
  }

  acked(correlation: number, count: number, partition: number, baseOffset: number | null, level: number): void {
    const lane = this.lanes.get(partition);
    const owner = lane?.owns(correlation) ? lane : (this.lanes.get(null) ?? this.ownerOf(correlation));
    owner?.acked(correlation, count, partition, baseOffset, level);
    if (this.needsEpoch) this.renewIfQuiet();
  }

  refused(correlation: number, count: number, error: MillraceError): void {
    this.ownerOf(correlation)?.refused(correlation, count, error);
    if (this.needsEpoch) this.renewIfQuiet();
  }

  private ownerOf(correlation: number): Lane | undefined {
    for (const lane of this.lanes.values()) if (lane.owns(correlation)) return lane;
    return undefined;
  }

  /** Fails what has been here for longer than the delivery timeout. */
  private expire(): void {
    const { deliveryTimeoutMs } = this.settings;
    const limit = Date.now() - deliveryTimeoutMs;
    for (const lane of this.lanes.values()) {
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

  private changed(): void {
    const changes = [...this.changes];
    this.changes.clear();
    for (const run of changes) run();
  }

  /** Resolves when `isTrue`, which is looked at after every change. */
  private async until(isTrue: () => boolean, signal?: AbortSignal): Promise<void> {
    while (!isTrue()) {
      let wake: () => void = () => undefined;
      const change = new Promise<void>((resolve) => {
        wake = resolve;
        this.changes.add(wake);
      });
      await withSignal(change, signal).finally(() => this.changes.delete(wake));
    }
  }

  /** Resolves when the producer is open and has room. Errors: why it failed, cancelled. */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.until(() => this.failure !== null || (this.isOpen && this.hasRoom && this.waitingCount === 0), signal);
    if (this.failure) throw this.failure;
  }

  /** Sends everything and resolves when all of it is answered. Errors: the first failure that nobody awaited; cancelled. */
  async flush(signal?: AbortSignal): Promise<void> {
    const isDone = (): boolean => {
      if (this.failure) return true;
      for (const lane of this.lanes.values()) {
        lane.isDue = lane.current !== null;
        if (this.isOpen) lane.pump();
      }
      return this.waitingCount === 0 && [...this.lanes.values()].every((lane) => lane.isIdle);
    };
    await this.until(isDone, signal);
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
