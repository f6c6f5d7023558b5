import type { Client } from "./client.ts";
import type { QueueConsumer } from "./queue-consumer.ts";
import type { QueueMessage } from "./queue-message.ts";
import type { QueueConsumeOptions } from "./queue-options.ts";

/** A consumer that runs until it is told to stop, and leaves nothing half done where there is time. */

export interface WorkerOptions extends Omit<QueueConsumeOptions, "autoAck" | "exclusive"> {
  /** Handlers that run side by side. Default 1. */
  concurrency?: number;
  /** The most messages that are delivered and not settled. Default: twice `concurrency`, so that no handler waits for the broker. */
  prefetch?: number;
  /** Leases of messages that are being handled or wait for that are renewed. Default true. */
  autoRenew?: boolean;
  /** How long a stop waits for handlers; then their signal is aborted, and their messages are given to others. Default 10,000 ms. */
  drainTimeoutMs?: number;
  /** Signals of the process that stop the worker, such as "SIGTERM". The second one ends the process as ever. Default none. */
  signals?: readonly string[];
}

/** The signal is aborted when the worker will wait no longer: what the handler does after that may be done twice. */
export type WorkerHandler = (message: QueueMessage, signal: AbortSignal) => unknown;

interface SignalSource {
  on(name: string, listener: () => void): unknown;
  off(name: string, listener: () => void): unknown;
}

export class Worker implements AsyncDisposable {
  readonly consumer: QueueConsumer;
  /** Resolves when the worker has stopped; rejects with what ended its consumer. */
  readonly done: Promise<void>;
  private readonly signals: readonly string[];
  private readonly giveUp = new AbortController();
  private active = 0;

  constructor(client: Client, queue: string, handler: WorkerHandler, options: WorkerOptions) {
    const { signals = [], concurrency = 1, prefetch = 2 * concurrency, autoRenew = true, ...rest } = options;
    this.signals = signals;
    const run = (message: QueueMessage): unknown => this.run(handler, message);
    this.consumer = client.queue(queue).consume(run, { ...rest, prefetch, concurrency, autoRenew });
    for (const name of signals) processSignals()?.on(name, this.onSignal);
    this.done = this.consumer.done.finally(() => this.ended());
    // Nobody has to look, as with the consumer's own.
    this.done.catch(() => undefined);
  }

  /** Handlers that run now. */
  get running(): number {
    return this.active;
  }

  private run(handler: WorkerHandler, message: QueueMessage): unknown {
    this.active++;
    const end = (): void => {
      this.active--;
    };
    let result: unknown;
    try {
      result = handler(message, this.giveUp.signal);
    } catch (error) {
      end();
      throw error;
    }
    if (typeof (result as PromiseLike<unknown> | null)?.then === "function")
      return Promise.resolve(result).finally(end);
    end();
    return result;
  }

  private readonly onSignal = (): void => {
    this.forgetSignals();
    void this.stop();
  };

  /** The next signal does what it did before. */
  private forgetSignals(): void {
    for (const name of this.signals) processSignals()?.off(name, this.onSignal);
  }

  private ended(): void {
    this.forgetSignals();
    this.giveUp.abort(new Error("the worker has stopped"));
  }

  /** Takes nothing more, waits for handlers for `drainTimeoutMs`, settles, and gives the rest back. Idempotent. */
  stop(): Promise<void> {
    return this.consumer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Where a process can be told of signals; not in browsers. */
function processSignals(): SignalSource | null {
  const host = (globalThis as { process?: Partial<SignalSource> }).process;
  return typeof host?.on === "function" && typeof host.off === "function" ? (host as SignalSource) : null;
}
