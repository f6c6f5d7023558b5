import { type MessagesHead, Op } from "../protocol/index.ts";
import type { Client, Endpoint } from "./client.ts";
import { cancelled, type MillraceError } from "./errors.ts";
import type { LargePayloads } from "./payloads/payloads.ts";
import { QueueChannel } from "./queue-channel.ts";
import type { QueueMessage } from "./queue-message.ts";
import type { Session, SubscriptionSink } from "./session.ts";

/** Takes messages of a queue once: a subscription that ends when what it brought is settled. */

export interface GetOptions {
  /** How long to wait for messages where too few are there. Default 0. */
  waitMs?: number;
  /** How many are enough not to wait longer. Default 1. */
  min?: number;
  /** How long each may be held. Default: the queue's. */
  leaseMs?: number;
  /** Where large bodies come from. Default: the client's; null is none. */
  payloads?: LargePayloads | null;
  signal?: AbortSignal;
}

const UNSUBSCRIBE_MS = 5_000;

export class QueuePull implements SubscriptionSink, Endpoint {
  readonly result: Promise<QueueMessage[]>;
  private readonly client: Client;
  private readonly number: number;
  private readonly queue: string;
  private readonly max: number;
  private readonly options: GetOptions;
  private readonly timer: ReturnType<typeof setTimeout>;
  private resolve: (messages: QueueMessage[]) => void = () => undefined;
  private reject: (error: MillraceError) => void = () => undefined;
  private session: Session | null = null;
  private channel: QueueChannel | null = null;
  private found: QueueMessage[] = [];
  private isAnswered = false;
  private isWaitOver = false;
  private isFinished = false;
  private isEnded = false;

  constructor(client: Client, number: number, queue: string, max: number, options: GetOptions) {
    this.client = client;
    this.number = number;
    this.queue = queue;
    this.max = max;
    this.options = options;
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.timer = setTimeout(() => this.waited(), options.waitMs ?? 0);
    const { signal } = options;
    if (signal?.aborted) this.abort();
    else signal?.addEventListener("abort", this.abort, { once: true });
  }

  private readonly abort = (): void => this.fail(cancelled(this.options.signal as AbortSignal));

  connected(session: Session): void {
    if (this.isFinished) return;
    this.session = session;
    this.isAnswered = false;
    const { leaseMs, payloads = this.client.payloads } = this.options;
    this.channel = new QueueChannel(session, this.number, this.queue, payloads, () => this.settled());
    session.call(
      Op.QUEUE_GET,
      [this.number, { name: this.queue, max: this.max, leaseMs }],
      () => {
        this.isAnswered = true;
        this.check();
      },
      (error) => {
        if (this.session === session && session.isOpen) this.fail(error);
      },
    );
  }

  disconnected(): void {
    this.session = null;
    this.channel?.close();
    this.channel = null;
    // What came has to come again: its deliveries were the lost connection's.
    if (this.isFinished) this.end();
    else this.found = [];
  }

  failed(error: MillraceError): void {
    this.session = null;
    this.fail(error);
  }

  messages(head: MessagesHead, bytes: Uint8Array, end: number): void {
    const { channel } = this;
    if (!channel) return;
    const view = channel.view(head, bytes, end);
    if (this.isFinished) {
      view.release();
      return;
    }
    for (let index = 0; index < view.length; index++) this.found.push(channel.message(view, index));
    this.check();
  }

  delivered(): void {}
  notified(): void {}

  /** Until the broker has answered, what is there may still be on its way. */
  private check(): void {
    const { min = 1 } = this.options;
    const isEnough = this.found.length >= this.max || (this.isAnswered && this.found.length >= min);
    if (isEnough || (this.isAnswered && this.isWaitOver)) this.finish();
  }

  private waited(): void {
    this.isWaitOver = true;
    this.check();
  }

  private finish(): void {
    if (this.isFinished) return;
    this.isFinished = true;
    this.clear();
    this.channel?.setPrefetch(0);
    this.resolve(this.found);
    if (this.channel?.unsettled === 0) this.end();
  }

  private fail(error: MillraceError): void {
    if (this.isFinished) return;
    this.isFinished = true;
    this.clear();
    this.reject(error);
    this.end();
  }

  private clear(): void {
    clearTimeout(this.timer);
    this.options.signal?.removeEventListener("abort", this.abort);
  }

  private settled(): void {
    if (this.isFinished && this.channel?.unsettled === 0) this.end();
  }

  private end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.channel?.close();
    const { session } = this;
    if (session?.isOpen) {
      void session.request(Op.UNSUBSCRIBE, [this.number], UNSUBSCRIBE_MS).catch(() => undefined);
    }
    this.client.detach(this.number, this);
  }

  /** The client closes: what was not settled goes back. */
  close(): Promise<void> {
    this.finish();
    this.end();
    return Promise.resolve();
  }
}
