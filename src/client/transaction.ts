import { BatchEncoder, type Content, KeyPartitioner } from "../protocol/index.ts";
import { clientError } from "./errors.ts";
import { GroupConsumer } from "./group-consumer.ts";
import type { ProducerRecord } from "./producer-options.ts";
import type { QueueChannel } from "./queue-channel.ts";
import type { QueueMessage } from "./queue-message.ts";
import type { QueueView } from "./queue-view.ts";
import { messageHeaders, type PublishOptions } from "./queue-options.ts";
import type { Session } from "./session.ts";
import type { Message } from "./subscription.ts";

/** What is to be published, acked and committed together. Gathered here and sent with the commit: a transaction that is not committed has cost the broker nothing. */

export interface TransactionOffset {
  topic: string;
  partition: number;
  /** The offset behind the last record that is done. */
  offset: number;
  metadata?: string | null;
}

/** A part as the wire has it. */
export type Part = readonly [kind: string, ...rest: unknown[]];

/** Batches are cut here, so that one fits into a frame. */
const BATCH_BYTES_MAX = 1 << 20;

interface Publishes {
  readonly records: { record: ProducerRecord; timestamp: number }[];
}

interface ExchangePublishes extends Publishes {
  readonly exchange: string;
  readonly mandatory: boolean;
  readonly requireConsumer: boolean;
}

interface GroupOffsets {
  readonly group: string;
  readonly member: string | undefined;
  readonly generation: number | undefined;
  readonly rows: Map<string, readonly [string, number, number, string | null]>;
}

/** What is acked of one consumer: messages by themselves, and ranges `[first tag, count, ...]` of views. */
interface Acks {
  readonly messages: Set<QueueMessage>;
  readonly ranges: number[];
  count: number;
}

export class Transaction {
  private readonly topics = new Map<string, Publishes>();
  private readonly exchanges = new Map<string, ExchangePublishes>();
  private readonly batches: Part[] = [];
  private readonly acks = new Map<QueueChannel, Acks>();
  private readonly groups = new Map<string, GroupOffsets>();
  private readonly partitioner = new KeyPartitioner();
  private isOver = false;

  /** Publishes a record to a topic. */
  send(topic: string, record: ProducerRecord): void {
    this.check();
    const publishes = this.topics.get(topic) ?? { records: [] };
    this.topics.set(topic, publishes);
    publishes.records.push({ record: copied(record), timestamp: record.timestamp ?? Date.now() });
  }

  /** Publishes a message to an exchange; "" is the default one, whose routing keys are names of queues. `mandatory` and `requireConsumer` refuse the whole transaction. */
  publish(exchange: string, routingKey: string, value: Content, options: PublishOptions = {}): void {
    this.check();
    const { mandatory = false, requireConsumer = false } = options;
    const key = `${mandatory} ${requireConsumer} ${exchange}`;
    const publishes = this.exchanges.get(key) ?? { exchange, mandatory, requireConsumer, records: [] };
    this.exchanges.set(key, publishes);
    const record = { key: routingKey, value: copiedContent(value), headers: messageHeaders(options) };
    publishes.records.push({ record, timestamp: Date.now() });
  }

  /**
   * Publishes a finished batch of `BatchEncoder` to a partition, ahead of what `send` publishes. For programs that
   * encode by themselves; the batch must not change before the commit.
   */
  sendBatch(topic: string, partition: number, batch: Uint8Array): void {
    this.check();
    this.batches.push(["topic", topic, partition, batch]);
  }

  /** The same to an exchange: keys of the records are routing keys. Times have to be absolute. */
  publishBatch(
    exchange: string,
    batch: Uint8Array,
    options: Pick<PublishOptions, "mandatory" | "requireConsumer"> = {},
  ): void {
    this.check();
    const { mandatory = false, requireConsumer = false } = options;
    this.batches.push(["exchange", { exchange, mandatory, requireConsumer }, batch]);
  }

  /**
   * Acks messages of queues, when the transaction is committed. Until then they
   * are unsettled, and stay so when it is not.
   *
   * @throws unknown_delivery for one that was settled, or whose connection is gone
   */
  ack(...messages: QueueMessage[]): void {
    this.check();
    for (const message of messages) {
      const acks = this.acksOf(message.channelForAck());
      if (acks.messages.has(message)) {
        throw clientError("unknown_delivery", `delivery ${message.tag} is acked already`);
      }
      acks.messages.add(message);
      acks.count += 1;
    }
  }

  /** Acks `count` messages of a view from `index` on, as `ack` does. Default: all. */
  ackView(view: QueueView, index: number = 0, count: number = view.length - index): void {
    this.check();
    const acks = this.acksOf(view.channelForAck(index, count));
    acks.ranges.push(view.head.firstTag + index, count);
    acks.count += count;
  }

  private acksOf(channel: QueueChannel): Acks {
    const acks = this.acks.get(channel) ?? { messages: new Set(), ranges: [], count: 0 };
    this.acks.set(channel, acks);
    return acks;
  }

  /** Commits offsets of a group, as the member that a consumer is, up to and including a message or as offsets say. A group by its name has to have no members. */
  commitOffsets(of: GroupConsumer | string, offsets: Message | readonly TransactionOffset[]): void {
    this.check();
    const isMember = of instanceof GroupConsumer;
    const group = isMember ? of.group : of;
    const member = isMember ? (of.member ?? undefined) : undefined;
    const generation = isMember ? of.generation : undefined;
    const known = this.groups.get(group);
    const entry = { group, member, generation, rows: known?.rows ?? new Map() };
    this.groups.set(group, entry);
    const list = "length" in offsets ? offsets : [{ ...placeOf(offsets), metadata: null }];
    for (const { topic, partition, offset, metadata } of list) {
      entry.rows.set(`${topic} ${partition}`, [topic, partition, offset, metadata ?? null]);
    }
  }

  private check(): void {
    if (this.isOver) throw clientError("transaction_not_found", "the transaction is over");
  }

  // -- What the commit asks -------------------------------------------------------

  /** Takes nothing more. */
  end(): void {
    this.isOver = true;
  }

  get topicNames(): Iterable<string> {
    return this.topics.keys();
  }

  /** The connection that it has to be committed on, where it acks something. Errors: unknown_delivery. */
  get session(): Session | null {
    let session: Session | null = null;
    for (const channel of this.acks.keys()) {
      const { place } = channel;
      if (!place || (session && place.session !== session)) {
        throw clientError("unknown_delivery", "a connection is gone, and the broker gives its messages again");
      }
      session = place.session;
    }
    return session;
  }

  /** All of it, in the order it is applied. */
  *parts(partitionsOf: (topic: string) => number): Iterable<Part> {
    yield* this.batches;
    for (const [topic, { records }] of this.topics) yield* this.topicParts(topic, records, partitionsOf(topic));
    for (const { exchange, mandatory, requireConsumer, records } of this.exchanges.values()) {
      for (const batch of batchesOf(records)) yield ["exchange", { exchange, mandatory, requireConsumer }, batch];
    }
    for (const [channel, { messages, ranges }] of this.acks) {
      const tags = [...ranges];
      for (const { tag } of messages) tags.push(tag, 1);
      yield ["ack", channel.place?.subscription, tags];
    }
    for (const { rows, ...rest } of this.groups.values()) yield ["offsets", { ...rest, offsets: [...rows.values()] }];
  }

  private *topicParts(topic: string, records: Publishes["records"], partitions: number): Iterable<Part> {
    const byPartition = new Map<number, Publishes["records"]>();
    // Records without a key stay together.
    const sticky = Math.floor(Math.random() * partitions);
    for (const entry of records) {
      const { partition, key } = entry.record;
      const isKeyless = key === null || key === undefined;
      const at = partition ?? (isKeyless ? sticky : this.partitioner.partitionOf(key, partitions));
      const list = byPartition.get(at) ?? [];
      byPartition.set(at, list);
      list.push(entry);
    }
    for (const [partition, list] of byPartition) {
      for (const batch of batchesOf(list)) yield ["topic", topic, partition, batch];
    }
  }

  /** It was committed: what it acked is settled. */
  committed(): void {
    for (const [channel, { messages, count }] of this.acks) {
      for (const message of messages) message.isSettled = true;
      channel.settledElsewhere(count);
    }
  }
}

/** What is sent is what was given, whatever its buffer is used for before the commit. */
function copiedContent(content: Content): Content {
  return content instanceof Uint8Array ? content.slice() : content;
}

function copied(record: ProducerRecord): ProducerRecord {
  return { ...record, key: copiedContent(record.key), value: copiedContent(record.value) };
}

function placeOf({ topic, partition, offset }: Message): TransactionOffset {
  return { topic, partition, offset: offset + 1 };
}

function* batchesOf(records: Publishes["records"]): Iterable<Uint8Array> {
  const encoder = new BatchEncoder({ batchBytesMax: BATCH_BYTES_MAX, absoluteTimestamps: true });
  for (const { record, timestamp } of records) {
    if (encoder.append(timestamp, record.key, record.value, record.headers)) continue;
    yield finished(encoder);
    encoder.append(timestamp, record.key, record.value, record.headers);
  }
  yield finished(encoder);
}

function finished(encoder: BatchEncoder): Uint8Array {
  encoder.finish();
  const batch = encoder.batch().slice();
  encoder.reset();
  return batch;
}
