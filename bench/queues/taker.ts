import { encodeSettle, Op, Outcome, readMessagesHead } from "../../src/protocol/index.ts";
import { Link } from "../lib/link.ts";

/** A consumer that touches frames, not messages: it counts by the broker's numbers and acks whole deliveries. */

/** Where a batch's header has its number of records. */
const COUNT_AT = 24;
const CHUNK_BITS = 16;
const CHUNK = 2 ** CHUNK_BITS;

/** Numbers that have come, each of which may come once. */
export class Numbers {
  readonly #chunks = new Map<number, Uint8Array>();
  count: number = 0;

  add(first: number, count: number): void {
    for (let number = first; number < first + count; number += 1) {
      const at = Math.floor(number / CHUNK);
      let chunk = this.#chunks.get(at);
      if (chunk === undefined) this.#chunks.set(at, (chunk = new Uint8Array(CHUNK)));
      if (chunk[number % CHUNK] !== 0) throw new Error(`message ${number} came twice`);
      chunk[number % CHUNK] = 1;
    }
    this.count += count;
  }
}

export class Taker {
  readonly #link: Link;
  readonly #onMessages: (subscription: number, count: number) => void;
  readonly #numbers: readonly Numbers[];
  /** By subscription: what has come since the last SETTLE. */
  readonly #ranges: number[][];
  #isTicking = false;

  /** Subscribes to each queue; `numbers[n]` takes down what comes from queue n, `onMessages` hears of it. */
  static async open(
    port: number,
    queues: readonly string[],
    prefetch: number,
    numbers: readonly Numbers[],
    onMessages: (subscription: number, count: number) => void,
  ): Promise<Taker> {
    const link = await Link.open(port);
    const taker = new Taker(link, queues.length, numbers, onMessages);
    await Promise.all(queues.map((queue, at) => link.request(Op.SUBSCRIBE, at, { queue, prefetch })));
    return taker;
  }

  private constructor(
    link: Link,
    queues: number,
    numbers: readonly Numbers[],
    onMessages: (subscription: number, count: number) => void,
  ) {
    this.#link = link;
    this.#numbers = numbers;
    this.#onMessages = onMessages;
    this.#ranges = Array.from({ length: queues }, () => []);
    link.onMessages = (bytes, start, end) => this.#came(bytes, start, end);
  }

  #came(bytes: Uint8Array, start: number, end: number): void {
    const { subscription, firstTag, numbers, batchStart } = readMessagesHead(bytes, start, end);
    const at = batchStart + COUNT_AT;
    const count =
      (((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number)) >>>
      0;
    const seen = this.#numbers[subscription] as Numbers;
    if (typeof numbers === "number") seen.add(numbers, count);
    else for (const number of numbers) seen.add(number, 1);
    this.#gather(this.#ranges[subscription] as number[], firstTag, count);
    this.#onMessages(subscription, count);
  }

  #gather(ranges: number[], first: number, count: number): void {
    const last = ranges.length - 1;
    if (last > 0 && (ranges[last - 1] as number) + (ranges[last] as number) === first) {
      ranges[last] = (ranges[last] as number) + count;
    } else ranges.push(first, count);
    if (this.#isTicking) return;
    this.#isTicking = true;
    // Behind everything that came in the same chunk of the socket.
    queueMicrotask(() => this.#settle());
  }

  #settle(): void {
    this.#isTicking = false;
    for (const [subscription, ranges] of this.#ranges.entries()) {
      if (ranges.length > 0) this.#link.write(settleFrame(subscription, ranges.splice(0), null));
    }
  }

  /** Resolves when every ack is in the broker's log. */
  async flush(): Promise<void> {
    this.#settle();
    await Promise.all(
      this.#ranges.map((_, subscription) =>
        this.#link.ask((correlation) => settleFrame(subscription, [], correlation)),
      ),
    );
  }

  close(): void {
    this.#link.close();
  }
}

export function settleFrame(subscription: number, ranges: readonly number[], correlation: number | null): Uint8Array {
  return encodeSettle({ subscription, correlation, outcome: Outcome.ACK, argument: null, ranges });
}
