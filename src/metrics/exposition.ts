/** What `/metrics` shows: a snapshot of plain numbers, turned into Prometheus text by a registry that lives for one scrape. */
import { type Metric, Registry } from "prom-client";
import type { DelaySummary } from "./delay-meter.ts";
import { type Latencies, STAGES } from "./latencies.ts";
import type {
  GroupLag,
  MetricsSnapshot,
  PressureGauges,
  QueueCounters,
  QuotaGauge,
  TopicCounters,
  WorkerGauges,
} from "./snapshot.ts";

type Labels = Record<string, string>;
type Row = readonly [labels: Labels, value: number];

/** Writes its metrics one after the other and lets the loop run in between: with thousands of topics the text takes a while. */
class PacedRegistry extends Registry {
  #turn: Promise<unknown> = Promise.resolve();

  /** The value, when those asked for before have been written. */
  async whenDue<T>(value: T): Promise<T> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    setImmediate(resolve);
    return value;
  }
}

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Prometheus text of a snapshot. */
export function exposition(snapshot: MetricsSnapshot): Promise<string> {
  const registry = new PacedRegistry();
  topicMetrics(registry, snapshot.topics);
  queueMetrics(registry, snapshot.queues);
  quotaMetrics(registry, snapshot.quotas);
  registerHistogram(registry, "stage_seconds", "How long messages take, by stage of their way", stageSeries(snapshot));
  workerMetrics(registry, snapshot);
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

function rows(groups: readonly GroupLag[], field: "lag" | "lagMs"): Row[] {
  return groups.map((group) => [{ namespace: group.namespace, group: group.group, topic: group.topic }, group[field]]);
}

function topicMetrics(registry: PacedRegistry, topics: readonly TopicCounters[]): void {
  const series = (field: Exclude<keyof TopicCounters, "namespace" | "topic">): Row[] =>
    topics.map((topic) => [{ namespace: topic.namespace, topic: topic.topic }, topic[field]]);
  counter(registry, "messages_in_total", "Messages appended, by topic", series("recordsIn"));
  counter(registry, "bytes_in_total", "Bytes of batches appended, by topic", series("bytesIn"));
  counter(registry, "messages_out_total", "Messages delivered, by topic", series("recordsOut"));
  counter(registry, "bytes_out_total", "Bytes of batches delivered, by topic", series("bytesOut"));
  gauge(registry, "log_bytes", "Size of the log, by topic", series("logBytes"));
  gauge(registry, "log_segments", "Segments of the log, by topic", series("segments"));
  gauge(registry, "partitions", "Partitions, by topic", series("partitions"));
  gauge(
    registry,
    "partition_skew_ratio",
    "Messages of the fullest partition in the last minute over an even share; 1 is even, 0 is no messages",
    series("skew"),
  );
  gauge(registry, "hot_key_ratio", "Share of the most frequent key among sampled messages", series("hotKeyShare"));
}

function quotaMetrics(registry: PacedRegistry, quotas: readonly QuotaGauge[]): void {
  const row = ({ kind, name, resource }: QuotaGauge, value: number): Row => [{ kind, name, resource }, value];
  gauge(
    registry,
    "quota_limit",
    "What a namespace or a user may have, by resource",
    quotas.map((quota) => row(quota, quota.limit)),
  );
  const counted = quotas.flatMap((quota) => (quota.used === undefined ? [] : [row(quota, quota.used)]));
  gauge(registry, "quota_used", "What it has, of what is counted", counted);
}

function queueMetrics(registry: PacedRegistry, queues: readonly QueueCounters[]): void {
  const label = ({ namespace, queue }: QueueCounters): Labels => ({ namespace, queue });
  const states = ["ready", "unacked", "delayed", "deferred"] as const;
  gauge(
    registry,
    "queue_messages",
    "Messages in queues, by state",
    queues.flatMap((queue) => states.map((state): Row => [{ ...label(queue), state }, queue[state]])),
  );
  for (const [name, help, field] of QUEUE_GAUGES) {
    gauge(
      registry,
      name,
      help,
      queues.map((queue) => [label(queue), queue[field]]),
    );
  }
  for (const [name, help, field] of QUEUE_COUNTERS) {
    counter(
      registry,
      name,
      help,
      queues.map((queue) => [label(queue), queue[field]]),
    );
  }
}

type QueueField = Exclude<keyof QueueCounters, "namespace" | "queue">;

const QUEUE_GAUGES: readonly (readonly [name: string, help: string, field: QueueField])[] = [
  ["queue_bytes", "Bytes of the messages in queues", "bytes"],
  ["queue_consumers", "Consumers of queues", "consumers"],
];
const QUEUE_COUNTERS: readonly (readonly [name: string, help: string, field: QueueField])[] = [
  ["queue_published_total", "Messages that went into queues", "published"],
  ["queue_delivered_total", "Deliveries to consumers of queues", "delivered"],
  ["queue_redelivered_total", "Deliveries that were not a message's first", "redelivered"],
  ["queue_acked_total", "Messages that consumers acked", "acked"],
  ["queue_expired_total", "Messages that expired", "expired"],
  ["queue_rejected_total", "Messages that consumers rejected", "rejected"],
  ["queue_dropped_total", "Messages that a full queue dropped", "dropped"],
  ["queue_dead_lettered_total", "Messages handed on to dead-letter exchanges", "deadLettered"],
];

function workerMetrics(registry: PacedRegistry, { workers, namespaces }: MetricsSnapshot): void {
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
  gauge(
    registry,
    "namespace_connections",
    "Connections that have said HELLO, by namespace",
    namespaces.map(({ namespace, connections }) => [{ namespace }, connections]),
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
  registerQuantiles(
    registry,
    "event_loop_delay_seconds",
    "How late timers ran in the last minute, by worker and quantile",
    workers.flatMap((w) =>
      quantiles.map(([quantile, field]): Row => [{ ...label(w), quantile }, w.delay[field] / 1000]),
    ),
  );
}

function logMetrics(registry: PacedRegistry, snapshot: MetricsSnapshot): void {
  registerHistogram(registry, "sync_seconds", "Time of a sync of log files", [syncSeries(snapshot)]);
  gauge(registry, "failed_partitions", "Partitions that refuse appends since a sync failed", [
    [{}, snapshot.failedPartitions],
  ]);
  counter(registry, "messages_unroutable_total", "Messages published to exchanges that reached nobody", [
    [{}, snapshot.unroutable],
  ]);
  counter(registry, "dead_letter_loops_total", "Dead letters dropped because they would have gone round for ever", [
    [{}, snapshot.deadLetterLoops],
  ]);
  counter(registry, "schema_violations_total", "Publishes that were refused because of their schemas", [
    [{}, snapshot.schemaViolations],
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

function pressureMetrics(registry: PacedRegistry, pressure: PressureGauges): void {
  gauge(registry, "pressure_level", "0: enough, 1: publishers are held back, 2: they are refused; by resource", [
    [{ resource: "disk" }, pressure.diskLevel],
    [{ resource: "memory" }, pressure.memoryLevel],
  ]);
  gauge(registry, "disk_free_bytes", "Free bytes of the data directory's disk", [[{}, pressure.diskFreeBytes]]);
  gauge(registry, "memory_bytes", "Memory of the process, mapped files not counted", [[{}, pressure.memoryBytes]]);
  gauge(registry, "memory_limit_bytes", "Memory over which publishers are held back", [[{}, pressure.memoryBytesMax]]);
}

function counter(registry: PacedRegistry, name: string, help: string, series: readonly Row[]): void {
  register(registry, "counter", name, help, series);
}

function gauge(registry: PacedRegistry, name: string, help: string, series: readonly Row[]): void {
  register(registry, "gauge", name, help, series);
}

function register(registry: PacedRegistry, type: string, name: string, help: string, series: readonly Row[]): void {
  const values = series.map(([labels, value]) => ({ labels, value }));
  write(registry, type, name, help, values);
}

/** One histogram: how many were below each bound, and all of them. */
interface Series {
  readonly labels: Labels;
  /** Bounds in seconds; cumulative. */
  readonly buckets: readonly (readonly [boundSec: number, count: number])[];
  readonly count: number;
  readonly sumSec: number;
}

/** 25 µs and its doubles up to 6.5 s: where buckets of the core begin, so that the counts are exact. */
const STAGE_BOUNDS_US: readonly number[] = Array.from({ length: 19 }, (_, power) => 25 * 2 ** power);

function stageSeries({ stages }: MetricsSnapshot): Series[] {
  return STAGES.map((stage) => {
    const latencies: Latencies = stages[stage];
    const below = latencies.below(STAGE_BOUNDS_US);
    const buckets = STAGE_BOUNDS_US.map((boundUs, at): [number, number] => [boundUs / 1e6, below[at] ?? 0]);
    return { labels: { stage }, buckets, count: latencies.count, sumSec: latencies.sumUs / 1e6 };
  });
}

function syncSeries({ syncLatencyMs, syncSumMs }: MetricsSnapshot): Series {
  let count = 0;
  const all = syncLatencyMs.map(({ boundMs, count: own }): [number, number] => [boundMs / 1000, (count += own)]);
  const buckets = all.filter(([boundSec]) => Number.isFinite(boundSec));
  return { labels: {}, buckets, count, sumSec: syncSumMs / 1000 };
}

/** The core counts into buckets of its own, so this hands prom-client finished values instead of observations. */
function registerHistogram(registry: PacedRegistry, shortName: string, help: string, series: readonly Series[]): void {
  const name = `millrace_${shortName}`;
  const values = series.flatMap(({ labels, buckets, count, sumSec }) => [
    ...[...buckets, ["+Inf", count] as const].map(([le, value]) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le },
      value,
    })),
    { metricName: `${name}_sum`, labels, value: sumSec },
    { metricName: `${name}_count`, labels, value: count },
  ]);
  write(registry, "histogram", shortName, help, values);
}

/** Rows with a label `quantile`, which only a summary may have. */
function registerQuantiles(registry: PacedRegistry, name: string, help: string, series: readonly Row[]): void {
  register(registry, "summary", name, help, series);
}

/** Values that are finished already: prom-client's own counters look each set of labels up, and there may be thousands. */
function write(
  registry: PacedRegistry,
  type: string,
  shortName: string,
  help: string,
  values: readonly object[],
): void {
  const name = `millrace_${shortName}`;
  const item = { name, help, type, values, aggregator: "sum" };
  const metric = { name, get: () => registry.whenDue(item), reset: () => undefined };
  registry.registerMetric(metric as unknown as Metric);
}
