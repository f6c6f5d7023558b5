/**
 * The spaces of the namespaces, kept in step with the metadata: opens them, and tells the core of each change of what
 * they route by. The core is shared, so of several workers the first one changes it and the others are passed over.
 */
import { Packr, Unpackr } from "msgpackr";
import { isMillraceError, type MillraceError } from "../errors/index.ts";
import type { Engine, LogConfig } from "../log/engine.ts";
import { type Change, ChangeEncoder, coreQueueConfig } from "../routing/index.ts";
import { wide } from "../stdx/index.ts";
import type { MetadataLog } from "./metadata-log.ts";
import { counterRecord, type MetadataState } from "./metadata-state.ts";
import {
  type Binding,
  type Exchange,
  type MetadataChange,
  type Queue,
  type RoutingEvent,
  type Space,
  spaceRecord,
} from "./routing-state.ts";

export class Spaces {
  readonly #engine: Engine;
  readonly #metadata: MetadataLog;
  readonly #config: LogConfig;
  readonly #changes = new ChangeEncoder();
  readonly #packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
  readonly #unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "number" });
  #failure: MillraceError | undefined;

  constructor(engine: Engine, metadata: MetadataLog, config: LogConfig) {
    this.#engine = engine;
    this.#metadata = metadata;
    this.#config = config;
  }

  /** Logs that belong to spaces. */
  *logIds(): IterableIterator<number> {
    for (const { journalLogId, ackLogId } of this.#metadata.state.routing.spaces()) {
      yield journalLogId;
      yield ackLogId;
    }
  }

  /** Opens all spaces with all their definitions at once: a space recovers its queues once it knows them. */
  openAll(): void {
    const { routing, appliedOffset } = this.#metadata.state;
    const changes = new Map<string, Change[]>();
    for (const space of routing.spaces()) changes.set(space.namespace, []);
    for (const exchange of routing.exchanges()) changes.get(exchange.namespace)?.push(exchangeChange(exchange));
    for (const queue of routing.queues()) changes.get(queue.namespace)?.push(queueChange(queue));
    for (const binding of routing.bindings()) changes.get(binding.namespace)?.push(bindingChange("bind", binding));
    for (const space of routing.spaces()) {
      this.#open(space);
      const all = this.#changes.encodeAll(changes.get(space.namespace) ?? []);
      this.#engine.spaceApply(space.id, appliedOffset - 1, all);
    }
  }

  /** Hands a change on to the core. What the core refuses is kept for `takeFailure`: the metadata goes on. */
  apply(event: RoutingEvent): void {
    try {
      if (event.type === "space_opened") {
        this.#open(event.space);
        return;
      }
      const space = this.#metadata.state.routing.space(event.namespace);
      if (space !== undefined) this.#engine.spaceApply(space.id, event.offset, this.#changes.encode(changeOf(event)));
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      this.#failure ??= error;
    }
  }

  /** Why the core refused a change since the last call. */
  takeFailure(): MillraceError | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** Asks a namespace's space; undefined where the namespace has none. @throws what the core answers. */
  request(namespace: string, request: readonly unknown[]): unknown {
    const space = this.#metadata.state.routing.space(namespace);
    if (space === undefined) return undefined;
    const answer = this.#engine.spaceRequest(space.id, new Uint8Array(this.#packr.pack(wide(request))));
    return answer.length === 0 ? null : this.#unpackr.unpack(answer);
  }

  /** Asks for a part of a transaction; undefined where the namespace has no space. @throws what the core answers. */
  transact(namespace: string, request: readonly unknown[]): unknown {
    const space = this.#metadata.state.routing.space(namespace);
    if (space === undefined) return undefined;
    return this.#unpackr.unpack(this.#engine.spaceTransact(space.id, new Uint8Array(this.#packr.pack(wide(request)))));
  }

  /** The logs of a namespace's space. */
  logsOf(namespace: string): { journalLogId: number; ackLogId: number } | undefined {
    return this.#metadata.state.routing.space(namespace);
  }

  #open({ id, journalLogId, ackLogId, version }: Space): void {
    this.#engine.ensureLog(journalLogId, 1, this.#config);
    this.#engine.ensureLog(ackLogId, 1, this.#config);
    this.#engine.spaceOpen(id, journalLogId, ackLogId, version);
  }
}

/** Records that give a namespace its space, if it has none; `entityId` is the next id to give. */
export function spaceRecords(state: MetadataState, namespace: string): { records: MetadataChange[]; entityId: number } {
  const { nextEntityId } = state.routing;
  if (state.routing.space(namespace) !== undefined) return { records: [], entityId: nextEntityId };
  const journalLogId = state.nextLogId;
  const ackLogId = journalLogId + 1;
  const space = spaceRecord({ namespace, id: nextEntityId, journalLogId, ackLogId });
  return { records: [space, counterRecord(ackLogId)], entityId: nextEntityId + 1 };
}

function changeOf(event: Exclude<RoutingEvent, { type: "space_opened" }>): Change {
  switch (event.type) {
    case "exchange_put":
      return exchangeChange(event.exchange);
    case "exchange_deleted":
      return ["exchange_delete", event.exchange.id];
    case "queue_put":
      return queueChange(event.queue);
    case "queue_deleted":
      return ["queue_delete", event.queue.id];
    case "bound":
      return bindingChange("bind", event.binding);
    case "unbound":
      return bindingChange("unbind", event.binding);
  }
}

function exchangeChange({ id, name, kind, alternateId, config }: Exchange): Change {
  const { hashHeader } = config;
  return ["exchange", id, kind, alternateId, hashHeader === undefined ? { name } : { name, hashHeader }];
}

function queueChange({ id, name, config, deadLetterExchange }: Queue): Change {
  return ["queue", id, name, coreQueueConfig(config, deadLetterExchange)];
}

function bindingChange(what: "bind" | "unbind", { exchangeId, target, key, arguments: args }: Binding): Change {
  return [what, exchangeId, target.kind, target.id, key, args];
}
