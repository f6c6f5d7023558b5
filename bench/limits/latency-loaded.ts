import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { nowUs } from "../lib/clock.ts";
import { Histogram } from "../lib/histogram.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import { flowOf } from "./latency.ts";
import type { LatencyRequest, LatencyResult } from "./programs/latency.ts";
import type { Measure, Stage } from "./stage.ts";
import { ask, BATCHES, produceOnce } from "./throughput.ts";

/**
 * From publish to delivery while the broker is busy with others. Beside each figure stands its floor: the same messages
 * through a relay while a bare program does the neighbour's work, for a machine may stall by itself.
 */

const MB = 1e6;
const US_PER_MS = 1e3;
/** Between asking for a run and its first message, so that everybody is ready. */
const LEAD_US = 1_000_000;
/**
 * What was freed before a run (a file that was dropped, memory that was touched) the machine's host takes back within some
 * seconds, which stalls whatever runs meanwhile. A run beside a reader waits until that is over. One that stores needs
 * memory in hand: it begins when the worst is over and not all is gone.
 */
const SETTLE_MS = 8_000;
const WARM_SETTLE_MS = 3_000;
/** What a busy neighbour leaves on disk: little, so that its page cache is used again and again. */
const NEIGHBOUR_KEEP_BYTES = 256 * MB;
const NEIGHBOUR_FLAGS = ["--retention-check-ms", "500"];
const NEIGHBOUR_WRITE_BYTES = 64 * 1024;
const BACKLOG = "backlog";
const PASSES_MAX = 1_000;

/** Who sends the messages, who receives them, and who is busy meanwhile. */
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

/** A run beside the neighbour's work, which tells from when to when it was at it, on the shared clock. */
interface Beside<T extends { readonly fromUs: number; readonly toUs: number }> {
  readonly title: string;
  readonly server: Child;
  readonly port: number;
  /** Without one the server is a relay. */
  readonly topic?: string;
  /** Whether the neighbour's bytes go into fresh page cache, which is touched before. */
  readonly isStoring: boolean;
  work(seconds: number): Promise<T>;
}

interface Times {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** How late the driver sent. */
  readonly lateP99Ms: number;
}

/** The latency while the neighbour was at its work. Sender and receiver sleep between messages, in a process each. */
async function besides<T extends { readonly fromUs: number; readonly toUs: number }>(
  stage: Stage,
  { sender, receiver, neighbour }: Trio,
  { title, server, port, topic, isStoring, work }: Beside<T>,
): Promise<Times & { readonly work: T }> {
  const seconds = stage.sizes.latencySeconds;
  const flow = { port, ...(topic === undefined ? {} : { topic }), ...flowOf(stage, seconds) };
  const request = async (child: Child, message: LatencyRequest): Promise<LatencyResult> =>
    (await child.request(message)) as LatencyResult;
  await request(receiver, { op: "listen", ...flow });
  const { quick } = stage.context;
  if (isStoring) stage.warm(stage.sizes.burstBytes);
  if (!quick) await Bun.sleep(isStoring ? WARM_SETTLE_MS : SETTLE_MS);
  const cast = { server, load: [sender, receiver, neighbour], touchBytes: 0 };
  const [sent, done] = await stage.run(title, cast, async () => {
    const startUs = nowUs() + LEAD_US;
    // The neighbour begins when the messages have begun, and ends with them.
    const worked = Bun.sleep((LEAD_US / US_PER_MS) * 1.1).then(() => work(seconds));
    const [sent] = await Promise.all([
      request(sender, { op: "send", startUs, ...flow }),
      request(receiver, { op: "wait", startUs }),
    ]);
    return [sent, await worked] as const;
  });
  const window = await request(receiver, { op: "window", fromUs: done.fromUs, toUs: done.toUs });
  const latency = Histogram.decode(window.latency);
  return {
    p50Ms: latency.percentile(50) / US_PER_MS,
    p99Ms: latency.percentile(99) / US_PER_MS,
    p999Ms: latency.percentile(99.9) / US_PER_MS,
    lateP99Ms: Histogram.decode(sent.lateness).percentile(99) / US_PER_MS,
    work: done,
  };
}

/** The floor of a busy broker: one thread that relays messages and stores bytes at the same rate. */
async function busyFloor(stage: Stage, load: Trio, bare: Child, folder: string, rate: number): Promise<Times> {
  await bare.request({ expectBytes: Number.MAX_SAFE_INTEGER, store: folder, keepBytes: NEIGHBOUR_KEEP_BYTES });
  const to = { port: Number(bare.info["sink"]), topic: "", bytesPerSecond: rate };
  const blank = { ...BATCHES, mode: "blank" as const, writeBytes: NEIGHBOUR_WRITE_BYTES };
  const times = await besides(stage, load, {
    title: "relay beside a storing sink in one thread",
    server: bare,
    port: Number(bare.info["relay"]),
    isStoring: true,
    work: (seconds) => ask(load.neighbour, { op: "produceFor", ...to, seconds, ...blank }),
  });
  await bare.request({ expectBytes: 0 });
  return times;
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
    {
      name: "latency_busy_floor_p99_ms",
      unit: "ms",
      note: "a relay whose thread stores as many bytes a second with pwrite",
    },
    { name: "latency_busy_late_p99_ms", unit: "ms", note: "how late the driver sent" },
    { name: "latency_busy_neighbour_mb_s", unit: "MB/s", note: "what the other connection produced meanwhile" },
  ],
  async prepare(stage) {
    const [broker, bare] = [await stage.broker(NEIGHBOUR_FLAGS), await stage.program("bare")];
    const load = await trio(stage);
    const folder = await stage.folder();
    return async () => {
      const request = { ...BATCHES, bytes: stage.sizes.burstBytes };
      const most = await produceOnce(stage, broker, load.neighbour, "the neighbour's maximum", request);
      const bytesPerSecond = most.bytes / most.seconds / 2;
      const floor = await busyFloor(stage, load, bare, folder, bytesPerSecond);
      const times = await stage.withTopic(broker, { retentionBytes: NEIGHBOUR_KEEP_BYTES }, (busy) =>
        stage.withTopic(broker, {}, (topic) => {
          const to = { port: broker.port, topic: busy, bytesPerSecond, ...BATCHES };
          return besides(stage, load, {
            title: "latency beside a producer",
            server: broker,
            port: broker.port,
            topic,
            isStoring: true,
            work: (seconds) => ask(load.neighbour, { op: "produceFor", seconds, ...to }),
          });
        }),
      );
      stage.add("latency_busy_p50_ms", times.p50Ms);
      stage.add("latency_busy_p99_ms", times.p99Ms);
      stage.add("latency_busy_p999_ms", times.p999Ms);
      stage.add("latency_busy_floor_p99_ms", floor.p99Ms);
      stage.add("latency_busy_late_p99_ms", times.lateP99Ms);
      stage.add("latency_busy_neighbour_mb_s", times.work.bytes / MB / times.work.seconds);
    };
  },
};

/** Bytes that the process has had read from a disk, all its threads. */
function bytesFromDisk(child: Child): number {
  const read = /^read_bytes: (\d+)/m.exec(readFileSync(`/proc/${child.pid}/io`, "latin1"))?.[1];
  return Number(read ?? Number.NaN);
}

function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/**
 * Drops a stopped broker's files from the page cache, with `posix_fadvise(DONTNEED)` as dd does it. What is mapped or not
 * yet written cannot go, so the broker has to have stopped orderly.
 */
function dropFromCache(folder: string): void {
  for (const path of filesIn(folder)) {
    const { exitCode } = Bun.spawnSync(["dd", `if=${path}`, "iflag=nocache", "count=0"], { stderr: "ignore" });
    if (exitCode !== 0) throw new Error(`could not drop ${path} from the page cache`);
  }
}

/** Reads the files from one end to the other and drops what it reads. */
async function readThrough(folder: string): Promise<{ fromUs: number; toUs: number }> {
  const fromUs = nowUs();
  for (const path of filesIn(folder)) {
    await Bun.spawn(["dd", `if=${path}`, "of=/dev/null", "bs=1M"], { stderr: "ignore" }).exited;
  }
  return { fromUs, toUs: nowUs() };
}

async function stop(broker: BrokerChild): Promise<void> {
  if ((await broker.end()) !== 0) throw new Error(`the broker did not stop orderly: ${broker.errors}`);
}

/** A topic with a backlog on a folder; the broker is ended. Resolves to the bytes of its batches. */
async function fillBacklog(stage: Stage, dataDir: string, bytes: number): Promise<number> {
  const [broker, load] = [await stage.broker([], dataDir), await stage.program("load")];
  await using client = await connect(broker.url);
  await client.topics.create(BACKLOG);
  const { batchBytes } = await ask(load, { op: "produce", port: broker.port, topic: BACKLOG, bytes, ...BATCHES });
  await client.close();
  await stop(broker);
  return batchBytes;
}

interface Backlog {
  readonly dataDir: string;
  readonly bytes: number;
  readonly isCold: boolean;
}

/** A latency run beside a reader of the backlog. A cold one is read once, for then it is hot. */
async function catchUp(stage: Stage, load: Trio, { dataDir, bytes, isCold }: Backlog) {
  if (isCold) dropFromCache(dataDir);
  const broker = await stage.broker([], dataDir);
  const passes = isCold ? 1 : PASSES_MAX;
  const fromDisk = bytesFromDisk(broker);
  const times = await stage.withTopic(broker, {}, (topic) =>
    besides(stage, load, {
      title: `latency beside a ${isCold ? "cold" : "hot"} reader`,
      server: broker,
      port: broker.port,
      topic,
      isStoring: false,
      work: (seconds) =>
        ask(load.neighbour, { op: "readFor", port: broker.port, topic: BACKLOG, bytes, passes, seconds }),
    }),
  );
  const fromDiskMb = (bytesFromDisk(broker) - fromDisk) / MB;
  await stop(broker);
  return { ...times, rate: times.work.bytes / MB / times.work.seconds, fromDiskMb };
}

/** The floor of a cold catch-up: a relay while dd reads the same files. */
async function coldFloor(stage: Stage, load: Trio, bare: Child, { dataDir }: Backlog): Promise<Times> {
  dropFromCache(dataDir);
  return await besides(stage, load, {
    title: "relay beside dd of cold files",
    server: bare,
    port: Number(bare.info["relay"]),
    isStoring: false,
    work: () => readThrough(dataDir),
  });
}

export const LATENCY_CATCH_UP: Measure = {
  title: "latency while another connection reads the backlog",
  figures: [
    { name: "latency_catchup_p99_ms", unit: "ms", goal: { atMost: 5 }, note: "the larger of hot and cold" },
    { name: "latency_catchup_hot_p50_ms", unit: "ms" },
    { name: "latency_catchup_hot_p99_ms", unit: "ms", note: "the backlog is in the page cache" },
    { name: "latency_catchup_hot_mb_s", unit: "MB/s", note: "what the reader was sent meanwhile" },
    {
      name: "latency_catchup_hot_disk_mb",
      unit: "MB",
      note: "what the broker had read from the disk meanwhile: the kernel may have dropped idle pages",
    },
    { name: "latency_catchup_cold_p50_ms", unit: "ms" },
    {
      name: "latency_catchup_cold_p99_ms",
      unit: "ms",
      note: "the backlog was dropped from the page cache (fadvise) while the broker was stopped",
    },
    { name: "latency_catchup_cold_floor_p99_ms", unit: "ms", note: "a relay while dd reads the same files, as cold" },
    { name: "latency_catchup_cold_mb_s", unit: "MB/s" },
    { name: "latency_catchup_cold_disk_mb", unit: "MB", note: "what the broker had read from the disk meanwhile" },
    { name: "latency_catchup_late_p99_ms", unit: "ms", note: "how late the driver sent, the larger of hot and cold" },
  ],
  async prepare(stage) {
    const dataDir = await stage.folder();
    const bytes = await fillBacklog(stage, dataDir, stage.sizes.burstBytes);
    const [load, bare] = [await trio(stage), await stage.program("bare")];
    return async () => {
      const hot = await catchUp(stage, load, { dataDir, bytes, isCold: false });
      const floor = await coldFloor(stage, load, bare, { dataDir, bytes, isCold: true });
      const cold = await catchUp(stage, load, { dataDir, bytes, isCold: true });
      stage.add("latency_catchup_p99_ms", Math.max(hot.p99Ms, cold.p99Ms));
      stage.add("latency_catchup_hot_p50_ms", hot.p50Ms);
      stage.add("latency_catchup_hot_p99_ms", hot.p99Ms);
      stage.add("latency_catchup_hot_mb_s", hot.rate);
      stage.add("latency_catchup_hot_disk_mb", hot.fromDiskMb);
      stage.add("latency_catchup_cold_p50_ms", cold.p50Ms);
      stage.add("latency_catchup_cold_p99_ms", cold.p99Ms);
      stage.add("latency_catchup_cold_floor_p99_ms", floor.p99Ms);
      stage.add("latency_catchup_cold_mb_s", cold.rate);
      stage.add("latency_catchup_cold_disk_mb", cold.fromDiskMb);
      stage.add("latency_catchup_late_p99_ms", Math.max(hot.lateP99Ms, cold.lateP99Ms));
    };
  },
};
