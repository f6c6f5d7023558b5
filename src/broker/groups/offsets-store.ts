/**
 * Committed offsets: one compacted internal log (id 2) for all groups. Each worker keeps the groups it owns in memory;
 * a commit is in the log before it is acknowledged. Commits of one tick go out as one batch.
 */
import type { Engine, LogConfig } from "../../log/engine.ts";
import { entityKey } from "../names.ts";
import { type LogRecord, RecordBatchCodec, type StoredRecord } from "../record-batch.ts";

export const OFFSETS_LOG_ID = 2;
const READ_BYTES = 4 * 1024 * 1024;

export interface CommittedOffset {
  readonly topic: string;
  /** A topic that was deleted and made anew has another id: commits of the old one do not count. */
  readonly topicId: number;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string | null;
  readonly committedMs: number;
}

interface OffsetRecord extends CommittedOffset {
  readonly type: "offset";
  readonly v: 1;
  readonly namespace: string;
  readonly group: string;
}

/** Offsets of a transaction that was decided. */
export interface DecidedOffsets {
  readonly namespace: string;
  readonly group: string;
  readonly offsets: readonly CommittedOffset[];
  /** Where the log stood then: what it has of these partitions from there on is theirs or newer. */
  readonly logOffset: number;
}

/** Offsets of one group by "topic partition". */
export type GroupOffsets = Map<string, CommittedOffset>;

interface Waiter {
  readonly records: readonly LogRecord[];
  resolve(): void;
  reject(error: unknown): void;
}

export class OffsetsStore {
  readonly #engine: Engine;
  readonly #codec = new RecordBatchCodec();
  readonly #groups = new Map<string, GroupOffsets>();
  #waiting: Waiter[] = [];

  constructor(engine: Engine, config: LogConfig) {
    this.#engine = engine;
    engine.ensureLog(OFFSETS_LOG_ID, 1, config);
  }

  /** Reads the whole log; keeps the groups for which `owns` is true. */
  replay(owns: (namespace: string, group: string) => boolean): void {
    this.#each((record) => {
      const [, namespace, group, topic, partition] = record.key.split(" ");
      if (namespace === undefined || group === undefined || !owns(namespace, group)) return;
      const entry = `${topic} ${partition}`;
      if (record.value === null) this.#forget(namespace, group, entry);
      else this.#remember(namespace, group, entry, record.value as OffsetRecord);
    });
  }

  #each(visit: (record: StoredRecord) => void): void {
    let offset = this.#engine.partition(OFFSETS_LOG_ID, 0).startOffset;
    while (offset < this.#engine.partition(OFFSETS_LOG_ID, 0).highWatermark) {
      const { records, nextOffset } = this.#codec.decode(this.#engine.read(OFFSETS_LOG_ID, 0, offset, READ_BYTES));
      if (nextOffset <= offset) break;
      offset = nextOffset;
      for (const record of records) visit(record);
    }
  }

  /** Where the next commit will stand in the log. */
  nextOffset(): number {
    return this.#engine.partition(OFFSETS_LOG_ID, 0).nextOffset;
  }

  /**
   * Commits offsets of transactions that were decided before a crash, unless the log has them already. Only before
   * `replay`: it changes nothing in memory.
   *
   * @param touched notes that the log has to be synced.
   */
  recover(commits: readonly DecidedOffsets[], touched: Map<string, readonly [logId: number, partition: number]>): void {
    if (commits.length === 0) return;
    touched.set(`${OFFSETS_LOG_ID} 0`, [OFFSETS_LOG_ID, 0]);
    const latest = new Map<string, number>();
    this.#each((record) => latest.set(record.key, record.offset));
    for (const { namespace, group, offsets, logOffset } of commits) {
      const missing = offsets.filter((offset) => (latest.get(offsetKey(namespace, group, offset)) ?? -1) < logOffset);
      if (missing.length === 0) continue;
      const records = missing.map((offset) => offsetRecord(namespace, group, offset));
      const base = this.#engine.append(OFFSETS_LOG_ID, 0, this.#codec.encode(records, this.#engine.now()), -1);
      for (const [index, { key }] of records.entries()) latest.set(key, base + index);
    }
  }

  /** Groups with offsets, as [namespace, group]. */
  groups(): [namespace: string, group: string][] {
    return [...this.#groups.keys()].map((key) => key.split(" ") as [string, string]);
  }

  of(namespace: string, group: string): GroupOffsets {
    return this.#groups.get(entityKey(namespace, group)) ?? new Map();
  }

  /** Resolves when the offsets are in the log, at the log's durability. */
  async commit(namespace: string, group: string, offsets: readonly CommittedOffset[]): Promise<void> {
    await this.#append(offsets.map((offset) => offsetRecord(namespace, group, offset)));
    for (const offset of offsets) this.#remember(namespace, group, `${offset.topic} ${offset.partition}`, offset);
  }

  /** Forgets offsets for good. */
  async remove(namespace: string, group: string, offsets: readonly CommittedOffset[]): Promise<void> {
    await this.#append(offsets.map((offset) => ({ key: offsetKey(namespace, group, offset), value: null })));
    for (const offset of offsets) this.#forget(namespace, group, `${offset.topic} ${offset.partition}`);
  }

  #append(records: readonly LogRecord[]): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#flush());
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const records = waiting.flatMap((waiter) => waiter.records);
    try {
      this.#engine.append(OFFSETS_LOG_ID, 0, this.#codec.encode(records, this.#engine.now()), -1);
      for (const waiter of waiting) waiter.resolve();
    } catch (error) {
      for (const waiter of waiting) waiter.reject(error);
    }
  }

  #remember(namespace: string, group: string, entry: string, value: CommittedOffset): void {
    const { topic, topicId, partition, offset, metadata, committedMs } = value;
    const key = entityKey(namespace, group);
    const offsets = this.#groups.get(key) ?? new Map<string, CommittedOffset>();
    offsets.set(entry, { topic, topicId, partition, offset, metadata, committedMs });
    this.#groups.set(key, offsets);
  }

  #forget(namespace: string, group: string, entry: string): void {
    const key = entityKey(namespace, group);
    const offsets = this.#groups.get(key);
    if (offsets === undefined) return;
    offsets.delete(entry);
    if (offsets.size === 0) this.#groups.delete(key);
  }
}

function offsetRecord(namespace: string, group: string, offset: CommittedOffset): LogRecord {
  const value: OffsetRecord = { type: "offset", v: 1, namespace, group, ...offset };
  return { key: offsetKey(namespace, group, offset), value };
}

function offsetKey(namespace: string, group: string, offset: CommittedOffset): string {
  return entityKey("offset", namespace, group, offset.topic, offset.partition);
}
