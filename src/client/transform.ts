import { type Content, type Headers, Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Transforms: put, listed, tried and deleted. The broker runs them. */

/** Where messages come from or go to; one of the three names. */
export interface TransformPlace {
  topic?: string;
  queue?: string;
  exchange?: string;
  /** Of an exchange: as a target the routing key, default the message's own; as a source what a binding has. */
  key?: string;
  /** As a target: a message that nobody gets is a failure. Default true. */
  mandatory?: boolean;
  /** As a source: what a binding has. */
  match?: string;
  headers?: { [name: string]: unknown };
  where?: string;
}

/** A step is a map with one entry: its kind and what the kind takes. src/schema/transform/README.md lists them. */
export interface TransformStep {
  [kind: string]: unknown;
}

export interface TransformDefinition {
  from: TransformPlace;
  to: TransformPlace;
  steps: readonly TransformStep[];
  /** Where messages go that fail. Without it a failing message holds the transform up. */
  deadLetter?: TransformPlace;
  /** Processes that share the work. Default 1. */
  workers?: number;
  /** The longest time for one message. Default 1,000 ms. */
  timeoutMs?: number;
  /** The most memory of a worker's process. Default 256 MiB. */
  memoryBytesMax?: number;
}

export interface TransformDescription {
  name: string;
  definition: TransformDefinition;
  createdMs: number;
  changedMs: number;
  /** "running"; "held" by a message that fails and has nowhere to go, or by the broker; "waiting" to start again after a failure. */
  state: "starting" | "running" | "held" | "waiting" | "stopped";
  /** Why it is held or waits. */
  reason?: string | null;
  /** Since the broker's start. */
  counters?: { messagesIn: number; messagesOut: number; failed: number; batches: number; restarts: number };
  /** The newest failure of a message. */
  lastError?: string | null;
  workers?: { state: string; pid: number | null; reason: string | null }[];
}

export interface TrialMessage {
  value: Content;
  key?: Content;
  headers?: Headers;
}

export interface TransformTrial {
  /** What came out; `from` is the index of the message that it was made of, `to` where it asks to go. */
  messages: {
    from: number;
    value: Uint8Array | null;
    key: string | Uint8Array | null;
    headers: Headers;
    to: TransformPlace | null;
  }[];
  errors: { from: number; reason: string }[];
}

export interface PutTransformOptions {
  /** Takes the place of one that is there and reads the same. Default false. */
  replace?: boolean;
  signal?: AbortSignal;
}

export class Transforms {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /**
   * Puts a transform, which begins to run: each message of `from` goes through the steps to `to`, exactly once.
   *
   * Errors: transform_failed where the steps do not load; transform_exists, invalid_argument, topic_not_found,
   * queue_not_found, exchange_not_found, limit_exceeded.
   *
   * @example
   * await client.transforms.put("inventory", {
   *   from: { queue: "deliveries" },
   *   to: { topic: "stock" },
   *   steps: [{ xml_to_json: { root: "drop" } }, { map: { rename: { id: "item_id" } } }],
   *   deadLetter: { queue: "deliveries.dead" },
   * });
   */
  async put(
    name: string,
    definition: TransformDefinition,
    options: PutTransformOptions = {},
  ): Promise<{ created: boolean; changed: boolean }> {
    const { replace, signal } = options;
    const answer = await this.client.ask(Op.TRANSFORM_PUT, [{ name, definition, replace }], signal);
    return answer as { created: boolean; changed: boolean };
  }

  /** The transforms of the namespace, by name. */
  async list(signal?: AbortSignal): Promise<TransformDescription[]> {
    const { transforms } = (await this.client.ask(Op.TRANSFORM_LIST, [{}], signal)) as {
      transforms: TransformDescription[];
    };
    return transforms;
  }

  /** Errors: transform_not_found. */
  async delete(name: string, signal?: AbortSignal): Promise<void> {
    await this.client.ask(Op.TRANSFORM_DELETE, [{ name }], signal);
  }

  /**
   * What the steps of a transform, by its name or its definition, make of messages. Nothing is stored.
   *
   * Errors: transform_not_found, invalid_argument; transform_failed where the steps do not load or go over a limit.
   */
  async try(
    transform: string | TransformDefinition,
    messages: readonly TrialMessage[],
    signal?: AbortSignal,
  ): Promise<TransformTrial> {
    const what = typeof transform === "string" ? { name: transform } : { definition: transform };
    return (await this.client.ask(Op.TRANSFORM_TRY, [{ ...what, messages }], signal)) as TransformTrial;
  }
}
