/** A session's subscription to a queue. The core delivers and settles; here it only begins and ends. */
import { type Queue, SUBSCRIBE_EXCLUSIVE } from "../broker/index.ts";
import { MillraceError } from "../errors/index.ts";
import type { Session } from "./session.ts";
import { Subscription } from "./subscriptions.ts";

export interface QueueSubscribeRequest {
  readonly sub: number;
  readonly queue: string;
  readonly prefetch: number;
  readonly priority: number;
  readonly isExclusive: boolean;
  /** 0 takes the queue's. */
  readonly leaseMs: number;
}

export class QueueSubscription extends Subscription {
  readonly queue: Queue;

  constructor(session: Session, sub: number, queue: Queue) {
    super(session, sub);
    this.queue = queue;
  }

  /** The core has forgotten the consumer by now: the subscription was dropped, or its connection closed. */
  close(): Promise<void> {
    return this.session.services.queueLife.consumerLeft(this.queue);
  }
}

/** @throws queue_not_found, queue_exclusive, subscription_exists, limit_exceeded. */
export function subscribeToQueue(session: Session, request: QueueSubscribeRequest): void {
  const { sub, prefetch, priority, leaseMs } = request;
  const { engine, queues, turnSoon } = session.services;
  if (session.subscriptions.has(sub)) throw new MillraceError("subscription_exists", `the subscription ${sub} is open`);
  const { queue, spaceId } = queues.require(session.namespace, request.queue, session.owner);
  const flags = request.isExclusive ? SUBSCRIBE_EXCLUSIVE : 0;
  engine.queueSubscribe(session.connectionId, sub, spaceId, queue.id, prefetch, priority, flags, leaseMs);
  session.subscriptions.set(sub, new QueueSubscription(session, sub, queue));
  turnSoon();
}
