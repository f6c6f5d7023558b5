import { isLatency, type Mode, type Peer, type Tool, type Work } from "./peer.ts";
import { type Bench, freshFolder, serve, type Served, ServedBroker } from "./serving.ts";
import { freePorts, run } from "./shell.ts";

/** Redis: streams with an append-only file, and pub/sub, which stores nothing. */

const FSYNC: Readonly<Record<Mode, string>> = { fast: "no", synced: "always" };
/** Commands in one write, and entries asked for at once. */
const PIPELINE = 100;
const READ_COUNT = 1000;
/** Entries that a reader of a work queue takes at once. */
const QUEUE_COUNTS = [100, 1000];

class RunningRedis extends ServedBroker {
  constructor(bench: Bench, served: Served) {
    super("redis", bench, served);
  }

  private get port(): string {
    return this.served.address.split(":")[1] as string;
  }

  async prepare(work: Work): Promise<void> {
    await run(["redis-cli", "-p", this.port, "flushall"], this.bench.options);
    if (work.name !== "consume") return;
    await this.load("produce", { batch: PIPELINE, records: this.records(work), size: work.sizeBytes });
  }

  private records({ sizeBytes, mode }: Work): number {
    return (sizeBytes <= 100 ? 1_500_000 : 500_000) / (mode === "synced" ? 5 : 1) / this.bench.divisor;
  }

  tools(work: Work): readonly Tool[] {
    const { name, sizeBytes: size } = work;
    const flags = { size, records: this.records(work) };
    const driver = (counts: string, does: string, more: Record<string, string | number>): Tool => ({
      name: "driver",
      counts,
      run: () => this.load(does, { ...flags, ...more }),
    });
    if (name === "produce") {
      const counts = `XADD in pipelines of ${PIPELINE}, 10,000 outstanding; to the last answer`;
      return [driver(counts, "produce", { batch: PIPELINE }), this.benchmark(work)];
    }
    if (name === "consume") {
      return [driver(`XREAD COUNT ${READ_COUNT}, every value touched`, "consume", { batch: READ_COUNT })];
    }
    if (name === "both") {
      return [driver("XADD and XREAD at once", "stream-fanout", { batch: PIPELINE })];
    }
    if (name === "queue") {
      const counts = (count: number): string =>
        `XADD, XREADGROUP COUNT ${count}, one XACK an answer; to the last answer`;
      return QUEUE_COUNTS.map((batch) => ({
        ...driver(counts(batch), "queue", { batch, records: flags.records / 2 }),
        name: `driver, COUNT ${batch}`,
      }));
    }
    if (name === "fanout1" || name === "fanout10") {
      const subscribers = name === "fanout1" ? 1 : 10;
      const count = flags.records / (subscribers === 1 ? 1 : 3);
      return [driver("PUBLISH to SUBSCRIBE, nothing stored", "fanout", { subscribers, records: count })];
    }
    if (!isLatency(name)) return [];
    const isStored = name.startsWith("stored");
    const latency = this.bench.driver.latencyFlags(work);
    return isStored
      ? [driver("XADD to XREAD BLOCK, open loop", "stream-latency", { ...latency, batch: READ_COUNT })]
      : [driver("PUBLISH to SUBSCRIBE, open loop, nothing stored", "latency", latency)];
  }

  private benchmark(work: Work): Tool {
    const value = "x".repeat(work.sizeBytes);
    const flags = ["-h", "127.0.0.1", "-p", this.port, "-n", String(Math.round(this.records(work))), "--csv"];
    const command = ["-P", String(PIPELINE), "-c", "1", "XADD", "t", "*", "d", value];
    return {
      name: "redis-benchmark",
      counts: `XADD of one value, -P ${PIPELINE} -c 1; its requests per second`,
      run: async () => {
        await run(["redis-cli", "-p", this.port, "flushall"], this.bench.options);
        return { perSecond: benchmarkRate(await run(["redis-benchmark", ...flags, ...command], this.bench.options)) };
      },
    };
  }
}

/** Requests per second of `redis-benchmark --csv`. The command's name may hold commas, so it is counted from the right. */
export function benchmarkRate(text: string): number {
  const fields = text.trim().split("\n").at(-1)?.replaceAll('"', "").split(",") ?? [];
  return Number(fields.at(-7) ?? Number.NaN);
}

export function redisPeer(version: string, bench: Bench): Peer {
  return {
    name: "redis",
    version,
    modes: {
      fast: "appendonly yes, appendfsync no: written before the answer",
      synced: "appendonly yes, appendfsync always",
    },
    async start(mode) {
      const dataDir = await freshFolder(bench, `redis-${mode}`);
      const [port] = (await freePorts(1)) as [number];
      const file = ["--appendonly", "yes", "--appendfsync", FSYNC[mode], "--auto-aof-rewrite-percentage", "0"];
      const where = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dataDir, "--save", ""];
      const command = ["redis-server", ...where, ...file];
      return new RunningRedis(
        bench,
        await serve(bench, { command, protocol: "redis", address: `127.0.0.1:${port}`, dataDir }),
      );
    },
  };
}
