/** Exchanges and bindings: declared, deleted, bound, unbound and listed, over the metadata log. */
import { MillraceError } from "../errors/index.ts";
import {
  checkBinding,
  checkDeadLetterLoop,
  checkSameExchange,
  DEFAULT_EXCHANGE_ID,
  DEFAULT_EXCHANGE_NAME,
  defaultExchangeFault,
  type ExchangeConfig,
  type ExchangeKind,
  parseBinding,
  parseExchangeConfig,
  parseExchangeKind,
  type Target,
  type TargetKind,
} from "../routing/index.ts";
import { checkName, type Definitions, exchangeId, requireExchange, requireQueue } from "./definitions.ts";
import type { MetadataState } from "./metadata-state.ts";
import {
  type Binding,
  bindingKey,
  bindingRecord,
  entityCounterRecord,
  type Exchange,
  exchangeKey,
  exchangeRecord,
  tombstone,
  unboundRecords,
} from "./routing-state.ts";
import { type RouteTrace, traceRoute } from "./route-trace.ts";
import { spaceRecords } from "./spaces.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface ExchangeSummary {
  readonly name: string;
  readonly type: ExchangeKind;
  readonly config: ExchangeConfig;
  /** How many bindings it has. */
  readonly bindings: number;
  readonly createdMs: number;
}

/** A binding as requests name it: the target by its name, under the field of its kind. */
export interface BindingRequest {
  readonly exchange: string;
  readonly target: { readonly kind: TargetKind; readonly name: string };
  /** `key`, `match`, `headers` and `where` are read from these. */
  readonly fields: Fields;
}

export type BindingRow = { readonly exchange: string; readonly key: string } & Fields;

const BINDINGS_PER_PAGE = 5_000;

export class Exchanges {
  readonly #definitions: Definitions;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /**
   * Declares an exchange.
   *
   * @returns true when it is new, false when it was there, alike.
   * @throws invalid_topic_name, invalid_argument (type), invalid_config, argument_mismatch, exchange_exists (without
   *   `ifNotExists`), exchange_not_found (the alternate), limit_exceeded.
   */
  async declare(
    namespace: string,
    request: { name: string; type: string; config: Fields; ifNotExists: boolean },
  ): Promise<boolean> {
    const { name } = request;
    checkName(name);
    const kind = parseExchangeKind(request.type);
    const config = parseExchangeConfig(kind, request.config);
    let created = false;
    await this.#definitions.change((state) => {
      created = false;
      const existing = state.routing.exchange(namespace, name);
      if (existing !== undefined) {
        checkSameExchange(name, existing, { kind, config });
        if (request.ifNotExists) return [];
        throw new MillraceError("exchange_exists", `the exchange "${name}" exists`);
      }
      this.#definitions.checkRoom(state.routing.exchangeCount, "exchangesMax");
      const { alternate } = config;
      const alternateId = alternate === undefined ? null : exchangeId(state, namespace, alternate);
      created = true;
      const { records, entityId: id } = spaceRecords(state, namespace);
      const createdMs = this.#definitions.engine.now();
      const exchange: Exchange = { namespace, name, id, kind, config, alternateId, createdMs };
      return [...records, exchangeRecord(exchange), entityCounterRecord(id)];
    });
    return created;
  }

  /** @throws exchange_not_found; in_use when queues or exchanges name it, or with `ifUnused` when it has bindings. */
  async delete(namespace: string, name: string, ifUnused: boolean): Promise<void> {
    await this.#definitions.change((state) => {
      const exchange = requireExchange(state, namespace, name);
      const user = userOf(state, exchange.id);
      if (user !== undefined) throw inUse(name, `${user} names it`);
      const own = [...state.routing.bindingsOf(exchange.id)];
      if (ifUnused && own.length > 0) throw inUse(name, `it has ${own.length} bindings`);
      return [
        ...own.map((binding) => tombstone(bindingKey(binding))),
        ...unboundRecords(state.routing, { kind: "exchange", id: exchange.id }),
        tombstone(exchangeKey(namespace, name)),
      ];
    });
  }

  /** By name. */
  list(namespace: string): ExchangeSummary[] {
    const { routing } = this.#definitions.state;
    const found: ExchangeSummary[] = [];
    for (const exchange of routing.exchanges()) {
      if (exchange.namespace !== namespace) continue;
      const { name, kind: type, config, id, createdMs } = exchange;
      found.push({ name, type, config, bindings: routing.bindingCountOf(id), createdMs });
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The exchange that a publisher names. @throws exchange_not_found; unauthorized for an internal one. */
  requirePublishable(namespace: string, name: string): { id: number; spaceId: number; journalLogId: number } {
    const { state } = this.#definitions;
    const space = state.routing.space(namespace);
    if (name !== DEFAULT_EXCHANGE_NAME) {
      const { id, config } = requireExchange(state, namespace, name);
      if (config.internal === true) {
        throw new MillraceError("unauthorized", `the exchange "${name}" is internal: only exchanges publish to it`);
      }
      if (space !== undefined) return { id, spaceId: space.id, journalLogId: space.journalLogId };
    }
    if (space === undefined) {
      throw new MillraceError("exchange_not_found", `the namespace "${namespace}" has no exchange and no queue yet`);
    }
    return { id: DEFAULT_EXCHANGE_ID, spaceId: space.id, journalLogId: space.journalLogId };
  }

  /**
   * Binds.
   *
   * @returns false when the binding was there.
   * @throws exchange_not_found, queue_not_found, topic_not_found, invalid_argument, routing_cycle, dead_letter_loop,
   *   bad_expression, limit_exceeded.
   */
  async bind(namespace: string, request: BindingRequest): Promise<boolean> {
    let created = false;
    await this.#definitions.change((state) => {
      created = false;
      const binding = this.#resolve(state, namespace, request);
      if (state.routing.binding(bindingKey(binding)) !== undefined) return [];
      this.#definitions.checkRoom(state.routing.bindingCount, "bindingsMax");
      const { target } = binding;
      if (target.kind === "queue") checkDeadLetterLoop(state.routing.graph(namespace, { binding }), target.id);
      created = true;
      return [bindingRecord(binding)];
    });
    return created;
  }

  /** @throws as `bind`, and binding_not_found. */
  async unbind(namespace: string, request: BindingRequest): Promise<void> {
    await this.#definitions.change((state) => {
      const key = bindingKey(this.#resolve(state, namespace, request));
      if (state.routing.binding(key) === undefined) {
        const { exchange, target } = request;
        throw new MillraceError(
          "binding_not_found",
          `"${exchange}" has no such binding to the ${target.kind} "${target.name}"`,
        );
      }
      return [tombstone(key)];
    });
  }

  /** Where a message would go. @param record one record as a batch holds it. @throws exchange_not_found. */
  trace(namespace: string, name: string, record: Uint8Array): RouteTrace {
    return traceRoute(this.#definitions, namespace, name, record);
  }

  #resolve(state: MetadataState, namespace: string, request: BindingRequest): Binding {
    if (request.exchange === DEFAULT_EXCHANGE_NAME) throw defaultExchangeFault();
    const { id, name, kind } = requireExchange(state, namespace, request.exchange);
    const target = targetOf(state, namespace, request.target);
    checkBinding(id, name, target);
    const { key, arguments: args } = parseBinding(kind, request.fields);
    return { namespace, exchangeId: id, target, key, arguments: args };
  }

  /** Bindings of the namespace, of one exchange or to one queue. `next` is the `after` of the next page. */
  bindings(
    namespace: string,
    request: { exchange: string | undefined; queue: string | undefined; after: number },
  ): { bindings: BindingRow[]; next: number | null } {
    const { state } = this.#definitions;
    const { exchange, queue, after } = request;
    const from = exchange === undefined ? undefined : requireExchange(state, namespace, exchange).id;
    const to = queue === undefined ? undefined : requireQueue(state, namespace, queue).id;
    const { routing } = state;
    const all =
      from !== undefined
        ? routing.bindingsOf(from)
        : to !== undefined
          ? routing.bindingsTo({ kind: "queue", id: to })
          : routing.bindings();
    const isWanted = (binding: Binding): boolean =>
      binding.namespace === namespace && (to === undefined || isQueue(binding.target, to));
    const rows = [...all].filter(isWanted).slice(after, after + BINDINGS_PER_PAGE + 1);
    const names = topicNames(state, rows);
    const bindings = rows.slice(0, BINDINGS_PER_PAGE).map((binding) => rowOf(state, binding, names));
    return { bindings, next: rows.length > BINDINGS_PER_PAGE ? after + BINDINGS_PER_PAGE : null };
  }
}

function isQueue(target: Target, id: number): boolean {
  return target.kind === "queue" && target.id === id;
}

function inUse(name: string, why: string): MillraceError {
  return new MillraceError("in_use", `the exchange "${name}" is in use: ${why}`);
}

/** Who sends unroutable or dead messages to this exchange. */
function userOf(state: MetadataState, id: number): string | undefined {
  for (const exchange of state.routing.exchanges()) {
    if (exchange.alternateId === id) return `the exchange "${exchange.name}" (alternate)`;
  }
  for (const queue of state.routing.queues()) {
    if (queue.deadLetterExchange === id) return `the queue "${queue.name}" (deadLetter)`;
  }
  return undefined;
}

function targetOf(state: MetadataState, namespace: string, { kind, name }: BindingRequest["target"]): Target {
  switch (kind) {
    case "queue":
      return { kind, id: requireQueue(state, namespace, name).id };
    case "exchange":
      return { kind, id: exchangeId(state, namespace, name) };
    case "topic": {
      const topic = state.topic(namespace, name);
      if (topic === undefined) throw new MillraceError("topic_not_found", `there is no topic "${name.slice(0, 249)}"`);
      return { kind, id: topic.id };
    }
  }
}

/** Names of the topics that the bindings lead to; empty where none does, which is nearly always. */
function topicNames(state: MetadataState, bindings: readonly Binding[]): Map<number, string> {
  const names = new Map<number, string>();
  if (!bindings.some(({ target }) => target.kind === "topic")) return names;
  for (const topic of state.topics()) names.set(topic.id, topic.name);
  return names;
}

function rowOf(state: MetadataState, binding: Binding, topics: ReadonlyMap<number, string>): BindingRow {
  const { routing } = state;
  const { target, key, arguments: args } = binding;
  const exchange = routing.exchangeById(binding.exchangeId)?.name ?? "";
  const to =
    target.kind === "queue"
      ? { queue: routing.queueById(target.id)?.name }
      : target.kind === "topic"
        ? { topic: topics.get(target.id) }
        : { to: routing.exchangeById(target.id)?.name };
  return { exchange, ...to, key, ...argumentFields(args) };
}

/** The arguments in the form that a request to bind has. */
function argumentFields(args: Binding["arguments"]): Fields {
  if (args === null) return {};
  if ("where" in args) return args;
  const headers = args.headers.map(([name, op, value]) => [name, op === "=" ? value : { op, value }] as const);
  return { match: args.match, headers: Object.fromEntries(headers) };
}
