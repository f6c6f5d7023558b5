import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";
import { GroupConsumer, type GroupConsumerOptions } from "./group-consumer.ts";

/** Consumer groups: joining one, and looking after its offsets. */

export interface GroupOffset {
  topic: string;
  partition: number;
  offset: number;
  metadata: string | null;
  /** Messages behind the committed offset. */
  lag: number;
  /** Age of the committed record's successor in ms, where it is known. */
  lagMs: number | null;
}

/** What the server tells of a group; more fields may come. */
export interface GroupDescription {
  group: string;
  [field: string]: unknown;
}

export type ResetTarget = "earliest" | "latest" | { offset: number } | { timestamp: number };

export class Group {
  readonly name: string;
  private readonly client: Client;

  constructor(client: Client, name: string) {
    this.client = client;
    this.name = name;
  }

  /** Joins the group and reads the partitions that it assigns. Iterate the result. */
  consume(topics: string | readonly string[], options: GroupConsumerOptions = {}): GroupConsumer {
    const names = typeof topics === "string" ? [topics] : [...topics];
    const consumer = new GroupConsumer(this.client, this.client.nextNumber(), this.name, names, options);
    this.client.addSubscription(consumer.number, consumer);
    return consumer;
  }

  /** Errors: group_not_found. */
  async describe(signal?: AbortSignal): Promise<GroupDescription> {
    return (await this.client.ask(Op.GROUP_DESCRIBE, [{ group: this.name }], signal)) as GroupDescription;
  }

  /** The committed offsets with their lag. Errors: group_not_found. */
  async offsets(signal?: AbortSignal): Promise<GroupOffset[]> {
    const { offsets } = (await this.client.ask(Op.GROUP_OFFSETS, [{ group: this.name }], signal)) as {
      offsets: [string, number, number, string | null, number, number | null][];
    };
    return offsets.map(([topic, partition, offset, metadata, lag, lagMs]) => {
      return { topic, partition, offset, metadata, lag, lagMs };
    });
  }

  /** Commits offsets without being a member. Errors: group_not_empty when it has members. */
  async commit(
    offsets: readonly { topic: string; partition: number; offset: number; metadata?: string | null }[],
    signal?: AbortSignal,
  ): Promise<void> {
    const rows = offsets.map(({ topic, partition, offset, metadata }) => [topic, partition, offset, metadata ?? null]);
    await this.client.ask(Op.COMMIT, [{ group: this.name, offsets: rows }], signal);
  }

  /** Moves the committed offsets of a group without members. Errors: group_not_empty, topic_not_found. */
  async reset(
    topic: string,
    to: ResetTarget,
    options: { partitions?: number[]; signal?: AbortSignal } = {},
  ): Promise<unknown> {
    const args = { group: this.name, topic, partitions: options.partitions, to };
    return this.client.ask(Op.GROUP_RESET, [args], options.signal);
  }

  /** Errors: group_not_found, group_not_empty. */
  async delete(signal?: AbortSignal): Promise<void> {
    await this.client.ask(Op.GROUP_DELETE, [{ group: this.name }], signal);
  }
}

export class Groups {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** The groups of the namespace. */
  async list(signal?: AbortSignal): Promise<GroupDescription[]> {
    const { groups } = (await this.client.ask(Op.GROUP_LIST, [{}], signal)) as { groups: GroupDescription[] };
    return groups;
  }
}
