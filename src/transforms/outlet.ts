import type { Client, Transaction } from "../client/index.ts";
import { BatchEncoder, type Content, KeyPartitioner } from "../protocol/index.ts";
import type { Headers, Target, TransformMessage } from "../schema/transform/index.ts";

/** What a worker gives out, as whole batches of a transaction. */

/** A batch is cut here; below `batchBytesMax` of every broker, and far below what a transaction may have. */
const BATCH_BYTES_MAX = 512 * 1024;
/** Buffers that wait to be used again, of both directions of a busy transform. */
const POOLED_MAX = 64;
const POOLED_BYTES_MAX = 2 * BATCH_BYTES_MAX;
/** How long a topic's number of partitions is believed. */
const PARTITIONS_MS = 30_000;

interface Partitions {
  readonly count: number;
  readonly untilMs: number;
}

/** The partitions of topics, as the broker said. */
export class TopicSizes {
  private readonly client: Client;
  private readonly known = new Map<string, Partitions>();

  constructor(client: Client) {
    this.client = client;
  }

  /** Undefined until `learn` has asked. */
  of(topic: string): number | undefined {
    return this.known.get(topic)?.count;
  }

  /** Errors: topic_not_found. */
  async learn(topic: string): Promise<void> {
    const known = this.known.get(topic);
    if (known !== undefined && performance.now() < known.untilMs) return;
    const { partitions } = await this.client.topics.describe(topic);
    this.known.set(topic, { count: partitions, untilMs: performance.now() + PARTITIONS_MS });
  }
}

/** Encoders that are used again: their buffers have grown to what batches need. */
export class EncoderPool {
  private readonly free: BatchEncoder[] = [];

  take(): BatchEncoder {
    return this.free.pop() ?? new BatchEncoder({ batchBytesMax: BATCH_BYTES_MAX, absoluteTimestamps: true });
  }

  give(encoder: BatchEncoder): void {
    encoder.reset();
    if (this.free.length < POOLED_MAX && encoder.bytes.length <= POOLED_BYTES_MAX) this.free.push(encoder);
  }
}

/** Messages for one transaction, encoded as they are added. */
export class Outlet {
  private readonly sizes: TopicSizes;
  private readonly pool: EncoderPool;
  private readonly partitioner = new KeyPartitioner();
  private readonly lanes: Lane[] = [];
  /** Lanes by topic and partition. */
  private readonly topics = new Map<string, Lane[]>();
  private readonly exchanges = new Map<string, Lane>();
  /** Records without a key of one outlet stay together. */
  private readonly sticky = Math.random();
  private readonly nowMs = Date.now();
  /** Encoded so far. */
  bytes: number = 0;

  constructor(sizes: TopicSizes, pool: EncoderPool) {
    this.sizes = sizes;
    this.pool = pool;
  }

  /** @param timestamp of the message it was made from, which a topic keeps. */
  add(target: Target, message: TransformMessage, timestamp: number): void {
    const { content, headers } = message;
    const key = message.key as Content;
    if (target.topic !== undefined) {
      this.bytes += this.laneOfTopic(target.topic, key).append(timestamp, key, content, headers);
    } else if (target.queue !== undefined) {
      this.bytes += this.laneOfExchange("", true).append(this.nowMs, target.queue, content, headers);
    } else {
      const lane = this.laneOfExchange(target.exchange ?? "", target.mandatory ?? true);
      this.bytes += lane.append(this.nowMs, target.key ?? key ?? "", content, headers);
    }
  }

  private laneOfTopic(topic: string, key: Content): Lane {
    const count = this.sizes.of(topic) ?? 1;
    const isKeyless = key === null || key === undefined;
    const partition = isKeyless ? Math.floor(this.sticky * count) : this.partitioner.partitionOf(key, count);
    const lanes = this.topics.get(topic) ?? [];
    if (lanes.length === 0) this.topics.set(topic, lanes);
    return (lanes[partition] ??= this.newLane({ topic, partition }));
  }

  private laneOfExchange(exchange: string, mandatory: boolean): Lane {
    const name = `${mandatory} ${exchange}`;
    const lane = this.exchanges.get(name) ?? this.newLane({ exchange, mandatory });
    this.exchanges.set(name, lane);
    return lane;
  }

  private newLane(to: LaneTarget): Lane {
    const lane = new Lane(to, this.pool);
    this.lanes.push(lane);
    return lane;
  }

  /** Puts all batches into the transaction. */
  drain(transaction: Transaction): void {
    for (const lane of this.lanes) lane.drain(transaction);
  }

  /** Gives the buffers back: the transaction is over. */
  close(): void {
    for (const lane of this.lanes) lane.close();
  }
}

type LaneTarget =
  { readonly topic: string; readonly partition: number } | { readonly exchange: string; readonly mandatory: boolean };

/** Batches to one partition, or to one exchange. */
class Lane {
  private readonly to: LaneTarget;
  private readonly pool: EncoderPool;
  private readonly full: BatchEncoder[] = [];
  private encoder: BatchEncoder;

  constructor(to: LaneTarget, pool: EncoderPool) {
    this.to = to;
    this.pool = pool;
    this.encoder = pool.take();
  }

  /** @returns the bytes that the record takes. */
  append(timestamp: number, key: Content, value: Content, headers: Headers): number {
    const given = isEmpty(headers) ? null : headers;
    const before = this.encoder.batchBytes;
    if (this.encoder.append(timestamp, key, value, given)) return this.encoder.batchBytes - before;
    this.full.push(this.encoder);
    this.encoder = this.pool.take();
    this.encoder.append(timestamp, key, value, given);
    return this.encoder.batchBytes;
  }

  drain(transaction: Transaction): void {
    for (const encoder of [...this.full, this.encoder]) {
      encoder.finish();
      if ("topic" in this.to) transaction.sendBatch(this.to.topic, this.to.partition, encoder.batch());
      else transaction.publishBatch(this.to.exchange, encoder.batch(), { mandatory: this.to.mandatory });
    }
  }

  close(): void {
    for (const encoder of [...this.full, this.encoder]) this.pool.give(encoder);
  }
}

function isEmpty(headers: Headers): boolean {
  for (const _ in headers) return false;
  return true;
}
