/** What flows between two looks at the broker, and which earlier look that is. */
import type { GroupLag, MetricsSnapshot, QueueCounters, TopicCounters } from "./snapshot.ts";

/** Rates are of at least so long; who looks more often gets those of a look before. */
const RATE_MS_MIN = 900;
/** What is older says nothing about now. */
const RATE_MS_MAX = 60_000;

/** Remembers the looks that rates are held against. */
export class Looks {
  /** Rates are from `#before` to now; `#last` takes its place once it is old enough. */
  #before: MetricsSnapshot | undefined;
  #last: MetricsSnapshot | undefined;

  /** @returns a look of at least 900 ms and at most a minute before; undefined where there is none. */
  before(now: MetricsSnapshot): MetricsSnapshot | undefined {
    const before = this.#last;
    // A clock that was set back begins anew.
    if (before === undefined || now.atMs < before.atMs || now.atMs - before.atMs >= RATE_MS_MIN) {
      this.#before = before;
      this.#last = now;
    }
    const ageMs = this.#before === undefined ? 0 : now.atMs - this.#before.atMs;
    return ageMs > 0 && ageMs <= RATE_MS_MAX ? this.#before : undefined;
  }
}

export interface LiveTopic {
  readonly namespace: string;
  readonly topic: string;
  readonly messagesInPerSec: number;
  readonly bytesInPerSec: number;
  readonly messagesOutPerSec: number;
  readonly bytesOutPerSec: number;
  readonly logBytes: number;
  readonly skew: number;
  readonly hotKeyShare: number;
}

export interface LiveQueue {
  readonly namespace: string;
  readonly queue: string;
  readonly ready: number;
  readonly unacked: number;
  readonly delayed: number;
  readonly deferred: number;
  readonly consumers: number;
  readonly publishedPerSec: number;
  readonly deliveredPerSec: number;
  readonly redeliveredPerSec: number;
  readonly ackedPerSec: number;
  readonly deadLetteredPerSec: number;
}

export interface Live {
  /** What rates are of; 0 where there was no look before, and then they are 0. */
  readonly intervalMs: number;
  readonly topics: readonly LiveTopic[];
  readonly queues: readonly LiveQueue[];
  readonly groups: readonly GroupLag[];
}

/** What happened between two looks. Counters of things that were made anew in between count from 0. */
export function liveOf(now: MetricsSnapshot, before: MetricsSnapshot = now): Live {
  const intervalMs = Math.max(0, now.atMs - before.atMs);
  const perSec = (from: number | undefined, to: number): number =>
    intervalMs === 0 ? 0 : (Math.max(0, to - (from !== undefined && from <= to ? from : 0)) * 1000) / intervalMs;
  const topics = pairs(now.topics, before.topics, ({ namespace, topic }) => `${namespace}\0${topic}`).map(
    ([topic, was]) => liveTopic(topic, was, perSec),
  );
  const queues = pairs(now.queues, before.queues, ({ namespace, queue }) => `${namespace}\0${queue}`).map(
    ([queue, was]) => liveQueue(queue, was, perSec),
  );
  return { intervalMs, topics, queues, groups: now.groups };
}

type PerSec = (from: number | undefined, to: number) => number;

function liveTopic(now: TopicCounters, was: TopicCounters | undefined, perSec: PerSec): LiveTopic {
  const { namespace, topic, logBytes, skew, hotKeyShare } = now;
  return {
    namespace,
    topic,
    messagesInPerSec: perSec(was?.recordsIn, now.recordsIn),
    bytesInPerSec: perSec(was?.bytesIn, now.bytesIn),
    messagesOutPerSec: perSec(was?.recordsOut, now.recordsOut),
    bytesOutPerSec: perSec(was?.bytesOut, now.bytesOut),
    logBytes,
    skew,
    hotKeyShare,
  };
}

function liveQueue(now: QueueCounters, was: QueueCounters | undefined, perSec: PerSec): LiveQueue {
  const { namespace, queue, ready, unacked, delayed, deferred, consumers } = now;
  return {
    namespace,
    queue,
    ready,
    unacked,
    delayed,
    deferred,
    consumers,
    publishedPerSec: perSec(was?.published, now.published),
    deliveredPerSec: perSec(was?.delivered, now.delivered),
    redeliveredPerSec: perSec(was?.redelivered, now.redelivered),
    ackedPerSec: perSec(was?.acked, now.acked),
    deadLetteredPerSec: perSec(was?.deadLettered, now.deadLettered),
  };
}

/** What is there now, each with what it was. */
function pairs<T>(now: readonly T[], before: readonly T[], key: (one: T) => string): [T, T | undefined][] {
  const known = new Map(before.map((one) => [key(one), one]));
  return now.map((one) => [one, known.get(key(one))]);
}
