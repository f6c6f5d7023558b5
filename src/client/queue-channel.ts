import { encodePrefetch, type MessagesHead, numberOf, Outcome, type Redelivery } from "../protocol/index.ts";
import { clientError, type MillraceError } from "./errors.ts";
import type { LargePayloads } from "./payloads/payloads.ts";
import { QueueMessage } from "./queue-message.ts";
import { QueueView } from "./queue-view.ts";
import type { Session } from "./session.ts";
import { Settler } from "./settler.ts";
import { soon } from "./timing.ts";

/**
 * A subscription to a queue on one connection. Its deliveries can be settled as
 * long as the connection lives; the next connection has another channel, and
 * the broker gives the messages again there.
 */
export class QueueChannel {
  readonly queue: string;
  /** Delivered and not settled. */
  unsettled: number = 0;
  /** Where large bodies come from, or null. */
  readonly payloads: LargePayloads | null;
  private readonly session: Session;
  private readonly subscription: number;
  private readonly settler: Settler;
  private readonly onSettled: () => void;
  private isOpen = true;
  private isTicking = false;

  /** @param onSettled runs when nothing is unsettled any more. */
  constructor(
    session: Session,
    subscription: number,
    queue: string,
    payloads: LargePayloads | null,
    onSettled: () => void,
  ) {
    this.session = session;
    this.payloads = payloads;
    this.subscription = subscription;
    this.queue = queue;
    this.settler = new Settler(subscription);
    this.onSettled = onSettled;
  }

  get isUsable(): boolean {
    return this.isOpen && this.session.isOpen;
  }

  /** A delivery as a view. Errors: what is wrong with its batch. */
  view(head: MessagesHead, bytes: Uint8Array, end: number): QueueView {
    const view = new QueueView(this, head, bytes, end);
    this.unsettled += view.length;
    return view;
  }

  /** Message `index` of a view. */
  message(view: QueueView, index: number): QueueMessage {
    const { head } = view;
    const redelivery: Redelivery | undefined = head.redelivered?.get(index);
    return new QueueMessage(this, head.firstTag + index, numberOf(head, index), view.recordAt(index), redelivery);
  }

  /**
   * Settles `count` deliveries from a tag on, at the end of the loop's turn.
   *
   * @throws unknown_delivery when their connection is gone: they are given again
   */
  settle(first: number, count: number, outcome: number, argument: number | string | Uint8Array | null): void {
    if (!this.isUsable) throw unknownDelivery(first, "its connection is gone, and the broker gives it again");
    this.settler.add(outcome, argument, first, count);
    if (outcome !== Outcome.RENEW) {
      this.unsettled -= count;
      if (this.unsettled === 0) soon(this.onSettled);
    }
    if (this.isTicking) return;
    this.isTicking = true;
    soon(() => this.tick());
  }

  /** The connection and the subscription that deliveries came by; null when they are gone. */
  get place(): { session: Session; subscription: number } | null {
    return this.isUsable ? { session: this.session, subscription: this.subscription } : null;
  }

  /** A transaction has settled `count` deliveries. */
  settledElsewhere(count: number): void {
    this.unsettled -= count;
    if (this.unsettled === 0) soon(this.onSettled);
  }

  private tick(): void {
    this.isTicking = false;
    if (this.isUsable && !this.settler.isEmpty) this.session.sendAll(this.settler.take(null));
  }

  /** Resolves when everything settled so far is in the broker's log. Errors: unknown_delivery, connection_lost. */
  confirm(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.session.callFrames(
        (correlation) => this.settler.take(correlation),
        () => resolve(),
        reject,
      );
    });
  }

  /** Changes how many messages may be unsettled; 0 = no more come. */
  setPrefetch(prefetch: number): void {
    if (this.isUsable) this.session.send(encodePrefetch(this.subscription, prefetch));
  }

  /** The connection or the subscription is over. */
  close(): void {
    this.tick();
    this.isOpen = false;
  }
}

export function unknownDelivery(tag: number, why: string): MillraceError {
  return clientError("unknown_delivery", `delivery ${tag} is not open: ${why}`, { tag });
}
