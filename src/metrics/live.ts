/** Rates and percentiles between one look at the broker and the next: what a dashboard draws each second. */
import { STAGES, type StageName, type StageSummary } from "./latencies.ts";
import type { GroupLag, MetricsSnapshot, QueueCounters, TopicCounters } from "./snapshot.ts";

interface Flow {
  readonly messagesInPerSec: number;
  readonly bytesInPerSec: number;
  readonly messagesOutPerSec: number;
  readonly bytesOutPerSec: number;
}

export interface LiveTopic extends Flow {
  readonly namespace: string;
  readonly topic: string;
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

export interface Live extends Flow {
  readonly atMs: number;
  /** What rates and percentiles are of; 0 in the first look, whose rates are 0. */
  readonly intervalMs: number;
  readonly connections: number;
  readonly requestsInFlight: number;
  readonly residentBytes: number;
  readonly dirtyBytes: number;
  readonly failedPartitions: number;
  readonly stages: Readonly<Record<StageName, StageSummary>>;
  readonly topics: readonly LiveTopic[];
  readonly queues: readonly LiveQueue[];
  readonly groups: readonly GroupLag[];
}

/** Remembers the look before. One serves all who watch a worker: each call of `next` begins a new interval. */
export class LiveFigures {
  readonly #read: () => Promise<MetricsSnapshot>;
  #before: MetricsSnapshot | undefined;

  constructor(read: () => Promise<MetricsSnapshot>) {
    this.#read = read;
  }

  async next(): Promise<Live> {
    const now = await this.#read();
    const before = this.#before ?? now;
    this.#before = now;
    return liveOf(now, before);
  }
}

/** What happened between two snapshots. Counters of things that were made anew in between count from 0. */
export function liveOf(now: MetricsSnapshot, before: MetricsSnapshot): Live {
  const intervalMs = Math.max(0, now.atMs - before.atMs);
  const perSec = (from: number | undefined, to: number): number =>
    intervalMs === 0 ? 0 : (Math.max(0, to - (from !== undefined && from <= to ? from : 0)) * 1000) / intervalMs;
  const topics = pairs(now.topics, before.topics, ({ namespace, topic }) => `${namespace}\0${topic}`).map(
    ([topic, was]) => liveTopic(topic, was, perSec),
  );
  const queues = pairs(now.queues, before.queues, ({ namespace, queue }) => `${namespace}\0${queue}`).map(
    ([queue, was]) => liveQueue(queue, was, perSec),
  );
  const sum = (field: keyof Flow): number => topics.reduce((total, topic) => total + topic[field], 0);
  return {
    atMs: now.atMs,
    intervalMs,
    messagesInPerSec: sum("messagesInPerSec") + queues.reduce((total, queue) => total + queue.publishedPerSec, 0),
    bytesInPerSec: sum("bytesInPerSec"),
    messagesOutPerSec: sum("messagesOutPerSec") + queues.reduce((total, queue) => total + queue.deliveredPerSec, 0),
    bytesOutPerSec: sum("bytesOutPerSec"),
    connections: now.workers.reduce((total, worker) => total + worker.connections, 0),
    requestsInFlight: now.workers.reduce((total, worker) => total + worker.requestsInFlight, 0),
    residentBytes: now.residentBytes,
    dirtyBytes: now.dirtyBytes,
    failedPartitions: now.failedPartitions,
    stages: Object.fromEntries(
      STAGES.map((stage) => [stage, now.stages[stage].since(before.stages[stage]).summary()]),
    ) as Record<StageName, StageSummary>,
    topics,
    queues,
    groups: now.groups,
  };
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
