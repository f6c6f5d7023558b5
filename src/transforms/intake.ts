import type { Client, GroupConsumer, QueueConsumer, QueueView, Transaction } from "../client/index.ts";
import { isMillraceError } from "../errors/index.ts";
import type { BatchView, Record } from "../protocol/index.ts";
import { type Definition, type Headers, TransformMessage } from "../schema/transform/index.ts";
import type { Place } from "./messages.ts";
import { groupOf, queueOf } from "./names.ts";

/** What a worker takes in: whole batches of a topic, as a member of a group, or of a queue; and how a transaction says that they are done. */

/** Part of a view: messages `from` to `until`. */
interface Stretch<V> {
  readonly view: V;
  readonly from: number;
  readonly until: number;
}

/** Consecutive messages of the source. */
export interface Work {
  readonly length: number;
  place(index: number): Place;
  message(index: number): TransformMessage;
  /** When it was published, ms since 1970. */
  timestamp(index: number): number;
  /** Where it came from, for people. */
  origin(index: number): string;
  /** Has the transaction ack messages `from` to `until`, or commit the offsets behind them. */
  settle(transaction: Transaction, from: number, until: number): void;
  /** Messages from `from` on were not begun: somebody else gets them, as if they had not been delivered. */
  giveBack(from: number): void;
}

export interface Intake {
  /** The next messages, `countMax` at most, as soon as there are any; null at the end. */
  take(countMax: number): Promise<Work | null>;
  /** Ends the source: a `take` that waits gives null. */
  stop(): Promise<void>;
  /** Makes room for the process that follows at once: a queue's messages go back, a group's member keeps its partitions. */
  handOver(): Promise<void>;
}

export interface IntakeOptions {
  readonly client: Client;
  readonly name: string;
  readonly definition: Definition;
  readonly member: string;
  /** Takes little ahead at first. */
  readonly isCareful: boolean;
}

/** Headers that were honoured on the way here, and would delay the output again. */
const SPENT = ["x-delay-ms", "x-deliver-at-ms"];
/** Bytes of deliveries that wait in the worker. */
const CREDIT_BYTES = 4 * 1024 * 1024;
const QUEUE_PREFETCH = 10_000;
const CAREFUL_PREFETCH = 64;
const CAREFUL_MS = 5_000;
const SESSION_TIMEOUT_MS = 10_000;

export function openIntake(options: IntakeOptions): Intake {
  const { from } = options.definition;
  return "topic" in from && typeof from.topic === "string" ? openTopic(options, from.topic) : openQueue(options);
}

function openTopic({ client, name, member }: IntakeOptions, topic: string): Intake {
  const consumer = client.group(groupOf(name)).consume(topic, {
    autoCommit: false,
    creditBytes: CREDIT_BYTES,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    member,
  });
  return new Views<BatchView>(consumer, true, (stretches) => new TopicWork(consumer, stretches));
}

function openQueue({ client, name, definition, isCareful }: IntakeOptions): Intake {
  const queue = queueOf(name, definition.from);
  const prefetch = isCareful ? CAREFUL_PREFETCH : QUEUE_PREFETCH;
  const consumer: QueueConsumer = client.queue(queue).consume({ autoAck: false, prefetch });
  if (isCareful) setTimeout(() => consumer.setPrefetch(QUEUE_PREFETCH), CAREFUL_MS);
  return new Views<QueueView>(consumer, false, (stretches) => new QueueWork(queue, stretches));
}

/** Where views come from: a member of a group, or a consumer of a queue. */
interface Supply<V> {
  takeViews(countMax: number): Promise<V[] | null>;
  close(): Promise<void>;
}

/** Views cut to as many messages as are asked for. */
class Views<V extends { readonly length: number }> implements Intake {
  private readonly supply: Supply<V>;
  private readonly workOf: (stretches: Stretch<V>[]) => Work;
  /** Of a group. */
  private readonly isMember: boolean;
  /** Taken and not handed out: the first of them from `start` on. */
  private views: V[] = [];
  private start = 0;

  constructor(supply: Supply<V>, isMember: boolean, workOf: (stretches: Stretch<V>[]) => Work) {
    this.supply = supply;
    this.isMember = isMember;
    this.workOf = workOf;
  }

  async take(countMax: number): Promise<Work | null> {
    if (this.views.length === 0) this.views = (await this.supply.takeViews(countMax)) ?? [];
    const stretches: Stretch<V>[] = [];
    let left = countMax;
    while (left > 0) {
      const [view] = this.views;
      if (view === undefined) break;
      const until = Math.min(view.length, this.start + left);
      stretches.push({ view, from: this.start, until });
      left -= until - this.start;
      this.start = until;
      if (until < view.length) continue;
      this.views.shift();
      this.start = 0;
    }
    return stretches.length === 0 ? null : this.workOf(stretches);
  }

  async handOver(): Promise<void> {
    if (!this.isMember) await this.stop();
  }

  async stop(): Promise<void> {
    const rest = this.views.map((view, index) => ({ view, from: index === 0 ? this.start : 0, until: view.length }));
    this.views = [];
    if (rest.length > 0) this.workOf(rest).giveBack(0);
    await this.supply.close();
  }
}

abstract class ViewWork<V> implements Work {
  readonly length: number;
  protected readonly stretches: readonly Stretch<V>[];
  private readonly starts: number[] = [];
  private at = 0;

  constructor(stretches: readonly Stretch<V>[]) {
    this.stretches = stretches;
    let length = 0;
    for (const { from, until } of stretches) {
      this.starts.push(length);
      length += until - from;
    }
    this.length = length;
  }

  abstract place(index: number): Place;
  abstract timestamp(index: number): number;
  abstract origin(index: number): string;
  abstract settle(transaction: Transaction, from: number, until: number): void;
  abstract giveBack(from: number): void;
  protected abstract recordOf(view: V, index: number): Record;

  /** The stretch that a message is in. Messages are asked for in order, so it is the last one or the next. */
  protected find(index: number): { view: V; index: number } {
    const { starts, stretches } = this;
    while ((starts[this.at] as number) > index) this.at -= 1;
    while (this.at + 1 < starts.length && (starts[this.at + 1] as number) <= index) this.at += 1;
    const { view, from } = stretches[this.at] as Stretch<V>;
    return { view, index: from + index - (starts[this.at] as number) };
  }

  message(index: number): TransformMessage {
    const found = this.find(index);
    const record = this.recordOf(found.view, found.index);
    return new TransformMessage(record.value, keyOf(record), usableHeaders(record.headers as Headers));
  }

  /** The parts of stretches that messages `from` to `until` are. */
  protected *between(from: number, until: number): Iterable<Stretch<V>> {
    for (const [at, stretch] of this.stretches.entries()) {
      const start = this.starts[at] as number;
      const first = Math.max(from, start) - start + stretch.from;
      const behind = Math.min(until - start + stretch.from, stretch.until);
      if (first < behind) yield { view: stretch.view, from: first, until: behind };
    }
  }
}

class TopicWork extends ViewWork<BatchView> {
  private readonly consumer: GroupConsumer;

  constructor(consumer: GroupConsumer, stretches: readonly Stretch<BatchView>[]) {
    super(stretches);
    this.consumer = consumer;
  }

  protected recordOf(view: BatchView, index: number): Record {
    return view.at(index);
  }

  place(index: number): Place {
    const found = this.find(index);
    return { partition: found.view.partition, number: found.view.offsetAt(found.index) };
  }

  timestamp(index: number): number {
    const found = this.find(index);
    return found.view.timestampAt(found.index);
  }

  origin(index: number): string {
    const { view } = this.find(index);
    const { partition, number } = this.place(index);
    return `topic ${view.topic}, partition ${partition}, offset ${number}`;
  }

  settle(transaction: Transaction, from: number, until: number): void {
    const offsets = [];
    for (const { view, until: behind } of this.between(from, until)) {
      offsets.push({ topic: view.topic, partition: view.partition, offset: view.offsetAt(behind - 1) + 1 });
    }
    transaction.commitOffsets(this.consumer, offsets);
  }

  /** What is not committed is given again. */
  giveBack(): void {}
}

class QueueWork extends ViewWork<QueueView> {
  private readonly queue: string;

  constructor(queue: string, stretches: readonly Stretch<QueueView>[]) {
    super(stretches);
    this.queue = queue;
  }

  protected recordOf(view: QueueView, index: number): Record {
    return view.recordAt(index);
  }

  place(index: number): Place {
    const found = this.find(index);
    return { partition: -1, number: found.view.numberAt(found.index) };
  }

  timestamp(index: number): number {
    const found = this.find(index);
    return found.view.recordAt(found.index).timestamp;
  }

  origin(index: number): string {
    return `queue ${this.queue}, message ${this.place(index).number}`;
  }

  settle(transaction: Transaction, from: number, until: number): void {
    for (const { view, from: first, until: behind } of this.between(from, until)) {
      transaction.ackView(view, first, behind - first);
    }
  }

  giveBack(from: number): void {
    try {
      for (const { view, from: first, until } of this.between(from, this.length)) view.release(first, until - first);
    } catch (error) {
      // Their connection is gone, and with it they are the broker's again.
      if (!isMillraceError(error, "unknown_delivery")) throw error;
    }
  }
}

/** Text where it is text, which routing keys have to be. */
function keyOf(record: Record): string | Uint8Array | null {
  const text = record.keyText();
  return text?.includes("\uFFFD") === true ? record.key : text;
}

function usableHeaders(headers: Headers): Headers {
  if (!SPENT.some((name) => name in headers)) return headers;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !SPENT.includes(name)));
}
