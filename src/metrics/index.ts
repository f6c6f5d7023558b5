export { DelayMeter, type DelaySummary } from "./delay-meter.ts";
export { exposition, METRICS_CONTENT_TYPE } from "./exposition.ts";
export { HDR_LOG_CONTENT_TYPE, hdrLog } from "./hdr-log.ts";
export { type HotKey, HotKeys } from "./hot-keys.ts";
export {
  bucketStartUs,
  Latencies,
  type StageCounts,
  type StageName,
  type Stages,
  STAGES,
  stagesOf,
  type StageSummary,
} from "./latencies.ts";
export { type Live, liveOf, type LiveQueue, type LiveTopic, Looks } from "./live.ts";
export { PartitionLoad } from "./partition-load.ts";
export type {
  GroupLag,
  MetricsSnapshot,
  PressureGauges,
  QueueCounters,
  QuotaGauge,
  TopicCounters,
  WorkerGauges,
} from "./snapshot.ts";
export { otlpBody, type Span, type SpanKind, SpanSender, type SpanSenderOptions } from "./spans.ts";
