import { type MessagesHead, Op, Outcome } from "../protocol/index.ts";
import type { Client, Endpoint } from "./client.ts";
import { asMillraceError, cancelled, clientError, type MillraceError, wireError } from "./errors.ts";
import { QueueChannel } from "./queue-channel.ts";
import type { QueueMessage } from "./queue-message.ts";
import type { QueueConfig, QueueConsumeOptions } from "./queue-options.ts";
import type { QueueView } from "./queue-view.ts";
import type { Session, SubscriptionSink } from "./session.ts";
import { sleep, withTimeout } from "./timing.ts";
import { Changes } from "./waiting.ts";

/** Consumes from a queue: with a handler, message by message, or view by view; over lost connections. */

export type QueueHandler = (message: QueueMessage) => unknown;

const PREFETCH = 100;
const DRAIN_MS = 10_000;
const RETRY_MS = 100;
const UNSUBSCRIBE_MS = 5_000;
const CONFIRM_MS = 10_000;
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A delivery that was not looked at yet. */
interface Frame {
  readonly channel: QueueChannel;
  readonly head: MessagesHead;
  readonly bytes: Uint8Array;
  readonly end: number;
}

/** Makes a queue before each subscription to it, for queues that go with their connection. */
export interface QueueDeclaration {
  readonly config: QueueConfig;
}

export class QueueConsumer implements SubscriptionSink, Endpoint, AsyncIterableIterator<QueueMessage>, AsyncDisposable {
  readonly number: number;
  readonly queue: string;
  /** Resolves when the consumer has ended; rejects with what ended it. */
  readonly done: Promise<void>;
  private readonly client: Client;
  private readonly options: QueueConsumeOptions;
  private readonly declaration: QueueDeclaration | null;
  private readonly handler: QueueHandler | null;
  private readonly changes = new Changes();
  private finish: (failure: MillraceError | null) => void = () => undefined;
  private session: Session | null = null;
  private channel: QueueChannel | null = null;
  private frames: Frame[] = [];
  private framesStart = 0;
  private view: QueueView | null = null;
  private viewChannel: QueueChannel | null = null;
  private index = 0;
  private last: QueueMessage | null = null;
  private running = 0;
  private prefetch: number;
  /** Messages of this connection whose handlers run, by their tags, where leases are renewed for them. */
  private readonly handled = new Map<number, QueueMessage>();
  /** The first tag of those that were not handed out: tags go up as messages come. */
  private waitingTag = 0;
  private isStopping = false;
  private isPumping = false;
  private failure: MillraceError | null = null;
  private closing: Promise<void> | null = null;

  constructor(
    client: Client,
    number: number,
    queue: string,
    options: QueueConsumeOptions,
    handler: QueueHandler | null,
    declaration: QueueDeclaration | null = null,
  ) {
    this.client = client;
    this.number = number;
    this.queue = queue;
    this.options = options;
    this.prefetch = options.prefetch ?? PREFETCH;
    this.handler = handler;
    this.declaration = declaration;
    this.done = new Promise((resolve, reject) => {
      this.finish = (failure) => (failure ? reject(failure) : resolve());
    });
    // Nobody has to look: errors reach the iteration and `onError` too.
    this.done.catch(() => undefined);
    const { signal } = options;
    if (signal?.aborted) this.abort();
    else signal?.addEventListener("abort", this.abort, { once: true });
  }

  private readonly abort = (): void => {
    if (this.handler === null) this.fail(cancelled(this.options.signal as AbortSignal));
    void this.close();
  };

  // -- The session's side -------------------------------------------------------

  connected(session: Session): void {
    this.session = session;
    this.subscribe(session);
  }

  private subscribe(session: Session): void {
    if (this.isStopping || this.failure || this.session !== session) return;
    const { prefetch } = this;
    const { priority, exclusive, leaseMs, payloads = this.client.payloads } = this.options;
    const fail = (error: MillraceError): void => this.subscribeFailed(session, error);
    if (this.declaration) {
      const args = { name: this.queue, config: this.declaration.config };
      session.call(Op.QUEUE_DECLARE, [args], () => undefined, fail);
    }
    const channel = new QueueChannel(session, this.number, this.queue, payloads, () => this.changes.happened());
    session.call(
      Op.SUBSCRIBE,
      [this.number, { queue: this.queue, prefetch, priority, exclusive, leaseMs }],
      () => {
        this.channel = channel;
        this.changes.happened();
      },
      fail,
    );
  }

  private subscribeFailed(session: Session, error: MillraceError): void {
    if (this.session !== session || !session.isOpen || this.channel) return;
    if (!error.retryable) this.fail(error);
    else setTimeout(() => this.subscribe(session), RETRY_MS);
  }

  disconnected(): void {
    this.session = null;
    this.channel?.close();
    this.channel = null;
    this.dropFrames();
    this.handled.clear();
    this.waitingTag = 0;
    this.changes.happened();
  }

  /** What was not handed out belongs to the broker again. */
  private dropFrames(): void {
    this.frames = [];
    this.framesStart = 0;
    this.view = null;
    this.viewChannel = null;
  }

  failed(error: MillraceError): void {
    this.session = null;
    this.channel = null;
    this.dropFrames();
    this.fail(error);
    void this.close();
  }

  private fail(error: MillraceError): void {
    this.failure ??= error;
    this.changes.happened();
    if (this.handler) void this.close();
  }

  messages(head: MessagesHead, bytes: Uint8Array, end: number): void {
    const { channel } = this;
    if (!channel) return;
    this.frames.push({ channel, head, bytes, end });
    if (this.handler) this.pump(this.handler);
    else this.changes.happened();
  }

  /** A queue's subscription has no sources. */
  delivered(): void {}

  notified(op: number, args: unknown[]): void {
    if (op === Op.SETTLE_FAILED) {
      const [, , , code, name, message] = args;
      this.report(wireError([code, name, message, false, null]), null);
    } else if (op === Op.QUEUE_EVENT) {
      this.event(String(args[0]), args[1] as { [name: string]: unknown });
    }
  }

  private event(kind: string, details: { [name: string]: unknown }): void {
    if (kind === "active") {
      this.options.onActive?.(details["active"] === true);
    } else if (kind === "lease_warning") {
      const { tag, number } = details as { tag: number; number: number };
      if (this.options.autoRenew && this.isHeld(tag)) this.channel?.settle(tag, 1, Outcome.RENEW, null);
      this.options.onLeaseWarning?.({ tag, number });
    } else if (kind === "ended") {
      this.channel?.close();
      this.channel = null;
      this.dropFrames();
      this.fail(wireError([details["code"], null, details["message"], false, null]));
    }
  }

  /**
   * Whether a message is being handled or waits for that. One that waits is renewed too: its handler may begin just
   * before the lease ends, and is then at work on what others have been given.
   */
  private isHeld(tag: number): boolean {
    if (tag >= this.waitingTag) return true;
    const message = this.last?.tag === tag ? this.last : this.handled.get(tag);
    return message !== undefined && !message.isSettled;
  }

  private report(error: unknown, message: QueueMessage | null): void {
    this.options.onError?.(error, message);
  }

  // -- Taking messages ------------------------------------------------------------

  /** The next delivery that is here already. Errors: what is wrong with its batch. */
  private takeView(): QueueView | null {
    while (this.framesStart < this.frames.length) {
      const { channel, head, bytes, end } = this.frames[this.framesStart++] as Frame;
      // Behind a consumer that never catches up the list would hold on to everything that it has read.
      if (this.framesStart * 2 > this.frames.length) {
        this.frames.splice(0, this.framesStart);
        this.framesStart = 0;
      }
      if (!channel.isUsable) continue;
      this.viewChannel = channel;
      return channel.view(head, bytes, end);
    }
    return null;
  }

  /** The next message that is here already. */
  private take(): QueueMessage | null {
    while (!this.isStopping) {
      const { view, viewChannel } = this;
      if (view && viewChannel && this.index < view.length) {
        const message = viewChannel.message(view, this.index++);
        this.waitingTag = message.tag + 1;
        return message;
      }
      this.view = this.takeView();
      this.index = 0;
      if (!this.view) return null;
    }
    return null;
  }

  /** Starts handlers as long as there are messages and room. A handler that returns no promise is done at once. */
  private pump(handler: QueueHandler): void {
    if (this.isPumping) return;
    this.isPumping = true;
    const { concurrency = 1 } = this.options;
    try {
      while (this.running < concurrency) {
        const message = this.take();
        if (!message) break;
        this.handle(handler, message);
      }
    } catch (error) {
      this.fail(asMillraceError(error));
    } finally {
      this.isPumping = false;
    }
  }

  private handle(handler: QueueHandler, message: QueueMessage): void {
    let result: unknown;
    try {
      result = handler(message);
    } catch (error) {
      this.threw(message, error);
      return;
    }
    if (!isThenable(result)) {
      this.finished(message);
      return;
    }
    this.running++;
    if (this.options.autoRenew) this.handled.set(message.tag, message);
    const settled = (): void => {
      this.running--;
      // After a lost connection another message has the tag.
      if (this.handled.get(message.tag) === message) this.handled.delete(message.tag);
      this.pump(handler);
      if (this.running === 0) this.changes.happened();
    };
    result.then(
      () => {
        this.finished(message);
        settled();
      },
      (error: unknown) => {
        this.threw(message, error);
        settled();
      },
    );
  }

  private finished(message: QueueMessage): void {
    if (message.isSettled || this.options.autoAck === false) return;
    this.quietly(message, () => message.ack());
  }

  private threw(message: QueueMessage, error: unknown): void {
    this.report(error, message);
    if (message.isSettled) return;
    const { onThrow = "retry" } = this.options;
    this.quietly(message, () => {
      if (onThrow === "reject") message.reject();
      else if (onThrow === "requeue") message.nack({ delayMs: 0 });
      else message.nack({ errorClass: errorClassOf(error) });
    });
  }

  /** Settles for the handler: that the connection is gone is told, and the broker gives the message again. */
  private quietly(message: QueueMessage, settle: () => void): void {
    try {
      settle();
    } catch (error) {
      this.report(error, message);
    }
  }

  // -- Iteration --------------------------------------------------------------------

  /** The next message. The one before it is acked, unless it was settled or `autoAck` is off. */
  async next(): Promise<IteratorResult<QueueMessage, undefined>> {
    this.settleLast();
    while (true) {
      const value = this.take();
      if (value) {
        this.last = value;
        return { done: false, value };
      }
      if (!(await this.more())) return DONE;
    }
  }

  private settleLast(): void {
    const { last } = this;
    this.last = null;
    if (last) this.finished(last);
  }

  /** Waits for messages; false at the end. Errors: why the consumer failed. */
  private async more(): Promise<boolean> {
    const isOver = (): boolean => this.failure !== null || this.isStopping;
    await this.changes.until(() => isOver() || this.framesStart < this.frames.length);
    if (!isOver()) return true;
    const { failure } = this;
    await this.close();
    if (failure) throw failure;
    return false;
  }

  /**
   * Deliveries as views, as they came: for consumers that want no object for
   * each message. A view that was not settled is acked when the next one is
   * asked for, unless `autoAck` is off.
   */
  async *views(): AsyncIterableIterator<QueueView> {
    let last: QueueView | null = null;
    try {
      while (true) {
        if (last && this.options.autoAck !== false && !last.isSettled) this.ackView(last);
        last = this.isStopping ? null : this.takeView();
        if (last) yield last;
        else if (!(await this.more())) return;
      }
    } finally {
      await this.close();
    }
  }

  /**
   * Deliveries as `views` gives them, all that are here until they have `countMax` messages: at least one, waiting for
   * the first alone; null at the end. Nothing is acked by itself: for consumers that settle many views in a transaction.
   */
  async takeViews(countMax: number): Promise<QueueView[] | null> {
    const views: QueueView[] = [];
    let count = 0;
    while (true) {
      const view = count < countMax && !this.isStopping ? this.takeView() : null;
      if (view) {
        views.push(view);
        count += view.length;
      } else if (views.length > 0) {
        return views;
      } else if (!(await this.more())) {
        return null;
      }
    }
  }

  private ackView(view: QueueView): void {
    try {
      view.ack();
    } catch (error) {
      this.report(error, null);
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the iteration, as `break` does: the last message goes back, unless it was settled. */
  async return(): Promise<IteratorResult<QueueMessage, undefined>> {
    const { last } = this;
    this.last = null;
    if (last && !last.isSettled) this.quietly(last, () => last.release());
    await this.close();
    return DONE;
  }

  // -- The end ----------------------------------------------------------------------

  /** Resolves when everything settled so far is in the broker's log. Errors: unknown_delivery, connection_lost. */
  async flush(): Promise<void> {
    await this.channel?.confirm();
  }

  /** Changes how many messages may be unsettled. */
  setPrefetch(prefetch: number): void {
    this.prefetch = prefetch;
    this.channel?.setPrefetch(prefetch);
  }

  /** True from the broker's answer to the end of the connection. */
  get isSubscribed(): boolean {
    return this.channel !== null;
  }

  /** Resolves when the broker knows of it, and gives it messages. Errors: why the consumer failed. */
  async ready(): Promise<void> {
    await this.changes.until(() => this.channel !== null || this.failure !== null || this.isStopping);
    if (this.failure) throw this.failure;
  }

  /** Takes nothing more, waits for handlers that run, settles, and gives the rest back. Idempotent. */
  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    this.isStopping = true;
    this.options.signal?.removeEventListener("abort", this.abort);
    this.channel?.setPrefetch(0);
    this.changes.happened();
    this.releaseRest();
    await this.drain();
    const { channel, session } = this;
    if (channel?.isUsable && session) {
      await withTimeout(channel.confirm(), CONFIRM_MS).catch((error: unknown) => this.report(error, null));
      await session.request(Op.UNSUBSCRIBE, [this.number], UNSUBSCRIBE_MS).catch(() => undefined);
    }
    channel?.close();
    this.channel = null;
    this.dropFrames();
    this.client.detach(this.number, this);
    this.changes.happened();
    this.finish(this.failure?.codeName === "closed" ? null : this.failure);
  }

  /** What was delivered and not handed out goes back, without counting as a delivery. */
  private releaseRest(): void {
    const { view, viewChannel, index } = this;
    try {
      if (view && viewChannel?.isUsable && index < view.length) view.release(index);
      this.view = null;
      for (let rest = this.takeView(); rest; rest = this.takeView()) rest.release();
    } catch (error) {
      this.report(error, null);
    }
  }

  private async drain(): Promise<void> {
    if (this.running === 0) return;
    const patience = new AbortController();
    const waited = sleep(this.options.drainTimeoutMs ?? DRAIN_MS, patience.signal).then(
      () => this.report(clientError("timeout", `${this.running} handlers still run`), null),
      () => undefined,
    );
    await Promise.race([this.changes.until(() => this.running === 0), waited]);
    patience.abort();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isThenable(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && typeof (value as Promise<unknown>).then === "function";
}

/** What a queue's retry policy is chosen by: an error's `errorClass`, or its name. */
function errorClassOf(error: unknown): string {
  const { errorClass, name } = (error ?? {}) as { errorClass?: unknown; name?: unknown };
  if (typeof errorClass === "string") return errorClass;
  return typeof name === "string" ? name : "Error";
}
