/** Queues: declared, deleted, described and listed over the metadata log; their messages are asked of the core. */
import { isMillraceError, MillraceError } from "../errors/index.ts";
import type { QueueCounters } from "../metrics/index.ts";
import {
  alterQueueConfig,
  checkDeadLetterLoop,
  checkSameQueue,
  isSameQueue,
  parseQueueConfig,
  type QueueConfig,
  shownQueueConfig,
} from "../routing/index.ts";
import { checkName, type Definitions, exchangeId, requireQueue } from "./definitions.ts";
import type { MetadataState } from "./metadata-state.ts";
import { checkRevision, revisionOf } from "./revision.ts";
import { compilePattern, patternFault } from "../stdx/index.ts";
import { checkQuotas } from "./quotas.ts";
import {
  entityCounterRecord,
  type MetadataChange,
  type Queue,
  queueKey,
  queueRecord,
  tombstone,
  unboundRecords,
} from "./routing-state.ts";
import { spaceRecords } from "./spaces.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What the core counts of a queue; all of it is passed on. */
export interface QueueCounts {
  readonly ready: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly deferred: number;
  readonly consumers: number;
  readonly [count: string]: number;
}

export interface QueueDescription {
  readonly name: string;
  readonly config: QueueConfig;
  readonly createdMs: number;
  readonly revision: string;
  readonly counts: Partial<QueueCounts>;
}

export interface QueueSummary {
  readonly name: string;
  readonly counts: Partial<QueueCounts>;
}

/** As the core names a consumer: worker, connection, its generation, subscription. */
type ConsumerAddress = readonly [number, number, number, number];

type HandedById = readonly [queueId: number, ...rest: HandedRest];
/** A run of messages that a consumer was handed; the name is empty where the queue is gone. */
export type HandedRow = readonly [queue: string, ...rest: HandedRest];
type HandedRest = [first: number, count: number, earlierDeliveries: number, atMs: number, to: ConsumerAddress];

/** core/space/requests.rs has the answer of `explain`. */
interface CoreExplained {
  readonly state: string;
  readonly destinations: readonly (number | readonly [logId: number])[] | null;
  readonly handed: readonly (readonly [atMs: number, earlierDeliveries: number, to: ConsumerAddress])[];
  readonly became: readonly (readonly [atMs: number, what: string, by: ConsumerAddress | null])[];
  readonly sinceMs: number;
}

/** The name is empty for what was deleted since. */
export interface ExplainedDestination {
  readonly type: "queue" | "topic";
  readonly namespace: string;
  readonly name: string;
}

export interface ExplainedMessage extends Omit<CoreExplained, "destinations"> {
  /** Null where the journal does not tell any more. */
  readonly destinations: readonly ExplainedDestination[] | null;
  readonly journalLogId: number;
}

const LIST_LIMIT_MAX = 1_000;
const PEEK_MAX = 1_000;

export class Queues {
  readonly #definitions: Definitions;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /**
   * Declares a queue.
   *
   * @param owner the connection, which an exclusive queue belongs to.
   * @returns true when it is new, false when it was there, alike.
   * @throws invalid_topic_name, invalid_config, schedule_never, argument_mismatch, queue_exists (without `ifNotExists`),
   *   queue_exclusive, exchange_not_found (deadLetter), dead_letter_loop, limit_exceeded, quota_exceeded.
   */
  async declare(
    namespace: string,
    request: { name: string; config: Fields; ifNotExists: boolean; owner: string; createdBy?: string },
  ): Promise<boolean> {
    const { name } = request;
    checkName(name);
    const config = parseQueueConfig(request.config);
    let created = false;
    await this.#definitions.change((state) => {
      created = false;
      const existing = state.routing.queue(namespace, name);
      if (existing !== undefined) {
        checkAccess(existing, request.owner);
        if (!request.ifNotExists) throw new MillraceError("queue_exists", `the queue "${name}" exists`);
        checkSameQueue(name, existing.config, config);
        return [];
      }
      created = true;
      const creator = request.createdBy === undefined ? {} : { createdBy: request.createdBy };
      checkQuotas(state, "queuesMax", { namespace, ...creator });
      const owner = config.exclusive === true ? request.owner : null;
      return this.#newQueue(state, { namespace, name, config, owner, ...creator });
    });
    return created;
  }

  #newQueue(
    state: MetadataState,
    wanted: Pick<Queue, "namespace" | "name" | "config" | "owner" | "createdBy">,
  ): MetadataChange[] {
    const { namespace, config } = wanted;
    this.#definitions.checkRoom(state.routing.queueCount, "queuesMax");
    const { deadLetter } = config;
    const deadLetterExchange = deadLetter === undefined ? null : exchangeId(state, namespace, deadLetter.exchange);
    const { records, entityId: id } = spaceRecords(state, namespace);
    const createdMs = this.#definitions.engine.now();
    const queue: Queue = { ...wanted, id, deadLetterExchange, createdMs };
    checkDeadLetterLoop(state.routing.graph(namespace, { queue }), id);
    return [...records, queueRecord(queue), entityCounterRecord(id)];
  }

  /**
   * Changes a queue's configuration. What is in the queue stays as it is: limits apply from the next message on.
   *
   * @param change a merge patch: nil takes a key back to its default, keys of a map change by themselves.
   * @throws queue_not_found, queue_exclusive, revision_conflict, invalid_config (also for keys that cannot change), schedule_never,
   *   exchange_not_found (deadLetter), dead_letter_loop.
   */
  async alter(
    namespace: string,
    name: string,
    change: Fields,
    { owner, revision }: { owner: string; revision?: string | undefined },
  ): Promise<void> {
    await this.#definitions.change((state) => {
      const before = requireQueue(state, namespace, name);
      checkAccess(before, owner);
      checkRevision(revision, before, `the queue "${name}"`);
      const config = alterQueueConfig(before.config, change);
      const { deadLetter } = config;
      const deadLetterExchange = deadLetter === undefined ? null : exchangeId(state, namespace, deadLetter.exchange);
      const queue: Queue = { ...before, config, deadLetterExchange };
      checkDeadLetterLoop(state.routing.graph(namespace, { queue }), queue.id);
      return isSameQueue(before.config, config) ? [] : [queueRecord(queue)];
    });
  }

  /** @throws queue_not_found, queue_exclusive, not_empty (`ifEmpty`), in_use (`ifUnused`). */
  async delete(
    namespace: string,
    name: string,
    options: { ifEmpty?: boolean; ifUnused?: boolean; owner: string; revision?: string | undefined },
  ): Promise<void> {
    await this.#definitions.change((state) => {
      const queue = requireQueue(state, namespace, name);
      checkAccess(queue, options.owner);
      checkRevision(options.revision, queue, `the queue "${name}"`);
      const { ready = 0, inFlight = 0, delayed = 0, deferred = 0, consumers = 0 } = this.#counts(queue);
      const messages = ready + inFlight + delayed + deferred;
      if (options.ifEmpty === true && messages > 0) {
        throw new MillraceError("not_empty", `the queue "${name}" holds ${messages} messages`);
      }
      if (options.ifUnused === true && consumers > 0) {
        throw new MillraceError("in_use", `the queue "${name}" has ${consumers} consumers`);
      }
      return removalOf(state, queue);
    });
  }

  /** Removes a queue that is still this one and still meets the condition; that it is gone already is no fault. */
  async deleteIf(id: number, condition: (counts: Partial<QueueCounts>) => boolean): Promise<void> {
    await this.#definitions.change((state) => {
      const queue = state.routing.queueById(id);
      return queue !== undefined && condition(this.#counts(queue)) ? removalOf(state, queue) : [];
    });
  }

  /** At the start: queues that did not outlive the restart. The change is applied when the call returns. */
  async deleteTransient(): Promise<void> {
    await this.#definitions.change((state) => {
      const gone = [...state.routing.queues()].filter(
        ({ config, owner }) => config.durable === false || owner !== null,
      );
      const records = gone.flatMap((queue) => removalOf(state, queue));
      // A binding between two queues that go is named by both.
      return [...new Map(records.map((record) => [record.key, record])).values()];
    });
  }

  /** @throws queue_not_found, queue_exclusive. */
  require(namespace: string, name: string, owner: string): { queue: Queue; spaceId: number } {
    const { state } = this.#definitions;
    const queue = requireQueue(state, namespace, name);
    checkAccess(queue, owner);
    const space = state.routing.space(namespace);
    if (space === undefined) throw new MillraceError("internal", `the namespace "${namespace}" has no space`);
    return { queue, spaceId: space.id };
  }

  /** Whether a queue is there and belongs to this connection. */
  isOwned(namespace: string, name: string, owner: string): boolean {
    return this.#definitions.state.routing.queue(namespace, name)?.owner === owner;
  }

  describe(namespace: string, name: string): QueueDescription {
    const queue = requireQueue(this.#definitions.state, namespace, name);
    const { config, createdMs } = queue;
    const revision = revisionOf(queue);
    return { name, config: shownQueueConfig(config), createdMs, revision, counts: this.#counts(queue) };
  }

  /**
   * Queues by name order. `after` is the last name of the page before, `next` that of this one; those that are not shown
   * are left out.
   */
  list(
    namespace: string,
    request: {
      pattern: string | undefined;
      limit: number | undefined;
      after: string | undefined;
      isShown: (name: string) => boolean;
    },
  ): { queues: QueueSummary[]; next: string | null } {
    const { pattern, after, isShown } = request;
    const fault = pattern === undefined ? undefined : patternFault(pattern);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `pattern: ${fault}`);
    const matches = pattern === undefined ? () => true : compilePattern(pattern);
    const limit = Math.min(request.limit ?? LIST_LIMIT_MAX, LIST_LIMIT_MAX);
    const found: Queue[] = [];
    for (const queue of this.#definitions.state.routing.queues()) {
      const isWanted = queue.namespace === namespace && (after === undefined || queue.name > after);
      if (isWanted && matches(queue.name) && isShown(queue.name)) found.push(queue);
    }
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    const page = found.slice(0, limit);
    const queues = page.map((queue) => ({ name: queue.name, counts: this.#counts(queue) }));
    return { queues, next: found.length > limit ? (page.at(-1)?.name ?? null) : null };
  }

  /** Drops what waits. @returns how many. */
  purge(namespace: string, name: string, owner: string): number {
    const { queue } = this.require(namespace, name, owner);
    return this.#ask<number>(namespace, ["purge", queue.id]);
  }

  /** Messages as they wait, from a number on, without taking them. */
  peek(namespace: string, name: string, from: number | undefined, max: number): unknown {
    const queue = requireQueue(this.#definitions.state, namespace, name);
    return this.#ask(namespace, ["peek", queue.id, from ?? null, Math.min(max, PEEK_MAX)]);
  }

  /** Messages that are not due yet, in the order of their times. */
  scheduled(
    namespace: string,
    name: string,
    after: readonly [dueMs: number, number: number] | undefined,
    max: number,
  ): unknown {
    const queue = requireQueue(this.#definitions.state, namespace, name);
    return this.#ask(namespace, ["scheduled", queue.id, after ?? null, Math.min(max, PEEK_MAX)]);
  }

  /** Takes messages that are not due yet back. @returns how many there were. */
  cancel(namespace: string, name: string, numbers: readonly number[], owner: string): number {
    const { queue } = this.require(namespace, name, owner);
    return this.#ask<number>(namespace, ["cancel", queue.id, numbers]);
  }

  /** @throws exchange_not_found (`to`), bad_expression. */
  redrive(
    namespace: string,
    name: string,
    options: { readonly to?: string; readonly owner: string } & Fields,
  ): unknown {
    const { to, owner, ...rest } = options;
    const { queue } = this.require(namespace, name, owner);
    const target = to === undefined ? {} : { to: exchangeId(this.#definitions.state, namespace, to) };
    return this.#ask(namespace, ["redrive", queue.id, { ...rest, ...target }]);
  }

  /** The state of a session, read or set (null removes it). @throws invalid_argument, limit_exceeded. */
  session(
    namespace: string,
    name: string,
    group: string,
    state: string | Uint8Array | null | undefined,
    owner: string,
  ): Uint8Array | null {
    const { queue } = this.require(namespace, name, owner);
    if (state === undefined) return this.#ask(namespace, ["session", queue.id, group]);
    this.#ask(namespace, ["set_session", queue.id, group, state]);
    return typeof state === "string" ? new TextEncoder().encode(state) : state;
  }

  /** Has deferred messages delivered to a subscription. @returns how many. */
  take(
    namespace: string,
    name: string,
    to: { connectionId: number; sub: number; numbers: readonly number[]; owner: string },
  ): number {
    const { queue } = this.require(namespace, name, to.owner);
    return this.#ask<number>(namespace, ["take", queue.id, to.connectionId, to.sub, to.numbers]);
  }

  /**
   * Where a message of a queue was routed to, where it is, and what is remembered of its way out.
   *
   * @throws queue_not_found, queue_exclusive, offset_out_of_range.
   */
  explain(namespace: string, name: string, number: number, owner = ""): ExplainedMessage {
    const { queue } = this.require(namespace, name, owner);
    const { spaces, state } = this.#definitions;
    const told = this.#ask<CoreExplained>(namespace, ["explain", queue.id, number]);
    const destinations = told.destinations?.map((target) => destinationOf(state, target)) ?? null;
    return { ...told, destinations, journalLogId: spaces.logsOf(namespace)?.journalLogId ?? 0 };
  }

  /** The newest of what a namespace's consumers were handed since an earlier look, at most `max`; undefined without queues. */
  handedSince(namespace: string, seen: number, max: number): { seen: number; rows: HandedRow[] } | undefined {
    const { spaces, state } = this.#definitions;
    const answer = spaces.request(namespace, ["handed_since", seen, max]) as [number, HandedById[]] | undefined;
    if (answer === undefined) return undefined;
    const rows = answer[1].map(([id, ...rest]): HandedRow => [state.routing.queueById(id)?.name ?? "", ...rest]);
    return { seen: answer[0], rows };
  }

  /** What metrics show of all queues. */
  counters(): QueueCounters[] {
    const { spaces, state } = this.#definitions;
    const rows: QueueCounters[] = [];
    for (const { namespace } of state.routing.spaces()) {
      for (const row of spaces.request(namespace, ["all_stats"]) as CounterRow[]) {
        const queue = state.routing.queueById(row[0]);
        if (queue !== undefined) rows.push(countersOf(queue, row));
      }
    }
    return rows;
  }

  counts(queue: Queue): Partial<QueueCounts> {
    return this.#counts(queue);
  }

  /** Counts are told of a queue that the core lost as well, as none. */
  #counts({ namespace, id }: Queue): Partial<QueueCounts> {
    try {
      return (this.#definitions.spaces.request(namespace, ["stats", id]) ?? {}) as Partial<QueueCounts>;
    } catch (error) {
      if (isMillraceError(error, "queue_not_found")) return {};
      throw error;
    }
  }

  #ask<T = unknown>(namespace: string, request: readonly unknown[]): T {
    return this.#definitions.spaces.request(namespace, request) as T;
  }
}

function destinationOf(state: MetadataState, target: number | readonly [logId: number]): ExplainedDestination {
  if (typeof target === "number") {
    const { namespace, name } = state.routing.queueById(target) ?? { namespace: "", name: "" };
    return { type: "queue", namespace, name };
  }
  const topic = [...state.topics()].find(({ id }) => id === target[0]);
  const { namespace, name } = topic ?? { namespace: "", name: "" };
  return { type: "topic", namespace, name };
}

/** Id and counts, in the order of core/space/requests.rs. */
type CounterRow = readonly [id: number, ...counts: number[]];

function countersOf({ namespace, name }: Queue, [, ...counts]: CounterRow): QueueCounters {
  const [ready = 0, unacked = 0, delayed = 0, deferred = 0, bytes = 0, consumers = 0, published = 0] = counts;
  const [delivered = 0, redelivered = 0, acked = 0, expired = 0, rejected = 0, dropped = 0, deadLettered = 0] =
    counts.slice(7);
  const places = { ready, unacked, delayed, deferred, bytes, consumers };
  const ends = { acked, expired, rejected, dropped, deadLettered };
  return { namespace, queue: name, ...places, published, delivered, redelivered, ...ends };
}

function checkAccess(queue: Queue, owner: string): void {
  if (queue.owner === null || queue.owner === owner) return;
  throw new MillraceError("queue_exclusive", `the queue "${queue.name}" belongs to another connection`);
}

/** A queue and the bindings to it. */
function removalOf(state: MetadataState, queue: Queue): MetadataChange[] {
  const bound = unboundRecords(state.routing, { kind: "queue", id: queue.id });
  return [...bound, tombstone(queueKey(queue.namespace, queue.name))];
}
