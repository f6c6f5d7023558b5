/** The state that the metadata log describes: a pure machine that applies records in order. */
import type { StoredRecord } from "./record-batch.ts";
import { entityKey } from "./names.ts";
import { NamespaceState } from "./namespace-state.ts";
import { type QuotaEvent, QuotaState } from "./quotas.ts";
import { type RoutingEvent, RoutingState } from "./routing-state.ts";
import { type SchemaEvent, SchemaState } from "../schema/index.ts";
import { type ScheduleEvent, ScheduleState } from "./schedule-state.ts";
import type { TopicConfig } from "./topic-config.ts";
import { type TransformEvent, TransformState } from "./transform-state.ts";

export interface Topic {
  readonly namespace: string;
  readonly name: string;
  /** Id of the topic's log; never given twice. */
  readonly id: number;
  readonly partitions: number;
  readonly config: TopicConfig;
  readonly createdMs: number;
  /** The principal that created it, for its quota; absent in records of before. */
  readonly createdBy?: string;
}

/** Value of a topic's record. `v` is the version of the record's form. */
interface TopicRecord {
  type: "topic";
  v: 1;
  namespace: string;
  name: string;
  id: number;
  partitions: number;
  config: TopicConfig;
  createdMs: number;
  createdBy?: string;
}

/** Remembers the highest log id given, which the topics alone forget when the newest one is deleted. */
interface CounterRecord {
  type: "counter";
  v: 1;
  name: "logId";
  value: number;
}

export type MetadataRecord = TopicRecord | CounterRecord;

export type TopicEvent =
  | { readonly type: "topic_created"; readonly topic: Topic }
  | { readonly type: "topic_altered"; readonly topic: Topic; readonly previous: Topic }
  | { readonly type: "topic_deleted"; readonly topic: Topic };

export type MetadataEvent = TopicEvent | RoutingEvent | SchemaEvent | QuotaEvent | ScheduleEvent | TransformEvent;

export function isTopicEvent(event: MetadataEvent): event is TopicEvent {
  return "topic" in event;
}

export function isRoutingEvent(event: MetadataEvent): event is RoutingEvent {
  return "offset" in event;
}

export function isQuotaEvent(event: MetadataEvent): event is QuotaEvent {
  return event.type === "quota_changed";
}

export function isScheduleEvent(event: MetadataEvent): event is ScheduleEvent {
  return event.type === "schedule_changed";
}

export function isSchemaEvent(event: MetadataEvent): event is SchemaEvent {
  return event.type.startsWith("schema_");
}

export function isTransformEvent(event: MetadataEvent): event is TransformEvent {
  return event.type.startsWith("transform_");
}

export const LOG_ID_FIRST = 16;
const COUNTER_KEY = entityKey("counter", "logId");

export function topicKey(namespace: string, name: string): string {
  return entityKey("topic", namespace, name);
}

export class MetadataState {
  /** Offset of the next record to apply. */
  appliedOffset = 0;
  /** Exchanges, bindings and queues. */
  readonly routing = new RoutingState();
  /** Schemas, their subjects, settings and modes. */
  readonly schemas = new SchemaState();
  readonly namespaces = new NamespaceState();
  readonly quotas = new QuotaState();
  readonly schedules = new ScheduleState();
  readonly transforms = new TransformState();
  #lastLogId = LOG_ID_FIRST - 1;
  readonly #topics = new Map<string, Topic>();
  #partitions = 0;

  get nextLogId(): number {
    return this.#lastLogId + 1;
  }

  get topicCount(): number {
    return this.#topics.size;
  }

  /** Partitions of all topics together. */
  get partitionCount(): number {
    return this.#partitions;
  }

  topic(namespace: string, name: string): Topic | undefined {
    return this.#topics.get(topicKey(namespace, name));
  }

  topics(): IterableIterator<Topic> {
    return this.#topics.values();
  }

  /** Applies the next record. Records of unknown types are passed over: a newer broker may have written them. */
  apply(record: StoredRecord): MetadataEvent[] {
    if (record.key === COUNTER_KEY) {
      const value = (record.value as CounterRecord | null)?.value ?? 0;
      this.#lastLogId = Math.max(this.#lastLogId, value);
      return [];
    }
    if (!record.key.startsWith("topic ")) return this.#applyOther(record);
    return record.value === null ? this.#delete(record.key) : this.#put(record.key, record.value as TopicRecord);
  }

  #applyOther(record: StoredRecord): MetadataEvent[] {
    const events = this.routing.apply(record);
    if (events === undefined) {
      for (const part of [this.schemas, this.quotas, this.schedules, this.transforms, this.namespaces]) {
        const applied = part.apply(record);
        if (applied !== undefined) return applied;
      }
      return [];
    }
    for (const event of events) {
      if (event.type === "space_opened")
        this.#lastLogId = Math.max(this.#lastLogId, event.space.journalLogId, event.space.ackLogId);
    }
    return events;
  }

  #put(key: string, record: TopicRecord): MetadataEvent[] {
    const { namespace, name, id, partitions, config, createdMs, createdBy } = record;
    const creator = createdBy === undefined ? {} : { createdBy };
    const topic: Topic = { namespace, name, id, partitions, config, createdMs, ...creator };
    const previous = this.#topics.get(key);
    const events: MetadataEvent[] = [];
    if (previous !== undefined && previous.id !== id) events.push(...this.#delete(key));
    this.#topics.set(key, topic);
    this.#lastLogId = Math.max(this.#lastLogId, id);
    if (previous !== undefined && previous.id === id) {
      this.#partitions += partitions - previous.partitions;
      events.push({ type: "topic_altered", topic, previous });
    } else {
      this.#partitions += partitions;
      events.push({ type: "topic_created", topic });
    }
    return events;
  }

  #delete(key: string): MetadataEvent[] {
    const topic = this.#topics.get(key);
    if (topic === undefined) return [];
    this.#topics.delete(key);
    this.#partitions -= topic.partitions;
    return [{ type: "topic_deleted", topic }];
  }
}

/** Record of a topic as it is after a change. */
export function topicRecord(topic: Topic): { key: string; value: MetadataRecord } {
  return { key: topicKey(topic.namespace, topic.name), value: { type: "topic", v: 1, ...topic } };
}

export function counterRecord(value: number): { key: string; value: MetadataRecord } {
  return { key: COUNTER_KEY, value: { type: "counter", v: 1, name: "logId", value } };
}

export function topicTombstone(topic: Topic): { key: string; value: null } {
  return { key: topicKey(topic.namespace, topic.name), value: null };
}
