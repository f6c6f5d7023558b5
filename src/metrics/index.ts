export { DelayMeter, type DelaySummary } from "./delay-meter.ts";
export {
  exposition,
  METRICS_CONTENT_TYPE,
  type MetricsSnapshot,
  type TopicCounters,
  type WorkerGauges,
} from "./exposition.ts";
