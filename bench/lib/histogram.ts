import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram as Hdr } from "hdr-histogram-js";

/**
 * Times in an HDR histogram: three digits at every size, from a nanosecond to an hour. Callers speak µs; inside are ns, so
 * that what takes a few µs keeps its digits.
 */

const NS_PER_US = 1e3;
const NS_PER_MS = 1e6;
const LONGEST_NS = 3_600e9;
const TICKS_PER_HALF = 5;

export const PERCENTILES = [50, 90, 99, 99.9, 99.99] as const;

/** A histogram's percentiles, in µs. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p99_9: number;
  readonly p99_99: number;
  readonly max: number;
}

function create(): Hdr {
  return build({ highestTrackableValue: LONGEST_NS, autoResize: false, bitBucketSize: 64 });
}

function toNs(us: number): number {
  const ns = Math.round(us * NS_PER_US);
  // Clocks of two processes may differ by a little: nothing takes less than no time.
  return ns < 0 ? 0 : ns > LONGEST_NS ? LONGEST_NS : ns;
}

export class Histogram {
  private readonly hdr: Hdr = create();
  /** Exact, where the buckets are not: a value read back from a bucket may be past it by three digits. */
  private maxNs = 0;

  /** Records a time of the open loop: since the moment the thing was due. Nothing has to be corrected then. */
  record(us: number, count: number = 1): void {
    const ns = toNs(us);
    if (ns > this.maxNs) this.maxNs = ns;
    if (count === 1) this.hdr.recordValue(ns);
    else if (count > 0) this.hdr.recordValueWithCount(ns, count);
  }

  /**
   * Records a time of a closed loop that should have begun every `intervalUs`: a time longer than that kept the next ones
   * from being measured (coordinated omission), so those are added, each shorter by an interval.
   */
  recordCorrected(us: number, intervalUs: number): void {
    const ns = toNs(us);
    if (ns > this.maxNs) this.maxNs = ns;
    this.hdr.recordValueWithExpectedInterval(ns, Math.max(1, Math.round(intervalUs * NS_PER_US)));
  }

  get count(): number {
    return this.hdr.totalCount;
  }

  /** In µs; NaN of nothing. */
  percentile(percent: number): number {
    if (this.count === 0) return Number.NaN;
    return Math.min(this.hdr.getValueAtPercentile(percent), this.maxNs) / NS_PER_US;
  }

  /** In µs; NaN of nothing. */
  get max(): number {
    return this.count === 0 ? Number.NaN : this.maxNs / NS_PER_US;
  }

  /** In µs; NaN of nothing. */
  get mean(): number {
    return this.count === 0 ? Number.NaN : this.hdr.mean / NS_PER_US;
  }

  percentiles(): Percentiles {
    const [p50, p90, p99, p99_9, p99_99] = PERCENTILES.map((percent) => this.percentile(percent)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    return { p50, p90, p99, p99_9, p99_99, max: this.max };
  }

  add(other: Histogram): void {
    this.hdr.add(other.hdr);
    this.maxNs = Math.max(this.maxNs, other.maxNs);
  }

  reset(): void {
    this.hdr.reset();
    this.maxNs = 0;
  }

  /** The `.hgrm` text that HdrHistogram's plotter reads, in ms. */
  hgrm(): string {
    return this.hdr.outputPercentileDistribution(TICKS_PER_HALF, NS_PER_MS);
  }

  /** For a pipe between processes. */
  encode(): string {
    return `${this.maxNs} ${encodeIntoCompressedBase64(this.hdr)}`;
  }

  static decode(text: string): Histogram {
    const histogram = new Histogram();
    const [max = "", counts = ""] = text.split(" ");
    histogram.hdr.add(decodeFromCompressedBase64(counts));
    histogram.maxNs = Number(max);
    return histogram;
  }
}
