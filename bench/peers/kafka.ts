import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isLatency, type Measured, type Mode, type Peer, type Tool, type Work } from "./peer.ts";
import { type Bench, freshFolder, serve, type Served, ServedBroker } from "./serving.ts";
import { freePorts, run } from "./shell.ts";

/** Apache Kafka as one KRaft node with a heap of 1 GiB, and its own load tools beside the driver's franz-go. */

export interface KafkaJars {
  /** The class path of the server. */
  readonly server: string;
  /** The class path of the tools, which may be of another version. */
  readonly tools: string;
  readonly version: string;
}

const HEAP = ["-Xmx1g", "-Xms1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];
const TOOL_HEAP = ["-Xmx512m", "-Xms512m", "-XX:+UseG1GC"];
const CLUSTER_ID = "AAAAAAAAQACAAAAAAAAAAA";
const WARM_UP_RECORDS = 3_000_000;
/** What the tool's documentation advises for throughput: a linger, larger batches, room for them. */
const TUNED = ["linger.ms=5", "batch.size=131072", "buffer.memory=67108864"];

const SYNCED_SHARE = 5;

/** Clients of the driver, and partitions. */
interface Share {
  readonly clients: number;
  readonly partitions: number;
  readonly [flag: string]: number;
}

const ONE: Share = { clients: 1, partitions: 1 };
const TWO: Share = { clients: 2, partitions: 2 };

const filledTopic = (sizeBytes: number, { partitions }: Share): string => `filled${sizeBytes}-${partitions}`;

function properties(dataDir: string, broker: number, controller: number, mode: Mode): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controller}
listeners=PLAINTEXT://127.0.0.1:${broker},CONTROLLER://127.0.0.1:${controller}
advertised.listeners=PLAINTEXT://127.0.0.1:${broker}
controller.listener.names=CONTROLLER
log.dirs=${dataDir}
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.delete.delay.ms=1000
${mode === "synced" ? "log.flush.interval.messages=1\n" : ""}`;
}

class RunningKafka extends ServedBroker {
  private readonly jars: KafkaJars;
  private topics = 0;
  private isWarm = false;

  constructor(bench: Bench, served: Served, jars: KafkaJars) {
    super("kafka", bench, served);
    this.jars = jars;
  }

  /** Runs on a topic of its own, which is deleted behind it. */
  private async onTopic<T>({ partitions }: Share, use: (topic: string) => Promise<T>): Promise<T> {
    this.topics += 1;
    const topic = `t${this.topics}`;
    await this.load("create", { topic, partitions });
    try {
      return await use(topic);
    } finally {
      await this.load("delete", { topic });
    }
  }

  private records(sizeBytes: number): number {
    return (sizeBytes <= 100 ? 6_000_000 : 1_200_000) / this.bench.divisor;
  }

  /** A cold JVM is a third slower: it gets a round that nobody counts. */
  private async warmUp(): Promise<void> {
    if (this.isWarm) return;
    this.isWarm = true;
    const records = WARM_UP_RECORDS / this.bench.divisor;
    await this.onTopic(ONE, async (topic) => {
      await this.load("produce", { topic, records });
      await this.load("consume", { topic, records });
    });
  }

  async prepare({ name, sizeBytes: size }: Work): Promise<void> {
    await this.warmUp();
    if (name !== "consume") return;
    for (const share of [ONE, TWO]) {
      const topic = filledTopic(size, share);
      await this.load("create", { topic, ...share });
      await this.load("produce", { topic, records: this.records(size), size, ...share });
    }
  }

  tools(work: Work): readonly Tool[] {
    const { name, sizeBytes: size, mode } = work;
    const acks = mode === "synced" ? "all" : "";
    const flags = { size, records: this.records(size) / (mode === "synced" ? SYNCED_SHARE : 1), mode: acks };
    if (name === "produce") {
      const answers = mode === "synced" ? "acks=all, idempotent" : "acks=1";
      const counts = `${answers}, linger 5 ms, batches up to 1 MB; to the last answer`;
      const driver = this.franz(counts, (share) =>
        this.onTopic(share, (topic) => this.load("produce", { ...flags, ...share, topic })),
      );
      return mode === "synced" ? driver : [...driver, this.perfTest(work, []), this.perfTest(work, TUNED)];
    }
    if (name === "consume") {
      const consume = (share: Share): Promise<Measured> =>
        this.load("consume", { ...flags, ...share, topic: filledTopic(size, share) });
      return [...this.franz("every value touched, CRCs checked", consume), this.consumerPerfTest(work)];
    }
    if (name === "both") {
      const both = (share: Share): Promise<Measured> =>
        this.onTopic(share, (topic) => this.load("fanout", { ...flags, ...share, topic }));
      return this.franz("from the first produce to the last value touched", both);
    }
    if (name === "fanout10") {
      const fan = { ...flags, records: flags.records / 6, subscribers: 10 };
      const run = (): Promise<Measured> => this.onTopic(ONE, (topic) => this.load("fanout", { ...fan, topic }));
      return [{ name: "franz-go", counts: "deliveries, every value touched", run }];
    }
    if (!isLatency(name) || !name.startsWith("stored")) return [];
    const run = (): Promise<Measured> => {
      const latency = { ...this.bench.driver.latencyFlags(work), mode: acks };
      return this.onTopic(ONE, (topic) => this.load("latency", { ...latency, topic }));
    };
    return [{ name: "franz-go", counts: "publish to receive, open loop, linger 0", run }];
  }

  /** The driver with one client and partition, and with as many as there are processors. */
  private franz(counts: string, action: (share: Share) => Promise<Measured>): Tool[] {
    return [ONE, TWO].map((share) => ({
      name: share === ONE ? "franz-go" : `franz-go, ${share.clients} clients and partitions`,
      counts,
      run: () => action(share),
    }));
  }

  /** kafka-producer-perf-test. */
  private perfTest({ sizeBytes }: Work, settings: readonly string[]): Tool {
    const count = Math.round(this.records(sizeBytes) / 4);
    const warmUp = Math.round(count / 5);
    const main = "org.apache.kafka.tools.ProducerPerformance";
    const words = ["--num-records", count + warmUp, "--warmup-records", warmUp, "--record-size", sizeBytes];
    const rest = ["--throughput", -1, "--command-property", "acks=1", ...settings];
    const perform = (topic: string): Promise<string> =>
      this.tool(main, ["--topic", topic, ...words.map(String), ...rest.map(String)]);
    return {
      name: settings.length === 0 ? "kafka-producer-perf-test" : "kafka-producer-perf-test, tuned",
      counts: `acks=1${settings.map((setting) => `, ${setting}`).join("")}; its steady state, one random payload per record`,
      run: async () => ({ perSecond: producerRate(await this.onTopic(ONE, perform)) }),
    };
  }

  private consumerPerfTest({ sizeBytes }: Work): Tool {
    const words = [
      "--topic",
      filledTopic(sizeBytes, ONE),
      "--num-records",
      String(this.records(sizeBytes)),
      "--hide-header",
    ];
    const main = "org.apache.kafka.tools.ConsumerPerformance";
    return {
      name: "kafka-consumer-perf-test",
      counts: "fetch rate without the rebalance; values are not touched",
      run: async () => ({ perSecond: consumerRate(await this.tool(main, [...words, "--timeout", "20000"])) }),
    };
  }

  private tool(main: string, words: readonly string[]): Promise<string> {
    const java = ["java", ...TOOL_HEAP, "-cp", this.jars.tools, main, "--bootstrap-server", this.served.address];
    return run([...java, ...words], this.bench.options);
  }
}

/** Records per second of the last line of kafka-producer-perf-test. */
export function producerRate(text: string): number {
  const rates = [...text.matchAll(/([\d.]+) records\/sec.*99\.9th/g)];
  return Number(rates.at(-1)?.[1] ?? Number.NaN);
}

/** fetch.nMsg.sec of kafka-consumer-perf-test: the tenth field. */
export function consumerRate(text: string): number {
  const line = text.split("\n").findLast((line) => /^\d{4}-/.test(line));
  return Number(line?.split(/, */)[9] ?? Number.NaN);
}

export function kafkaPeer(jars: KafkaJars, bench: Bench): Peer {
  return {
    name: "kafka",
    version: jars.version,
    modes: {
      fast: "KRaft, 1 or 2 partitions, page cache; clients with acks=1 and no idempotence",
      synced: "the same with log.flush.interval.messages=1; clients with acks=all and idempotence",
    },
    async start(mode) {
      const dataDir = await freshFolder(bench, `kafka-${mode}`);
      const [broker, controller] = (await freePorts(2)) as [number, number];
      const file = join(dataDir, "server.properties");
      await writeFile(file, properties(join(dataDir, "log"), broker, controller, mode));
      const java = ["java", ...HEAP, "-Djava.awt.headless=true", "-cp", jars.server];
      await run([...java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", file], bench.options);
      const command = [...java, "kafka.Kafka", file];
      const served = await serve(bench, { command, protocol: "kafka", address: `127.0.0.1:${broker}`, dataDir });
      return new RunningKafka(bench, served, jars);
    },
  };
}
