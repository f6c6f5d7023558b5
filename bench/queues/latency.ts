import { Histogram } from "../lib/histogram.ts";
import type { LatencyRequest, LatencyResult } from "../limits/programs/latency.ts";
import { type QueueMeasure, withQueues } from "./house.ts";
import type { QueueLatencyRequest, QueueLatencyResult } from "./programs/queue-latency.ts";
import { ACKS_WRITTEN, BODY_BYTES } from "./sizes.ts";

/** One message after another through a queue, on a schedule. */

const RATE = 10_000;
const PREFETCH = 1_000;
/** Where the bare programs are, from this suite's programs. */
const LIMITS = "../../limits/programs";

export const LATENCY: QueueMeasure = {
  title: "publish, deliver, ack at 10,000 a second",
  figures: [
    {
      name: "ack_latency_p99_ms",
      unit: "ms",
      goal: { atMost: 1 },
      note: "from when a message was due to the answer that its ack is in the broker's log; one spinning driver",
    },
    { name: "ack_latency_p50_ms", unit: "ms" },
    { name: "ack_latency_p999_ms", unit: "ms" },
    { name: "delivery_latency_p99_ms", unit: "ms", note: "to the delivery" },
    { name: "ack_latency_echo_p99_ms", unit: "ms", note: "a bare echo to a spinning driver, in the same round" },
    { name: "ack_latency_late_p99_ms", unit: "ms", note: "how late the driver sent, which is part of the others" },
  ],
  async prepare(stage) {
    const [driver, broker] = [await stage.program("queue-latency"), await stage.broker()];
    const [bare, echoed] = [await stage.program(`${LIMITS}/bare`), await stage.program(`${LIMITS}/latency`)];
    const { latencySeconds: seconds, latencyWarmSeconds: warmSeconds } = stage.sizes;
    return async () =>
      await withQueues(broker, 1, async ([queue = ""]) => {
        const flow = {
          rate: RATE,
          seconds,
          warmSeconds,
          prefetch: PREFETCH,
          bodyBytes: BODY_BYTES,
          acks: ACKS_WRITTEN,
        };
        const request: QueueLatencyRequest = { port: broker.port, queue, ...flow };
        const cast = { server: broker, load: [driver], touchBytes: 0 };
        const result = (await stage.run("publish, deliver, ack, 10,000/s", cast, () =>
          driver.request(request),
        )) as QueueLatencyResult;
        const echo: LatencyRequest = {
          ...{ op: "spin", port: Number(bare.info["echo"]), rate: RATE, seconds, warmSeconds },
          ...{ recordBytes: BODY_BYTES, acks: ACKS_WRITTEN },
        };
        const floor = (await stage.run("echo, 10,000/s", { server: bare, load: [echoed], touchBytes: 0 }, () =>
          echoed.request(echo),
        )) as LatencyResult;
        const ms = (text: string, percent: number): number => Histogram.decode(text).percentile(percent) / 1e3;
        stage.add("ack_latency_p99_ms", ms(result.acked, 99));
        stage.add("ack_latency_p50_ms", ms(result.acked, 50));
        stage.add("ack_latency_p999_ms", ms(result.acked, 99.9));
        stage.add("delivery_latency_p99_ms", ms(result.delivered, 99));
        stage.add("ack_latency_echo_p99_ms", ms(floor.latency, 99));
        stage.add("ack_latency_late_p99_ms", ms(result.lateness, 99));
      });
  },
};
