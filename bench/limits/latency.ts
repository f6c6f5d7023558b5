import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { nowUs } from "../lib/clock.ts";
import { Histogram } from "../lib/histogram.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import type { LatencyRequest, LatencyResult } from "./programs/latency.ts";
import { ACKS_WRITTEN, RECORD_BYTES } from "./sizes.ts";
import type { Measure, Stage } from "./stage.ts";
import { ask, BATCHES, produceOnce } from "./throughput.ts";

/** From publish to delivery at 10,000 messages a second, beside an echo; and while the broker is busy with others. */

const MB = 1e6;
const US_PER_MS = 1e3;
const RATE = 10_000;
/** Between asking for a run and its first message, so that everybody is ready. */
const LEAD_US = 500_000;
/** What a busy neighbour leaves on disk: little, so that its page cache is used again and again. */
const NEIGHBOUR_KEEP_BYTES = 256 * MB;
const NEIGHBOUR_FLAGS = ["--retention-check-ms", "500"];

const flowOf = (stage: Stage, seconds: number) => ({
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

interface Trio {
  readonly sender: Child;
  readonly receiver: Child;
  readonly neighbour: Child;
}

async function trio(stage: Stage): Promise<Trio> {
  return {
    sender: await stage.program("latency"),
    receiver: await stage.program("latency"),
    neighbour: await stage.program("load"),
  };
}

/** A latency run while the neighbour does its work. Sender and receiver sleep between messages, in a process each. */
async function besides<T>(
  stage: Stage,
  broker: BrokerChild,
  { sender, receiver, neighbour }: Trio,
  title: string,
  work: (neighbour: Child, seconds: number) => Promise<T>,
): Promise<Times & { readonly work: T }> {
  const flow = { port: broker.port, ...flowOf(stage, stage.sizes.latencySeconds) };
  const ask = (child: Child, request: LatencyRequest): Promise<unknown> => child.request(request);
  return await stage.withTopic(broker, {}, async (topic) => {
    await ask(receiver, { op: "listen", topic, ...flow });
    const cast = { server: broker, load: [sender, receiver, neighbour], touchBytes: 0 };
    return await stage.run(title, cast, async () => {
      const startUs = nowUs() + LEAD_US;
      const [sent, came, done] = await Promise.all([
        ask(sender, { op: "send", topic, startUs, ...flow }),
        ask(receiver, { op: "wait", startUs }),
        work(neighbour, flow.seconds + (LEAD_US * 2) / 1e6),
      ]);
      return {
        lateness: Histogram.decode((sent as LatencyResult).lateness),
        latency: Histogram.decode((came as LatencyResult).latency),
        work: done,
      };
    });
  });
}

export const LATENCY_BUSY: Measure = {
  title: "latency while another connection produces",
  figures: [
    {
      name: "latency_busy_p99_ms",
      unit: "ms",
      goal: { atMost: 5 },
      note: "another connection produces batches at half of what it can",
    },
    { name: "latency_busy_p50_ms", unit: "ms" },
    { name: "latency_busy_p999_ms", unit: "ms" },
    { name: "latency_busy_late_p99_ms", unit: "ms", note: "how late the driver sent" },
    { name: "latency_busy_neighbour_mb_s", unit: "MB/s", note: "what the other connection produced meanwhile" },
  ],
  async prepare(stage) {
    const broker = await stage.broker(NEIGHBOUR_FLAGS);
    const load = await trio(stage);
    return async () => {
      const request = { ...BATCHES, bytes: stage.sizes.burstBytes };
      const most = await produceOnce(stage, broker, load.neighbour, "the neighbour's maximum", request);
      const bytesPerSecond = most.bytes / most.seconds / 2;
      const config = { retentionBytes: NEIGHBOUR_KEEP_BYTES };
      const times = await stage.withTopic(broker, config, (topic) =>
        besides(stage, broker, load, "latency beside a producer", (child, seconds) =>
          ask(child, { op: "produceFor", port: broker.port, topic, seconds, bytesPerSecond, ...BATCHES }),
        ),
      );
      stage.add("latency_busy_p50_ms", times.latency.percentile(50) / US_PER_MS);
      stage.add("latency_busy_p99_ms", times.latency.percentile(99) / US_PER_MS);
      stage.add("latency_busy_p999_ms", times.latency.percentile(99.9) / US_PER_MS);
      stage.add("latency_busy_late_p99_ms", times.lateness.percentile(99) / US_PER_MS);
      stage.add("latency_busy_neighbour_mb_s", times.work.bytes / MB / times.work.seconds);
    };
  },
};

/** Bytes that the process has had read from a disk, all its threads. */
function bytesFromDisk(child: Child): number {
  const read = /^read_bytes: (\d+)/m.exec(readFileSync(`/proc/${child.pid}/io`, "latin1"))?.[1];
  return Number(read ?? Number.NaN);
}

/**
 * Drops a stopped broker's files from the page cache, with `posix_fadvise(DONTNEED)` as dd does it. What is mapped or not
 * yet written cannot go, so the broker has to have stopped orderly.
 */
function dropFromCache(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { exitCode } = Bun.spawnSync(["dd", `if=${path}`, "iflag=nocache", "count=0"], { stderr: "ignore" });
    if (exitCode !== 0) throw new Error(`could not drop ${entry.name} from the page cache`);
  }
}

/** A topic with a backlog on a folder; the broker is ended. Resolves to the bytes of its batches. */
async function fillBacklog(stage: Stage, dataDir: string, topic: string, bytes: number): Promise<number> {
  const [broker, load] = [await stage.broker([], dataDir), await stage.program("load")];
  await using client = await connect(broker.url);
  await client.topics.create(topic);
  const { batchBytes } = await ask(load, { op: "produce", port: broker.port, topic, bytes, ...BATCHES });
  await client.close();
  if ((await broker.end()) !== 0) throw new Error(`the broker did not stop orderly: ${broker.errors}`);
  return batchBytes;
}

const BACKLOG = "backlog";

async function catchUp(stage: Stage, broker: BrokerChild, load: Trio, title: string, bytes: number) {
  const fromDisk = bytesFromDisk(broker);
  const times = await besides(stage, broker, load, title, (child, seconds) =>
    ask(child, { op: "readFor", port: broker.port, topic: BACKLOG, bytes, seconds }),
  );
  const { latency, lateness, work } = times;
  return {
    p50Ms: latency.percentile(50) / US_PER_MS,
    p99Ms: latency.percentile(99) / US_PER_MS,
    lateP99Ms: lateness.percentile(99) / US_PER_MS,
    rate: work.bytes / MB / work.seconds,
    fromDiskMb: (bytesFromDisk(broker) - fromDisk) / MB,
  };
}

export const LATENCY_CATCH_UP: Measure = {
  title: "latency while another connection reads the backlog",
  figures: [
    { name: "latency_catchup_p99_ms", unit: "ms", goal: { atMost: 5 }, note: "the larger of hot and cold" },
    { name: "latency_catchup_hot_p50_ms", unit: "ms" },
    { name: "latency_catchup_hot_p99_ms", unit: "ms", note: "the backlog is in the page cache" },
    { name: "latency_catchup_hot_mb_s", unit: "MB/s", note: "what the reader was sent meanwhile" },
    { name: "latency_catchup_cold_p50_ms", unit: "ms" },
    {
      name: "latency_catchup_cold_p99_ms",
      unit: "ms",
      note: "the backlog was dropped from the page cache (fadvise) while the broker was stopped",
    },
    { name: "latency_catchup_cold_mb_s", unit: "MB/s" },
    { name: "latency_catchup_cold_disk_mb", unit: "MB", note: "what the broker had read from the disk meanwhile" },
    { name: "latency_catchup_late_p99_ms", unit: "ms", note: "how late the driver sent, the larger of hot and cold" },
  ],
  async prepare(stage) {
    const [hotDir, coldDir] = [await stage.folder(), await stage.folder()];
    const hotBytes = await fillBacklog(stage, hotDir, BACKLOG, stage.sizes.backlogBytes);
    const coldBytes = await fillBacklog(stage, coldDir, BACKLOG, stage.sizes.coldBacklogBytes);
    const load = await trio(stage);
    return async () => {
      const hotBroker = await stage.broker([], hotDir);
      const hot = await catchUp(stage, hotBroker, load, "latency beside a hot reader", hotBytes);
      await hotBroker.end();
      dropFromCache(coldDir);
      const coldBroker = await stage.broker([], coldDir);
      const cold = await catchUp(stage, coldBroker, load, "latency beside a cold reader", coldBytes);
      if ((await coldBroker.end()) !== 0) throw new Error("the broker did not stop orderly");
      stage.add("latency_catchup_p99_ms", Math.max(hot.p99Ms, cold.p99Ms));
      stage.add("latency_catchup_hot_p50_ms", hot.p50Ms);
      stage.add("latency_catchup_hot_p99_ms", hot.p99Ms);
      stage.add("latency_catchup_hot_mb_s", hot.rate);
      stage.add("latency_catchup_cold_p50_ms", cold.p50Ms);
      stage.add("latency_catchup_cold_p99_ms", cold.p99Ms);
      stage.add("latency_catchup_cold_mb_s", cold.rate);
      stage.add("latency_catchup_cold_disk_mb", cold.fromDiskMb);
      stage.add("latency_catchup_late_p99_ms", Math.max(hot.lateP99Ms, cold.lateP99Ms));
    };
  },
};
