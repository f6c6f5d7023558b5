import { type Client, connect, type Producer } from "../../src/client/index.ts";
import { MillraceError } from "../../src/errors/index.ts";
import { KeyPartitioner } from "../../src/protocol/index.ts";
import { nowUs } from "../lib/clock.ts";
import { turn } from "../lib/pace.ts";
import { clientOptions } from "./client-options.ts";
import { InFlight } from "./in-flight.ts";
import { type LoadProducer, QUIET_MS_MAX, type Run, untilDone } from "./lane.ts";
import { Meter, type Span } from "./meter.ts";
import { keyPool, random, valuePool, writeStamp } from "./payload.ts";

/**
 * Publishes through the TypeScript client, as an application would: each record is built, stamped, encoded. A result is
 * asked for only now and then; a partition keeps its order, so the result of one record stands for those before it.
 */

/** While saturating, one record of a partition in so many is asked for its result. */
const TRACKED_EVERY = 256;
/** Records between two turns of the event loop, in which acks are read. */
const RECORDS_PER_TURN = 2_048;
/** Records that get the time of the clock together, while saturating. */
const RECORDS_PER_STAMP = 32;

class Lane extends InFlight {
  readonly partition: number;
  /** Records and bytes since the last one whose result was asked for. */
  untracked: number = 0;
  untrackedBytes: number = 0;
  /** A message that waits for the next, or for the flush that makes it the tracked one; and its key. */
  stagedUs: number | undefined;
  stagedKey: string = "";

  constructor(partition: number) {
    super();
    this.partition = partition;
  }
}

interface Outgoing {
  value: Uint8Array;
  key?: string;
  partition?: number;
}

export class ClientProducer implements LoadProducer {
  readonly lanes: readonly Lane[];
  failure: Error | undefined;
  private meter: Meter = new Meter({ startUs: 0, endUs: 0, intervals: 1 });
  private readonly run: Run;
  private readonly client: Client;
  private readonly producer: Producer;
  private readonly values: readonly Uint8Array[];
  private readonly keys: readonly string[];
  private readonly lanesOfKeys: readonly Lane[];
  private readonly random: () => number;
  /** Used for every record: the client copies what it is given. */
  private readonly record: Outgoing = { value: new Uint8Array(0) };
  private readonly staged: Lane[] = [];
  /** Due times that have to wait for room in the client. */
  private backlog: number[] = [];
  private isBlocked = false;
  private isStopped = true;
  private next = 0;
  private turnLane: number;
  private turnBytes = 0;

  private constructor(run: Run, number: number, client: Client) {
    this.run = run;
    this.client = client;
    this.values = valuePool(run.sizes, run.id, number);
    this.keys = keyPool(run.keys);
    this.random = random(number + 0x5eed);
    this.turnLane = number % run.partitions;
    this.lanes = Array.from({ length: run.partitions }, (_, partition) => new Lane(partition));
    const partitioner = new KeyPartitioner();
    this.lanesOfKeys = this.keys.map((key) => this.lanes[partitioner.partitionOf(key, run.partitions)] as Lane);
    this.producer = client.producer(run.topic, {
      acks: run.acks,
      mode: run.batchBytes === 0 ? "single" : "batch",
      lingerMs: run.lingerMs,
      ...(run.batchBytes === 0 ? {} : { batchBytes: run.batchBytes }),
      onError: (error) => this.fail(error),
    });
  }

  /** Connects and opens the producer. Errors: connection_lost, and what the broker refuses with. */
  static async open(run: Run, number: number): Promise<ClientProducer> {
    const client = await connect(run.url, await clientOptions(run.url, run.namespace));
    const producer = new ClientProducer(run, number, client);
    await producer.producer.ready();
    return producer;
  }

  get measured(): Meter {
    return this.meter;
  }

  private fail(error: Error): void {
    this.failure ??= error;
  }

  begin(span: Span): void {
    this.meter = new Meter(span);
  }

  /** The next record's lane, and its key or partition in `record`. */
  private choose(): Lane {
    const { record, keys } = this;
    if (keys.length > 0) {
      const at = Math.floor(this.random() * keys.length);
      record.key = keys[at] as string;
      return this.lanesOfKeys[at] as Lane;
    }
    const lane = this.lanes[this.turnLane] as Lane;
    record.partition = lane.partition;
    return lane;
  }

  /** Without keys, partitions take turns by batches. */
  private nextLane(): void {
    this.turnLane = (this.turnLane + 1) % this.lanes.length;
    this.turnBytes = 0;
  }

  /** Builds the lane's next record and gives it to the client. */
  private hand(lane: Lane, dueUs: number, isTracked: boolean): void {
    const value = this.values[this.next] as Uint8Array;
    this.next = (this.next + 1) % this.values.length;
    writeStamp(value, 0, dueUs, lane.sent);
    this.record.value = value;
    lane.add(Math.floor(dueUs));
    lane.untracked += 1;
    lane.untrackedBytes += value.length;
    this.turnBytes += value.length;
    if (this.run.acks === "none") this.handedOver(lane);
    else if (isTracked) this.track(lane);
    else if (!this.producer.sendNoWait(this.record)) this.block();
  }

  private handedOver(lane: Lane): void {
    if (!this.producer.sendNoWait(this.record)) this.block();
    this.published(lane);
    lane.ack(1, nowUs(), this.meter);
  }

  private published(lane: Lane): void {
    lane.published(lane.untracked, lane.untrackedBytes);
    lane.untracked = 0;
    lane.untrackedBytes = 0;
  }

  private track(lane: Lane): void {
    this.published(lane);
    // It may have to wait for room, and the next record must not change it meanwhile.
    const record = { ...this.record, value: this.record.value.slice() };
    void this.producer.send(record).then(
      () => lane.ack(1, nowUs(), this.meter),
      (error: unknown) => this.fail(error as Error),
    );
  }

  /** The client has no room: nothing is handed to it before there is some again. */
  private block(): void {
    this.isBlocked = true;
    this.producer.ready().then(
      () => {
        this.isBlocked = false;
        const waiting = this.backlog;
        this.backlog = [];
        for (const dueUs of waiting) this.send(dueUs);
        this.flush();
      },
      (error: Error) => this.fail(error),
    );
  }

  send(dueUs: number): void {
    if (this.isBlocked) {
      this.backlog.push(dueUs);
      return;
    }
    const lane = this.choose();
    const key = this.record.key ?? "";
    if (lane.stagedUs === undefined) this.staged.push(lane);
    else this.handStaged(lane, false);
    lane.stagedUs = dueUs;
    lane.stagedKey = key;
    const { batchBytes, keys } = this.run;
    if (keys === 0 && (batchBytes === 0 || this.turnBytes >= batchBytes)) this.nextLane();
  }

  private handStaged(lane: Lane, isTracked: boolean): void {
    if (this.run.keys > 0) this.record.key = lane.stagedKey;
    else this.record.partition = lane.partition;
    this.hand(lane, lane.stagedUs as number, isTracked);
    lane.stagedUs = undefined;
  }

  flush(): void {
    while (!this.isBlocked && this.staged.length > 0) this.handStaged(this.staged.shift() as Lane, true);
    // As the client does with records that name no partition: another one when the linger is over.
    if (this.run.lingerMs === 0) this.nextLane();
  }

  saturate(): void {
    this.isStopped = false;
    this.fill().catch((error: Error) => this.fail(error));
  }

  private async fill(): Promise<void> {
    const { batchBytes, keys } = this.run;
    while (!this.isStopped && this.failure === undefined) {
      let dueUs = 0;
      for (let count = 0; count < RECORDS_PER_TURN && !this.isBlocked; count += 1) {
        if (count % RECORDS_PER_STAMP === 0) dueUs = nowUs();
        const lane = this.choose();
        this.hand(lane, dueUs, lane.untracked >= TRACKED_EVERY - 1);
        if (keys === 0 && this.turnBytes >= batchBytes) this.nextLane();
      }
      if (this.isBlocked) await this.producer.ready();
      else await turn();
    }
  }

  stop(): void {
    this.isStopped = true;
  }

  async finish(): Promise<void> {
    this.stop();
    this.flush();
    const acked = (): number => this.lanes.reduce((sum, lane) => sum + lane.acked, 0);
    const isOut = (): boolean => !this.isBlocked && this.backlog.length === 0 && this.staged.length === 0;
    const isDone = await untilDone(() => this.failure !== undefined || isOut(), acked, QUIET_MS_MAX);
    if (this.failure !== undefined) throw this.failure;
    if (!isDone) throw new MillraceError("timeout", "the broker takes no more records");
    await this.producer.flush();
    // The results that were asked for come a little later, each by itself.
    const tracked = this.lanes.reduce((sum, lane) => sum + lane.sent - lane.untracked, 0);
    await untilDone(() => this.failure !== undefined || acked() >= tracked, acked, QUIET_MS_MAX);
    if (this.failure !== undefined) throw this.failure;
    for (const lane of this.lanes) {
      if (lane.untracked > 0) this.published(lane);
      lane.ackRest(nowUs(), this.meter);
    }
  }

  async close(): Promise<void> {
    this.stop();
    await this.client.close();
  }
}
