import { Histogram } from "../lib/histogram.ts";
import type { LatencyRequest, LatencyResult } from "./programs/latency.ts";
import { ACKS_WRITTEN, RECORD_BYTES } from "./sizes.ts";
import type { Measure, Stage } from "./stage.ts";

/** From publish to delivery at 10,000 messages a second, beside an echo. */

const RATE = 10_000;

/** What is sent, for so many seconds. */
export const flowOf = (stage: Stage, seconds: number) => ({
  rate: RATE,
  seconds,
  warmSeconds: stage.sizes.latencyWarmSeconds,
  recordBytes: RECORD_BYTES,
  acks: ACKS_WRITTEN,
});

interface Times {
  readonly latency: Histogram;
  readonly lateness: Histogram;
}

async function timesOf(answer: Promise<unknown>): Promise<Times> {
  const { latency, lateness } = (await answer) as LatencyResult;
  return { latency: Histogram.decode(latency), lateness: Histogram.decode(lateness) };
}

export const LATENCY: Measure = {
  title: "publish to delivery beside an echo",
  figures: [
    {
      name: "latency_p50_vs_echo",
      unit: "ratio",
      goal: { atMost: 3 },
      note: "10,000 msg/s, one spinning driver for both",
    },
    { name: "latency_p99_vs_echo", unit: "ratio", goal: { atMost: 4 } },
    { name: "echo_p50_us", unit: "µs" },
    { name: "echo_p99_us", unit: "µs" },
    { name: "latency_p50_us", unit: "µs" },
    { name: "latency_p99_us", unit: "µs" },
    { name: "latency_p999_us", unit: "µs" },
    { name: "echo_late_p99_us", unit: "µs", note: "how late the driver sent, which is part of the latency" },
    { name: "latency_late_p99_us", unit: "µs", note: "the same towards the broker" },
  ],
  async prepare(stage) {
    const [bare, driver, broker] = [await stage.program("bare"), await stage.program("latency"), await stage.broker()];
    const flow = flowOf(stage, stage.sizes.latencySeconds);
    const spin = (port: number, topic?: string): Promise<Times> => {
      const request: LatencyRequest = { op: "spin", port, ...(topic === undefined ? {} : { topic }), ...flow };
      return timesOf(driver.request(request));
    };
    return async () => {
      const echo = await stage.run("echo, 10,000/s", { server: bare, load: [driver], touchBytes: 0 }, () =>
        spin(Number(bare.info["echo"])),
      );
      const broken = await stage.withTopic(broker, {}, (topic) =>
        stage.run("publish to delivery, 10,000/s", { server: broker, load: [driver], touchBytes: 0 }, () =>
          spin(broker.port, topic),
        ),
      );
      for (const [name, percent] of [
        ["p50", 50],
        ["p99", 99],
      ] as const) {
        stage.add(`echo_${name}_us`, echo.latency.percentile(percent));
        stage.add(`latency_${name}_us`, broken.latency.percentile(percent));
        stage.add(`latency_${name}_vs_echo`, broken.latency.percentile(percent) / echo.latency.percentile(percent));
      }
      stage.add("latency_p999_us", broken.latency.percentile(99.9));
      stage.add("echo_late_p99_us", echo.lateness.percentile(99));
      stage.add("latency_late_p99_us", broken.lateness.percentile(99));
    };
  },
};
