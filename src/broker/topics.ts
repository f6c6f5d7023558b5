/** Topics: create, alter, describe, delete and list over the metadata log, and their logs in the engine. */
import { isMillraceError, MillraceError } from "../errors/index.ts";
import type { Engine, PartitionInfo } from "../log/engine.ts";
import type { MetadataLog } from "./metadata-log.ts";
import {
  counterRecord,
  type MetadataState,
  type Topic,
  type TopicEvent,
  topicRecord,
  topicTombstone,
} from "./metadata-state.ts";
import { nameFault } from "./names.ts";
import { checkRevision, revisionOf } from "./revision.ts";
import { compilePattern, patternFault } from "../stdx/index.ts";
import { checkQuotas } from "./quotas.ts";
import { unboundRecords } from "./routing-state.ts";
import {
  checkTopicConfig,
  logConfigOf,
  parseTopicConfig,
  settingsOf,
  type TopicConfig,
  type TopicDefaults,
  type TopicSettings,
} from "./topic-config.ts";

export interface TopicLimits extends TopicDefaults {
  readonly topicsMax: number;
  readonly partitionsPerTopicMax: number;
  readonly partitionsMax: number;
}

export interface TopicDescription {
  readonly name: string;
  readonly partitions: number;
  /** Every key with the value in force. */
  readonly config: TopicSettings;
  readonly createdMs: number;
  readonly revision: string;
  readonly offsets: readonly (PartitionInfo & { readonly partition: number })[];
}

export interface TopicFigures {
  readonly records: number;
  readonly bytes: number;
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly recordsOut: number;
  readonly bytesOut: number;
}

export interface TopicSummary {
  readonly name: string;
  readonly partitions: number;
}

const LIST_LIMIT_MAX = 10_000;

export class Topics {
  readonly #engine: Engine;
  readonly #metadata: MetadataLog;
  readonly #limits: TopicLimits;
  /** Log ids that this worker has opened. */
  readonly #open = new Set<number>();

  constructor(engine: Engine, metadata: MetadataLog, limits: TopicLimits) {
    this.#engine = engine;
    this.#metadata = metadata;
    this.#limits = limits;
  }

  /**
   * Opens the logs of all topics and removes logs that no topic has: a crash came between a delete and its unlinking.
   *
   * @param others ids of logs that belong to something else.
   */
  openAll(others: Iterable<number>): void {
    const used = new Set(others);
    for (const topic of this.#metadata.state.topics()) {
      this.#ensure(topic);
      used.add(topic.id);
    }
    for (const id of this.#engine.logIds()) {
      if (id >= 16 && !used.has(id)) this.#engine.deleteLog(id);
    }
  }

  /** Keeps the engine's logs in step with the metadata. A log that cannot be opened now is tried again when it is used. */
  apply(event: TopicEvent): void {
    this.#open.delete(event.topic.id);
    try {
      // All workers see the event; the first one deletes.
      if (event.type !== "topic_deleted") this.#ensure(event.topic);
      else if (this.#engine.logIds().includes(event.topic.id)) this.#engine.deleteLog(event.topic.id);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
    }
  }

  /** The topic, with its log open. @throws topic_not_found. */
  require(namespace: string, name: string): Topic {
    this.#metadata.catchUp();
    const topic = this.#metadata.state.topic(namespace, name);
    if (topic === undefined) throw notFound(name);
    this.#ensure(topic);
    return topic;
  }

  find(namespace: string, name: string): Topic | undefined {
    return this.#metadata.state.topic(namespace, name);
  }

  /** Topics of a namespace whose name matches, in no order. */
  matching(namespace: string, matches: (name: string) => boolean): Topic[] {
    this.#metadata.catchUp();
    const found: Topic[] = [];
    for (const topic of this.#metadata.state.topics()) {
      if (topic.namespace === namespace && matches(topic.name)) found.push(topic);
    }
    return found;
  }

  /**
   * Creates a topic.
   *
   * @returns true when it is new, false when it was there and `ifNotExists` is set.
   * @throws invalid_topic_name, invalid_config, invalid_argument (partitions), topic_exists, limit_exceeded, quota_exceeded.
   */
  async create(
    namespace: string,
    request: {
      name: string;
      partitions: number;
      config: Record<string, unknown>;
      ifNotExists: boolean;
      createdBy?: string;
    },
  ): Promise<boolean> {
    const { name, partitions } = request;
    const creator = request.createdBy === undefined ? {} : { createdBy: request.createdBy };
    const fault = nameFault(name);
    if (fault !== undefined) throw new MillraceError("invalid_topic_name", `"${printable(name)}": ${fault}`);
    this.#checkPartitions(partitions);
    const config = parseTopicConfig(request.config, this.#limits.messageBytesMax);
    checkTopicConfig(config, undefined);
    let created = false;
    await this.#metadata.change((state) => {
      created = false;
      if (state.topic(namespace, name) !== undefined) {
        if (request.ifNotExists) return [];
        throw new MillraceError("topic_exists", `the topic "${name}" exists`);
      }
      this.#checkRoom(state, 1, partitions);
      checkQuotas(state, "topicsMax", { namespace, ...creator });
      created = true;
      const id = state.nextLogId;
      const topic: Topic = { namespace, name, id, partitions, config, createdMs: this.#engine.now(), ...creator };
      return [topicRecord(topic), counterRecord(id)];
    });
    if (created) await this.#openOrUndo(namespace, name);
    return created;
  }

  /** Changes settings (null goes back to the broker's default) and adds partitions. */
  async alter(
    namespace: string,
    request: {
      name: string;
      partitions: number | undefined;
      config: Record<string, unknown>;
      revision?: string | undefined;
    },
  ): Promise<void> {
    const { name } = request;
    const unset = Object.keys(request.config).filter((key) => request.config[key] === null);
    const given = Object.fromEntries(Object.entries(request.config).filter(([, value]) => value !== null));
    const changes = parseTopicConfig(given, this.#limits.messageBytesMax);
    await this.#metadata.change((state) => {
      const topic = state.topic(namespace, name);
      if (topic === undefined) throw notFound(name);
      checkRevision(request.revision, topic, `the topic "${name}"`);
      const partitions = request.partitions ?? topic.partitions;
      this.#checkPartitions(partitions);
      if (partitions < topic.partitions) {
        throw new MillraceError(
          "invalid_argument",
          `partitions can grow, never shrink: "${name}" has ${topic.partitions}, ${partitions} were asked for`,
        );
      }
      this.#checkRoom(state, 0, partitions - topic.partitions);
      const config = withChanges(topic.config, changes, unset);
      checkTopicConfig(config, topic.config);
      return [topicRecord({ ...topic, partitions, config })];
    });
    this.require(namespace, name);
  }

  /** @param revision of the topic that is meant. @throws topic_not_found, revision_conflict. */
  async delete(namespace: string, name: string, revision?: string): Promise<void> {
    await this.#metadata.change((state) => {
      const topic = state.topic(namespace, name);
      if (topic === undefined) throw notFound(name);
      checkRevision(revision, topic, `the topic "${name}"`);
      const bound = unboundRecords(state.routing, { kind: "topic", id: topic.id });
      return [...bound, topicTombstone(topic)];
    });
  }

  describe(namespace: string, name: string): TopicDescription {
    const topic = this.require(namespace, name);
    const offsets = Array.from({ length: topic.partitions }, (_, partition) => ({
      partition,
      ...this.#engine.partition(topic.id, partition),
    }));
    const { partitions, createdMs } = topic;
    return { name, partitions, config: this.configOf(topic), createdMs, revision: revisionOf(topic), offsets };
  }

  /** Topics by name order. `after` is the last name of the page before; those that are not shown are left out. */
  list(
    namespace: string,
    request: {
      pattern: string | undefined;
      limit: number | undefined;
      after: string | undefined;
      isShown: (name: string) => boolean;
    },
  ): TopicSummary[] {
    const { pattern, after, isShown } = request;
    const fault = pattern === undefined ? undefined : patternFault(pattern);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `pattern: ${fault}`);
    const matches = pattern === undefined ? () => true : compilePattern(pattern);
    const found = this.matching(
      namespace,
      (name) => (after === undefined || name > after) && matches(name) && isShown(name),
    );
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    return found
      .slice(0, Math.min(request.limit ?? LIST_LIMIT_MAX, LIST_LIMIT_MAX))
      .map(({ name, partitions }) => ({ name, partitions }));
  }

  /** What a topic holds and what has flowed since the start, over all of its partitions. */
  figures(topic: Topic): TopicFigures {
    const sum = { records: 0, bytes: 0, recordsIn: 0, bytesIn: 0, recordsOut: 0, bytesOut: 0 };
    this.#ensure(topic);
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      const info = this.#engine.partition(topic.id, partition);
      // Offsets that compaction took count too.
      sum.records += info.highWatermark - info.startOffset;
      sum.bytes += info.bytes;
      sum.recordsIn += info.recordsIn;
      sum.bytesIn += info.bytesIn;
      sum.recordsOut += info.recordsOut;
      sum.bytesOut += info.bytesOut;
    }
    return sum;
  }

  /** The settings in force. */
  configOf(topic: Topic): TopicSettings {
    return settingsOf(topic.config, this.#limits);
  }

  /** @throws partition_not_found. */
  checkPartition(topic: Topic, partition: number): void {
    if (Number.isSafeInteger(partition) && partition >= 0 && partition < topic.partitions) return;
    throw new MillraceError(
      "partition_not_found",
      `the topic "${topic.name}" has partitions 0 to ${topic.partitions - 1}, not ${partition}`,
    );
  }

  #ensure(topic: Topic): void {
    if (this.#open.has(topic.id)) return;
    this.#engine.ensureLog(topic.id, topic.partitions, logConfigOf(topic.config, this.#limits));
    this.#open.add(topic.id);
  }

  /** A topic whose log cannot be created (a full disk) must not stay behind as a name that nothing works with. */
  async #openOrUndo(namespace: string, name: string): Promise<void> {
    try {
      this.require(namespace, name);
    } catch (error) {
      const gone = isMillraceError(error, "topic_not_found");
      if (!gone) await this.delete(namespace, name).catch(() => undefined);
      throw error;
    }
  }

  #checkPartitions(partitions: number): void {
    const max = this.#limits.partitionsPerTopicMax;
    if (Number.isSafeInteger(partitions) && partitions >= 1 && partitions <= max) return;
    throw new MillraceError(
      "invalid_argument",
      `partitions must be an integer from 1 to ${max}, not ${printable(partitions)}`,
    );
  }

  #checkRoom(state: MetadataState, topics: number, partitions: number): void {
    const { topicsMax, partitionsMax } = this.#limits;
    if (state.topicCount + topics > topicsMax) {
      throw new MillraceError("limit_exceeded", `the broker has its ${topicsMax} topics (topicsMax)`);
    }
    if (state.partitionCount + partitions > partitionsMax) {
      throw new MillraceError(
        "limit_exceeded",
        `this would pass the broker's ${partitionsMax} partitions (partitionsMax)`,
      );
    }
  }
}

function withChanges(config: TopicConfig, changes: TopicConfig, unset: string[]): TopicConfig {
  const merged: Record<string, unknown> = { ...config, ...changes };
  for (const key of unset) delete merged[key];
  return merged as TopicConfig;
}

function notFound(name: string): MillraceError {
  return new MillraceError("topic_not_found", `there is no topic "${printable(name)}"`);
}

function printable(value: unknown): string {
  return String(value).slice(0, 249);
}
