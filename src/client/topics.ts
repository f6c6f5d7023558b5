import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Topics: create, alter, describe, list, delete, and look offsets up. */

export type Durability = "memory" | "written" | "synced";

/** A topic's configuration; what is left out takes the server's default. */
export interface TopicConfig {
  /** -1 = no limit. */
  retentionMs?: number;
  /** Per partition; -1 = no limit. */
  retentionBytes?: number;
  compact?: boolean;
  tombstoneRetentionMs?: number;
  segmentBytes?: number;
  segmentMs?: number;
  /** The level at which records become visible. */
  durability?: Durability;
  messageBytesMax?: number;
  storage?: "log" | "memory";
  /** Per partition, for storage "memory". */
  memoryBytesMax?: number;
  timestampType?: "create" | "append";
  /** Who goes first where the broker has more to deliver than it can; for subscriptions from then on. Default "normal". */
  deliveryPriority?: "high" | "normal" | "low";
  /** Records must name a schema of the topic's subjects ("id"), and decode with it ("full"). Default "none". */
  schemaEnforce?: "none" | "id" | "full";
  /** The subjects: TOPIC-value ("topic"), the record's full name ("record"), or TOPIC-NAME ("topic_record"). */
  schemaStrategy?: "topic" | "record" | "topic_record";
}

export interface CreateTopicOptions extends TopicConfig {
  /** Default 1. */
  partitions?: number;
  /** True answers with the existing topic instead of topic_exists. */
  ifNotExists?: boolean;
}

export interface TopicSummary {
  name: string;
  partitions: number;
}

export interface AlteredTopic extends TopicSummary {
  config: TopicConfig;
}

export interface CreatedTopic extends AlteredTopic {
  /** False when it was there already (`ifNotExists`). */
  created: boolean;
}

/** A partition as TOPIC_DESCRIBE shows it. */
export interface PartitionState {
  partition: number;
  startOffset: number;
  nextOffset: number;
  highWatermark: number;
  bytes: number;
  segments: number;
  recordsIn: number;
  bytesIn: number;
  recordsOut: number;
  bytesOut: number;
  /** In ms; -1 for an empty partition. */
  lastTimestamp: number;
}

/** What the server tells of a topic; more fields may come. */
export interface TopicDescription extends AlteredTopic {
  createdMs: number;
  offsets: PartitionState[];
  [field: string]: unknown;
}

export interface ListTopicsOptions {
  pattern?: string;
  /** Topics a page; pages are fetched as the iteration goes on. */
  limit?: number;
  signal?: AbortSignal;
}

export type OffsetQuery = "earliest" | "latest" | { timestamp: number };

export interface PartitionOffset {
  partition: number;
  offset: number;
  /** Of the batch that holds the offset, in ms; null where there is none. */
  timestamp: number | null;
}

export class Topics {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** Errors: topic_exists, invalid_topic_name, invalid_config, limit_exceeded. */
  async create(name: string, options: CreateTopicOptions = {}, signal?: AbortSignal): Promise<CreatedTopic> {
    const { partitions = 1, ifNotExists = false, ...config } = options;
    const args = { name, partitions, config, ifNotExists };
    return (await this.client.ask(Op.TOPIC_CREATE, [args], signal)) as CreatedTopic;
  }

  /** Grows `partitions` or changes the configuration. Errors: topic_not_found, invalid_config. */
  async alter(
    name: string,
    change: TopicConfig & { partitions?: number },
    signal?: AbortSignal,
  ): Promise<AlteredTopic> {
    const { partitions, ...config } = change;
    const args = partitions === undefined ? { name, config } : { name, partitions, config };
    return (await this.client.ask(Op.TOPIC_ALTER, [args], signal)) as AlteredTopic;
  }

  /** Errors: topic_not_found. */
  async describe(name: string, signal?: AbortSignal): Promise<TopicDescription> {
    return (await this.client.ask(Op.TOPIC_DESCRIBE, [{ name }], signal)) as TopicDescription;
  }

  /** Errors: topic_not_found. */
  async delete(name: string, signal?: AbortSignal): Promise<void> {
    await this.client.ask(Op.TOPIC_DELETE, [{ name }], signal);
  }

  /** All topics, by name. */
  async list(options: ListTopicsOptions = {}): Promise<TopicSummary[]> {
    const { pattern, limit, signal } = options;
    const all: TopicSummary[] = [];
    for (let after: string | undefined; ;) {
      const args = { pattern, limit, after };
      const page = (await this.client.ask(Op.TOPIC_LIST, [args], signal)) as {
        topics: TopicSummary[];
        next?: string | null;
      };
      all.push(...page.topics);
      after = page.next ?? undefined;
      if (after === undefined) return all;
    }
  }

  /** Offsets of a topic's partitions: the first, the next, or that of a time. Errors: topic_not_found, partition_not_found. */
  async offsets(
    topic: string,
    at: OffsetQuery,
    options: { partitions?: number[]; signal?: AbortSignal } = {},
  ): Promise<PartitionOffset[]> {
    const args = { topic, partitions: options.partitions, at };
    const { offsets } = (await this.client.ask(Op.OFFSETS, [args], options.signal)) as {
      offsets: [partition: number, offset: number, timestamp: number | null][];
    };
    return offsets.map(([partition, offset, timestamp]) => ({ partition, offset, timestamp }));
  }
}
