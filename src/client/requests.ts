import type { Content, HeaderValue, Headers } from "../protocol/index.ts";
import { type ErrorName, isErrorName } from "../errors/index.ts";
import type { Client } from "./client.ts";
import { asMillraceError, cancelled, clientError, isMillraceError, type MillraceError } from "./errors.ts";
import { QueueConsumer, type QueueHandler } from "./queue-consumer.ts";
import type { QueueMessage } from "./queue-message.ts";
import type { QueueConfig, QueueConsumeOptions } from "./queue-options.ts";

/** Requests and replies: a queue for answers that goes with the connection, and correlation ids. */

export interface RequestOptions {
  /** Ends waiting, and with it the request for this client. */
  signal?: AbortSignal;
  /** Default 30,000 ms. The request itself expires after it, too. */
  timeoutMs?: number;
  headers?: Headers | null;
  /** The exchange that the request goes through. Default "": to the queue of its name. */
  exchange?: string;
  priority?: number;
}

export interface GatherOptions extends RequestOptions {
  /** So many answers are waited for; at the timeout those that came are the result, where there is one. */
  replies: number;
}

export interface ReplyOptions extends Omit<QueueConsumeOptions, "autoAck"> {
  /** What the queue of requests is declared with; null declares nothing. Default: transient, gone with its last responder. */
  queue?: QueueConfig | null;
}

/** What a handler answers with: the body alone, or with headers. */
export type Answer = Content | { value: Content; headers?: Headers };

const TIMEOUT_MS = 30_000;
const INBOX_PREFETCH = 1_000;
const INBOX: QueueConfig = { durable: false, exclusive: true, autoDelete: true };
const RESPONDER_QUEUE: QueueConfig = { durable: false, autoDelete: true };

/** An answer to a request. */
export class Reply {
  private readonly message: QueueMessage;

  constructor(message: QueueMessage) {
    this.message = message;
  }

  get value(): Uint8Array | null {
    return this.message.value;
  }

  get headers(): { [name: string]: HeaderValue } {
    return this.message.headers;
  }

  text(): string | null {
    return this.message.text();
  }

  /** Errors: bad_record. */
  json<T = unknown>(): T {
    return this.message.json<T>();
  }
}

interface Pending {
  readonly wanted: number;
  readonly replies: Reply[];
  done(): void;
  fail(error: MillraceError): void;
}

class Inbox extends QueueConsumer {
  private readonly onLost: () => void;

  constructor(client: Client, name: string, handler: QueueHandler, onLost: () => void) {
    // Answers whose bodies are fetched from a store do not hold others up.
    const options = { prefetch: INBOX_PREFETCH, concurrency: INBOX_PREFETCH };
    super(client, client.nextNumber(), name, options, handler, { config: INBOX });
    this.onLost = onLost;
  }

  override disconnected(): void {
    super.disconnected();
    this.onLost();
    void this.close();
  }
}

export class Requests {
  private readonly client: Client;
  private readonly pending = new Map<string, Pending>();
  /** Random, so that inboxes of clients do not meet. */
  private readonly prefix = `_inbox.${crypto.randomUUID()}`;
  private inbox: Inbox | null = null;
  private inboxes = 0;
  private last = 0;

  constructor(client: Client) {
    this.client = client;
  }

  async request(name: string, body: Content, options: RequestOptions & { replies?: number }): Promise<Reply[]> {
    const { timeoutMs = TIMEOUT_MS, exchange = "", headers = null, priority, signal } = options;
    if (signal?.aborted) throw cancelled(signal);
    const correlationId = String(++this.last);
    const answered = this.expect(correlationId, options);
    const { queue: replyTo } = this.openInbox();
    const message = { headers, replyTo, correlationId, ttlMs: timeoutMs, requireConsumer: true };
    const published = this.client
      .exchange(exchange)
      .publish(name, body, priority === undefined ? message : { ...message, priority });
    published.catch((error: unknown) => this.pending.get(correlationId)?.fail(unheard(error, name)));
    return answered;
  }

  /** Waits for the answers to a correlation id. */
  private expect(id: string, options: RequestOptions & { replies?: number }): Promise<Reply[]> {
    const { timeoutMs = TIMEOUT_MS, signal, replies: wanted = 1 } = options;
    return new Promise((resolve, reject) => {
      const replies: Reply[] = [];
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.pending.delete(id);
        settle();
      };
      const done = (): void => end(() => resolve(replies));
      const fail = (error: MillraceError): void => end(() => reject(error));
      const abort = (): void => fail(cancelled(signal as AbortSignal));
      const timer = setTimeout(() => {
        if (replies.length > 0) done();
        else fail(clientError("timeout", `no answer in ${timeoutMs} ms`));
      }, timeoutMs);
      signal?.addEventListener("abort", abort, { once: true });
      this.pending.set(id, { wanted, replies, done, fail });
    });
  }

  private openInbox(): Inbox {
    if (this.inbox) return this.inbox;
    const lost = (): void => {
      this.inbox = null;
      const error = clientError("connection_lost", "the connection was lost before the answer came");
      for (const pending of [...this.pending.values()]) pending.fail(error);
    };
    const name = `${this.prefix}.${++this.inboxes}`;
    const inbox = new Inbox(this.client, name, (message) => this.answered(message), lost);
    this.inbox = inbox;
    inbox.done.catch((error: unknown) => {
      if (this.inbox === inbox) this.inbox = null;
      for (const pending of [...this.pending.values()]) pending.fail(asMillraceError(error));
    });
    this.client.addSubscription(inbox.number, inbox);
    return inbox;
  }

  /** An answer; those that nobody waits for any more are dropped. */
  private answered(message: QueueMessage): unknown {
    const body = message.body();
    if (!(body instanceof Promise)) return this.answeredWhole(message);
    return body.then(
      () => this.answeredWhole(message),
      (error: unknown) => this.pendingOf(message)?.fail(asMillraceError(error)),
    );
  }

  private pendingOf(message: QueueMessage): Pending | undefined {
    return this.pending.get(String(message.headers["x-correlation-id"]));
  }

  private answeredWhole(message: QueueMessage): void {
    const { headers } = message;
    const pending = this.pendingOf(message);
    if (!pending) return;
    const errorName = headers["x-error"];
    if (typeof errorName === "string") {
      const name: ErrorName = isErrorName(errorName) ? errorName : "request_failed";
      pending.fail(clientError(name, message.text() ?? "the responder failed"));
      return;
    }
    pending.replies.push(new Reply(message));
    if (pending.replies.length >= pending.wanted) pending.done();
  }

  reply(
    name: string,
    handler: (message: QueueMessage) => Answer | Promise<Answer>,
    options: ReplyOptions,
  ): QueueConsumer {
    const { queue: config = RESPONDER_QUEUE, ...consume } = options;
    const answer = async (message: QueueMessage): Promise<void> => {
      const { headers } = message;
      const replyTo = headers["x-reply-to"];
      const correlationId = String(headers["x-correlation-id"] ?? "");
      const result = await outcomeOf(message, handler);
      if (typeof replyTo !== "string") return;
      await this.client.exchange("").publish(replyTo, result.value, {
        headers: result.headers,
        correlationId,
      });
    };
    const declaration = config === null ? null : { config };
    const consumer = new QueueConsumer(this.client, this.client.nextNumber(), name, consume, answer, declaration);
    this.client.addSubscription(consumer.number, consumer);
    return consumer;
  }
}

/** A request that no queue takes has no responder either. */
function unheard(error: unknown, name: string): MillraceError {
  if (!isMillraceError(error, "unroutable", "no_responder")) return asMillraceError(error);
  return clientError("no_responder", `nobody replies to "${name}"`);
}

/** The handler's answer; what it throws is an answer too. */
async function outcomeOf(
  message: QueueMessage,
  handler: (message: QueueMessage) => Answer | Promise<Answer>,
): Promise<{ value: Content; headers: Headers | null }> {
  try {
    const body = message.body();
    if (body instanceof Promise) await body;
    const answer = await handler(message);
    if (typeof answer === "object" && answer !== null && !(answer instanceof Uint8Array)) {
      return { value: answer.value, headers: answer.headers ?? null };
    }
    return { value: answer, headers: null };
  } catch (error) {
    const name = isMillraceError(error) ? error.codeName : "request_failed";
    const text = error instanceof Error ? error.message : String(error);
    return { value: text, headers: { "x-error": name } };
  }
}
