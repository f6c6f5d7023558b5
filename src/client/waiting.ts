import type { Condition } from "../protocol/index.ts";
import type { Delivery } from "./delivery.ts";
import type { ProducerRecord } from "./producer-options.ts";
import { withSignal } from "./timing.ts";

/** Those who wait: sends for room in the producer, and callers for a change of state. */

export interface WaitingSend {
  record: ProducerRecord;
  condition: Condition;
  /** null where nobody holds a result. */
  delivery: Delivery | null;
}

/** Sends in their order. */
export class WaitingSends {
  private queue: WaitingSend[] = [];
  private start = 0;

  get count(): number {
    return this.queue.length - this.start;
  }

  push(send: WaitingSend): void {
    this.queue.push(send);
  }

  /** Takes the first; there must be one. */
  shift(): WaitingSend {
    const send = this.queue[this.start++] as WaitingSend;
    if (this.start === this.queue.length) {
      this.queue = [];
      this.start = 0;
    }
    return send;
  }

  /** Takes all. */
  clear(): WaitingSend[] {
    const sends = this.queue.slice(this.start);
    this.queue = [];
    this.start = 0;
    return sends;
  }
}

/** Wakes callers that wait for something to become true. */
export class Changes {
  private readonly wakers = new Set<() => void>();

  get isAwaited(): boolean {
    return this.wakers.size > 0;
  }

  /** Something changed: whoever waits looks again. */
  happened(): void {
    const wakers = [...this.wakers];
    this.wakers.clear();
    for (const wake of wakers) wake();
  }

  /** Resolves when `isTrue`, which is looked at after every change. Errors: cancelled. */
  async until(isTrue: () => boolean, signal?: AbortSignal): Promise<void> {
    while (!isTrue()) {
      let wake: () => void = () => undefined;
      const change = new Promise<void>((resolve) => {
        wake = resolve;
        this.wakers.add(wake);
      });
      await withSignal(change, signal).finally(() => this.wakers.delete(wake));
    }
  }
}
