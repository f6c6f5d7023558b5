import { type Content, type HeaderValue, Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";
import type { Delivery } from "./delivery.ts";
import type { Producer } from "./producer.ts";
import type { ProducerOptions } from "./producer-options.ts";
import { messageHeaders, type PublishOptions } from "./queue-options.ts";

/** Exchanges: declaring and binding them, and publishing to them. */

export type ExchangeType = "direct" | "fanout" | "topic" | "headers" | "consistent-hash";

export interface ExchangeConfig {
  /** Where messages go that no binding matches. */
  alternate?: string;
  /** consistent-hash: the header to hash, instead of the routing key. */
  hashHeader?: string;
  /** Clients may not publish to it. */
  internal?: boolean;
}

export interface ExchangeSummary {
  name: string;
  type: ExchangeType;
  config: ExchangeConfig;
  bindings: number;
  createdMs: number;
}

export type HeaderCondition =
  HeaderValue | { op: "=" | "!=" | "<" | "<=" | ">" | ">=" | "exists" | "prefix"; value?: HeaderValue };

/** What a binding matches. */
export interface BindingOptions {
  /** direct: the routing key. topic: words split at ".", `*` one, `#` any. consistent-hash: the weight. */
  key?: string;
  /** headers: all of them, or any. Default "all". */
  match?: "all" | "any";
  headers?: { [name: string]: HeaderCondition };
  /** An expression over the message, such as `$.priority == "urgent"`. */
  where?: string;
}

/** Where a binding leads: to a queue, a topic, or another exchange. */
export type BindingTarget = { queue: string } | { topic: string } | { to: string };

export type BindingDescription = { exchange: string; queue?: string; topic?: string; to?: string } & BindingOptions;

export interface DeclareOptions {
  /** False refuses one that exists already. Default true. */
  ifNotExists?: boolean;
  signal?: AbortSignal;
}

const MANDATORY = 1;
const REQUIRE_CONSUMER = 2;

export class Exchange {
  readonly name: string;
  private readonly client: Client;
  private readonly options: ProducerOptions;
  /** One for each combination of `mandatory` and `requireConsumer`, made when it is needed. */
  private readonly producers: (Producer | undefined)[] = [];

  constructor(client: Client, name: string, options: ProducerOptions) {
    this.client = client;
    this.name = name;
    this.options = options;
  }

  /** Declares it. Returns whether it is new. Errors: argument_mismatch, exchange_exists, exchange_not_found (alternate). */
  async declare(type: ExchangeType, config: ExchangeConfig = {}, options: DeclareOptions = {}): Promise<boolean> {
    const { ifNotExists, signal } = options;
    const args = { name: this.name, type, config, ifNotExists };
    const { created } = (await this.client.ask(Op.EXCHANGE_DECLARE, [args], signal)) as { created: boolean };
    return created;
  }

  /** Errors: exchange_not_found, in_use. */
  async delete(options: { ifUnused?: boolean; signal?: AbortSignal } = {}): Promise<void> {
    const { ifUnused, signal } = options;
    await this.client.ask(Op.EXCHANGE_DELETE, [{ name: this.name, ifUnused }], signal);
  }

  /** Returns whether the binding is new. Errors: what is not found, routing_cycle, bad_expression. */
  async bind(target: BindingTarget, binding: BindingOptions = {}, signal?: AbortSignal): Promise<boolean> {
    const args = { exchange: this.name, ...target, ...binding };
    return ((await this.client.ask(Op.BIND, [args], signal)) as { created: boolean }).created;
  }

  /** Errors: binding_not_found. */
  async unbind(target: BindingTarget, binding: BindingOptions = {}, signal?: AbortSignal): Promise<void> {
    await this.client.ask(Op.UNBIND, [{ exchange: this.name, ...target, ...binding }], signal);
  }

  bindings(signal?: AbortSignal): Promise<BindingDescription[]> {
    return listBindings(this.client, { exchange: this.name }, signal);
  }

  /**
   * Publishes a message. The result settles when the broker has stored it; its
   * offset is the message's number.
   *
   * Errors of the result: unroutable, no_responder, queue_full, message_too_large, and others that the broker refuses with.
   */
  publish(routingKey: string, value: Content, options?: PublishOptions): Delivery {
    const headers = options ? messageHeaders(options) : null;
    return this.producer(flagsOf(options)).send({ key: routingKey, value, headers });
  }

  /** The same without a result; false = await `ready()` before the next. Failures go to `onError` and `flush`. */
  publishNoWait(routingKey: string, value: Content, options?: PublishOptions): boolean {
    const headers = options ? messageHeaders(options) : null;
    return this.producer(flagsOf(options)).sendNoWait({ key: routingKey, value, headers });
  }

  /** The quickest way to publish many: no headers, no result, no object. Bytes are copied. False = await `ready()`. */
  append(routingKey: Content, value: Content): boolean {
    return this.producer(0).append(value, routingKey);
  }

  /** Resolves when there is room for more. */
  async ready(signal?: AbortSignal): Promise<void> {
    await this.producer(0).ready(signal);
  }

  /** Resolves when everything is answered. Errors: the first failure that nobody awaited. */
  async flush(signal?: AbortSignal): Promise<void> {
    await Promise.all(this.producers.map((producer) => producer?.flush(signal)));
  }

  /** Flushes, and closes its publishers; the next publish opens them again. */
  async close(): Promise<void> {
    const producers = this.producers.splice(0);
    await Promise.all(producers.map((producer) => producer?.close()));
  }

  /** A publisher that failed for good, because the exchange was not there, is replaced by a new attempt. */
  private producer(flags: number): Producer {
    const known = this.producers[flags];
    if (known && known.error === null) return known;
    const producer = this.client.produceTo(
      {
        exchange: this.name,
        mandatory: (flags & MANDATORY) !== 0,
        requireConsumer: (flags & REQUIRE_CONSUMER) !== 0,
      },
      this.options,
    );
    this.producers[flags] = producer;
    return producer;
  }
}

function flagsOf(options: PublishOptions | undefined): number {
  if (!options) return 0;
  return (options.mandatory ? MANDATORY : 0) | (options.requireConsumer ? REQUIRE_CONSUMER : 0);
}

export async function listBindings(
  client: Client,
  of: { exchange?: string; queue?: string },
  signal?: AbortSignal,
): Promise<BindingDescription[]> {
  const all: BindingDescription[] = [];
  for (let after: number | null = 0; after !== null;) {
    const page = (await client.ask(Op.BINDING_LIST, [{ ...of, after }], signal)) as {
      bindings: BindingDescription[];
      next: number | null;
    };
    all.push(...page.bindings);
    after = page.next;
  }
  return all;
}

export class Exchanges {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** The exchanges of the namespace, by name. */
  async list(signal?: AbortSignal): Promise<ExchangeSummary[]> {
    const { exchanges } = (await this.client.ask(Op.EXCHANGE_LIST, [{}], signal)) as {
      exchanges: ExchangeSummary[];
    };
    return exchanges;
  }

  /** All bindings of the namespace. */
  bindings(signal?: AbortSignal): Promise<BindingDescription[]> {
    return listBindings(this.client, {}, signal);
  }
}
