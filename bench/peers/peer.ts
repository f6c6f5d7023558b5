/** What the suite measures, and what each broker (Millrace too) offers for it. */

/** "synced": an acknowledged message is on the disk, where the broker has a setting for it. "fast": its fastest setting that still answers honestly. */
export type Mode = "fast" | "synced";

export const WORKS = [
  "produce",
  "consume",
  "both",
  "queue",
  "fanout1",
  "fanout10",
  "latency1000",
  "latency10000",
  "storedLatency1000",
  "storedLatency10000",
] as const;
export type WorkName = (typeof WORKS)[number];

export interface Work {
  readonly name: WorkName;
  readonly mode: Mode;
  readonly sizeBytes: number;
}

/** Percentiles of a latency run, in ms. */
export interface LatencyMs {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Measured {
  /** Messages per second; of fan-outs deliveries over all subscribers. NaN where the tool gives none. */
  readonly perSecond: number;
  /** How many there were, where the tool says so. */
  readonly records?: number;
  readonly latencyMs?: LatencyMs;
}

/** One way to load a broker. */
export interface Tool {
  readonly name: string;
  /** What its figure counts. */
  readonly counts: string;
  /** True where the application's work per record is left out, so that it stands for no ratio. */
  readonly isMarked?: boolean;
  run(): Promise<Measured>;
}

/** A broker that runs. */
export interface Running {
  /** From the start of the process to its first answer. */
  readonly startMs: number;
  /** Untimed, before the rounds of a work: fills what is to be read, warms up. */
  prepare(work: Work): Promise<void>;
  /** None where the broker does no such work. */
  tools(work: Work): readonly Tool[];
  /** Memory with no file behind it, in MB. */
  memoryMb(): number;
  /** User and system time so far. */
  cpuSeconds(): number;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** A broker that is installed. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  /** What each mode's settings are, in words, for the table. Modes that are missing it does not have. */
  readonly modes: Readonly<Partial<Record<Mode, string>>>;
  start(mode: Mode): Promise<Running>;
}

/** Why a peer cannot be had: one line, which the table shows in place of its rows. */
export class UnavailableError extends Error {
  override readonly name = "UnavailableError";
}

export const rateOfLatency = (work: WorkName): number => (work.endsWith("10000") ? 10_000 : 1_000);
export const isLatency = (work: WorkName): boolean => work.includes("atency");
