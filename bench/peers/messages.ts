import type { AckLevel, ProducerOptions } from "../../src/client/index.ts";

/** What the suite and its programs say to each other. */

/** Settings of the producer that the suite may try. */
export type Tuning = Pick<ProducerOptions, "batchBytes" | "lingerMs" | "inFlightMax" | "bufferBytesMax" | "idempotent">;

export interface ProduceRequest {
  op: "open" | "produce" | "close";
  url: string;
  topic: string;
  acks: AckLevel;
  tuning: Tuning;
  /** Records of all publishers together; this one makes every `shares`-th, from number `share` on. */
  records: number;
  share: number;
  shares: number;
  sizeBytes: number;
  /** Default: where the client puts them. */
  partition?: number;
  recordsPerTurn: number;
  /** True sends one batch over and over that was encoded before. */
  isEncoded?: boolean;
  /** Stay so near to the slowest of the readers. */
  window?: { path: string; readers: number; records: number };
}

export interface ConsumeRequest {
  op: "start" | "finish";
  url: string;
  topic: string;
  /** Readers of this process, each on a connection of its own, each reading all the records. */
  readers: number;
  /** Records that each reader waits for. */
  records: number;
  /** Default: all. */
  partitions?: number[];
  creditBytes: number;
  /** Where the counts of the readers go, from number `first` on. */
  counts?: { path: string; readers: number; first: number };
}

export interface LatencyRequest {
  op: "start" | "finish" | "run";
  url: string;
  topic: string;
  acks: AckLevel;
  sizeBytes: number;
  /** Messages per second. */
  rate: number;
  durationMs: number;
  /** What came in this first part is not counted. */
  warmUpMs: number;
}

/** Times in a histogram, encoded: of the deliveries, or how late the sender's own schedule was. */
export interface LatencyAnswer {
  histogram: string;
}

/** What a program did, on the clock that all processes share. */
export interface Span {
  records: number;
  startUs: number;
  endUs: number;
  /** The sum of the bytes that were touched. */
  touched: number;
}

/** The span from the first start to the last end. */
export function joinSpans(spans: readonly Span[]): Span {
  return {
    records: spans.reduce((sum, { records }) => sum + records, 0),
    startUs: Math.min(...spans.map(({ startUs }) => startUs)),
    endUs: Math.max(...spans.map(({ endUs }) => endUs)),
    touched: spans.reduce((sum, { touched }) => sum + touched, 0),
  };
}

/** Records per second. */
export function rateOf({ records, startUs, endUs }: Span): number {
  return (records * 1e6) / (endUs - startUs);
}
