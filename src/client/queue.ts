import { type Content, type HeaderValue, Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";
import type { Delivery } from "./delivery.ts";
import type { BindingOptions, DeclareOptions, BindingDescription } from "./exchange.ts";
import { listBindings } from "./exchange.ts";
import { QueueConsumer, type QueueHandler } from "./queue-consumer.ts";
import type { QueueMessage } from "./queue-message.ts";
import type { PublishOptions, QueueConfig, QueueConfigChange, QueueConsumeOptions } from "./queue-options.ts";
import { type GetOptions, QueuePull } from "./queue-pull.ts";
import { sleep } from "./timing.ts";

/** A queue by its name: declaring it, publishing to it, consuming from it, and looking after it. */

/** What the broker counts of a queue; more may come. */
export interface QueueCounts {
  ready: number;
  inFlight: number;
  delayed: number;
  deferred: number;
  consumers: number;
  [count: string]: number;
}

export interface QueueDescription {
  name: string;
  config: QueueConfig;
  createdMs: number;
  counts: Partial<QueueCounts>;
}

export interface QueueSummary {
  name: string;
  counts: Partial<QueueCounts>;
}

/** A message as `peek` shows it. */
export interface PeekedMessage {
  number: number;
  state?: string;
  deliveries?: number;
  dueMs?: number | null;
  timestampMs?: number;
  key?: string | Uint8Array | null;
  value?: string | Uint8Array | null;
  headers?: { [name: string]: unknown } | null;
  [field: string]: unknown;
}

export interface ScheduledMessage extends PeekedMessage {
  /** When it is given out, in ms since 1970. */
  dueMs: number;
}

/** What is left out stays as it is. */
export interface MessageEdit {
  /** The message's own key, which it is also routed by where `RedriveOptions.key` is not given. */
  key?: string | Uint8Array;
  value?: string | Uint8Array;
  /** Headers to set; null removes one. */
  headers?: { [name: string]: HeaderValue | null };
}

/** A message as a dry run shows it. */
export interface RedrivenMessage {
  number: number;
  /** The queues that it would go to. */
  queues: string[];
  key: string | Uint8Array | null;
  value: string | Uint8Array | null;
  headers: { [name: string]: HeaderValue } | null;
}

export interface RedriveOptions {
  /** The exchange that messages go to. Default: where each was published to first. */
  to?: string;
  /** The routing key that they get. Default: their own. */
  key?: string;
  /** Only messages for which this holds, such as `header("x-tenant") == "a"`. */
  where?: string;
  /** The most messages to move. Default: all. */
  max?: number;
  /** The most messages a second. Default: as fast as it goes. */
  ratePerSec?: number;
  /**
   * What they become on the way. An edited message is a new one, with a new number; what it was is gone in the same
   * step. It has none of the old one's `x-message-id`, `x-ttl-ms`, `x-delay-ms` and `x-deliver-at-ms`.
   */
  edit?: MessageEdit;
  /** Counts what would move, shows the first ten as they would be, and moves nothing. */
  dryRun?: boolean;
  /** Ends it between two portions; what was moved stays moved. */
  signal?: AbortSignal;
}

export interface RedriveResult {
  /** Messages that fit. */
  matched: number;
  moved: number;
  /** Of a dry run: the first of them as they would be. */
  messages?: RedrivenMessage[];
}

interface RedriveAnswer extends RedriveResult {
  /** The portion ended by its bytes. */
  more?: boolean;
}

/** The broker moves at most so many at once. */
const PORTION_MAX = 100_000;
/** How long a portion of a redrive with a rate stands for. */
const PORTION_MS = 100;

export class Queue {
  readonly name: string;
  private readonly client: Client;

  constructor(client: Client, name: string) {
    this.client = client;
    this.name = name;
  }

  /** Declares it. Returns whether it is new. Errors: argument_mismatch, invalid_config, queue_exists, queue_exclusive, exchange_not_found, dead_letter_loop. */
  async declare(config: QueueConfig = {}, options: DeclareOptions = {}): Promise<boolean> {
    const { ifNotExists, signal } = options;
    const answer = await this.client.ask(Op.QUEUE_DECLARE, [{ name: this.name, config, ifNotExists }], signal);
    return (answer as { created: boolean }).created;
  }

  /**
   * Changes its configuration: keys that are not named stay, null takes one back to its default, and so within
   * `retry`, `deadLetter` and `release`. What is in the queue stays as it is. Returns the whole configuration.
   *
   * Errors: queue_not_found, queue_exclusive, invalid_config (also for keys that cannot change: `durable`, `exclusive`,
   * `ordered`, `fairShare`, `groupsMax`), exchange_not_found, dead_letter_loop, schedule_never.
   */
  async alter(change: QueueConfigChange, signal?: AbortSignal): Promise<QueueConfig> {
    const answer = await this.client.ask(Op.QUEUE_ALTER, [{ name: this.name, config: change }], signal);
    return (answer as { config: QueueConfig }).config;
  }

  /** Errors: queue_not_found, not_empty, in_use, queue_exclusive. */
  async delete(options: { ifEmpty?: boolean; ifUnused?: boolean; signal?: AbortSignal } = {}): Promise<void> {
    const { ifEmpty, ifUnused, signal } = options;
    await this.client.ask(Op.QUEUE_DELETE, [{ name: this.name, ifEmpty, ifUnused }], signal);
  }

  /** Errors: queue_not_found. */
  async describe(signal?: AbortSignal): Promise<QueueDescription> {
    return (await this.client.ask(Op.QUEUE_DESCRIBE, [{ name: this.name }], signal)) as QueueDescription;
  }

  /** Binds it to an exchange. Returns whether the binding is new. */
  bind(exchange: string, binding: BindingOptions = {}, signal?: AbortSignal): Promise<boolean> {
    return this.client.exchange(exchange).bind({ queue: this.name }, binding, signal);
  }

  unbind(exchange: string, binding: BindingOptions = {}, signal?: AbortSignal): Promise<void> {
    return this.client.exchange(exchange).unbind({ queue: this.name }, binding, signal);
  }

  /** The bindings to it. */
  bindings(signal?: AbortSignal): Promise<BindingDescription[]> {
    return listBindings(this.client, { queue: this.name }, signal);
  }

  /** Publishes to this queue alone. */
  publish(value: Content, options?: PublishOptions): Delivery {
    return this.client.exchange("").publish(this.name, value, options);
  }

  /**
   * Consumes. With a handler it runs for each message; a message is acked when
   * the handler is done, and comes again when it throws. Without one the result
   * is iterated.
   *
   * @example
   * const consumer = client.queue("orders").consume(async (message) => ship(message.json()), { prefetch: 10 });
   * for await (const message of client.queue("orders").consume({ prefetch: 10 })) ship(message.json());
   */
  consume(handler: QueueHandler, options?: QueueConsumeOptions): QueueConsumer;
  consume(options?: QueueConsumeOptions): QueueConsumer;
  consume(first: QueueHandler | QueueConsumeOptions = {}, second: QueueConsumeOptions = {}): QueueConsumer {
    const [handler, options] = typeof first === "function" ? [first, second] : [null, first];
    const consumer = new QueueConsumer(this.client, this.client.nextNumber(), this.name, options, handler);
    this.client.addSubscription(consumer.number, consumer);
    return consumer;
  }

  /** Up to `max` messages, to be settled each. Errors: queue_not_found. */
  get(max: number = 1, options: GetOptions = {}): Promise<QueueMessage[]> {
    const number = this.client.nextNumber();
    const pull = new QueuePull(this.client, number, this.name, max, options);
    this.client.addSubscription(number, pull);
    return pull.result;
  }

  /** Has deferred messages delivered to a consumer of this client. Returns how many there were. */
  async take(consumer: QueueConsumer, numbers: readonly number[], signal?: AbortSignal): Promise<number> {
    const args = { name: this.name, sub: consumer.number, numbers };
    return ((await this.client.ask(Op.QUEUE_TAKE, [args], signal)) as { taken: number }).taken;
  }

  /** Shows messages without taking them, from a number on. */
  async peek(max: number = 10, options: { from?: number; signal?: AbortSignal } = {}): Promise<PeekedMessage[]> {
    const args = { name: this.name, max, from: options.from };
    const { messages } = (await this.client.ask(Op.QUEUE_PEEK, [args], options.signal)) as {
      messages: PeekedMessage[];
    };
    return messages;
  }

  /** A session of an ordered queue, by the name of its group (`group` of its messages, else their routing key). */
  session(group: string): QueueSession {
    return new QueueSession(this.client, this.name, group);
  }

  /** Drops what waits. Returns how many messages. */
  async purge(signal?: AbortSignal): Promise<number> {
    return ((await this.client.ask(Op.QUEUE_PURGE, [{ name: this.name }], signal)) as { purged: number }).purged;
  }

  /**
   * Moves messages back to where they came from, or elsewhere: what one does
   * with a queue of dead letters. The broker moves them in portions.
   *
   * Errors: queue_not_found, exchange_not_found, bad_expression, cancelled.
   */
  async redrive(options: RedriveOptions = {}): Promise<RedriveResult> {
    const { signal, max = Number.MAX_SAFE_INTEGER, ratePerSec, ...args } = options;
    const portion = ratePerSec === undefined ? PORTION_MAX : Math.max(1, Math.ceil((ratePerSec * PORTION_MS) / 1000));
    const total: RedriveResult = { matched: 0, moved: 0 };
    for (let left = max; left > 0;) {
      const asked = Math.min(left, args.dryRun === true ? left : portion, PORTION_MAX);
      const request = { name: this.name, ...args, max: asked };
      const answer = (await this.client.ask(Op.QUEUE_REDRIVE, [request], signal)) as RedriveAnswer;
      const { matched, moved, more, messages } = answer;
      total.matched += matched;
      total.moved += moved;
      if (messages !== undefined) total.messages = messages;
      left -= moved;
      if (moved < asked && more !== true) break;
      if (ratePerSec !== undefined && left > 0) await sleep((moved * 1000) / ratePerSec, signal);
    }
    return total;
  }

  /** Messages that are not due yet, by their time. `after` is the last message of the page before. */
  async scheduled(
    max: number = 100,
    options: { after?: ScheduledMessage; signal?: AbortSignal } = {},
  ): Promise<ScheduledMessage[]> {
    const { after, signal } = options;
    const args = { name: this.name, max, after: after === undefined ? undefined : [after.dueMs, after.number] };
    const { messages } = (await this.client.ask(Op.QUEUE_SCHEDULED, [args], signal)) as {
      messages: ScheduledMessage[];
    };
    return messages;
  }

  /** Takes messages back that are not due yet. Returns how many there were. */
  async cancel(numbers: readonly number[], signal?: AbortSignal): Promise<number> {
    const answer = await this.client.ask(Op.QUEUE_SCHEDULED, [{ name: this.name, cancel: numbers }], signal);
    return (answer as { cancelled: number }).cancelled;
  }
}

/** A session of an ordered queue: the messages of one group, and what its consumers keep between them. */
export class QueueSession {
  readonly queue: string;
  readonly group: string;
  private readonly client: Client;

  constructor(client: Client, queue: string, group: string) {
    this.client = client;
    this.queue = queue;
    this.group = group;
  }

  /** Its state, or null. Errors: queue_not_found, invalid_argument where the queue is not ordered. */
  async state(signal?: AbortSignal): Promise<Uint8Array | null> {
    const answer = await this.client.ask(Op.QUEUE_SESSION, [{ name: this.queue, session: this.group }], signal);
    return (answer as { state: Uint8Array | null }).state;
  }

  /** Resolves when it is in the broker's log; null removes it. Errors: also limit_exceeded. */
  async setState(state: Uint8Array | string | null, signal?: AbortSignal): Promise<void> {
    const change = state === null ? { remove: true } : { state };
    await this.client.ask(Op.QUEUE_SESSION, [{ name: this.queue, session: this.group, ...change }], signal);
  }
}

export class Queues {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** The queues of the namespace, by name. */
  async list(options: { pattern?: string; signal?: AbortSignal } = {}): Promise<QueueSummary[]> {
    const { pattern, signal } = options;
    const all: QueueSummary[] = [];
    for (let after: string | undefined; ;) {
      const page = (await this.client.ask(Op.QUEUE_LIST, [{ pattern, after }], signal)) as {
        queues: QueueSummary[];
        next: string | null;
      };
      all.push(...page.queues);
      if (page.next === null) return all;
      after = page.next;
    }
  }
}
