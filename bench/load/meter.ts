import { Histogram } from "../lib/histogram.ts";

/** Counts what happens in the measured time, by intervals of it; what comes before and behind is counted apart. */

/** On the shared clock, in µs. */
export interface Span {
  readonly startUs: number;
  readonly endUs: number;
  /** Intervals that the time is divided into. */
  readonly intervals: number;
}

const INTERVAL_MS = 100;

/** The measured time of a run, in intervals of about 100 ms that fill it without a rest. */
export function spanOf(startUs: number, durationMs: number): Span {
  return { startUs, endUs: startUs + durationMs * 1e3, intervals: Math.max(1, Math.round(durationMs / INTERVAL_MS)) };
}

export interface MeterState {
  /** Since the beginning, warm-up and end included. */
  readonly messages: number;
  readonly bytes: number;
  /** In the measured time. */
  readonly measuredMessages: number;
  readonly measuredBytes: number;
  /** When the last of them came, on the shared clock; 0 where none did. */
  readonly measuredLastUs: number;
  readonly counts: readonly number[];
  readonly latency: string;
}

export class Meter {
  messages: number = 0;
  bytes: number = 0;
  private measuredMessages = 0;
  private measuredBytes = 0;
  private measuredLastUs = 0;
  private readonly counts: Float64Array;
  /** Of what was due or sent in the measured time, whenever it arrived. */
  private readonly latency: Histogram = new Histogram();
  private readonly span: Span;
  private readonly intervalUs: number;

  constructor(span: Span) {
    this.span = span;
    this.counts = new Float64Array(span.intervals);
    this.intervalUs = (span.endUs - span.startUs) / span.intervals;
  }

  /** So many messages, of so many bytes together, arrived at this time. */
  count(nowUs: number, messages: number, bytes: number): void {
    this.messages += messages;
    this.bytes += bytes;
    const { startUs, endUs } = this.span;
    if (nowUs < startUs || nowUs >= endUs) return;
    this.measuredMessages += messages;
    this.measuredBytes += bytes;
    this.measuredLastUs = nowUs;
    const interval = Math.min(this.counts.length - 1, Math.floor((nowUs - startUs) / this.intervalUs));
    this.counts[interval] = (this.counts[interval] as number) + messages;
  }

  /** Messages that were due at one time took until now. */
  took(dueUs: number, nowUs: number, messages: number): void {
    if (dueUs >= this.span.startUs && dueUs < this.span.endUs) this.latency.record(nowUs - dueUs, messages);
  }

  state(): MeterState {
    const { messages, bytes, measuredMessages, measuredBytes, measuredLastUs } = this;
    const counts = [...this.counts];
    const latency = this.latency.encode();
    return { messages, bytes, measuredMessages, measuredBytes, measuredLastUs, counts, latency };
  }
}

/** What several meters counted together. */
export type Joined = Omit<MeterState, "latency"> & { readonly latency: Histogram };

export function joinStates(states: readonly MeterState[]): Joined {
  const latency = new Histogram();
  for (const state of states) latency.add(Histogram.decode(state.latency));
  const sum = (of: (state: MeterState) => number): number => states.reduce((total, state) => total + of(state), 0);
  return {
    messages: sum(({ messages }) => messages),
    bytes: sum(({ bytes }) => bytes),
    measuredMessages: sum(({ measuredMessages }) => measuredMessages),
    measuredBytes: sum(({ measuredBytes }) => measuredBytes),
    measuredLastUs: Math.max(0, ...states.map(({ measuredLastUs }) => measuredLastUs)),
    counts: (states[0]?.counts ?? []).map((_, at) => sum(({ counts }) => counts[at] ?? 0)),
    latency,
  };
}
