import { type Figure, figureOf, median } from "../lib/figure.ts";
import type { Table } from "../lib/suite.ts";
import { isLatency, type LatencyMs, type Measured, type Mode, type Work, type WorkName } from "./peer.ts";

/** The arithmetic of the suite: rows, ratios, figures. */

/** What one tool measured in all rounds of a work, of a peer or of Millrace beside that peer. */
export interface Row {
  /** The peer that the rounds alternated with. */
  readonly peer: string;
  readonly isMillrace: boolean;
  readonly work: Work;
  readonly tool: string;
  readonly counts: string;
  /** True where the application's work per record is left out. */
  readonly isMarked: boolean;
  /** One entry per round. */
  readonly runs: readonly Measured[];
  /** CPU of the server in µs per message, one entry per round. */
  readonly serverUs: readonly number[];
  /** Share of all processors that other processes of the machine took, one entry per round. */
  readonly othersPercent: readonly number[];
}

/** What is known of a peer beside its rows. */
export interface PeerFacts {
  readonly name: string;
  readonly version: string;
  readonly mode: Mode;
  readonly settings: string;
  readonly startMs: readonly number[];
  /** The most after a run, without what a file stands behind. */
  readonly memoryMb: number;
  /** CPU while the other broker was measured, in % of a core. */
  readonly idlePercent: number;
}

interface Goal {
  readonly figure: string;
  readonly peer: string;
  readonly work: WorkName;
  readonly atLeast: number;
}

/** Ratios that the suite answers for: 100 bytes, the fast settings, against the peer's best client. */
export const GOALS: readonly Goal[] = [
  { figure: "kafka_produce", peer: "kafka", work: "produce", atLeast: 3 },
  { figure: "kafka_consume", peer: "kafka", work: "consume", atLeast: 3 },
  { figure: "kafka_both", peer: "kafka", work: "both", atLeast: 2 },
  { figure: "nats_produce", peer: "nats", work: "produce", atLeast: 8 },
  { figure: "nats_consume", peer: "nats", work: "consume", atLeast: 10 },
  { figure: "nats_fanout10", peer: "nats", work: "fanout10", atLeast: 4 },
  { figure: "rabbitmq_stream_produce", peer: "rabbitmq", work: "produce", atLeast: 8 },
  { figure: "rabbitmq_stream_consume", peer: "rabbitmq", work: "consume", atLeast: 6 },
  { figure: "redis_produce", peer: "redis", work: "produce", atLeast: 5 },
  { figure: "rabbitmq_queue", peer: "rabbitmq", work: "queue", atLeast: 15 },
  { figure: "nats_queue", peer: "nats", work: "queue", atLeast: 6 },
  { figure: "redis_queue", peer: "redis", work: "queue", atLeast: 3 },
  { figure: "redis_fanout10", peer: "redis", work: "fanout10", atLeast: 2 },
];

const GOAL_BYTES = 100;

/** One entry per round; NaN where the tool failed or gave no rate. */
const rates = ({ runs }: Row): number[] => runs.map(({ perSecond }) => perSecond);
const known = (values: readonly number[]): number[] => values.filter((value) => !Number.isNaN(value));

/** The row with the highest median, of those that stand for the whole work. */
export function bestOf(rows: readonly Row[]): Row | undefined {
  const whole = rows.filter((row) => !row.isMarked && known(rates(row)).length > 0);
  return whole.toSorted((a, b) => median(known(rates(b))) - median(known(rates(a))))[0];
}

/** Millrace's rate over the peer's, round by round: what both met in the same minute. */
export function ratios(ours: Row, theirs: Row): number[] {
  return rates(ours)
    .map((rate, round) => rate / (rates(theirs)[round] ?? Number.NaN))
    .filter((ratio) => !Number.isNaN(ratio));
}

const isSame = (a: Work, b: Work): boolean => a.name === b.name && a.mode === b.mode && a.sizeBytes === b.sizeBytes;

/** The rows of Millrace and of the peer for a work. */
function pairOf(rows: readonly Row[], peer: string, work: Work): { ours: Row | undefined; theirs: Row | undefined } {
  const same = rows.filter((row) => row.peer === peer && isSame(row.work, work));
  return {
    ours: bestOf(same.filter(({ isMillrace }) => isMillrace)),
    theirs: bestOf(same.filter(({ isMillrace }) => !isMillrace)),
  };
}

/** The figures of the goals that were measured. */
export function goalFigures(rows: readonly Row[]): Figure[] {
  return GOALS.flatMap(({ figure, peer, work: name, atLeast }) => {
    const { ours, theirs } = pairOf(rows, peer, { name, mode: "fast", sizeBytes: GOAL_BYTES });
    if (!ours || !theirs) return [];
    const note = `${count(median(known(rates(ours))))} / ${count(median(known(rates(theirs))))} msg/s, against ${theirs.tool}`;
    return [figureOf(figure, "ratio", ratios(ours, theirs), { atLeast }, note)];
  });
}

/** 1,234,567 as "1.23 M". */
export function count(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(0)} k` : value.toFixed(0);
}

const spread = (values: readonly number[], text: (value: number) => string): string =>
  values.length === 0 ? "–" : `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;

const short = (value: number): string => {
  if (Number.isNaN(value)) return "–";
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
};

/** A percentile over the rounds. */
function percentile({ runs }: Row, of: (latency: LatencyMs) => number): string {
  const values = runs.flatMap(({ latencyMs }) => (latencyMs === undefined ? [] : [of(latencyMs)]));
  return spread(known(values), short);
}

const ratioText = (rows: readonly Row[], row: Row): string => {
  if (row.isMarked || row.isMillrace) return "";
  const { ours } = pairOf(rows, row.peer, row.work);
  return ours ? spread(ratios(ours, row), (value) => value.toFixed(2)) : "–";
};

const nameOf = ({ peer, isMillrace, tool, isMarked }: Row): string =>
  `${isMillrace ? "Millrace" : peer}, ${tool}${isMarked ? " *" : ""}`;

/** Rates: a line per tool, Millrace's behind the peer's of the same rounds. */
export function rateTable(rows: readonly Row[]): Table {
  return {
    title: "Messages per second (ratio: Millrace / this line; * leaves the application's work per record out)",
    columns: [
      "beside",
      "settings",
      "work",
      "bytes",
      "who",
      "msg/s",
      "MB/s",
      "ratio",
      "server µs/msg",
      "what is counted",
    ],
    rows: rows
      .filter(({ work }) => !isLatency(work.name))
      .map((row) => [
        row.peer,
        row.work.mode,
        row.work.name,
        String(row.work.sizeBytes),
        nameOf(row),
        spread(known(rates(row)), count),
        short((median(known(rates(row))) * row.work.sizeBytes) / 1e6),
        ratioText(rows, row),
        spread(known(row.serverUs), short),
        short(Math.max(0, ...row.othersPercent)),
        row.counts,
      ]),
  };
}

export function latencyTable(rows: readonly Row[]): Table {
  return {
    title: "Latency in ms at a fixed rate, open loop",
    columns: [
      "beside",
      "settings",
      "work",
      "bytes",
      "who",
      "p50",
      "p90",
      "p99",
      "p99.9",
      "max",
      "others %",
      "what is counted",
    ],
    rows: rows
      .filter(({ work }) => isLatency(work.name))
      .map((row) => [
        row.peer,
        row.work.mode,
        row.work.name,
        String(row.work.sizeBytes),
        nameOf(row),
        percentile(row, ({ p50 }) => p50),
        percentile(row, ({ p90 }) => p90),
        percentile(row, ({ p99 }) => p99),
        percentile(row, ({ p999 }) => p999),
        percentile(row, ({ max }) => max),
        short(Math.max(0, ...row.othersPercent)),
        row.counts,
      ]),
  };
}

export function factTable(facts: readonly PeerFacts[], missing: readonly (readonly [string, string])[]): Table {
  return {
    title: "Versions, settings, start, memory",
    columns: [
      "broker",
      "version",
      "settings",
      "what they are",
      "start ms",
      "memory MB, most after a run",
      "CPU % of a core while the other is measured",
    ],
    rows: [
      ...facts.map(({ name, version, mode, settings, startMs, memoryMb, idlePercent }) => [
        name,
        version,
        mode,
        settings,
        spread(startMs, short),
        short(memoryMb),
        short(idlePercent),
      ]),
      ...missing.map(([name, why]) => [name, "not measured", "", why, "", "", ""]),
    ],
  };
}
