/** Namespaces: declared ones and those that hold something; what they hold, and taking them away with it. */
import { MillraceError } from "../errors/index.ts";
import { DEFAULT_NAMESPACE, splitSubject } from "../schema/index.ts";
import type { Definitions } from "./definitions.ts";
import { type MetadataState, topicTombstone } from "./metadata-state.ts";
import { nameFault } from "./names.ts";
import { namespaceKey } from "./namespace-state.ts";
import { logsOf } from "./quotas.ts";
import { bindingKey, exchangeKey, type MetadataChange, queueKey, tombstone } from "./routing-state.ts";
import { progressKey, scheduleKey } from "./schedule-state.ts";
import { transformKey } from "./transform-state.ts";

/** What a namespace holds; `description` and `createdMs` are null for one that nobody declared. */
export interface NamespaceView {
  readonly name: string;
  readonly description: string | null;
  readonly createdMs: number | null;
  readonly topics: number;
  readonly exchanges: number;
  readonly queues: number;
  readonly schedules: number;
  readonly transforms: number;
  readonly subjects: number;
  /** Of the logs of its topics and queues. */
  readonly storageBytes: number;
}

export interface NamespaceLimits {
  readonly namespacesMax: number;
  /** Whether only declared namespaces can be entered. */
  readonly namespaces: "open" | "declared";
}

export const DESCRIPTION_LENGTH_MAX = 1000;
const HOLDS = ["topics", "exchanges", "queues", "schedules", "transforms", "subjects"] as const;
type Held = Record<(typeof HOLDS)[number], number>;

export class Namespaces {
  readonly #definitions: Definitions;
  readonly #limits: NamespaceLimits;

  constructor(definitions: Definitions, limits: NamespaceLimits) {
    this.#definitions = definitions;
    this.#limits = limits;
  }

  /**
   * Whether the namespace can be entered.
   *
   * @throws namespace_not_found.
   */
  require(name: string): void {
    if (this.#limits.namespaces === "open" || name === DEFAULT_NAMESPACE) return;
    if (this.#definitions.state.namespaces.find(name) === undefined) throw notFound(name);
  }

  /**
   * Declares a namespace, or changes the description of one that is there.
   *
   * @returns whether it is newly declared.
   * @throws invalid_argument, limit_exceeded.
   */
  async put(name: string, description: string | null): Promise<boolean> {
    const fault = nameFault(name);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `namespace: ${fault}`);
    const { namespacesMax } = this.#limits;
    let isNew = false;
    await this.#definitions.change(({ namespaces }) => {
      const before = namespaces.find(name);
      isNew = before === undefined;
      if (isNew && namespaces.size >= namespacesMax) {
        throw new MillraceError("limit_exceeded", `the broker has its ${namespacesMax} namespaces (namespacesMax)`, {
          details: { limit: "namespacesMax" },
        });
      }
      if (before?.description === description) return [];
      const createdMs = before?.createdMs ?? this.#definitions.engine.now();
      return [{ key: namespaceKey(name), value: { type: "namespace", v: 1, name, description, createdMs } }];
    });
    return isNew;
  }

  /**
   * Takes a namespace away; with `force` also the topics, exchanges, queues, schedules and transforms in it, at once or not
   * at all. Quotas and rules that name it stay.
   *
   * @throws namespace_not_found; not_empty; invalid_argument for `default`.
   */
  async delete(name: string, force: boolean): Promise<void> {
    if (name === DEFAULT_NAMESPACE)
      throw new MillraceError("invalid_argument", "the namespace default is always there");
    await this.#definitions.change((state) => {
      const held = heldIn(state, name);
      const isEmpty = HOLDS.every((what) => held[what] === 0);
      if (isEmpty && state.namespaces.find(name) === undefined) throw notFound(name);
      if (!isEmpty && (!force || held.subjects > 0)) throw notEmpty(name, held, force);
      return [...removals(state, name), tombstone(namespaceKey(name))];
    });
  }

  /** By name: those that are declared, those that hold something, and `default`. */
  list(): NamespaceView[] {
    const { state } = this.#definitions;
    const names = new Set([DEFAULT_NAMESPACE, ...state.namespaces.names()]);
    for (const each of everything(state)) names.add(each.namespace);
    return [...names].sort().map((name) => {
      const { description = null, createdMs = null } = state.namespaces.find(name) ?? {};
      const storageBytes = this.#definitions.engine.logBytes(logsOf(state, { kind: "namespace", name }));
      return { name, description, createdMs, ...heldIn(state, name), storageBytes };
    });
  }
}

interface Thing {
  readonly what: (typeof HOLDS)[number];
  readonly namespace: string;
}

function* everything(state: MetadataState): IterableIterator<Thing> {
  for (const { namespace } of state.topics()) yield { what: "topics", namespace };
  for (const { namespace } of state.routing.exchanges()) yield { what: "exchanges", namespace };
  for (const { namespace } of state.routing.queues()) yield { what: "queues", namespace };
  for (const { schedule } of schedulesOf(state)) yield { what: "schedules", namespace: schedule.namespace };
  for (const { namespace } of state.transforms.all()) yield { what: "transforms", namespace };
  for (const subject of state.schemas.subjects())
    yield { what: "subjects", namespace: splitSubject(subject).namespace };
}

function schedulesOf({ schedules }: MetadataState) {
  return schedules.keys().flatMap((key) => schedules.find(key) ?? []);
}

function heldIn(state: MetadataState, name: string): Held {
  const held: Held = { topics: 0, exchanges: 0, queues: 0, schedules: 0, transforms: 0, subjects: 0 };
  for (const { what, namespace } of everything(state)) if (namespace === name) held[what] += 1;
  return held;
}

/** What publishes and reads goes before what it publishes to and reads from. */
function removals(state: MetadataState, name: string): MetadataChange[] {
  const isIn = ({ namespace }: { readonly namespace: string }): boolean => namespace === name;
  const { routing, transforms } = state;
  const schedules = schedulesOf(state)
    .filter(({ schedule }) => isIn(schedule))
    .map(({ schedule }) => scheduleKey(name, schedule.name));
  const keys = [
    ...[...transforms.all()].filter(isIn).map((transform) => transformKey(name, transform.name)),
    ...schedules.flatMap((key) => [key, progressKey(key)]),
    ...[...routing.bindings()].filter(isIn).map(bindingKey),
    ...[...routing.queues()].filter(isIn).map((queue) => queueKey(name, queue.name)),
    ...[...routing.exchanges()].filter(isIn).map((exchange) => exchangeKey(name, exchange.name)),
  ];
  return [...keys.map(tombstone), ...[...state.topics()].filter(isIn).map(topicTombstone)];
}

function notFound(name: string): MillraceError {
  return new MillraceError("namespace_not_found", `there is no namespace "${name.slice(0, 249)}"`);
}

function notEmpty(name: string, held: Held, force: boolean): MillraceError {
  const parts = HOLDS.filter((what) => held[what] > 0).map((what) => `${held[what]} ${what}`);
  const why = force ? "; schemas are not deleted with it: delete its subjects first" : "";
  return new MillraceError("not_empty", `the namespace "${name}" holds ${parts.join(", ")}${why}`);
}
