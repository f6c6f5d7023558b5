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

const TOPIC = "{{namespace}}:{{topic}}";
const QUEUE = "{{namespace}}:{{queue}}";
const GROUP = "{{namespace}}:{{group}} {{topic}}";

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
  number(
    "Worst lag",
    "s",
    `max(millrace_group_lag_seconds{${IN}})`,
    "Age of the oldest record that a group has not committed.",
    300,
  ),
  number(
    "Dead letters",
    "short",
    `sum(increase(millrace_queue_dead_lettered_total{${IN}}[1h]))`,
    "Within the last hour.",
    1,
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
    TOPIC,
  ]),
  graph("Messages out, by topic", "short", "Delivered a second.", [
    most(rate("messages_out_total", "namespace, topic")),
    TOPIC,
  ]),
  graph(
    "Bytes",
    "Bps",
    "Of batches.",
    [rate("bytes_in_total", "instance"), "in {{instance}}"],
    [rate("bytes_out_total", "instance"), "out {{instance}}"],
  ),

  "Latency",
  graph(
    "From socket to socket",
    "s",
    "Of messages that consumers waited for.",
    ...percentiles("stage_seconds", ',stage="total"'),
  ),
  graph("By stage, p99", "s", "The stages of a message's way; src/metrics/README.md says where each begins and ends.", [
    `histogram_quantile(0.99, sum by (stage, le) (rate(millrace_stage_seconds_bucket{${OF},stage!="total"}[$__rate_interval])))`,
    "{{stage}}",
  ]),
  graph("Syncs", "s", "What a `synced` ack waits for.", ...percentiles("sync_seconds")),
  graph("Event loop", "s", "How late timers run: what every message may wait for.", [
    `max by (instance, worker, quantile) (millrace_event_loop_delay_seconds{${OF},quantile!="1"})`,
    "{{instance}} worker {{worker}} p{{quantile}}",
  ]),

  "Consumer groups",
  graph("Lag in messages", "short", "Behind the committed offsets.", [
    most(`sum by (namespace, group, topic) (millrace_group_lag{${IN}})`),
    GROUP,
  ]),
  graph("Lag in time", "s", "Age of the oldest record that is not committed.", [
    most(`max by (namespace, group, topic) (millrace_group_lag_seconds{${IN}})`),
    GROUP,
  ]),

  "Queues",
  graph("Waiting", "short", "Ready to be delivered.", [
    most(`sum by (namespace, queue) (millrace_queue_messages{${IN},state="ready"})`),
    QUEUE,
  ]),
  graph("Held by consumers", "short", "Delivered, and not settled.", [
    most(`sum by (namespace, queue) (millrace_queue_messages{${IN},state="unacked"})`),
    QUEUE,
  ]),
  graph("Consumers", "short", "By queue, the fewest first.", [
    `bottomk(${MOST}, sum by (namespace, queue) (millrace_queue_consumers{${IN}}))`,
    QUEUE,
  ]),
  graph("Published", "short", "A second.", [most(rate("queue_published_total", "namespace, queue")), QUEUE]),
  graph("Acked", "short", "A second.", [most(rate("queue_acked_total", "namespace, queue")), QUEUE]),
  graph("Delivered again", "short", "A second: deliveries that were not a message's first.", [
    most(rate("queue_redelivered_total", "namespace, queue")),
    QUEUE,
  ]),
  graph("Dead letters", "short", "A second.", [most(rate("queue_dead_lettered_total", "namespace, queue")), QUEUE]),
  graph(
    "Expired, dropped, rejected",
    "short",
    "A second, of all queues.",
    [rate("queue_expired_total", "instance"), "expired {{instance}}"],
    [rate("queue_dropped_total", "instance"), "dropped {{instance}}"],
    [rate("queue_rejected_total", "instance"), "rejected {{instance}}"],
  ),

  "Storage",
  graph("Logs", "bytes", "Size on disk, by topic.", [
    most(`sum by (namespace, topic) (millrace_log_bytes{${IN}})`),
    TOPIC,
  ]),
  graph("Disk", "bytes", "Free where the data folder lies; below diskFreeBytesMin publishers are held back.", [
    `millrace_disk_free_bytes{${OF}}`,
    "{{instance}}",
  ]),
  graph("Not synced yet", "bytes", "Over dirtyBytesMax publishers wait.", [
    `millrace_dirty_bytes{${OF}}`,
    "{{instance}}",
  ]),
  graph("Pressure", "short", "0: enough, 1: publishers are held back, 2: they are refused.", [
    `millrace_pressure_level{${OF}}`,
    "{{resource}} {{instance}}",
  ]),
  graph(
    "Segments",
    "short",
    "Least recently used go first, at openFilesMax and mappedSegmentsMax.",
    [`millrace_open_files{${OF}}`, "open {{instance}}"],
    [`millrace_mapped_segments{${OF}}`, "mapped {{instance}}"],
  ),

  "Balance",
  graph("Fullest partition", "short", "Its messages over an even share: 1 is even.", [
    most(`max by (namespace, topic) (millrace_partition_skew_ratio{${IN}})`),
    TOPIC,
  ]),
  graph("Hottest key", "percentunit", "Its share of the messages that were looked at.", [
    most(`max by (namespace, topic) (millrace_hot_key_ratio{${IN}})`),
    TOPIC,
  ]),
  graph("Quotas", "percentunit", "What is used of each limit; beyond 100 % is refused.", [
    `topk(${MOST}, millrace_quota_used{${OF}} / on (instance, kind, name, resource) millrace_quota_limit{${OF}})`,
    "{{kind}} {{name}} {{resource}}",
  ]),

  "Process",
  graph(
    "Memory",
    "bytes",
    "Resident, with mapped files, and without them, which memoryBytesMax is of.",
    [`millrace_resident_bytes{${OF}}`, "resident {{instance}}"],
    [`millrace_memory_bytes{${OF}}`, "own {{instance}}"],
  ),
  graph("Connections", "short", "By worker thread.", [`millrace_connections{${OF}}`, "{{instance}} worker {{worker}}"]),
  graph("Connections, by namespace", "short", "That have said HELLO.", [
    most(`sum by (namespace) (millrace_namespace_connections{${IN}})`),
    "{{namespace}}",
  ]),
  graph("Requests in flight", "short", "Not answered yet.", [
    `millrace_requests_in_flight{${OF}}`,
    "{{instance}} worker {{worker}}",
  ]),
  graph(
    "Messages nobody got",
    "short",
    "A second: unroutable ones reached nobody; dropped ones were missed by slow subscribers that keep no place; loops are dead letters that would have gone round for ever; violations were refused because of a schema.",
    ...["messages_unroutable", "messages_dropped", "dead_letter_loops", "schema_violations"].map((name): Query => [
      `sum(rate(millrace_${name}_total{${OF}}[$__rate_interval]))`,
      name.replaceAll("_", " "),
    ]),
  ),
  graph("Starts", "short", "The epoch rises at every start.", [`millrace_epoch{${OF}}`, "{{instance}}"]),
];
