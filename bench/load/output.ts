import { join } from "node:path";
import { type Figure, figureOf } from "../lib/figure.ts";
import { Histogram } from "../lib/histogram.ts";
import { percentilesSvg, type RateSeries, rateSvg } from "../lib/plot.ts";
import { figuresTable, formatNumber, markdown, percentileTable } from "../lib/report.ts";
import type { Table } from "../lib/suite.ts";
import type { Progress, RunResult } from "./run.ts";
import type { LoadSettings } from "./settings.ts";

/** What the load says: a line while it runs, tables at the end, figures, files. */

const MILLION = 1e6;

export function progressLine({ phase, elapsedMs, totalMs, ackedPerS, deliveredPerS }: Progress): string {
  if (phase === "draining") return "draining";
  const rates = `acknowledged ${formatNumber(ackedPerS)}/s  delivered ${formatNumber(deliveredPerS)}/s`;
  return `${phase}  ${(elapsedMs / 1e3).toFixed(1)} of ${(totalMs / 1e3).toFixed(1)} s  ${rates}`;
}

/** Latencies of all runs together, each under its name. */
export function latencies(
  settings: LoadSettings,
  results: readonly RunResult[],
): [name: string, histogram: Histogram][] {
  const joined = (of: (result: RunResult) => Histogram): Histogram => {
    const sum = new Histogram();
    for (const result of results) sum.add(of(result));
    return sum;
  };
  const from = settings.rate > 0 ? "due" : "sent";
  const rows: [string, Histogram][] = [];
  if (settings.producers > 0) {
    // Without acks nothing comes back, so handing over takes no time that could be measured.
    if (settings.acks !== "none") rows.push([`${from} to acknowledged`, joined(({ published }) => published.latency)]);
    if (settings.consumers > 0) rows.push([`${from} to delivered`, joined(({ delivered }) => delivered.latency)]);
    if (settings.rate > 0) rows.push(["schedule lateness", joined(({ lateness }) => lateness)]);
  }
  return rows;
}

function latencyFigures(name: string, histograms: readonly Histogram[]): Figure[] {
  if (histograms.every(({ count }) => count === 0)) return [];
  const of = (percentile: string, pick: (histogram: Histogram) => number): Figure =>
    figureOf(
      `${name}_${percentile}_ms`,
      "ms",
      histograms.map((histogram) => pick(histogram) / 1e3),
    );
  return [
    ...[50, 90, 99, 99.9, 99.99].map((percent) =>
      of(`p${String(percent).replace(".", "_")}`, (histogram) => histogram.percentile(percent)),
    ),
    of("max", ({ max }) => max),
  ];
}

/** The messages that CPU time is spread over: those published, or those read where nobody publishes. */
const messagesOf = ({ published, delivered }: RunResult, settings: LoadSettings): number =>
  settings.producers > 0 ? published.measuredMessages : delivered.measuredMessages;

/** Figures of the runs, one value of each run. */
export function figuresOf(settings: LoadSettings, results: readonly RunResult[]): Figure[] {
  const figure = (name: string, unit: string, of: (result: RunResult) => number): Figure =>
    figureOf(name, unit, results.map(of));
  const rates = (name: "published" | "delivered"): Figure[] => [
    figure(`${name}_msgs`, "msg/s", (result) => result[name].measuredMessages / result.seconds),
    figure(`${name}_mb`, "MB/s", (result) => result[name].measuredBytes / MILLION / result.seconds),
  ];
  const perMillion = (result: RunResult, seconds: number): number => (seconds / messagesOf(result, settings)) * MILLION;
  const hasBroker = results.every(({ brokerCpuS }) => brokerCpuS !== undefined);
  const cpu = "CPU s per million";
  return [
    ...(settings.producers > 0 ? rates("published") : []),
    ...(settings.consumers > 0 ? rates("delivered") : []),
    ...(settings.producers > 0 && settings.acks !== "none"
      ? latencyFigures(
          "ack",
          results.map(({ published }) => published.latency),
        )
      : []),
    ...(settings.producers > 0
      ? latencyFigures(
          "delivery",
          results.map(({ delivered }) => delivered.latency),
        )
      : []),
    ...latencyFigures(
      "lateness",
      results.map(({ lateness }) => lateness),
    ),
    ...(hasBroker ? [figure("broker_cpu", cpu, (result) => perMillion(result, result.brokerCpuS ?? Number.NaN))] : []),
    figure("load_cpu", cpu, (result) => perMillion(result, result.loadCpuS)),
    ...(settings.producers > 0 && settings.consumers > 0
      ? [
          figure("lost", "messages", ({ lost }) => lost),
          figure("duplicates", "messages", ({ duplicates }) => duplicates),
        ]
      : []),
  ];
}

function sizeText({ kind, from, to }: LoadSettings["sizes"]): string {
  if (kind === "exponential") return `values of ${from} bytes in the mean, exponential up to ${to}`;
  return from === to ? `${from}-byte values` : `${from}- to ${to}-byte values`;
}

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

function rateText({ rate, rateEnd, producers }: LoadSettings): string {
  if (producers === 0) return "reading what is there";
  if (rate === 0) return "saturating";
  return rate === rateEnd ? `${formatNumber(rate)} msg/s` : `${formatNumber(rate)} to ${formatNumber(rateEnd)} msg/s`;
}

/** What was done, in two lines. */
export function headline(url: string, settings: LoadSettings, results: readonly RunResult[]): string {
  const { producers, consumers, payload, batchBytes, acks, keys, isShared, warmUpMs } = settings;
  const first = results[0];
  const own = first?.isOwnTopic === true ? " (made for the run)" : "";
  const batches = batchBytes === 0 ? "single records" : `batches of ${formatNumber(batchBytes)} bytes`;
  const what = [
    `${url}, topic ${settings.topic}${own}`,
    plural(first?.partitions ?? 0, "partition"),
    plural(producers, "producer"),
    `${plural(consumers, "consumer")}${isShared && consumers > 1 ? " sharing the partitions" : ""}`,
  ];
  const how = [
    ...(producers > 0 ? [sizeText(settings.sizes), batches, `acks ${acks}`] : []),
    ...(keys > 0 ? [plural(keys, "key")] : []),
    payload === "client" ? "through the client" : "pre-encoded",
    rateText(settings),
    `${results.map(({ seconds }) => seconds.toFixed(2)).join(", ")} s measured`,
    ...(producers > 0 && warmUpMs > 0 ? [`after ${(warmUpMs / 1e3).toFixed(1)} s of warm-up`] : []),
  ];
  return `${what.join(", ")}\n${how.join(", ")}\n`;
}

function cpuTable(settings: LoadSettings, results: readonly RunResult[]): Table {
  const text = (name: string): string => {
    const found = figuresOf(settings, results).find((figure) => figure.name === name);
    return found === undefined ? "-" : formatNumber(found.value);
  };
  return {
    title: "",
    columns: ["CPU s per million messages", "broker", "load"],
    rows: [[settings.producers > 0 ? "published" : "read", text("broker_cpu"), text("load_cpu")]],
  };
}

function countsLine(settings: LoadSettings, results: readonly RunResult[]): string {
  const sum = (of: (result: RunResult) => number): string =>
    results.reduce((total, result) => total + of(result), 0).toLocaleString("en-US");
  const delivered = `delivered ${sum((result) => result.delivered.messages)}`;
  if (settings.producers === 0) return `${delivered}\n`;
  const how = settings.acks === "none" ? "handed over" : "acknowledged";
  const published = `sent ${sum(({ sent }) => sent)}, ${how} ${sum(({ acked }) => acked)}`;
  if (settings.consumers === 0) return `${published}\n`;
  const foreign = results.some((result) => result.foreign > 0) ? `, ${sum((result) => result.foreign)} of others` : "";
  const lost = `${sum((result) => result.lost)} lost, ${sum((result) => result.duplicates)} duplicates`;
  return `${published}, ${delivered}: ${lost}${foreign}\n`;
}

/** The tables for people. */
export function resultText(url: string, settings: LoadSettings, results: readonly RunResult[]): string {
  const figures = figuresOf(settings, results);
  const throughput = figures.filter(({ unit }) => unit === "msg/s" || unit === "MB/s");
  const rows = latencies(settings, results);
  return [
    headline(url, settings, results),
    markdown(figuresTable(throughput, "")),
    ...(rows.length === 0 ? [] : [markdown(percentileTable("", rows))]),
    markdown(cpuTable(settings, results)),
    countsLine(settings, results),
  ].join("\n");
}

/** One curve for each run and side. */
function rateSeries(settings: LoadSettings, results: readonly RunResult[]): RateSeries[] {
  return results.flatMap((result, index) => {
    const { span, published, delivered } = result;
    const intervalMs = (span.endUs - span.startUs) / span.intervals / 1e3;
    const run = results.length > 1 ? ` ${index + 1}` : "";
    return [
      ...(settings.producers > 0 ? [{ name: `published${run}`, counts: published.counts, intervalMs }] : []),
      ...(settings.consumers > 0 ? [{ name: `delivered${run}`, counts: delivered.counts, intervalMs }] : []),
    ];
  });
}

/** Writes `.hgrm` files and plots into the folder, which is there. Returns their names. */
export async function writeFiles(
  folder: string,
  settings: LoadSettings,
  results: readonly RunResult[],
): Promise<string[]> {
  const rows = latencies(settings, results).filter(([, histogram]) => histogram.count > 0);
  const files: [string, string][] = rows.map(([name, histogram]) => [
    `${name.replaceAll(" ", "-")}.hgrm`,
    histogram.hgrm(),
  ]);
  const title = `${settings.topic}, ${rateText(settings)}`;
  if (rows.length > 0) files.push(["percentiles.svg", percentilesSvg(title, rows)]);
  files.push(["rate.svg", rateSvg(title, rateSeries(settings, results))]);
  for (const [name, text] of files) await Bun.write(join(folder, name), text);
  return files.map(([name]) => name);
}
