/** A session's subscription to a queue. The core delivers and settles; here it only begins and ends. */
import { type Queue, SUBSCRIBE_EXCLUSIVE } from "../broker/index.ts";
import { type ErrorName, ERRORS, MillraceError } from "../errors/index.ts";
import { encodeFrame, Op } from "../protocol/index.ts";
import { queueResource } from "./resources.ts";
import type { Session } from "./session.ts";
import { Subscription } from "./subscriptions.ts";
import { unlessOwnInbox } from "./touches.ts";

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
    super(session, sub, undefined);
    this.queue = queue;
  }

  /** Tells the client that nothing more will come, and why. */
  ended(error: ErrorName, message: string): void {
    this.session.send(encodeFrame(Op.QUEUE_EVENT, this.sub, "ended", { code: ERRORS[error].code, message }));
    this.session.dropSubscription(this.sub);
  }

  recheck(): void {
    const { name } = this.queue;
    const permission = unlessOwnInbox(this.session, name, "queue.consume");
    if (this.session.isAllowed(permission, queueResource(this.session, name))) return;
    const { queueLife } = this.session.services;
    this.ended("unauthorized", `the right to read the queue "${name}" was taken away`);
    void queueLife.consumerLeft(this.queue);
  }

  /** The core has forgotten the consumer by now: the subscription was dropped, or its connection closed. */
  close(): Promise<void> {
    this.session.services.hub.unfollow(this);
    return this.session.services.queueLife.consumerLeft(this.queue);
  }
}

/** @throws queue_not_found, queue_exclusive, subscription_exists, limit_exceeded. */
export function subscribeToQueue(session: Session, request: QueueSubscribeRequest): void {
  const { sub, prefetch, priority, leaseMs } = request;
  const { engine, hub, queues, turnSoon } = session.services;
  if (session.subscriptions.has(sub)) throw new MillraceError("subscription_exists", `the subscription ${sub} is open`);
  const { queue, spaceId } = queues.require(session.namespace, request.queue, session.owner);
  const flags = request.isExclusive ? SUBSCRIBE_EXCLUSIVE : 0;
  engine.queueSubscribe(session.connectionId, sub, spaceId, queue.id, prefetch, priority, flags, leaseMs);
  const subscription = new QueueSubscription(session, sub, queue);
  session.subscriptions.set(sub, subscription);
  hub.followQueue(subscription);
  turnSoon();
}
