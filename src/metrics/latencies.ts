/**
 * Histograms of durations as the core counts them (core/stdx/histogram.rs): buckets of bounded relative error, 3.2 %,
 * as HdrHistogram has them. Durations in µs, percentiles in ms.
 */

/** What messages pass on their way, in order, and all of it together. The README says where each begins and ends. */
export const STAGES = ["receive", "append", "commit", "dispatch", "send", "total"] as const;
export type StageName = (typeof STAGES)[number];

/** One stage of one worker, as the engine tells it. */
export interface StageCounts {
  readonly stage: string;
  /** Bucket and count in turn, for the buckets that hold something. */
  readonly counts: readonly number[];
  readonly sumUs: number;
  readonly maxUs: number;
}

/** Percentiles are upper ends of buckets, so they are never less than what was measured. All 0 where nothing was. */
export interface StageSummary {
  readonly count: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** Buckets within one power of two. */
const STEPS = 32;

/** The first duration of a bucket, µs. */
export function bucketStartUs(bucket: number): number {
  if (bucket < STEPS) return bucket;
  return ((bucket % STEPS) + STEPS) * 2 ** (Math.floor(bucket / STEPS) - 1);
}

export class Latencies {
  static readonly NONE = new Latencies(new Map(), 0, 0);
  /** By bucket, ascending. */
  readonly #counts: ReadonlyMap<number, number>;
  readonly sumUs: number;
  readonly maxUs: number;
  readonly count: number;

  private constructor(counts: ReadonlyMap<number, number>, sumUs: number, maxUs: number) {
    this.#counts = new Map([...counts].sort(([a], [b]) => a - b));
    this.sumUs = sumUs;
    this.maxUs = maxUs;
    this.count = [...counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The sum of what several workers counted. */
  static of(parts: readonly StageCounts[]): Latencies {
    const counts = new Map<number, number>();
    for (const part of parts) {
      for (let at = 0; at < part.counts.length; at += 2) {
        const bucket = part.counts[at] ?? 0;
        counts.set(bucket, (counts.get(bucket) ?? 0) + (part.counts[at + 1] ?? 0));
      }
    }
    const sumUs = parts.reduce((sum, part) => sum + part.sumUs, 0);
    return new Latencies(counts, sumUs, Math.max(0, ...parts.map((part) => part.maxUs)));
  }

  /** What came since `before`, which is an earlier state of the same histogram. */
  since(before: Latencies): Latencies {
    const counts = new Map<number, number>();
    for (const [bucket, count] of this.#counts) {
      const fresh = count - (before.#counts.get(bucket) ?? 0);
      if (fresh > 0) counts.set(bucket, fresh);
    }
    const highest = Math.max(-1, ...counts.keys());
    // Which of them was the longest is known only where nothing before was longer.
    const maxUs = this.maxUs > before.maxUs ? this.maxUs : Math.min(this.maxUs, endUs(highest));
    return new Latencies(counts, this.sumUs - before.sumUs, counts.size === 0 ? 0 : maxUs);
  }

  /** @param share 0.99 for the 99th percentile. */
  percentileMs(share: number): number {
    let left = Math.ceil(this.count * share);
    if (this.count === 0) return 0;
    for (const [bucket, count] of this.#counts) {
      left -= count;
      if (left <= 0) return Math.min(endUs(bucket), this.maxUs + 1) / 1000;
    }
    return this.maxUs / 1000;
  }

  summary(): StageSummary {
    return {
      count: this.count,
      p50Ms: this.percentileMs(0.5),
      p90Ms: this.percentileMs(0.9),
      p99Ms: this.percentileMs(0.99),
      p999Ms: this.percentileMs(0.999),
      maxMs: this.maxUs / 1000,
    };
  }

  /** How many took less than each bound; exact where a bucket begins there, as at 25 µs times any power of two. */
  below(boundsUs: readonly number[]): number[] {
    const totals = boundsUs.map(() => 0);
    for (const [bucket, count] of this.#counts) {
      const first = boundsUs.findIndex((boundUs) => bucketStartUs(bucket) < boundUs);
      for (let at = first; at >= 0 && at < totals.length; at += 1) totals[at] = (totals[at] ?? 0) + count;
    }
    return totals;
  }

  /** Bucket starts in µs with their counts, ascending: to be fed to any HDR histogram. */
  entries(): { fromUs: number; count: number }[] {
    return [...this.#counts].map(([bucket, count]) => ({ fromUs: bucketStartUs(bucket), count }));
  }
}

function endUs(bucket: number): number {
  return bucketStartUs(bucket + 1);
}

export type Stages = Readonly<Record<StageName, Latencies>>;

/** Those of all workers together. */
export function stagesOf(parts: readonly StageCounts[]): Stages {
  const named = (stage: StageName): Latencies => Latencies.of(parts.filter((part) => part.stage === stage));
  return Object.fromEntries(STAGES.map((stage) => [stage, named(stage)])) as Record<StageName, Latencies>;
}
