import { BatchReader, BatchView, type MessagesHead, numberOf, Outcome, type Record } from "../protocol/index.ts";
import { type QueueChannel, unknownDelivery } from "./queue-channel.ts";
import type { QueueMessage } from "./queue-message.ts";

/**
 * Messages that were delivered together, as positions in the bytes that came:
 * for consumers that want no object for each. Settled as a whole or in ranges.
 */
export class QueueView implements Iterable<QueueMessage> {
  readonly head: MessagesHead;
  private readonly channel: QueueChannel;
  private readonly view: BatchView;
  /** Messages that were settled; the rest is acked with the next view. */
  private settled = 0;

  constructor(channel: QueueChannel, head: MessagesHead, bytes: Uint8Array, end: number) {
    this.channel = channel;
    this.head = head;
    this.view = new BatchView(new BatchReader(bytes, head.batchStart, end, { topic: channel.queue }));
  }

  get length(): number {
    return this.view.length;
  }

  /** Holds values and keys; what else is in it is not this view's. */
  get bytes(): Uint8Array {
    return this.view.bytes;
  }

  get isSettled(): boolean {
    return this.settled >= this.length;
  }

  /** Where the value of message `index` begins in `bytes`; -1 for none. */
  valueStart(index: number): number {
    return this.view.valueStart(index);
  }

  valueEnd(index: number): number {
    return this.view.valueEnd(index);
  }

  textAt(index: number): string | null {
    return this.view.textAt(index);
  }

  routingKeyAt(index: number): string {
    return this.view.keyTextAt(index) ?? "";
  }

  numberAt(index: number): number {
    return numberOf(this.head, index);
  }

  /** Earlier deliveries from this queue. */
  deliveriesAt(index: number): number {
    return this.head.redelivered?.get(index)?.deliveries ?? 0;
  }

  recordAt(index: number): Record {
    return this.view.at(index);
  }

  /** Message `index` as an object. What it settles itself must not be settled by this view too. */
  at(index: number): QueueMessage {
    return this.channel.message(this, index);
  }

  /** Acks `count` messages from `index` on. Default: all. Errors: unknown_delivery. */
  ack(index: number = 0, count: number = this.length - index): void {
    this.settle(Outcome.ACK, null, index, count);
  }

  /** Has them come again, after the queue's retry policy. */
  retry(index: number = 0, count: number = this.length - index, errorClass: string | null = null): void {
    this.settle(Outcome.RETRY, errorClass, index, count);
  }

  reject(index: number = 0, count: number = this.length - index): void {
    this.settle(Outcome.REJECT, null, index, count);
  }

  /** Back to their places, as if they had not been delivered. */
  release(index: number = 0, count: number = this.length - index): void {
    this.settle(Outcome.RELEASE, null, index, count);
  }

  /** Where a transaction acks `count` messages from `index` on. Errors: unknown_delivery. */
  channelForAck(index: number, count: number): QueueChannel {
    this.take(index, count);
    return this.channel;
  }

  private settle(outcome: number, argument: string | null, index: number, count: number): void {
    this.take(index, count);
    this.channel.settle(this.head.firstTag + index, count, outcome, argument);
    this.settled += count;
  }

  /** Errors: unknown_delivery where more would be settled than there are. */
  private take(index: number, count: number): void {
    const isInside = index >= 0 && count > 0 && index + count <= this.length;
    if (!isInside) throw new RangeError(`a view of ${this.length} has no messages ${index} to ${index + count - 1}`);
    if (this.settled + count > this.length) throw unknownDelivery(this.head.firstTag + index, "it was settled before");
  }

  *[Symbol.iterator](): IterableIterator<QueueMessage> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }
}
