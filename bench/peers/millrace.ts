import { join } from "node:path";
import { type AckLevel, type Client, connect } from "../../src/client/index.ts";
import { Histogram } from "../lib/histogram.ts";
import { type BrokerChild, type Child, spawnBroker, spawnProgram } from "../lib/processes.ts";
import type { QueueClientRequest, QueueSpan } from "../queues/programs/queue-client.ts";
import {
  type ConsumeRequest,
  joinSpans,
  type LatencyAnswer,
  type LatencyRequest,
  type ProduceRequest,
  rateOf,
  type Span,
  type Tuning,
} from "./messages.ts";
import { isLatency, type LatencyMs, type Measured, rateOfLatency, type Running, type Tool, type Work } from "./peer.ts";
import { SharedCounts } from "./shared-counts.ts";

/** Millrace as the suite loads it: through the TypeScript client, in processes of their own. */

/** How the load is spread and what the client is told. */
export interface MillraceSettings {
  readonly tuning: Tuning;
  /** Publishing processes; a multiple of the partitions. */
  readonly publishers: number;
  readonly partitions: number;
  /** Reading processes of a catch-up, and of the fan-out's subscribers. */
  readonly readers: number;
  readonly fanReaders: number;
  readonly recordsPerTurn: number;
  readonly creditBytes: number;
  /** How far the publisher of a fan-out may be ahead of the slowest subscriber. */
  readonly windowRecords: number;
  /** Divides all counts, for quick runs. */
  readonly divisor: number;
}

export const MILLRACE_SETTINGS: MillraceSettings = {
  tuning: { batchBytes: 128 * 1024, inFlightMax: 16 },
  publishers: 2,
  partitions: 2,
  readers: 2,
  fanReaders: 2,
  recordsPerTurn: 2_000,
  creditBytes: 16 * 1024 * 1024,
  windowRecords: 100_000,
  divisor: 1,
};

const WARM_UP_RECORDS = 1_000_000;
const LATENCY_MS = 5_000;
const LATENCY_WARM_UP_MS = 1_000;
const LATENCY_JIT_MS = 5_000;
const JIT_RATE = 10_000;
const FAN_READERS = 10;
const SYNCED_SHARE = 5;
/** What RabbitMQ's queue is measured with; more would make us quicker and not it. */
const QUEUE_PREFETCH = 100;
const QUEUE_CONSUMERS = 4;

/** Records of a run. */
function recordsOf({ name, sizeBytes, mode }: Work): number {
  const small = { produce: 12e6, consume: 16e6, both: 8e6, queue: 4e6, fanout1: 8e6, fanout10: 2e6 };
  const count = small[name as keyof typeof small] ?? 0;
  return (sizeBytes <= 100 ? count : count / 10) / (mode === "synced" ? SYNCED_SHARE : 1);
}

const program = (name: string): Promise<Child> => spawnProgram(join(import.meta.dir, name));

export class RunningMillrace implements Running {
  readonly startMs: number;
  private readonly broker: BrokerChild;
  private readonly client: Client;
  private readonly settings: MillraceSettings;
  private readonly workDir: string;
  private readonly publishers: Child[] = [];
  private readonly readers: Child[] = [];
  private readonly latencyPrograms: Child[] = [];
  private readonly queuePrograms: Child[] = [];
  private topics = 0;
  private filled = "";
  private isWarm = false;

  private constructor(broker: BrokerChild, client: Client, settings: MillraceSettings, workDir: string) {
    this.startMs = broker.readyMs;
    this.broker = broker;
    this.client = client;
    this.settings = settings;
    this.workDir = workDir;
  }

  static async start(workDir: string, settings: MillraceSettings = MILLRACE_SETTINGS): Promise<RunningMillrace> {
    const broker = await spawnBroker({ dataDir: join(workDir, "millrace") });
    return new RunningMillrace(broker, await connect(broker.url), settings, workDir);
  }

  async prepare(work: Work): Promise<void> {
    await this.warmUp();
    if (work.name !== "consume") return;
    await this.dropFilled();
    this.filled = await this.makeTopic(work);
    await this.publish(this.filled, work, this.records(work));
  }

  /** Just-in-time compilers are slow at first, ours and those of the peers: a round that nobody counts. */
  private async warmUp(): Promise<void> {
    if (this.isWarm) return;
    this.isWarm = true;
    const work: Work = { name: "both", mode: "fast", sizeBytes: 100 };
    await this.onTopic(work, (topic) => this.both(topic, work, this.shared(WARM_UP_RECORDS)));
  }

  private records(work: Work): number {
    return this.shared(recordsOf(work));
  }

  /** So many records that every publisher has the same share, and every partition with it. */
  private shared(records: number): number {
    const { publishers, divisor } = this.settings;
    return Math.ceil(records / divisor / publishers) * publishers;
  }

  /** In synced mode readers see what is on the disk and nothing before. */
  private async makeTopic({ mode }: Work, partitions: number = this.settings.partitions): Promise<string> {
    this.topics += 1;
    const name = `peers-${this.topics}`;
    await this.client.topics.create(name, { partitions, durability: mode === "synced" ? "synced" : "written" });
    return name;
  }

  private async onTopic<T>(work: Work, use: (topic: string) => Promise<T>, partitions?: number): Promise<T> {
    const topic = await this.makeTopic(work, partitions);
    try {
      return await use(topic);
    } finally {
      await this.client.topics.delete(topic);
    }
  }

  private async dropFilled(): Promise<void> {
    if (this.filled !== "") await this.client.topics.delete(this.filled);
    this.filled = "";
  }

  tools(work: Work): readonly Tool[] {
    const { name, mode } = work;
    const acks = mode === "synced" ? "synced" : "written";
    const records = this.records(work);
    const tool = (counts: string, run: () => Promise<Measured>): Tool => ({ name: "client", counts, run });
    if (name === "produce") {
      const counts = `acks ${acks}, idempotent; each record built and encoded; to the last ack`;
      const produce = (isEncoded: boolean) => (): Promise<Measured> =>
        this.onTopic(work, async (topic) => measured(await this.publish(topic, work, records, { isEncoded })));
      const encoded = "the same batch over and over, encoded before";
      return [
        tool(counts, produce(false)),
        { name: "client, pre-encoded", counts: encoded, isMarked: true, run: produce(true) },
      ];
    }
    if (name === "consume") {
      const consume = async (): Promise<Measured> => measured(await this.catchUp(records));
      return [tool("every value touched, CRCs checked", consume)];
    }
    if (name === "both") {
      const counts = "from the first produce to the last value touched";
      return [tool(counts, () => this.onTopic(work, (topic) => this.both(topic, work, records)))];
    }
    if (name === "queue") {
      const counts = `durable, prefetch ${QUEUE_PREFETCH}, 4 consumers; every value read; to the last ack in the log`;
      return [tool(counts, () => this.workQueue(work, records))];
    }
    if (name === "fanout1" || name === "fanout10") {
      const readers = name === "fanout1" ? 1 : FAN_READERS;
      const counts = "stored in the log; deliveries, every value touched";
      return [tool(counts, () => this.onTopic(work, (topic) => this.fanOut(topic, work, records, readers), 1))];
    }
    if (!isLatency(name)) return [];
    const counts = `publish to receive over the log, acks ${acks}, open loop`;
    return [tool(counts, () => this.onTopic(work, (topic) => this.latency(topic, work, acks), 1))];
  }

  private async childrenOf(children: Child[], name: string, count: number): Promise<readonly Child[]> {
    while (children.length < count) children.push(await program(name));
    return children.slice(0, count);
  }

  /** Publishes records from all publishing processes at once. */
  private async publish(
    topic: string,
    { sizeBytes, mode }: Work,
    records: number,
    more: Partial<ProduceRequest> = {},
  ): Promise<Span> {
    const { publishers: shares, partitions, tuning, recordsPerTurn } = this.settings;
    const acks: AckLevel = mode === "synced" ? "synced" : "written";
    const children = await this.childrenOf(this.publishers, "millrace-produce.ts", shares);
    const requests = children.map((_, share): ProduceRequest => {
      const common = { url: this.broker.url, topic, acks, tuning, records, sizeBytes, recordsPerTurn, ...more };
      const partition = more.window === undefined ? share % partitions : 0;
      return { op: "open", ...common, share, shares, partition };
    });
    const all = (op: ProduceRequest["op"]): Promise<unknown[]> =>
      Promise.all(children.map((child, index) => child.request({ ...requests[index], op })));
    await all("open");
    const spans = (await all("produce")) as Span[];
    await all("close");
    return joinSpans(spans);
  }

  /** Reads the filled topic, each process its share of the partitions. */
  private async catchUp(records: number): Promise<Span> {
    const start = await this.startReaders(this.filled, records);
    return joinSpans(await start());
  }

  /** Starts readers that share the partitions; the result waits for their ends. */
  private async startReaders(topic: string, records: number): Promise<() => Promise<Span[]>> {
    const { readers, partitions } = this.settings;
    const children = await this.childrenOf(this.readers, "millrace-consume.ts", readers);
    const requests = children.map((_, reader): Partial<ConsumeRequest> => {
      const own = Array.from({ length: partitions }, (_, partition) => partition).filter(
        (partition) => partition % readers === reader,
      );
      return { partitions: own, records: (records / partitions) * own.length, readers: 1 };
    });
    return await this.startReading(children, topic, requests);
  }

  private async startReading(
    children: readonly Child[],
    topic: string,
    requests: readonly Partial<ConsumeRequest>[],
  ): Promise<() => Promise<Span[]>> {
    const { creditBytes } = this.settings;
    const common = { url: this.broker.url, topic, creditBytes };
    await Promise.all(children.map((child, at) => child.request({ ...common, op: "start", ...requests[at] })));
    return () => Promise.all(children.map((child) => child.request({ op: "finish" }) as Promise<Span>));
  }

  private async both(topic: string, work: Work, records: number): Promise<Measured> {
    const finish = await this.startReaders(topic, records);
    const published = await this.publish(topic, work, records);
    const read = joinSpans(await finish());
    return measured({ ...read, startUs: published.startUs });
  }

  /** Readers that each get everything, on one partition. */
  private async fanOut(topic: string, work: Work, records: number, readers: number): Promise<Measured> {
    const { fanReaders, windowRecords, publishers } = this.settings;
    const path = join(this.workDir, `${topic}.counts`);
    SharedCounts.make(path, readers);
    const processes = Math.min(fanReaders, readers);
    const children = await this.childrenOf(this.readers, "millrace-consume.ts", processes);
    const requests = children.map((_, at) => {
      const first = Math.floor((readers * at) / processes);
      const own = Math.floor((readers * (at + 1)) / processes) - first;
      return { readers: own, records, counts: { path, readers, first } };
    });
    const finish = await this.startReading(children, topic, requests);
    const window = { path, readers, records: windowRecords / publishers };
    const published = await this.publish(topic, work, records, { window });
    const read = joinSpans(await finish());
    return measured({ ...read, startUs: published.startUs });
  }

  /** Publish, deliver and ack through one durable queue, in two processes. */
  private async workQueue({ sizeBytes }: Work, messages: number): Promise<Measured> {
    const [publisher, consumers] = await this.childrenOf(this.queuePrograms, "../queues/programs/queue-client.ts", 2);
    const queue = "peers-work";
    await this.client.queue(queue).declare();
    const of = { url: this.broker.url, queues: [queue], messages, bodyBytes: sizeBytes };
    const how = { connections: QUEUE_CONSUMERS, prefetch: QUEUE_PREFETCH };
    const ask = (child: Child | undefined, request: QueueClientRequest): Promise<unknown> =>
      (child as Child).request(request);
    await ask(consumers, { op: "consume", ...how, ...of });
    const spans = await Promise.all([
      ask(publisher, { op: "publish", isMixed: false, ...of }),
      ask(consumers, { op: "collect" }),
    ]);
    const [published, collected] = spans as [QueueSpan, QueueSpan];
    await this.client.queue(queue).delete();
    return measured({ records: messages, startUs: published.fromUs, endUs: collected.toUs, touched: 0 });
  }

  private async latency(topic: string, work: Work, acks: AckLevel): Promise<Measured> {
    const rate = rateOfLatency(work.name);
    const durationMs = Math.max(1_500, LATENCY_MS / this.settings.divisor);
    const { sizeBytes } = work;
    if (this.latencyPrograms.length === 0) {
      // Compiled code comes late here too, and its making disturbs what is measured.
      await this.childrenOf(this.latencyPrograms, "millrace-latency.ts", 2);
      const warmUpMs = LATENCY_JIT_MS / this.settings.divisor;
      await this.onTopic(work, (other) => this.paced(other, acks, { sizeBytes, rate: JIT_RATE, durationMs: warmUpMs }));
    }
    const histogram = await this.paced(topic, acks, { sizeBytes, rate, durationMs });
    return { perSecond: rate, latencyMs: latencyMs(histogram) };
  }

  /** Sends at the rate in one process and reads in the other. */
  private async paced(
    topic: string,
    acks: AckLevel,
    pace: Pick<LatencyRequest, "sizeBytes" | "rate" | "durationMs">,
  ): Promise<Histogram> {
    const [reader, sender] = this.latencyPrograms as [Child, Child];
    const request = { url: this.broker.url, topic, acks, warmUpMs: LATENCY_WARM_UP_MS, ...pace };
    await reader.request({ ...request, op: "start" } satisfies LatencyRequest);
    await sender.request({ ...request, op: "run" } satisfies LatencyRequest);
    const { histogram } = (await reader.request({ ...request, op: "finish" })) as LatencyAnswer;
    return Histogram.decode(histogram);
  }

  memoryMb(): number {
    return this.broker.rssAnonMb();
  }

  cpuSeconds(): number {
    return this.broker.cpuSeconds();
  }

  async stop(): Promise<void> {
    const children = [...this.publishers, ...this.readers, ...this.latencyPrograms, ...this.queuePrograms];
    await Promise.all(children.map((child) => child.end()));
    await this.client.close();
    await this.broker.end();
  }
}

function measured(span: Span): Measured {
  return { perSecond: rateOf(span), records: span.records };
}

function latencyMs(histogram: Histogram): LatencyMs {
  const { p50, p90, p99, p99_9: p999, max } = histogram.percentiles();
  return { p50: p50 / 1e3, p90: p90 / 1e3, p99: p99 / 1e3, p999: p999 / 1e3, max: max / 1e3 };
}
