/** Transforms: put, deleted and listed over the metadata log. Who runs them is the first worker (src/transforms); it is asked by mail. */
import { MillraceError } from "../errors/index.ts";
import { type Definition, nameOf, parseDefinition, type Source } from "../schema/transform/definition.ts";
import type { Target } from "../schema/transform/message.ts";
import { checkName, type Definitions, requireExchange, requireQueue } from "./definitions.ts";
import type { Exchanges } from "./exchanges.ts";
import type { Mailroom } from "./mailroom.ts";
import type { MetadataState } from "./metadata-state.ts";
import type { Queues } from "./queues.ts";
import { tombstone } from "./routing-state.ts";
import { type StoredTransform, transformKey, transformRecord } from "./transform-state.ts";

/** What the first worker is asked. */
export const TRANSFORM_PROBE = "transform.probe";
export const TRANSFORM_TRY = "transform.try";
export const TRANSFORM_STATES = "transform.states";

/** Names what is asked about; `definition` where it is not the stored one. */
export interface TransformQuestion {
  readonly namespace: string;
  readonly name: string;
  readonly definition: Definition;
}

export interface TransformTrial extends TransformQuestion {
  readonly messages: readonly unknown[];
}

/** How a transform fares; the first worker tells. */
export interface TransformStatus {
  readonly name: string;
  readonly state: string;
  readonly [field: string]: unknown;
}

export interface TransformsParts {
  readonly definitions: Definitions;
  readonly exchanges: Exchanges;
  readonly queues: Queues;
  readonly mailroom: Mailroom;
  readonly limits: { readonly transformsMax: number };
}

const FIRST_WORKER = 0;
/** A group and a queue get names that begin with `transform.`. */
const NAME_LENGTH_MAX = 200;
const OWNER = "";

export class Transforms {
  readonly #parts: TransformsParts;

  constructor(parts: TransformsParts) {
    this.#parts = parts;
  }

  /**
   * Puts a transform, which begins to run at once. Its steps are loaded first, so that what cannot run is refused.
   *
   * @param replace takes the place of one of this name; without it one that is there, alike, is fine.
   * @throws invalid_topic_name, invalid_argument, transform_exists, transform_failed, topic_not_found, queue_not_found,
   *   exchange_not_found, limit_exceeded, and what a binding to the exchange is refused with.
   */
  async put(
    namespace: string,
    request: { name: string; definition: unknown; replace: boolean },
  ): Promise<{ created: boolean; changed: boolean }> {
    const { name, replace } = request;
    checkName(name);
    if (name.length > NAME_LENGTH_MAX)
      throw new MillraceError("invalid_topic_name", `a transform's name has at most ${NAME_LENGTH_MAX} bytes`);
    const definition = parseDefinition(request.definition);
    const { definitions, mailroom } = this.#parts;
    this.#check(definitions.state, { namespace, name, definition }, replace);
    await mailroom.request(FIRST_WORKER, TRANSFORM_PROBE, { namespace, name, definition } satisfies TransformQuestion);
    await this.#bindSource(namespace, name, definition.from);
    let outcome = { created: false, changed: false };
    await definitions.change((state) => {
      const existing = this.#check(state, { namespace, name, definition }, replace);
      outcome = {
        created: existing === undefined,
        changed: existing === undefined || !isSame(existing.definition, definition),
      };
      if (!outcome.changed) return [];
      const changedMs = definitions.engine.now();
      return [transformRecord({ namespace, name, definition, createdMs: existing?.createdMs ?? changedMs, changedMs })];
    });
    return outcome;
  }

  #check(
    state: MetadataState,
    { namespace, name, definition }: TransformQuestion,
    replace: boolean,
  ): StoredTransform | undefined {
    const existing = state.transforms.get(namespace, name);
    if (existing !== undefined && !replace && !isSame(existing.definition, definition)) {
      throw new MillraceError("transform_exists", `the transform "${name}" exists and is another`);
    }
    if (existing !== undefined && replace && nameOf(existing.definition.from) !== nameOf(definition.from)) {
      throw new MillraceError(
        "transform_exists",
        `the transform "${name}" exists and reads ${nameOf(existing.definition.from)}: delete it first`,
      );
    }
    const { transformsMax } = this.#parts.limits;
    if (existing === undefined && state.transforms.count >= transformsMax) {
      throw new MillraceError("limit_exceeded", `the broker has its ${transformsMax} transforms (transformsMax)`);
    }
    for (const place of [definition.from, definition.to, definition.deadLetter]) {
      if (place !== undefined) checkPlace(state, namespace, place);
    }
    return existing;
  }

  /** What a transform of an exchange reads is a queue of its own, bound to it. */
  async #bindSource(namespace: string, name: string, from: Source): Promise<void> {
    if (!("exchange" in from)) return;
    const { exchange, ...fields } = from as { exchange: string } & Record<string, unknown>;
    const queue = transformQueue(name);
    await this.#parts.queues.declare(namespace, { name: queue, config: {}, ifNotExists: true, owner: OWNER });
    await this.#parts.exchanges.bind(namespace, { exchange, target: { kind: "queue", name: queue }, fields });
  }

  /** Deletes a transform; what its own queue still holds goes with it. @throws transform_not_found. */
  async delete(namespace: string, name: string): Promise<void> {
    const { definitions, queues } = this.#parts;
    let from: Source | undefined;
    await definitions.change((state) => {
      from = require(state, namespace, name).definition.from;
      return [tombstone(transformKey(namespace, name))];
    });
    if (from !== undefined && "exchange" in from)
      await queues.delete(namespace, transformQueue(name), { owner: OWNER });
  }

  /** By name, each with how it fares. */
  async list(namespace: string): Promise<(Omit<StoredTransform, "namespace"> & TransformStatus)[]> {
    const { definitions, mailroom } = this.#parts;
    const states = await mailroom.request<TransformStatus[]>(FIRST_WORKER, TRANSFORM_STATES, namespace);
    const byName = new Map(states.map((status) => [status.name, status]));
    const found = [...definitions.state.transforms.all()].filter((each) => each.namespace === namespace);
    return found
      .map(({ name, definition, createdMs, changedMs }) => {
        return { state: "starting", ...byName.get(name), name, definition, createdMs, changedMs };
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * What the steps of a stored transform, or of a definition, make of messages. Nothing is stored.
   *
   * @throws transform_not_found, invalid_argument, transform_failed (the steps do not load, or run over a limit).
   */
  async try(
    namespace: string,
    request: { name: string | undefined; definition: unknown; messages: readonly unknown[] },
  ): Promise<unknown> {
    const { definitions, mailroom } = this.#parts;
    const { name, messages } = request;
    const definition =
      request.definition === undefined
        ? require(definitions.state, namespace, name ?? "").definition
        : parseDefinition(request.definition);
    const trial: TransformTrial = { namespace, name: name ?? "trial", definition, messages };
    return await mailroom.request(FIRST_WORKER, TRANSFORM_TRY, trial);
  }
}

export function transformQueue(name: string): string {
  return `transform.${name}`;
}

/** @throws transform_not_found. */
function require(state: MetadataState, namespace: string, name: string): StoredTransform {
  const transform = state.transforms.get(namespace, name);
  if (transform !== undefined) return transform;
  throw new MillraceError("transform_not_found", `there is no transform "${name.slice(0, 249)}"`, {
    details: { name },
  });
}

function isSame(a: Definition, b: Definition): boolean {
  return Bun.deepEquals(a, b);
}

/** @throws topic_not_found, queue_not_found, exchange_not_found. */
function checkPlace(state: MetadataState, namespace: string, place: Source | Target): void {
  const { topic, queue, exchange = "" } = place as Target;
  if (topic !== undefined) {
    if (state.topic(namespace, topic) === undefined)
      throw new MillraceError("topic_not_found", `there is no topic "${topic}"`);
  } else if (queue !== undefined) {
    requireQueue(state, namespace, queue);
  } else {
    requireExchange(state, namespace, exchange);
  }
}
