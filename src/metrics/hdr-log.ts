/**
 * Stage latencies as a log of HdrHistogram, which its tools read and merge: format 1.3, one line a stage, histograms in the
 * compressed encoding V2 (github.com/HdrHistogram/HdrHistogram, HistogramLogWriter). Values are µs.
 */
import { STAGES } from "./latencies.ts";
import type { MetricsSnapshot } from "./snapshot.ts";

export const HDR_LOG_CONTENT_TYPE = "text/plain; charset=utf-8";
/** As large as the core's: 2^34 µs; two digits hold its 32 buckets within a power of two. */
const US_MAX = 2 ** 34;
const DIGITS = 2;

/** One interval: from when counting began to the snapshot. */
export async function hdrLog({ stages, atMs, startedMs }: MetricsSnapshot): Promise<string> {
  // Only who asks pays for loading it.
  const { build, encodeIntoCompressedBase64 } = await import("hdr-histogram-js");
  const elapsedSec = ((atMs - startedMs) / 1000).toFixed(3);
  const lines = STAGES.map((stage) => {
    const histogram = build({
      lowestDiscernibleValue: 1,
      highestTrackableValue: US_MAX,
      numberOfSignificantValueDigits: DIGITS,
    });
    for (const { fromUs, count } of stages[stage].entries()) histogram.recordValueWithCount(Math.max(1, fromUs), count);
    const maxMs = (stages[stage].maxUs / 1000).toFixed(3);
    return `Tag=${stage},0.000,${elapsedSec},${maxMs},${encodeIntoCompressedBase64(histogram)}`;
  });
  const startedSec = (startedMs / 1000).toFixed(3);
  const head = [
    "#[Histogram log format version 1.3]",
    `#[StartTime: ${startedSec} (seconds since epoch), ${new Date(startedMs).toISOString()}]`,
    '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
  ];
  return `${[...head, ...lines].join("\n")}\n`;
}
