/** The broker at a glance: what there is, what has flowed, and how fast. */
import { statfs } from "node:fs/promises";
import type { MetadataLog } from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { liveOf, Looks, type MetricsSnapshot, STAGES, type StageSummary } from "../metrics/index.ts";
import { busiestOf } from "./busiest.ts";

const SHARED_MS = 250;

export interface OverviewOptions {
  readonly config: Config;
  readonly metadata: MetadataLog;
  readonly snapshot: () => Promise<MetricsSnapshot>;
  readonly now: () => number;
}

/** What has flowed through topics, and through queues. */
const TOPIC_TOTALS = ["recordsIn", "bytesIn", "recordsOut", "bytesOut"] as const;
const QUEUE_TOTALS = { enqueued: "published", delivered: "delivered", acked: "acked" } as const;

type Totals = Readonly<Record<(typeof TOPIC_TOTALS)[number] | keyof typeof QUEUE_TOTALS, number>>;

export class Overview {
  readonly #options: OverviewOptions;
  readonly #startedMs = Date.now();
  readonly #looks: Looks = new Looks();
  #shared: { readonly atMs: number; readonly look: Promise<MetricsSnapshot> } | undefined;

  constructor(options: OverviewOptions) {
    this.#options = options;
  }

  /** @param busiest how many topics, queues and groups are told; none where it is not given. */
  async read(busiest?: number): Promise<Record<string, unknown>> {
    const { config, metadata, now } = this.#options;
    const [figures, disk] = await Promise.all([this.#snapshot(), this.#disk()]);
    const { version, epoch, topics, workers, residentBytes, dirtyBytes, failedPartitions } = figures;
    const before = this.#looks.before(figures);
    const { routing } = metadata.state;
    return {
      version,
      epoch,
      startedMs: this.#startedMs,
      nowMs: now(),
      threads: config.threads,
      counts: {
        topics: topics.length,
        partitions: sumOf(topics, ({ partitions }) => partitions),
        queues: routing.queueCount,
        exchanges: routing.exchangeCount,
        bindings: routing.bindingCount,
        connections: sumOf(workers, ({ connections }) => connections),
      },
      totals: totalsOf(figures),
      rates: ratesOf(figures, before),
      stages: stagesOf(figures, before),
      queues: queuesOf(figures),
      storage: {
        logBytes: sumOf(topics, ({ logBytes }) => logBytes),
        dirtyBytes,
        failedPartitions,
        ...disk,
      },
      residentBytes,
      workers: workers.map(({ worker, connections, requestsInFlight, delay }) => ({
        worker,
        connections,
        requestsInFlight,
        delay,
      })),
      ...(busiest === undefined ? {} : { busiest: busiestOf(liveOf(figures, before), busiest) }),
    };
  }

  /** All who ask within a moment get one look: it goes over every topic, and many pages may watch. */
  #snapshot(): Promise<MetricsSnapshot> {
    const nowMs = performance.now();
    if (this.#shared === undefined || nowMs - this.#shared.atMs >= SHARED_MS) {
      this.#shared = { atMs: nowMs, look: this.#options.snapshot() };
    }
    return this.#shared.look;
  }

  /** Of the file system that holds the log; nothing where it is kept in memory. */
  async #disk(): Promise<{ diskFreeBytes: number; diskBytes: number } | undefined> {
    const { config } = this.#options;
    if (config.storage === "memory") return undefined;
    try {
      const { bavail, blocks, bsize } = await statfs(config.dataDir);
      return { diskFreeBytes: bavail * bsize, diskBytes: blocks * bsize };
    } catch {
      return undefined;
    }
  }
}

function ratesOf(now: MetricsSnapshot, before: MetricsSnapshot | undefined): Record<string, number> | null {
  if (before === undefined) return null;
  const seconds = (now.atMs - before.atMs) / 1000;
  const [totals, earlier] = [totalsOf(now), totalsOf(before)];
  const names = Object.keys(totals) as (keyof Totals)[];
  // What was deleted took its counters along.
  const rateOf = (name: keyof Totals): number => Math.max(0, totals[name] - earlier[name]) / seconds;
  return Object.fromEntries(names.map((name) => [`${name}PerSec`, rateOf(name)]));
}

/** Latencies of the time that the rates are of; before there are rates, since the process began. */
function stagesOf({ stages }: MetricsSnapshot, before: MetricsSnapshot | undefined): Record<string, StageSummary> {
  const summaries = STAGES.map((stage): [string, StageSummary] => {
    const since = before === undefined ? stages[stage] : stages[stage].since(before.stages[stage]);
    return [stage, since.summary()];
  });
  return Object.fromEntries(summaries);
}

function totalsOf({ topics, queues }: MetricsSnapshot): Totals {
  const ofTopics = TOPIC_TOTALS.map((name) => [name, sumOf(topics, (topic) => topic[name])]);
  const ofQueues = Object.entries(QUEUE_TOTALS).map(([name, field]) => [name, sumOf(queues, (queue) => queue[field])]);
  return Object.fromEntries([...ofTopics, ...ofQueues]) as Totals;
}

/** Where the messages of all queues are. */
function queuesOf({ queues }: MetricsSnapshot): Record<string, number> {
  return {
    ready: sumOf(queues, ({ ready }) => ready),
    inFlight: sumOf(queues, ({ unacked }) => unacked),
    delayed: sumOf(queues, ({ delayed }) => delayed),
    deferred: sumOf(queues, ({ deferred }) => deferred),
    bytes: sumOf(queues, ({ bytes }) => bytes),
    consumers: sumOf(queues, ({ consumers }) => consumers),
    deadLettered: sumOf(queues, ({ deadLettered }) => deadLettered),
  };
}

function sumOf<T>(rows: readonly T[], value: (row: T) => number): number {
  return rows.reduce((sum, row) => sum + value(row), 0);
}
