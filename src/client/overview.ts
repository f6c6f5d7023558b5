import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** The broker at a glance, as OVERVIEW tells it (src/protocol/README.md). Rates are of the interval before the look. */

export interface OverviewOptions {
  /** So many topics, queues and groups, those first in which most happens. Default: none, up to 1000. */
  busiest?: number;
  signal?: AbortSignal;
}

export interface Overview {
  version: string;
  epoch: number;
  startedMs: number;
  nowMs: number;
  threads: number;
  counts: {
    topics: number;
    partitions: number;
    queues: number;
    exchanges: number;
    bindings: number;
    connections: number;
  };
  /** Since the broker began. */
  totals: {
    recordsIn: number;
    bytesIn: number;
    recordsOut: number;
    bytesOut: number;
    enqueued: number;
    delivered: number;
    acked: number;
  };
  /** Null where there was no look within the minute before. */
  rates: {
    recordsInPerSec: number;
    bytesInPerSec: number;
    recordsOutPerSec: number;
    bytesOutPerSec: number;
    enqueuedPerSec: number;
    deliveredPerSec: number;
    ackedPerSec: number;
  } | null;
  /** What lies in all queues, and what has become dead letters since the broker began. */
  queues: {
    ready: number;
    inFlight: number;
    delayed: number;
    deferred: number;
    bytes: number;
    consumers: number;
    deadLettered: number;
  };
  /** How long messages took, by stage of their way (src/metrics/README.md), of the same time as the rates. */
  stages: { [stage: string]: StageLatency };
  storage: {
    logBytes: number;
    dirtyBytes: number;
    failedPartitions: number;
    /** Absent where logs are kept in memory. */
    diskFreeBytes?: number;
    diskBytes?: number;
  };
  residentBytes: number;
  workers: {
    worker: number;
    connections: number;
    requestsInFlight: number;
    delay: { p50Ms: number; p99Ms: number; maxMs: number };
  }[];
  /** Where `busiest` was asked for. */
  busiest?: Busiest;
}

export interface StageLatency {
  count: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}

export interface Busiest {
  topics: BusyTopic[];
  queues: BusyQueue[];
  groups: { namespace: string; group: string; topic: string; lag: number; lagMs: number }[];
}

export interface BusyTopic {
  namespace: string;
  topic: string;
  messagesInPerSec: number;
  bytesInPerSec: number;
  messagesOutPerSec: number;
  bytesOutPerSec: number;
  logBytes: number;
}

export interface BusyQueue {
  namespace: string;
  queue: string;
  ready: number;
  unacked: number;
  consumers: number;
  publishedPerSec: number;
  deliveredPerSec: number;
  ackedPerSec: number;
  deadLetteredPerSec: number;
}

export async function overview(client: Client, { busiest, signal }: OverviewOptions = {}): Promise<Overview> {
  return (await client.ask(Op.OVERVIEW, [{ busiest }], signal)) as Overview;
}
