import { MillraceError } from "../../src/errors/index.ts";
import { KeyPartitioner, Op } from "../../src/protocol/index.ts";
import { nowUs } from "../lib/clock.ts";
import { Link } from "../lib/link.ts";
import { EncodedPool, Gathering, PUBLISHER } from "./encoded.ts";
import { InFlight } from "./in-flight.ts";
import { type LoadProducer, QUIET_MS_MAX, type Run, untilDone } from "./lane.ts";
import { Meter, type Span } from "./meter.ts";
import { keyPool, random, valuePool } from "./payload.ts";
import { addressOf } from "./target.ts";

/** Publishes pre-encoded payloads over a connection of its own: as batches, or record by record. */

const LEVELS = ["none", "memory", "written", "synced"];
/** Single records are given to the socket in pieces of this size at most. */
const SINGLES_BYTES = 64 * 1024;
/** The fewest values of a partition that has a pool of its own. */
const LANE_POOL = 256;
/** Lanes with the same pool begin at different places of it. */
const STRIDE = 37;

class Lane extends InFlight {
  readonly partition: number;
  readonly pool: EncodedPool;
  at: number;
  /** The batch that is being gathered. */
  gathering: Gathering | undefined;
  timer: Timer | undefined;

  constructor(partition: number, pool: EncodedPool, at: number) {
    super();
    this.partition = partition;
    this.pool = pool;
    this.at = at % pool.length;
  }

  took(count: number): void {
    this.at = (this.at + count) % this.pool.length;
  }
}

abstract class RawProducer implements LoadProducer {
  readonly lanes: readonly Lane[];
  failure: Error | undefined;
  protected readonly run: Run;
  protected readonly link: Link;
  protected readonly acks: number;
  protected correlation: number = 0;
  /** Counts what was sent, for lanes that take turns. */
  protected turn: number;
  /** Until `begin`, nothing is measured. */
  private meter: Meter = new Meter({ startUs: 0, endUs: 0, intervals: 1 });
  /** The lanes that get records, each as often as keys lead to it. */
  private readonly choices: readonly Lane[];
  private readonly random: () => number;
  private isStopped = true;

  constructor(run: Run, number: number, link: Link) {
    this.run = run;
    this.link = link;
    this.acks = LEVELS.indexOf(run.acks);
    this.random = random(number + 0x5eed);
    this.turn = number;
    const { lanes, choices } = lanesOf(run, number, this.acks);
    this.lanes = lanes;
    this.choices = choices;
    link.onAckRun = (partition, count) => this.lanes[partition]?.ack(count, nowUs(), this.meter);
    link.onClear = () => this.fill();
    link.onFailure = (error) => {
      this.failure ??= error;
    };
  }

  get measured(): Meter {
    return this.meter;
  }

  begin(span: Span): void {
    this.meter = new Meter(span);
  }

  /** Takes a message of the lane; it may wait for others until `flush`. */
  protected abstract put(lane: Lane, dueUs: number): void;
  /** Sends what waits, lingering or not. */
  protected abstract sendAll(): void;
  /** Sends one write's worth of the lane's messages. */
  protected abstract sendMany(lane: Lane, dueUs: number): void;
  abstract flush(): void;

  send(dueUs: number): void {
    const { choices } = this;
    const at = this.run.keys > 0 ? Math.floor(this.random() * choices.length) : this.turn % choices.length;
    this.put(choices[at] as Lane, dueUs);
  }

  saturate(): void {
    this.isStopped = false;
    this.fill();
  }

  /** Sends until the socket or the credit has no room. */
  private fill(): void {
    while (!this.isStopped && this.failure === undefined && this.link.isClear) {
      this.sendMany(this.choices[this.turn % this.choices.length] as Lane, Math.floor(nowUs()));
    }
  }

  /** Without acks no answer comes: handing it over is all that can be counted. */
  protected handedOver(lane: Lane, publishes: number): void {
    if (this.acks === 0) lane.ack(publishes, nowUs(), this.meter);
  }

  stop(): void {
    this.isStopped = true;
  }

  async finish(): Promise<void> {
    this.stop();
    this.sendAll();
    const acked = (): number => this.lanes.reduce((sum, lane) => sum + lane.acked, 0);
    const sent = this.lanes.reduce((sum, lane) => sum + lane.sent, 0);
    const isDone = await untilDone(() => this.failure !== undefined || acked() >= sent, acked, QUIET_MS_MAX);
    if (this.failure !== undefined) throw this.failure;
    if (!isDone) throw new MillraceError("timeout", `${sent - acked()} records have no answer`);
  }

  async close(): Promise<void> {
    this.stop();
    this.link.close();
  }
}

class BatchProducer extends RawProducer {
  private readonly spare: Gathering[] = [];
  private readonly open = new Set<Lane>();

  private gatheringOf(lane: Lane): Gathering {
    lane.gathering ??= this.spare.pop() ?? new Gathering(this.run.batchBytes, false);
    this.open.add(lane);
    return lane.gathering;
  }

  protected put(lane: Lane, dueUs: number): void {
    if (!this.gatheringOf(lane).add(lane.pool, lane.at, dueUs, lane.sent, 0)) {
      this.transmit(lane);
      this.gatheringOf(lane).add(lane.pool, lane.at, dueUs, lane.sent, 0);
    }
    lane.took(1);
    lane.add(dueUs);
    const { lingerMs } = this.run;
    if (lingerMs > 0) lane.timer ??= setTimeout(() => this.transmit(lane), lingerMs);
  }

  flush(): void {
    if (this.run.lingerMs === 0) this.sendAll();
  }

  protected sendAll(): void {
    for (const lane of this.open) this.transmit(lane);
  }

  protected sendMany(lane: Lane, dueUs: number): void {
    const gathering = this.gatheringOf(lane);
    while (true) {
      const taken = gathering.addRun(lane.pool, lane.at, dueUs, lane.sent, 0);
      if (taken === 0) break;
      lane.addRun(dueUs, taken);
      lane.took(taken);
    }
    this.transmit(lane);
  }

  private transmit(lane: Lane): void {
    const { gathering } = lane;
    clearTimeout(lane.timer);
    lane.timer = undefined;
    lane.gathering = undefined;
    this.open.delete(lane);
    if (gathering === undefined) return;
    this.link.send(gathering.frames(this.correlation, lane.partition, this.acks));
    this.correlation = (this.correlation + 1) >>> 0;
    this.turn += 1;
    lane.published(gathering.records, gathering.valueBytes);
    this.handedOver(lane, 1);
    gathering.reset();
    this.spare.push(gathering);
  }
}

class SinglesProducer extends RawProducer {
  /** Frames of all lanes: each says where it goes. */
  private readonly gathering = new Gathering(SINGLES_BYTES, true);

  protected put(lane: Lane, dueUs: number): void {
    const { gathering } = this;
    if (!gathering.add(lane.pool, lane.at, dueUs, lane.sent, this.correlation)) {
      this.sendAll();
      gathering.add(lane.pool, lane.at, dueUs, lane.sent, this.correlation);
    }
    lane.add(dueUs);
    this.published(lane, 1);
    this.turn += 1;
  }

  flush(): void {
    this.sendAll();
  }

  protected sendAll(): void {
    if (this.gathering.records === 0) return;
    this.link.send(this.gathering.frames(0, 0, this.acks));
    this.gathering.reset();
  }

  protected sendMany(lane: Lane, dueUs: number): void {
    while (true) {
      const taken = this.gathering.addRun(lane.pool, lane.at, dueUs, lane.sent, this.correlation);
      if (taken === 0) break;
      lane.addRun(dueUs, taken);
      this.published(lane, taken);
    }
    this.turn += 1;
    this.sendAll();
  }

  private published(lane: Lane, count: number): void {
    const { valueBytes } = lane.pool;
    for (let index = 0; index < count; index += 1) lane.published(1, valueBytes[lane.at + index] as number);
    lane.took(count);
    this.correlation = (this.correlation + count) >>> 0;
    this.handedOver(lane, count);
  }
}

/** Connects and opens a publisher. Errors: connection_lost, and what the broker refuses with. */
export async function openRawProducer(run: Run, number: number): Promise<RawProducer> {
  const { host, port } = addressOf(run.url);
  const link = await Link.open(port, { host, ...(run.namespace === undefined ? {} : { namespace: run.namespace }) });
  await link.request(Op.PUBLISHER_OPEN, PUBLISHER, { topic: run.topic });
  return run.batchBytes === 0 ? new SinglesProducer(run, number, link) : new BatchProducer(run, number, link);
}

/** The keys that lead to each partition, and the partition of each key. */
function keysOf(run: Run): { byPartition: string[][]; partitions: number[] } {
  const partitioner = new KeyPartitioner();
  const byPartition = Array.from({ length: run.partitions }, (): string[] => []);
  const partitions = keyPool(run.keys).map((key) => {
    const partition = partitioner.partitionOf(key, run.partitions);
    byPartition[partition]?.push(key);
    return partition;
  });
  return { byPartition, partitions };
}

function lanesOf(run: Run, number: number, acks: number): { lanes: Lane[]; choices: Lane[] } {
  const values = valuePool(run.sizes, run.id, number);
  const isSingle = run.batchBytes === 0;
  if (run.keys === 0 && !isSingle) {
    const pool = EncodedPool.ofRecords(values, () => null);
    const lanes = Array.from(
      { length: run.partitions },
      (_, partition) => new Lane(partition, pool, partition * STRIDE),
    );
    return { lanes, choices: lanes };
  }
  // A key belongs to one partition, and a single record's frame names it: each partition has messages of its own.
  const { byPartition, partitions } = keysOf(run);
  const lanes = byPartition.map((own, partition) => {
    const count = run.partitions === 1 ? Math.max(values.length, own.length) : Math.max(LANE_POOL, own.length);
    const some = Array.from(
      { length: count },
      (_, at) => values[(partition * STRIDE + at) % values.length] as Uint8Array,
    );
    const keyOf = (index: number): string | null => own[index % own.length] ?? null;
    const pool = isSingle ? EncodedPool.ofSingles(some, keyOf, partition, acks) : EncodedPool.ofRecords(some, keyOf);
    return new Lane(partition, pool, 0);
  });
  return { lanes, choices: run.keys === 0 ? lanes : partitions.map((partition) => lanes[partition] as Lane) };
}
