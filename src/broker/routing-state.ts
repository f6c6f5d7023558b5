/** Exchanges, bindings, queues and spaces as the metadata log describes them: the part of the state that routing works by. */
import { createHash } from "node:crypto";
import {
  type BindingArguments,
  bindingIdentity,
  type DeadLetterGraph,
  type ExchangeConfig,
  type ExchangeKind,
  type QueueConfig,
  type Target,
} from "../routing/index.ts";
import { entityKey } from "./names.ts";
import type { StoredRecord } from "./record-batch.ts";

/** A namespace's journal and what hangs on it, made when the namespace declares its first exchange or queue. */
export interface Space {
  readonly namespace: string;
  readonly id: number;
  readonly journalLogId: number;
  readonly ackLogId: number;
  /** Offset of its record in the metadata log. */
  readonly version: number;
}

export interface Exchange {
  readonly namespace: string;
  readonly name: string;
  readonly id: number;
  readonly kind: ExchangeKind;
  readonly config: ExchangeConfig;
  readonly alternateId: number | null;
  readonly createdMs: number;
}

export interface Queue {
  readonly namespace: string;
  readonly name: string;
  readonly id: number;
  readonly config: QueueConfig;
  readonly deadLetterExchange: number | null;
  /** The connection that an exclusive queue belongs to. */
  readonly owner: string | null;
  /** The principal that created it, for its quota; absent in records of before. */
  readonly createdBy?: string;
  readonly createdMs: number;
}

export interface Binding {
  readonly namespace: string;
  readonly exchangeId: number;
  readonly target: Target;
  readonly key: string;
  readonly arguments: BindingArguments;
}

export type RoutingEvent = { readonly namespace: string; readonly offset: number } & (
  | { readonly type: "space_opened"; readonly space: Space }
  | { readonly type: "exchange_put"; readonly exchange: Exchange }
  | { readonly type: "exchange_deleted"; readonly exchange: Exchange }
  | { readonly type: "queue_put"; readonly queue: Queue }
  | { readonly type: "queue_deleted"; readonly queue: Queue }
  | { readonly type: "bound" | "unbound"; readonly binding: Binding }
);

/** A record of the metadata log as it is written. */
export interface MetadataChange {
  readonly key: string;
  readonly value: unknown;
}

const ENTITY_COUNTER_KEY = entityKey("counter", "entityId");
const NONE: ReadonlySet<string> = new Set();

export function exchangeKey(namespace: string, name: string): string {
  return entityKey("exchange", namespace, name);
}

export function queueKey(namespace: string, name: string): string {
  return entityKey("queue", namespace, name);
}

/** A binding has no name: what it is stands in its key, short however long its arguments are. */
export function bindingKey({ namespace, exchangeId, target, key, arguments: args }: Binding): string {
  const identity = bindingIdentity(target, { key, arguments: args });
  const digest = createHash("sha256").update(identity).digest("hex").slice(0, 32);
  return entityKey("binding", namespace, exchangeId, digest);
}

export class RoutingState {
  #lastEntityId = 0;
  readonly #spaces = new Map<string, Space>();
  readonly #exchanges = new Map<string, Exchange>();
  readonly #exchangesById = new Map<number, Exchange>();
  readonly #queues = new Map<string, Queue>();
  readonly #queuesById = new Map<number, Queue>();
  /** Those that go when nobody uses them, so that looking for them does not mean looking at all. */
  readonly #expiring = new Map<number, Queue>();
  readonly #bindings = new Map<string, Binding>();
  /** Keys of bindings by the exchange they belong to, and by what they lead to. */
  readonly #bindingsOf = new Index();
  readonly #bindingsTo = new Index();

  get nextEntityId(): number {
    return this.#lastEntityId + 1;
  }

  get exchangeCount(): number {
    return this.#exchanges.size;
  }

  get queueCount(): number {
    return this.#queues.size;
  }

  get bindingCount(): number {
    return this.#bindings.size;
  }

  space(namespace: string): Space | undefined {
    return this.#spaces.get(namespace);
  }

  spaces(): IterableIterator<Space> {
    return this.#spaces.values();
  }

  exchange(namespace: string, name: string): Exchange | undefined {
    return this.#exchanges.get(exchangeKey(namespace, name));
  }

  exchangeById(id: number): Exchange | undefined {
    return this.#exchangesById.get(id);
  }

  exchanges(): IterableIterator<Exchange> {
    return this.#exchanges.values();
  }

  queue(namespace: string, name: string): Queue | undefined {
    return this.#queues.get(queueKey(namespace, name));
  }

  queueById(id: number): Queue | undefined {
    return this.#queuesById.get(id);
  }

  queues(): IterableIterator<Queue> {
    return this.#queues.values();
  }

  /** Queues with `expiresMs`. */
  expiringQueues(): IterableIterator<Queue> {
    return this.#expiring.values();
  }

  binding(key: string): Binding | undefined {
    return this.#bindings.get(key);
  }

  bindings(): IterableIterator<Binding> {
    return this.#bindings.values();
  }

  bindingCountOf(exchangeId: number): number {
    return this.#bindingsOf.at(exchangeId).size;
  }

  *bindingsOf(exchangeId: number): IterableIterator<Binding> {
    for (const key of this.#bindingsOf.at(exchangeId)) yield this.#bindings.get(key) as Binding;
  }

  *bindingsTo(target: Target): IterableIterator<Binding> {
    for (const key of this.#bindingsTo.at(targetKey(target))) yield this.#bindings.get(key) as Binding;
  }

  /** What the search for dead-letter loops sees, with a queue or a binding that is not there yet. */
  graph(namespace: string, coming: { queue?: Queue; binding?: Binding }): DeadLetterGraph {
    const { queue, binding } = coming;
    const bindingsOf = (id: number): Binding[] => {
      const found = [...this.bindingsOf(id)];
      return binding?.exchangeId === id ? [...found, binding] : found;
    };
    return {
      queue: (id) => (queue?.id === id ? queue : this.#queuesById.get(id)),
      queueIdByName: (name) => (queue?.name === name ? queue.id : this.queue(namespace, name)?.id),
      exchangeKind: (id) => this.#exchangesById.get(id)?.kind,
      bindingsOf,
    };
  }

  /** Applies a record; undefined for one that is none of routing's. */
  apply(record: StoredRecord): RoutingEvent[] | undefined {
    const { key } = record;
    if (key === ENTITY_COUNTER_KEY) {
      this.#raise((record.value as { value?: number } | null)?.value ?? 0);
      return [];
    }
    switch (key.slice(0, key.indexOf(" "))) {
      case "space":
        return this.#space(record);
      case "exchange":
        return this.#exchange(record);
      case "queue":
        return this.#queue(record);
      case "binding":
        return this.#binding(record);
      default:
        return undefined;
    }
  }

  #raise(id: number): void {
    this.#lastEntityId = Math.max(this.#lastEntityId, id);
  }

  #space({ value, offset }: StoredRecord): RoutingEvent[] {
    if (value === null) return [];
    const { namespace, id, journalLogId, ackLogId } = value as Space;
    const space: Space = { namespace, id, journalLogId, ackLogId, version: offset };
    this.#spaces.set(namespace, space);
    this.#raise(id);
    return [{ type: "space_opened", namespace, offset, space }];
  }

  #exchange({ key, value, offset }: StoredRecord): RoutingEvent[] {
    const previous = this.#exchanges.get(key);
    const events: RoutingEvent[] = [];
    if (previous !== undefined && previous.id !== (value as Exchange | null)?.id) {
      this.#exchanges.delete(key);
      this.#exchangesById.delete(previous.id);
      events.push({ type: "exchange_deleted", namespace: previous.namespace, offset, exchange: previous });
    }
    if (value === null) return events;
    const { namespace, name, id, kind, config, alternateId, createdMs } = value as Exchange;
    const exchange: Exchange = { namespace, name, id, kind, config, alternateId: alternateId ?? null, createdMs };
    this.#exchanges.set(key, exchange);
    this.#exchangesById.set(id, exchange);
    this.#raise(id);
    return [...events, { type: "exchange_put", namespace, offset, exchange }];
  }

  #queue({ key, value, offset }: StoredRecord): RoutingEvent[] {
    const previous = this.#queues.get(key);
    const events: RoutingEvent[] = [];
    if (previous !== undefined && previous.id !== (value as Queue | null)?.id) {
      this.#queues.delete(key);
      this.#queuesById.delete(previous.id);
      this.#expiring.delete(previous.id);
      events.push({ type: "queue_deleted", namespace: previous.namespace, offset, queue: previous });
    }
    if (value === null) return events;
    const { namespace, name, id, config, deadLetterExchange, owner, createdMs, createdBy } = value as Queue;
    const rest = { deadLetterExchange: deadLetterExchange ?? null, owner: owner ?? null, createdMs };
    const creator = createdBy === undefined ? {} : { createdBy };
    const queue: Queue = { namespace, name, id, config, ...rest, ...creator };
    this.#queues.set(key, queue);
    this.#queuesById.set(id, queue);
    if (config.expiresMs === undefined) this.#expiring.delete(id);
    else this.#expiring.set(id, queue);
    this.#raise(id);
    return [...events, { type: "queue_put", namespace, offset, queue }];
  }

  #binding({ key, value, offset }: StoredRecord): RoutingEvent[] {
    const previous = this.#bindings.get(key);
    if (value === null) {
      if (previous === undefined) return [];
      this.#bindings.delete(key);
      this.#bindingsOf.delete(previous.exchangeId, key);
      this.#bindingsTo.delete(targetKey(previous.target), key);
      return [{ type: "unbound", namespace: previous.namespace, offset, binding: previous }];
    }
    if (previous !== undefined) return [];
    const { namespace, exchangeId, target, key: routingKey, arguments: args } = value as Binding;
    const binding: Binding = { namespace, exchangeId, target, key: routingKey, arguments: args ?? null };
    this.#bindings.set(key, binding);
    this.#bindingsOf.add(exchangeId, key);
    this.#bindingsTo.add(targetKey(target), key);
    return [{ type: "bound", namespace, offset, binding }];
  }
}

function targetKey({ kind, id }: Target): string {
  return `${kind} ${id}`;
}

class Index {
  readonly #keys = new Map<string | number, Set<string>>();

  at(owner: string | number): ReadonlySet<string> {
    return this.#keys.get(owner) ?? NONE;
  }

  add(owner: string | number, key: string): void {
    const keys = this.#keys.get(owner);
    if (keys === undefined) this.#keys.set(owner, new Set([key]));
    else keys.add(key);
  }

  delete(owner: string | number, key: string): void {
    const keys = this.#keys.get(owner);
    keys?.delete(key);
    if (keys?.size === 0) this.#keys.delete(owner);
  }
}

// Records of the changes. `v` is the version of a record's form.

export function spaceRecord(space: Omit<Space, "version">): MetadataChange {
  return { key: entityKey("space", space.namespace), value: { type: "space", v: 1, ...space } };
}

export function exchangeRecord(exchange: Exchange): MetadataChange {
  return { key: exchangeKey(exchange.namespace, exchange.name), value: { type: "exchange", v: 1, ...exchange } };
}

export function queueRecord(queue: Queue): MetadataChange {
  return { key: queueKey(queue.namespace, queue.name), value: { type: "queue", v: 1, ...queue } };
}

export function bindingRecord(binding: Binding): MetadataChange {
  return { key: bindingKey(binding), value: { type: "binding", v: 1, ...binding } };
}

/** The highest id given, which the entities alone forget when the newest one is deleted. */
export function entityCounterRecord(value: number): MetadataChange {
  return { key: ENTITY_COUNTER_KEY, value: { type: "counter", v: 1, name: "entityId", value } };
}

export function tombstone(key: string): MetadataChange {
  return { key, value: null };
}

/** Tombstones of the bindings that lead to a target which goes. */
export function unboundRecords(state: RoutingState, target: Target): MetadataChange[] {
  return [...state.bindingsTo(target)].map((binding) => tombstone(bindingKey(binding)));
}
