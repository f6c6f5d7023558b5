import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isLatency, type Measured, type Mode, type Peer, rateOfLatency, type Tool, type Work } from "./peer.ts";
import { type Bench, freshFolder, serve, type Served, ServedBroker } from "./serving.ts";
import { freePorts, run, ServerProcess } from "./shell.ts";

/** RabbitMQ: streams by the driver over the stream protocol; classic and quorum queues by PerfTest. */

export interface RabbitFiles {
  /** The server's own script, past the one that changes the user. */
  readonly server: string;
  readonly perfTestJars: string;
  readonly version: string;
}

const STREAM_WINDOW = 50_000;

/** How messages are grouped: sent at once, and in one entry of the stream, which is the documented way to more throughput. */
interface Entries {
  readonly batch: number;
  readonly "sub-entry": number;
  readonly [flag: string]: number;
}

const SINGLE: Entries = { batch: 200, "sub-entry": 1 };
const GROUPED: Entries = { batch: 2_000, "sub-entry": 200 };
const ENTRIES = [SINGLE, GROUPED];
const PERF_TEST_S = 7;
const WORK_PREFETCH = 100;
const WORK_WINDOW = 1_000;
const WORK_RECORDS = 300_000;
const PID_WAIT_MS = 5_000;
/** After the first answer the server still opens its plugins. */
const SETTLE_MS = 2_000;

class RunningRabbit extends ServedBroker {
  private readonly amqp: string;
  private readonly jars: string;
  private queues = 0;

  constructor(bench: Bench, served: Served, amqp: string, jars: string) {
    super("rabbitmq", bench, served);
    this.amqp = amqp;
    this.jars = jars;
  }

  async prepare(work: Work): Promise<void> {
    if (work.name !== "consume") return;
    for (const entries of ENTRIES) await this.stream("produce", work, entries);
  }

  private stream(
    does: string,
    { sizeBytes: size }: Work,
    entries: Entries,
    more: Record<string, string | number> = {},
  ): Promise<Measured> {
    const flags = { topic: `stream-${entries["sub-entry"]}`, window: STREAM_WINDOW, size, records: this.records(size) };
    return this.load(does, { ...flags, ...entries, ...more });
  }

  private records(sizeBytes: number): number {
    return (sizeBytes <= 100 ? 2_000_000 : 600_000) / this.bench.divisor;
  }

  tools(work: Work): readonly Tool[] {
    return work.mode === "synced" ? this.queueTools(work) : this.streamTools(work);
  }

  private streamTools(work: Work): readonly Tool[] {
    const { name } = work;
    /** A line for each kind of entry. */
    const tools = (counts: string, does: string, kinds = ENTRIES, more: Record<string, string | number> = {}): Tool[] =>
      kinds.map((entries) => ({
        name: entries === SINGLE ? "stream client" : "stream client, sub-entries",
        counts: entries === SINGLE ? counts : `${entries["sub-entry"]} messages an entry; ${counts}`,
        run: () => this.stream(does, work, entries, more),
      }));
    if (name === "produce") return tools("50,000 outstanding; to the last confirmation", "produce");
    if (name === "consume") return tools("every value touched, CRCs checked", "consume");
    if (name === "both") return tools("from the first produce to the last value touched", "fanout");
    if (name === "queue") return this.workTools(work);
    if (name === "fanout10") {
      const fan = { subscribers: 10, records: this.records(work.sizeBytes) / 4 };
      return tools("deliveries, every value touched", "fanout", ENTRIES, fan);
    }
    if (!isLatency(name) || !name.startsWith("stored")) return [];
    return tools("publish to receive, open loop", "latency", [SINGLE], this.bench.driver.latencyFlags(work));
  }

  /** A classic durable queue, persistent messages, confirmed, with acks. */
  private workTools(work: Work): readonly Tool[] {
    const { driver, divisor } = this.bench;
    const flags = { work: "queue", address: this.amqp, topic: "work", prefetch: WORK_PREFETCH, window: WORK_WINDOW };
    const records = WORK_RECORDS / divisor;
    const how = `persistent, prefetch ${WORK_PREFETCH}, 1,000 unconfirmed`;
    const byDriver = (name: string, counts: string, more: Record<string, string | number>): Tool => ({
      name,
      counts: `${how}; ${counts}; to the last ack sent`,
      run: () => driver.load("rabbitmq-queue", { ...flags, records, size: work.sizeBytes, ...more }),
    });
    const perfTest = ["-f", "persistent", "-x", "1", "-y", "1", "-c", String(WORK_WINDOW), "-q", String(WORK_PREFETCH)];
    return [
      byDriver("amqp091-go", "an ack for each", {}),
      byDriver("amqp091-go, acks of 50", "an ack for 50", { mode: "ranges", batch: WORK_PREFETCH / 2 }),
      byDriver("amqp091-go, 4 consumers", "an ack for each", { subscribers: 4 }),
      {
        name: "PerfTest, classic queue",
        counts: `${how}; an ack for each; its average of receiving`,
        run: () => this.perfTest(work, perfTest, "receiving"),
      },
    ];
  }

  /** Queues, whose messages are on the disk before they are confirmed. */
  private queueTools(work: Work): readonly Tool[] {
    const kinds = [
      { name: "PerfTest, classic queue", flags: ["-f", "persistent"] },
      { name: "PerfTest, quorum queue", flags: ["-f", "persistent", "--quorum-queue"] },
    ];
    if (work.name === "produce") {
      return kinds.map(({ name, flags }) => ({
        name,
        counts: "persistent messages, 1,000 outstanding; its average of confirmed sending",
        run: () => this.perfTest(work, [...flags, "-x", "1", "-y", "0", "-c", "1000"], "sending"),
      }));
    }
    if (!isLatency(work.name) || !work.name.startsWith("stored")) return [];
    const pace = ["-x", "1", "-y", "1", "-c", "1000", "-q", "100", "-r", String(rateOfLatency(work.name))];
    return kinds.map(({ name, flags }) => ({
      name,
      counts: "its consumer latency, JVM warm-up inside; it gives no p99.9",
      run: () => this.perfTest(work, [...flags, ...pace], "receiving"),
    }));
  }

  private async perfTest(work: Work, flags: readonly string[], side: string): Promise<Measured> {
    this.queues += 1;
    const java = ["java", "-Xmx512m", "-cp", this.jars, "com.rabbitmq.perf.PerfTest"];
    const where = ["-h", `amqp://guest:guest@${this.amqp}/%2f`, "-u", `q${this.queues}`, "-ad", "true"];
    const length = ["-s", String(work.sizeBytes), "-z", String(Math.ceil(PERF_TEST_S / this.bench.divisor) + 1)];
    return perfTestResult(await run([...java, ...where, ...length, ...flags], this.bench.options), side);
  }
}

/** The averages that PerfTest prints at its end; its percentiles are min/median/75th/95th/99th in µs. */
export function perfTestResult(text: string, side: string): Measured {
  const perSecond = Number(new RegExp(`${side} rate avg: (\\d+)`).exec(text)?.[1] ?? Number.NaN);
  const times = /consumer latency min\/median\/75th\/95th\/99th ([\d/]+)/g;
  const last = [...text.matchAll(times)].at(-1)?.[1];
  if (last === undefined) return { perSecond };
  const [, median, , , p99] = last.split("/").map((us) => Number(us) / 1e3) as [number, number, number, number, number];
  const latencyMs = { p50: median, p90: Number.NaN, p99, p999: Number.NaN, max: Number.NaN };
  return { perSecond, latencyMs };
}

function settings(amqp: string, stream: number): string {
  return `listeners.tcp.1 = ${amqp}
stream.listeners.tcp.1 = 127.0.0.1:${stream}
stream.advertised_host = 127.0.0.1
stream.advertised_port = ${stream}
log.file.level = error
`;
}

/** Everything that the server would otherwise look for in the system's folders. */
function environment(dataDir: string, epmd: number, distribution: number): Record<string, string> {
  return {
    HOME: join(dataDir, "home"),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: String(epmd),
    RABBITMQ_NODENAME: "peers@localhost",
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_CONFIG_FILE: join(dataDir, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dataDir, "plugins"),
    RABBITMQ_CONF_ENV_FILE: join(dataDir, "none"),
    RABBITMQ_MNESIA_BASE: join(dataDir, "mnesia"),
    RABBITMQ_LOG_BASE: join(dataDir, "log"),
    RABBITMQ_PID_FILE: join(dataDir, "pid"),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
  };
}

/** The pid of the Erlang machine, which the script that was started is not. */
async function readPid(file: string): Promise<number> {
  for (const end = Date.now() + PID_WAIT_MS; Date.now() < end; await Bun.sleep(100)) {
    const pid = Number(await readFile(file, "utf8").catch(() => ""));
    if (pid > 0) return pid;
  }
  throw new Error("RabbitMQ wrote no pid");
}

async function start(files: RabbitFiles, bench: Bench, mode: Mode): Promise<RunningRabbit> {
  const dataDir = await freshFolder(bench, `rabbitmq-${mode}`);
  for (const folder of ["home", "log", "mnesia"]) await mkdir(join(dataDir, folder));
  const ports = (await freePorts(4)) as [number, number, number, number];
  const [amqpPort, stream, epmdPort, distribution] = ports;
  const amqp = `127.0.0.1:${amqpPort}`;
  await writeFile(join(dataDir, "rabbitmq.conf"), settings(amqp, stream));
  await writeFile(join(dataDir, "plugins"), "[rabbitmq_stream].\n");
  const epmd = new ServerProcess(["epmd", "-address", "127.0.0.1", "-port", String(epmdPort)], bench.options);
  const served = await serve(bench, {
    command: [files.server],
    env: environment(dataDir, epmdPort, distribution),
    protocol: "amqp",
    address: amqp,
    dataDir,
    afterwards: () => epmd.stop(),
  });
  served.server.pid = await readPid(join(dataDir, "pid"));
  await Bun.sleep(SETTLE_MS);
  return new RunningRabbit(bench, { ...served, address: `127.0.0.1:${stream}` }, amqp, files.perfTestJars);
}

export function rabbitPeer(files: RabbitFiles, bench: Bench): Peer {
  return {
    name: "rabbitmq",
    version: files.version,
    modes: {
      fast: "streams, which are never synced to the disk",
      synced: "classic and quorum queues with persistent messages and confirmations",
    },
    start: (mode) => start(files, bench, mode),
  };
}
