/** The broker's numbers at one moment: what `/metrics` shows, and what live figures are the difference of. */
import type { DelaySummary } from "./delay-meter.ts";
import type { StageCounts, Stages } from "./latencies.ts";

export interface TopicCounters {
  readonly namespace: string;
  readonly topic: string;
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly recordsOut: number;
  readonly bytesOut: number;
  readonly logBytes: number;
  readonly segments: number;
  readonly partitions: number;
  /** What the fullest partition got of the last minute's messages, over an even share; 0 without messages. */
  readonly skew: number;
  /** The share of the most frequent key among messages that were looked at lately, 0 to 1. */
  readonly hotKeyShare: number;
}

/** What an owner of a quota has of one thing; `used` is absent for rates, which `messages_in_total` and its like show. */
export interface QuotaGauge {
  readonly kind: string;
  readonly name: string;
  readonly resource: string;
  readonly limit: number;
  readonly used?: number;
}

/** The first four say where messages are, the rest count since the process began. */
export interface QueueCounters {
  readonly namespace: string;
  readonly queue: string;
  readonly ready: number;
  /** Delivered, and not settled. */
  readonly unacked: number;
  readonly delayed: number;
  readonly deferred: number;
  readonly bytes: number;
  readonly consumers: number;
  readonly published: number;
  readonly delivered: number;
  readonly redelivered: number;
  readonly acked: number;
  readonly expired: number;
  readonly rejected: number;
  readonly dropped: number;
  readonly deadLettered: number;
}

export interface WorkerGauges {
  readonly worker: number;
  readonly connections: number;
  readonly requestsInFlight: number;
  /** For at-most-once subscribers of this worker. */
  readonly recordsDropped: number;
  readonly delay: DelaySummary;
  readonly stages: readonly StageCounts[];
  /** Connections that have said HELLO, by namespace. */
  readonly namespaces: Readonly<Record<string, number>>;
}

export interface GroupLag {
  readonly namespace: string;
  readonly group: string;
  readonly topic: string;
  readonly lag: number;
  readonly lagMs: number;
}

export interface MetricsSnapshot {
  /** Of the system's clock. */
  readonly atMs: number;
  /** When counting began. */
  readonly startedMs: number;
  readonly version: string;
  readonly epoch: number;
  readonly topics: readonly TopicCounters[];
  readonly queues: readonly QueueCounters[];
  readonly workers: readonly WorkerGauges[];
  readonly groups: readonly GroupLag[];
  readonly quotas: readonly QuotaGauge[];
  /** Of all workers, since the process began. */
  readonly stages: Stages;
  readonly namespaces: readonly { readonly namespace: string; readonly connections: number }[];
  /** Bounds in ms with the number of syncs in each, not cumulative. */
  readonly syncLatencyMs: readonly { boundMs: number; count: number }[];
  readonly syncSumMs: number;
  readonly failedPartitions: number;
  readonly unroutable: number;
  readonly deadLetterLoops: number;
  /** Records that topics and queues refused because of their schemas. */
  readonly schemaViolations: number;
  readonly dirtyBytes: number;
  readonly mappedSegments: number;
  readonly openFiles: number;
  readonly residentBytes: number;
  /** Of the first worker, which watches it. */
  readonly pressure: PressureGauges | undefined;
}

/** Levels are 0 (enough), 1 (publishers are held back) and 2 (they are refused). */
export interface PressureGauges {
  readonly diskLevel: number;
  readonly memoryLevel: number;
  /** Infinite where nothing is kept on a disk. */
  readonly diskFreeBytes: number;
  /** Of the process, mapped files not counted. */
  readonly memoryBytes: number;
  /** Infinite where there is no limit. */
  readonly memoryBytesMax: number;
}
