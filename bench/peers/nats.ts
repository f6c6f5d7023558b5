import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isLatency, type Mode, type Peer, type Tool, type Work } from "./peer.ts";
import { type Bench, freshFolder, serve, type Served, ServedBroker } from "./serving.ts";
import { freePorts } from "./shell.ts";

/** NATS server: JetStream with file storage, and core NATS, which stores nothing. */

const WINDOWS = [500, 10_000];
const PULL_BATCH = 5000;
/** Messages that a reader of a work queue may hold unacknowledged. */
const QUEUE_PREFETCHES = [100, 1000];

class RunningNats extends ServedBroker {
  constructor(bench: Bench, served: Served) {
    super("nats", bench, served);
  }

  async prepare(work: Work): Promise<void> {
    if (work.name !== "consume") return;
    await this.load("produce", { records: this.records(work), size: work.sizeBytes });
  }

  private records({ sizeBytes, mode }: Work): number {
    return (sizeBytes <= 100 ? 1_000_000 : 400_000) / (mode === "synced" ? 50 : 1) / this.bench.divisor;
  }

  /** A stream that keeps messages until they are acked, and a pull consumer. */
  private workTools(work: Work): readonly Tool[] {
    const flags = { size: work.sizeBytes, records: this.records(work) / 4, window: 10_000 };
    const tool = (variant: string, counts: string, more: Record<string, string | number>): Tool => ({
      name: `nats.go ${variant}`,
      counts: `${counts}, 10,000 outstanding; an explicit ack for each; to the last ack taken`,
      run: () => this.load("queue", { ...flags, ...more }),
    });
    const async = QUEUE_PREFETCHES.map((prefetch) =>
      tool(`async, pull ${prefetch}`, "PublishAsync", { prefetch, batch: prefetch }),
    );
    const most = { prefetch: QUEUE_PREFETCHES.at(-1) ?? 0, batch: QUEUE_PREFETCHES.at(-1) ?? 0 };
    return [
      ...async,
      tool("async, 4 readers", "PublishAsync", { ...most, subscribers: 4 }),
      tool("fast batch", "fast batch publishing", { ...most, mode: "fast" }),
    ];
  }

  tools(work: Work): readonly Tool[] {
    const { name, sizeBytes: size } = work;
    const flags = { size, records: this.records(work) };
    const tool = (variant: string, counts: string, does: string, more: Record<string, string | number>): Tool => ({
      name: variant,
      counts,
      run: () => this.load(does, { ...flags, ...more }),
    });
    if (name === "produce") {
      const async = WINDOWS.map((window) =>
        tool(`nats.go async ${window}`, `PublishAsync, ${window} outstanding; to the last ack`, "produce", { window }),
      );
      const fast = "fast batch publishing, an ack per 500 messages; to the last ack";
      return [...async, tool("nats.go fast batch", fast, "produce", { mode: "fast" })];
    }
    if (name === "consume") {
      return [
        tool("nats.go push", "ordered consumer, flow control; every value touched", "consume", { mode: "push" }),
        tool("nats.go pull", `${PULL_BATCH} asked for; every value touched`, "consume", {
          mode: "pull",
          batch: PULL_BATCH,
        }),
      ];
    }
    if (name === "both") {
      return [tool("nats.go push", "PublishAsync and ordered push consumer at once", "both", { mode: "push" })];
    }
    if (name === "queue") return this.workTools(work);
    if (name === "fanout1" || name === "fanout10") {
      const subscribers = name === "fanout1" ? 1 : 10;
      const count = subscribers === 1 ? flags.records * 3 : flags.records / 2;
      return [tool("nats.go core", "core NATS, nothing stored", "fanout", { subscribers, records: count })];
    }
    if (!isLatency(name)) return [];
    const latency = this.bench.driver.latencyFlags(work);
    return name.startsWith("stored")
      ? [tool("nats.go push", "publish to JetStream's ordered consumer, open loop", "stream-latency", latency)]
      : [tool("nats.go core", "core NATS, open loop, nothing stored", "latency", latency)];
  }
}

function settings(port: number, dataDir: string, mode: Mode): string {
  const sync = mode === "synced" ? ", sync_interval: always" : "";
  return `listen: "127.0.0.1:${port}"
jetstream { store_dir: "${dataDir}", max_file: 40G, max_mem: 4G${sync} }
`;
}

export function natsPeer(binary: string, version: string, bench: Bench): Peer {
  return {
    name: "nats",
    version,
    modes: { fast: "JetStream file storage, page cache", synced: "JetStream file storage, sync_interval: always" },
    async start(mode) {
      const dataDir = await freshFolder(bench, `nats-${mode}`);
      const [port] = (await freePorts(1)) as [number];
      const file = join(dataDir, "nats.conf");
      await writeFile(file, settings(port, join(dataDir, "store"), mode));
      const command = [binary, "-c", file];
      const address = `127.0.0.1:${port}`;
      return new RunningNats(bench, await serve(bench, { command, protocol: "nats", address, dataDir }));
    },
  };
}
