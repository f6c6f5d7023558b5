/** The sessions of one worker, and who among them follows which topics. */
import type { MemberEvent, Queue, QuotaEvent, TopicEvent } from "../broker/index.ts";
import { type Logger, PatternSet } from "../stdx/index.ts";
import { GroupSubscription } from "./group-subscription.ts";
import { QueueSubscription } from "./queue-subscription.ts";
import type { Session } from "./session.ts";
import { PatternSubscription, type Subscription, TopicSubscription } from "./subscriptions.ts";

/** Each is a write to a socket; twenty ticks a second are enough for 20,000 connections with the default heartbeat. */
const PINGS_PER_TICK = 100;

export class SessionHub {
  readonly #sessions = new Map<number, Session>();
  readonly #patterns = new Map<string, PatternSet<PatternSubscription>>();
  readonly #followers = new Map<number, Set<TopicSubscription>>();
  readonly #consumers = new Map<number, Set<QueueSubscription>>();
  readonly #logger: Logger;
  #lastSerial = 0;
  #isRechecking = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Serial numbers are never used again, so a late event cannot reach the wrong session. */
  nextSerial(): number {
    this.#lastSerial += 1;
    return this.#lastSerial;
  }

  add(session: Session): void {
    this.#sessions.set(session.serial, session);
  }

  delete(session: Session): void {
    this.#sessions.delete(session.serial);
  }

  session(serial: number): Session | undefined {
    return this.#sessions.get(serial);
  }

  sessions(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  followTopic(subscription: TopicSubscription): void {
    const followers = this.#followers.get(subscription.topicId) ?? new Set();
    followers.add(subscription);
    this.#followers.set(subscription.topicId, followers);
  }

  followPattern(subscription: PatternSubscription): void {
    const set = this.#patterns.get(subscription.namespace) ?? new PatternSet<PatternSubscription>();
    set.add(subscription.pattern, subscription);
    this.#patterns.set(subscription.namespace, set);
  }

  followQueue(subscription: QueueSubscription): void {
    const { id } = subscription.queue;
    const consumers = this.#consumers.get(id) ?? new Set();
    consumers.add(subscription);
    this.#consumers.set(id, consumers);
  }

  unfollow(subscription: Subscription): void {
    if (subscription instanceof QueueSubscription) {
      const consumers = this.#consumers.get(subscription.queue.id);
      consumers?.delete(subscription);
      if (consumers?.size === 0) this.#consumers.delete(subscription.queue.id);
    } else if (subscription instanceof PatternSubscription) {
      this.#patterns.get(subscription.namespace)?.delete(subscription.pattern, subscription);
    } else if (subscription instanceof TopicSubscription) {
      const followers = this.#followers.get(subscription.topicId);
      followers?.delete(subscription);
      if (followers?.size === 0) this.#followers.delete(subscription.topicId);
    }
  }

  /** Attaches what came to those who follow it. Sources of deleted topics are ended by the core. */
  onMetadata(event: TopicEvent): void {
    const { topic } = event;
    if (event.type === "topic_deleted") {
      this.#followers.delete(topic.id);
      return;
    }
    const previousPartitions = event.type === "topic_created" ? 0 : event.previous.partitions;
    if (topic.partitions === previousPartitions) return;
    const following: (TopicSubscription | PatternSubscription)[] = [
      ...(this.#followers.get(topic.id) ?? []),
      ...(this.#patterns.get(topic.namespace)?.match(topic.name) ?? []),
    ];
    for (const subscription of following) {
      try {
        subscription.grown(topic, previousPartitions);
      } catch (error) {
        this.#logger.warn("new partitions could not be attached", { topic: topic.name, error });
      }
    }
  }

  /** Sessions that a quota is about count for it from now on. */
  onQuota({ owner: { kind, name } }: QuotaEvent): void {
    for (const session of this.#sessions.values()) {
      if ((kind === "namespace" ? session.namespace : session.principal.name) === name) session.attachQuotas();
    }
  }

  /** Users or rules have changed; of many changes at once the sessions are asked for once. */
  onAccessChanged(): void {
    if (this.#isRechecking) return;
    this.#isRechecking = true;
    setImmediate(() => {
      this.#isRechecking = false;
      for (const session of [...this.#sessions.values()]) this.#recheck(session);
    });
  }

  #recheck(session: Session): void {
    try {
      session.onAccessChanged();
    } catch (error) {
      // Whoever cannot be held to the new rules must go.
      this.#logger.error("a session could not be held to changed permissions", { error });
      session.goodbye("internal", "the connection could not be held to changed permissions");
    }
  }

  /** Its consumers hear that the queue is gone, and are forgotten. */
  onQueueDeleted({ id, name }: Queue): void {
    for (const subscription of [...(this.#consumers.get(id) ?? [])]) {
      subscription.ended("queue_deleted", `the queue "${name}" was deleted`);
    }
  }

  onMemberEvent(event: MemberEvent): void {
    const subscription = this.#sessions.get(event.session)?.subscriptions.get(event.sub);
    if (subscription instanceof GroupSubscription) subscription.handle(event);
  }

  /** Heartbeats and timeouts of all sessions. Thousands that connected at once are not all pinged at once for ever. */
  tick(nowMs: number): void {
    let pings = 0;
    for (const session of this.#sessions.values()) if (session.tick(nowMs, pings < PINGS_PER_TICK)) pings += 1;
  }
}
