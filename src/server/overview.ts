/** The broker at a glance: what there is, what has flowed, and how fast. */
import { statfs } from "node:fs/promises";
import type { MetadataLog } from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { type MetricsSnapshot, type Stages, STAGES, type StageSummary } from "../metrics/index.ts";

/** Rates are of at least so long. */
const RATE_MS_MIN = 900;
/** What is older says nothing about now. */
const RATE_MS_MAX = 60_000;

export interface OverviewOptions {
  readonly config: Config;
  readonly metadata: MetadataLog;
  readonly snapshot: () => Promise<MetricsSnapshot>;
  readonly now: () => number;
}

interface Totals {
  readonly recordsIn: number;
  readonly bytesIn: number;
  readonly recordsOut: number;
  readonly bytesOut: number;
}

interface Sample extends Totals {
  readonly atMs: number;
  readonly stages: Stages;
}

export class Overview {
  readonly #options: OverviewOptions;
  readonly #startedMs = Date.now();
  /** The rates are from `#before` to now; `#last` takes its place once it is old enough. */
  #before: Sample | undefined;
  #last: Sample | undefined;

  constructor(options: OverviewOptions) {
    this.#options = options;
  }

  async read(): Promise<Record<string, unknown>> {
    const { config, metadata, snapshot, now } = this.#options;
    const [figures, disk] = await Promise.all([snapshot(), this.#disk()]);
    const { version, epoch, topics, workers, residentBytes, dirtyBytes, failedPartitions } = figures;
    const totals = totalsOf(figures);
    const sample: Sample = { ...totals, stages: figures.stages, atMs: performance.now() };
    const before = this.#beforeOf(sample);
    const { routing } = metadata.state;
    return {
      version,
      epoch,
      startedMs: this.#startedMs,
      nowMs: now(),
      threads: config.threads,
      counts: {
        topics: topics.length,
        partitions: topics.reduce((sum, topic) => sum + topic.partitions, 0),
        queues: routing.queueCount,
        exchanges: routing.exchangeCount,
        bindings: routing.bindingCount,
        connections: workers.reduce((sum, worker) => sum + worker.connections, 0),
      },
      totals,
      rates: ratesOf(sample, before),
      stages: stagesOf(sample, before),
      storage: {
        logBytes: topics.reduce((sum, topic) => sum + topic.logBytes, 0),
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
    };
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

  /** The sample that rates are held against; undefined while there is none of the right age. */
  #beforeOf(sample: Sample): Sample | undefined {
    if (this.#last === undefined || sample.atMs - this.#last.atMs >= RATE_MS_MIN) {
      this.#before = this.#last;
      this.#last = sample;
    }
    const before = this.#before;
    return before !== undefined && sample.atMs - before.atMs <= RATE_MS_MAX ? before : undefined;
  }
}

function ratesOf(sample: Sample, before: Sample | undefined): Record<string, number> | null {
  if (before === undefined) return null;
  const elapsedMs = sample.atMs - before.atMs;
  // A topic that was deleted took its counters along.
  const perSec = (field: keyof Totals): number => (Math.max(0, sample[field] - before[field]) * 1000) / elapsedMs;
  return {
    recordsInPerSec: perSec("recordsIn"),
    bytesInPerSec: perSec("bytesIn"),
    recordsOutPerSec: perSec("recordsOut"),
    bytesOutPerSec: perSec("bytesOut"),
  };
}

/** Latencies of the time that the rates are of; before there are rates, since the process began. */
function stagesOf({ stages }: Sample, before: Sample | undefined): Record<string, StageSummary> {
  const summaries = STAGES.map((stage): [string, StageSummary] => {
    const since = before === undefined ? stages[stage] : stages[stage].since(before.stages[stage]);
    return [stage, since.summary()];
  });
  return Object.fromEntries(summaries);
}

function totalsOf({ topics }: MetricsSnapshot): Totals {
  const totals = { recordsIn: 0, bytesIn: 0, recordsOut: 0, bytesOut: 0 };
  for (const topic of topics) {
    totals.recordsIn += topic.recordsIn;
    totals.bytesIn += topic.bytesIn;
    totals.recordsOut += topic.recordsOut;
    totals.bytesOut += topic.bytesOut;
  }
  return totals;
}
