/**
 * Which records topics and queues take: their settings `schemaEnforce` and `schemaStrategy` with what the registry has,
 * told to the core, which looks at every record.
 */
import { isMillraceError, type MillraceError } from "../errors/index.ts";
import type { Engine, RecordTaker, SchemaEnforce } from "../log/engine.ts";
import {
  compileAvro,
  type Schema,
  SchemaReader,
  splitSubject,
  subjectFor,
  type SubjectStrategy,
} from "../schema/index.ts";
import type { MetadataLog } from "./metadata-log.ts";
import type { MetadataEvent, Topic } from "./metadata-state.ts";
import type { Queue } from "./routing-state.ts";

/** A topic or queue that enforces schemas. */
interface Taker {
  readonly kind: RecordTaker;
  /** Of the topic's log, or of the queue. */
  readonly id: number;
  readonly mode: SchemaEnforce;
  readonly namespace: string;
  readonly name: string;
  readonly strategy: SubjectStrategy;
}

/** Takers of the same ids: the strategy and what of their names it looks at are the same. */
interface Group {
  readonly takers: Map<string, Taker>;
  readonly ids: Set<number>;
}

export class Enforcements {
  readonly #engine: Engine;
  readonly #metadata: MetadataLog;
  readonly #reader: SchemaReader;
  readonly #onFailure: (schema: Schema, error: MillraceError) => void;
  readonly #groups = new Map<string, Group>();
  /** Keys of the groups that takers are in. */
  readonly #groupOf = new Map<string, string>();

  /** @param onFailure hears of schemas that the core does not take; records of them are refused. */
  constructor(engine: Engine, metadata: MetadataLog, onFailure: (schema: Schema, error: MillraceError) => void) {
    this.#engine = engine;
    this.#metadata = metadata;
    this.#reader = new SchemaReader(metadata.state.schemas);
    this.#onFailure = onFailure;
  }

  /** After the replay: tells the core of everything. Subjects are gone through once, however many takers there are. */
  openAll(): void {
    const { state } = this.#metadata;
    for (const topic of state.topics()) this.#enter(takerOfTopic(topic));
    for (const queue of state.routing.queues()) this.#enter(takerOfQueue(queue));
    if (this.#groups.size === 0) return;
    for (const subject of state.schemas.subjects()) {
      for (const { id } of state.schemas.liveVersions(subject)) {
        for (const key of this.#groupKeysOf(subject, id)) this.#groups.get(key)?.ids.add(id);
      }
    }
    for (const group of this.#groups.values()) for (const taker of group.takers.values()) this.#tell(taker, group);
  }

  /** Keeps the core in step with the metadata; the change counts when the call returns. */
  apply(event: MetadataEvent): void {
    switch (event.type) {
      case "topic_created":
      case "topic_altered":
        this.#put(takerOfTopic(event.topic));
        return;
      case "topic_deleted":
        this.#forget(takerOfTopic(event.topic));
        return;
      case "queue_put":
        this.#put(takerOfQueue(event.queue));
        return;
      case "queue_deleted":
        this.#forget(takerOfQueue(event.queue));
        return;
      case "schema_version_put":
      case "schema_version_removed":
        this.#onVersion(event.version.id);
        return;
      case "schema_removed":
        this.#engine.schemaRemove(event.schema.id);
        return;
      default:
    }
  }

  /** Hands the core a schema, if it has not got it. Of other types than Avro it has none. */
  provide(id: number): void {
    const schema = this.#metadata.state.schemas.schema(id);
    if (schema?.schemaType !== "AVRO" || this.#engine.schemaKnown(id)) return;
    try {
      const parsed = this.#reader.registered(schema);
      if (parsed.schemaType === "AVRO") this.#engine.schemaPut(id, compileAvro(parsed.avro.type));
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      this.#onFailure(schema, error);
    }
  }

  #put(taker: Taker): void {
    const before = this.#groupOf.get(nameOf(taker));
    this.#leave(taker);
    if (taker.mode === "none") {
      if (before !== undefined) this.#engine.enforce(taker.kind, taker.id, this.#version, "none", []);
      return;
    }
    const isNew = !this.#groups.has(groupKeyOf(taker));
    const group = this.#enter(taker);
    if (group === undefined) return;
    if (isNew) {
      const { namespace, name, strategy } = taker;
      for (const id of this.#metadata.state.schemas.allowedIds(namespace, name, strategy)) group.ids.add(id);
    }
    this.#tell(taker, group);
  }

  #forget(taker: Taker): void {
    this.#leave(taker);
    this.#engine.enforceNoMore(taker.kind, taker.id);
  }

  #enter(taker: Taker): Group | undefined {
    if (taker.mode === "none") return undefined;
    const key = groupKeyOf(taker);
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = { takers: new Map(), ids: new Set() }));
    group.takers.set(nameOf(taker), taker);
    this.#groupOf.set(nameOf(taker), key);
    return group;
  }

  #leave(taker: Taker): void {
    const name = nameOf(taker);
    const key = this.#groupOf.get(name);
    if (key === undefined) return;
    this.#groupOf.delete(name);
    const takers = this.#groups.get(key)?.takers;
    takers?.delete(name);
    if (takers?.size === 0) this.#groups.delete(key);
  }

  /** A schema has got a version more or less: it may be of other groups now. */
  #onVersion(id: number): void {
    const { schemas } = this.#metadata.state;
    const live = schemas.versionsOf(id).filter(({ deleted }) => !deleted);
    const keys = new Set(live.flatMap(({ subject }) => this.#groupKeysOf(subject, id)));
    for (const [key, group] of this.#groups) {
      if (group.ids.has(id) === keys.has(key)) continue;
      if (keys.has(key)) group.ids.add(id);
      else group.ids.delete(id);
      for (const taker of group.takers.values()) this.#tell(taker, group);
    }
  }

  #tell({ kind, id, mode }: Taker, { ids }: Group): void {
    if (mode === "full") for (const id of ids) this.provide(id);
    this.#engine.enforce(kind, id, this.#version, mode, [...ids]);
  }

  /** Says to the core which of two changes is the later one, whichever worker tells it first. */
  get #version(): number {
    return this.#metadata.state.appliedOffset;
  }

  /** The groups whose takers take a schema because it is registered under this subject. */
  #groupKeysOf(subject: string, id: number): string[] {
    const keys = [groupKey("topic", subject)];
    const fullName = this.#metadata.state.schemas.schema(id)?.fullName ?? null;
    if (fullName === null) return keys;
    const { namespace, name } = splitSubject(subject);
    if (name === fullName) keys.push(groupKey("record", namespace));
    if (name.endsWith(`-${fullName}`))
      keys.push(groupKey("topic_record", namespace, name.slice(0, -fullName.length - 1)));
    return keys;
  }
}

function takerOfTopic({ namespace, name, id, config }: Topic): Taker {
  const { schemaEnforce: mode = "none", schemaStrategy: strategy = "topic" } = config;
  return { kind: "topic", id, mode, namespace, name, strategy };
}

function takerOfQueue({ namespace, name, id, config }: Queue): Taker {
  const { schemaEnforce: mode = "none", schemaStrategy: strategy = "topic" } = config;
  return { kind: "queue", id, mode, namespace, name, strategy };
}

function nameOf({ kind, id }: Taker): string {
  return `${kind} ${id}`;
}

function groupKeyOf({ namespace, name, strategy }: Taker): string {
  switch (strategy) {
    case "topic":
      return groupKey("topic", subjectFor(strategy, { namespace, name, fullName: null }) ?? "");
    case "record":
      return groupKey("record", namespace);
    case "topic_record":
      return groupKey("topic_record", namespace, name);
  }
}

function groupKey(...parts: [SubjectStrategy, ...string[]]): string {
  return JSON.stringify(parts);
}
