/** What changes of exchanges, bindings and queues have in common: names, limits, and taking back what the core refuses. */
import { MillraceError } from "../errors/index.ts";
import { DEFAULT_EXCHANGE_ID, DEFAULT_EXCHANGE_NAME } from "../routing/index.ts";
import type { Engine } from "../log/engine.ts";
import type { MetadataLog } from "./metadata-log.ts";
import type { MetadataState } from "./metadata-state.ts";
import { nameFault } from "./names.ts";
import { type Exchange, type MetadataChange, type Queue, queueRecord, tombstone } from "./routing-state.ts";
import type { Spaces } from "./spaces.ts";

export interface RoutingLimits {
  readonly exchangesMax: number;
  readonly queuesMax: number;
  readonly bindingsMax: number;
}

export class Definitions {
  readonly engine: Engine;
  readonly spaces: Spaces;
  readonly limits: RoutingLimits;
  readonly #metadata: MetadataLog;

  constructor(engine: Engine, metadata: MetadataLog, options: { spaces: Spaces; limits: RoutingLimits }) {
    this.engine = engine;
    this.#metadata = metadata;
    this.spaces = options.spaces;
    this.limits = options.limits;
  }

  /** The newest state. */
  get state(): MetadataState {
    this.#metadata.catchUp();
    return this.#metadata.state;
  }

  /**
   * Changes definitions. What is new and the core refuses is taken back.
   *
   * @param undoing how the records of the change are taken back.
   * @throws what `decide` and the core throw.
   */
  async change(
    decide: (state: MetadataState) => readonly MetadataChange[],
    undoing: (records: readonly MetadataChange[], state: MetadataState) => MetadataChange[] = undoOf,
  ): Promise<void> {
    let undo: readonly MetadataChange[] = [];
    this.#metadata.catchUp();
    this.spaces.takeFailure();
    const done = this.#metadata.change((state) => {
      const records = decide(state);
      undo = undoing(records, state);
      return records;
    });
    // The change is applied before the first wait, so a failure there is this change's. It is taken back before anything
    // else happens: a crash must not leave a definition behind that the core refuses at every start.
    const failure = this.spaces.takeFailure();
    const undone = failure === undefined ? undefined : this.#metadata.change(() => undo);
    await done;
    await undone;
    if (failure !== undefined) throw failure;
  }

  /** @throws limit_exceeded. */
  checkRoom(count: number, limit: keyof RoutingLimits): void {
    const max = this.limits[limit];
    if (count < max) return;
    throw new MillraceError("limit_exceeded", `the broker has its ${max} ${limit.replace("Max", "")} (${limit})`, {
      details: { limit },
    });
  }
}

/** Tombstones of what is new, and a changed queue as it was before; deletions and counters stay. */
function undoOf(records: readonly MetadataChange[], { routing }: MetadataState): MetadataChange[] {
  const isMade = ({ key, value }: MetadataChange): boolean => value !== null && /^(exchange|queue|binding) /.test(key);
  return records.filter(isMade).map(({ key, value }) => {
    const before = key.startsWith("queue ") ? routing.queueById((value as Queue).id) : undefined;
    return before === undefined ? tombstone(key) : queueRecord(before);
  });
}

/** @throws invalid_topic_name. */
export function checkName(name: string): void {
  const fault = nameFault(name);
  if (fault !== undefined) throw new MillraceError("invalid_topic_name", `"${name.slice(0, 249)}": ${fault}`);
}

/** @throws exchange_not_found. */
export function requireExchange(state: MetadataState, namespace: string, name: string): Exchange {
  const exchange = state.routing.exchange(namespace, name);
  if (exchange !== undefined) return exchange;
  throw new MillraceError("exchange_not_found", `there is no exchange "${name.slice(0, 249)}"`);
}

/** The id of an exchange, which may be the default one. @throws exchange_not_found. */
export function exchangeId(state: MetadataState, namespace: string, name: string): number {
  return name === DEFAULT_EXCHANGE_NAME ? DEFAULT_EXCHANGE_ID : requireExchange(state, namespace, name).id;
}

/** @throws queue_not_found. */
export function requireQueue(state: MetadataState, namespace: string, name: string): Queue {
  const queue = state.routing.queue(namespace, name);
  if (queue !== undefined) return queue;
  throw new MillraceError("queue_not_found", `there is no queue "${name.slice(0, 249)}"`);
}
