/** Queues that go by themselves: with their connection, after their last consumer, or when nobody has used them. */
import type { Definitions } from "./definitions.ts";
import type { Queues } from "./queues.ts";
import type { Queue } from "./routing-state.ts";

interface Use {
  /** What showed a use when it was last looked at. */
  mark: string;
  sinceMs: number;
}

export class QueueLife {
  readonly #definitions: Definitions;
  readonly #queues: Queues;
  /** Of the queues with `expiresMs`, by their id. */
  readonly #uses = new Map<number, Use>();
  readonly #onFailure: (error: unknown) => void;

  /** @param onFailure hears why a queue could not be removed; it is tried again where that makes sense. */
  constructor(definitions: Definitions, queues: Queues, onFailure: (error: unknown) => void) {
    this.#definitions = definitions;
    this.#queues = queues;
    this.#onFailure = onFailure;
  }

  /** A consumer has left, and the core knows. */
  async consumerLeft(queue: Queue): Promise<void> {
    // Its configuration may have changed since the consumer came.
    if (this.#definitions.state.routing.queueById(queue.id)?.config.autoDelete !== true) return;
    await this.#quietly(this.#queues.deleteIf(queue.id, ({ consumers = 0 }) => consumers === 0));
  }

  /** A connection is gone: its exclusive queues go too. */
  async connectionClosed(queueIds: Iterable<number>): Promise<void> {
    for (const id of queueIds) await this.#quietly(this.#queues.deleteIf(id, () => true));
  }

  /** Looks for queues that nobody has used for too long. One worker does this. */
  async sweep(nowMs: number): Promise<void> {
    const { routing } = this.#definitions.state;
    const seen = new Set<number>();
    for (const queue of [...routing.expiringQueues()]) {
      const { expiresMs = Number.POSITIVE_INFINITY } = queue.config;
      seen.add(queue.id);
      if (nowMs - this.#lastUse(queue, nowMs) < expiresMs) continue;
      this.#uses.delete(queue.id);
      await this.#quietly(this.#queues.deleteIf(queue.id, ({ consumers = 0 }) => consumers === 0));
    }
    for (const id of this.#uses.keys()) if (!seen.has(id)) this.#uses.delete(id);
  }

  /** Consumers, and messages that were taken by one who has left again, are uses; publishes are not. */
  #lastUse(queue: Queue, nowMs: number): number {
    const { consumers = 0, delivered = 0 } = this.#queues.counts(queue);
    const mark = `${delivered}`;
    const use = this.#uses.get(queue.id);
    if (use !== undefined && consumers === 0 && use.mark === mark) return use.sinceMs;
    this.#uses.set(queue.id, { mark, sinceMs: nowMs });
    return nowMs;
  }

  async #quietly(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#onFailure(error);
    }
  }
}
