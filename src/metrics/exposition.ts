/** What `/metrics` shows: a snapshot of plain numbers, turned into Prometheus text by a registry that lives for one scrape. */
import { Counter, Gauge, type Metric, Registry } from "prom-client";
import type { DelaySummary } from "./delay-meter.ts";

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
}

export interface WorkerGauges {
  readonly worker: number;
  readonly connections: number;
  readonly requestsInFlight: number;
  /** For at-most-once subscribers of this worker. */
  readonly recordsDropped: number;
  readonly delay: DelaySummary;
}

export interface MetricsSnapshot {
  readonly version: string;
  readonly epoch: number;
  readonly topics: readonly TopicCounters[];
  readonly workers: readonly WorkerGauges[];
  readonly groups: readonly { namespace: string; group: string; topic: string; lag: number; lagMs: number }[];
  /** Bounds in ms with the number of syncs in each, not cumulative. */
  readonly syncLatencyMs: readonly { boundMs: number; count: number }[];
  readonly syncSumMs: number;
  readonly failedPartitions: number;
  readonly unroutable: number;
  readonly deadLetterLoops: number;
  readonly dirtyBytes: number;
  readonly mappedSegments: number;
  readonly openFiles: number;
  readonly residentBytes: number;
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

type Labels = Record<string, string>;
type Row = readonly [labels: Labels, value: number];

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Prometheus text of a snapshot. */
export function exposition(snapshot: MetricsSnapshot): Promise<string> {
  const registry = new Registry();
  topicMetrics(registry, snapshot.topics);
  workerMetrics(registry, snapshot.workers);
  gauge(registry, "group_lag", "Messages behind a group's committed offsets, by topic", rows(snapshot.groups, "lag"));
  gauge(
    registry,
    "group_lag_seconds",
    "Age of the oldest record that a group has not committed, by topic",
    rows(snapshot.groups, "lagMs").map(([labels, ms]) => [labels, ms / 1000]),
  );
  logMetrics(registry, snapshot);
  if (snapshot.pressure !== undefined) pressureMetrics(registry, snapshot.pressure);
  return registry.metrics();
}

function rows(groups: MetricsSnapshot["groups"], field: "lag" | "lagMs"): Row[] {
  return groups.map((group) => [{ namespace: group.namespace, group: group.group, topic: group.topic }, group[field]]);
}

function topicMetrics(registry: Registry, topics: readonly TopicCounters[]): void {
  const series = (field: Exclude<keyof TopicCounters, "namespace" | "topic">): Row[] =>
    topics.map((topic) => [{ namespace: topic.namespace, topic: topic.topic }, topic[field]]);
  counter(registry, "messages_in_total", "Messages appended, by topic", series("recordsIn"));
  counter(registry, "bytes_in_total", "Bytes of batches appended, by topic", series("bytesIn"));
  counter(registry, "messages_out_total", "Messages delivered, by topic", series("recordsOut"));
  counter(registry, "bytes_out_total", "Bytes of batches delivered, by topic", series("bytesOut"));
  gauge(registry, "log_bytes", "Size of the log, by topic", series("logBytes"));
  gauge(registry, "log_segments", "Segments of the log, by topic", series("segments"));
  gauge(registry, "partitions", "Partitions, by topic", series("partitions"));
}

function workerMetrics(registry: Registry, workers: readonly WorkerGauges[]): void {
  const label = ({ worker }: WorkerGauges): Labels => ({ worker: String(worker) });
  gauge(
    registry,
    "connections",
    "Open connections, by worker",
    workers.map((w) => [label(w), w.connections]),
  );
  gauge(
    registry,
    "requests_in_flight",
    "Requests not answered yet, by worker",
    workers.map((w) => [label(w), w.requestsInFlight]),
  );
  counter(
    registry,
    "messages_dropped_total",
    "Messages that at-most-once subscribers and readers of memory topics missed, by worker",
    workers.map((w) => [label(w), w.recordsDropped]),
  );
  const quantiles: readonly (readonly [string, keyof DelaySummary])[] = [
    ["0.5", "p50Ms"],
    ["0.99", "p99Ms"],
    ["1", "maxMs"],
  ];
  gauge(
    registry,
    "event_loop_delay_seconds",
    "How late timers ran in the last minute, by worker and quantile",
    workers.flatMap((w) =>
      quantiles.map(([quantile, field]): Row => [{ ...label(w), quantile }, w.delay[field] / 1000]),
    ),
  );
}

function logMetrics(registry: Registry, snapshot: MetricsSnapshot): void {
  registry.registerMetric(syncHistogram(snapshot) as unknown as Metric);
  gauge(registry, "failed_partitions", "Partitions that refuse appends since a sync failed", [
    [{}, snapshot.failedPartitions],
  ]);
  counter(registry, "messages_unroutable_total", "Messages published to exchanges that reached nobody", [
    [{}, snapshot.unroutable],
  ]);
  counter(registry, "dead_letter_loops_total", "Dead letters dropped because they would have gone round for ever", [
    [{}, snapshot.deadLetterLoops],
  ]);
  gauge(registry, "dirty_bytes", "Bytes written and not synced", [[{}, snapshot.dirtyBytes]]);
  gauge(registry, "mapped_segments", "Mapped segments", [[{}, snapshot.mappedSegments]]);
  gauge(registry, "open_files", "Open segment files", [[{}, snapshot.openFiles]]);
  gauge(registry, "resident_bytes", "Resident memory of the process, mapped files included", [
    [{}, snapshot.residentBytes],
  ]);
  gauge(registry, "epoch", "Start counter of the data directory", [[{}, snapshot.epoch]]);
  gauge(registry, "info", "Version of the broker", [[{ version: snapshot.version }, 1]]);
}

function pressureMetrics(registry: Registry, pressure: PressureGauges): void {
  gauge(registry, "pressure_level", "0: enough, 1: publishers are held back, 2: they are refused; by resource", [
    [{ resource: "disk" }, pressure.diskLevel],
    [{ resource: "memory" }, pressure.memoryLevel],
  ]);
  gauge(registry, "disk_free_bytes", "Free bytes of the data directory's disk", [[{}, pressure.diskFreeBytes]]);
  gauge(registry, "memory_bytes", "Memory of the process, mapped files not counted", [[{}, pressure.memoryBytes]]);
  gauge(registry, "memory_limit_bytes", "Memory over which publishers are held back", [[{}, pressure.memoryBytesMax]]);
}

function counter(registry: Registry, name: string, help: string, series: readonly Row[]): void {
  const metric = new Counter({ name: `millrace_${name}`, help, labelNames: labelNames(series), registers: [registry] });
  for (const [labels, value] of series) metric.inc(labels, value);
}

function gauge(registry: Registry, name: string, help: string, series: readonly Row[]): void {
  const metric = new Gauge({ name: `millrace_${name}`, help, labelNames: labelNames(series), registers: [registry] });
  for (const [labels, value] of series) metric.set(labels, value);
}

function labelNames(series: readonly Row[]): string[] {
  return Object.keys(series[0]?.[0] ?? {});
}

/** The core counts into buckets of its own, so this hands prom-client finished values instead of observations. */
function syncHistogram({ syncLatencyMs, syncSumMs }: MetricsSnapshot): object {
  const name = "millrace_sync_seconds";
  let cumulative = 0;
  const values: { metricName: string; labels: Record<string, string | number>; value: number }[] = [];
  for (const { boundMs, count } of syncLatencyMs) {
    cumulative += count;
    const le = Number.isFinite(boundMs) ? boundMs / 1000 : "+Inf";
    values.push({ metricName: `${name}_bucket`, labels: { le }, value: cumulative });
  }
  values.push({ metricName: `${name}_sum`, labels: {}, value: syncSumMs / 1000 });
  values.push({ metricName: `${name}_count`, labels: {}, value: cumulative });
  const item = { name, help: "Time of a sync of log files", type: "histogram", values, aggregator: "sum" };
  return { name, get: () => Promise.resolve(item), reset: () => undefined };
}
