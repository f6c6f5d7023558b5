/** What Grafana's dashboard of a broker shows, in order. The names are those of src/metrics/README.md. */

/** An expression of Prometheus and the name of its lines. */
export type Query = readonly [expr: string, legend: string];

/** A text is a heading. */
export type PanelEntry =
  | string
  | {
      readonly kind: "graph" | "number";
      readonly title: string;
      readonly description: string;
      /** Of Grafana's units: `short`, `s`, `bytes`, `Bps`, `percentunit`. */
      readonly unit: string;
      readonly queries: readonly Query[];
      /** From here on a number is red. */
      readonly redFrom?: number;
    };

/** Which broker, and which namespaces. */
const OF = 'instance=~"$instance"';
const IN = `${OF},namespace=~"$namespace"`;
/** Long lists are cut to the largest. */
const MOST = 10;

const rate = (name: string, by: string): string => `sum by (${by}) (rate(millrace_${name}{${IN}}[$__rate_interval]))`;
const most = (expr: string): string => `topk(${MOST}, ${expr})`;

function percentiles(name: string, more: string = ""): Query[] {
  return [0.5, 0.99, 0.999].map((share) => [
    `histogram_quantile(${share}, sum by (le) (rate(millrace_${name}_bucket{${OF}${more}}[$__rate_interval])))`,
    `p${share * 100}`,
  ]);
}

function number(title: string, unit: string, expr: string, description: string, redFrom?: number): PanelEntry {
  return {
    kind: "number",
    title,
    unit,
    description,
    queries: [[expr, ""]],
    ...(redFrom === undefined ? {} : { redFrom }),
  };
}

function graph(title: string, unit: string, description: string, ...queries: Query[]): PanelEntry {
  return { kind: "graph", title, unit, description, queries };
}

export const PANELS: readonly PanelEntry[] = [
  "Overview",
  number("Brokers up", "short", `sum(up{job="millrace",${OF}})`, "Brokers that Prometheus reaches."),
  number(
    "Messages in",
    "short",
    `sum(rate(millrace_messages_in_total{${IN}}[$__rate_interval]))`,
    "Appended a second.",
  ),
  number(
    "Messages out",
    "short",
    `sum(rate(millrace_messages_out_total{${IN}}[$__rate_interval]))`,
    "Delivered a second.",
  ),
  number("Connections", "short", `sum(millrace_connections{${OF}})`, "Open, of all listeners."),
  number(
    "Worst lag",
    "s",
    `max(millrace_group_lag_seconds{${IN}})`,
    "Age of the oldest record that a group has not committed.",
    300,
  ),
  number(
    "Failed partitions",
    "short",
    `sum(millrace_failed_partitions{${OF}})`,
    "They refuse appends since a sync failed.",
    1,
  ),

  "Traffic",
  graph("Messages in, by topic", "short", "Appended a second.", [
    most(rate("messages_in_total", "namespace, topic")),
    "{{namespace}}:{{topic}}",
  ]),
  graph("Messages out, by topic", "short", "Delivered a second.", [
    most(rate("messages_out_total", "namespace, topic")),
    "{{namespace}}:{{topic}}",
  ]),
  graph(
    "Bytes",
    "Bps",
    "Of batches.",
    [rate("bytes_in_total", "instance"), "in {{instance}}"],
    [rate("bytes_out_total", "instance"), "out {{instance}}"],
  ),

  "Latency",
  graph("Syncs", "s", "What a `synced` ack waits for.", ...percentiles("sync_seconds")),
  graph("Event loop", "s", "How late timers run: what every message may wait for.", [
    `max by (instance, worker, quantile) (millrace_event_loop_delay_seconds{${OF},quantile!="1"})`,
    "{{instance}} worker {{worker}} p{{quantile}}",
  ]),

  "Consumer groups",
  graph("Lag in messages", "short", "Behind the committed offsets.", [
    most(`sum by (namespace, group, topic) (millrace_group_lag{${IN}})`),
    "{{namespace}}:{{group}} {{topic}}",
  ]),
  graph("Lag in time", "s", "Age of the oldest record that is not committed.", [
    most(`max by (namespace, group, topic) (millrace_group_lag_seconds{${IN}})`),
    "{{namespace}}:{{group}} {{topic}}",
  ]),

  "Storage",
  graph("Logs", "bytes", "Size on disk, by topic.", [
    most(`sum by (namespace, topic) (millrace_log_bytes{${IN}})`),
    "{{namespace}}:{{topic}}",
  ]),
  graph("Not synced yet", "bytes", "Over dirtyBytesMax publishers wait.", [
    `millrace_dirty_bytes{${OF}}`,
    "{{instance}}",
  ]),
  graph(
    "Segments",
    "short",
    "Least recently used go first, at openFilesMax and mappedSegmentsMax.",
    [`millrace_open_files{${OF}}`, "open {{instance}}"],
    [`millrace_mapped_segments{${OF}}`, "mapped {{instance}}"],
  ),

  "Process",
  graph("Memory", "bytes", "Resident, mapped files included.", [`millrace_resident_bytes{${OF}}`, "{{instance}}"]),
  graph("Connections", "short", "By worker thread.", [`millrace_connections{${OF}}`, "{{instance}} worker {{worker}}"]),
  graph("Requests in flight", "short", "Not answered yet.", [
    `millrace_requests_in_flight{${OF}}`,
    "{{instance}} worker {{worker}}",
  ]),
  graph(
    "Messages nobody got",
    "short",
    "A second: published to exchanges that reached nobody; missed by slow subscribers that keep no place.",
    [
      `sum by (instance) (rate(millrace_messages_unroutable_total{${OF}}[$__rate_interval]))`,
      "unroutable {{instance}}",
    ],
    [`sum by (instance) (rate(millrace_messages_dropped_total{${OF}}[$__rate_interval]))`, "dropped {{instance}}"],
  ),
  graph("Starts", "short", "The epoch rises at every start.", [`millrace_epoch{${OF}}`, "{{instance}}"]),
];
