/**
 * `npm run bench`: the data path against a bare socket, one line a figure. Starts a broker of its own in a process of
 * its own, on a data directory that it removes. The load runs here, so both share the machine.
 *
 *   npm run bench -- [--megabytes 1000] [--rounds 3] [--storage disk|memory]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BatchEncoder, encodePublish, Op, publishOneBytesMax, writePublishOne } from "../src/protocol/index.ts";
import { CREDIT_BYTES, Link } from "./lib/link.ts";

const { values } = parseArgs({
  options: {
    megabytes: { type: "string", default: "1000" },
    rounds: { type: "string", default: "3" },
    storage: { type: "string", default: "disk" },
  },
});
const BYTES = Number(values.megabytes) * 1e6;
const ROUNDS = Number(values.rounds);
const VALUE = new Uint8Array(100).fill(120);
const BATCH_BYTES = 64 * 1024;
const SINGLES_PER_WRITE = 2_000;
const LATENCY_SAMPLES = 20_000;
const SINK_WRITE_BYTES = [16, 64, 256].map((kib) => kib * 1024);

interface Figure {
  readonly name: string;
  readonly unit: string;
  /** A run's value. */
  run(broker: number): Promise<number>;
}

/** A program in a process of its own that prints its port on the first line. */
async function spawnWithPort(command: string[], read: (line: string) => number | undefined) {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const port = await Promise.race([child.stdout, child.stderr].map((stream) => firstPort(stream, read)));
  return { port, end: async () => (child.kill(), await child.exited) };
}

async function firstPort(
  stream: ReadableStream<Uint8Array>,
  read: (line: string) => number | undefined,
): Promise<number> {
  let text = "";
  for await (const chunk of stream) {
    text += new TextDecoder().decode(chunk);
    for (const line of text.split("\n").slice(0, -1)) {
      const port = read(line);
      if (port !== undefined) return port;
    }
  }
  return await new Promise(() => undefined);
}

const SINK = `const s = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }); console.log(s.port)`;
const ECHO = `const s = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open(c) { c.setNoDelay(true) }, data(c, d) { c.write(d) } } }); console.log(s.port)`;
const barePort = (line: string) => (/^\d+$/.test(line) ? Number(line) : undefined);
const bare = (code: string) => spawnWithPort([process.execPath, "-e", code], barePort);

/** MB/s into a listener that drops what comes, with the best of some write sizes. */
async function sink(): Promise<number> {
  const { port, end } = await bare(SINK);
  let best = 0;
  for (const bytes of SINK_WRITE_BYTES) best = Math.max(best, await sinkOnce(port, new Uint8Array(bytes)));
  await end();
  return best;
}

function sinkOnce(port: number, unit: Uint8Array): Promise<number> {
  return new Promise((resolve) => {
    let sent = 0;
    let at = 0;
    const start = performance.now();
    const pump = (socket: { write(data: Uint8Array, offset: number, length: number): number; end(): void }) => {
      while (sent < BYTES) {
        at += Math.max(0, socket.write(unit, at, unit.length - at));
        if (at < unit.length) return;
        at = 0;
        sent += unit.length;
      }
      resolve(sent / 1e3 / (performance.now() - start));
      socket.end();
    };
    void Bun.connect({ hostname: "127.0.0.1", port, socket: { open: pump, drain: pump, data() {} } });
  });
}

function batchFrame(): { frame: Uint8Array; records: number } {
  const encoder = new BatchEncoder({ batchBytesMax: BATCH_BYTES });
  while (encoder.append(Date.now(), null, VALUE));
  encoder.finish();
  const batch = encoder.bytes.subarray(encoder.start, encoder.end);
  const head = { publisher: 1, correlation: 1, partition: 0, acks: 2, condition: null };
  return { frame: encodePublish(head, batch), records: encoder.recordCount };
}

function singleFrame(correlation: number, acks: number): Uint8Array {
  const bytes = new Uint8Array(publishOneBytesMax(null, null, VALUE, null));
  const head = { publisher: 1, correlation, partition: 0, acks, condition: null, sequence: null };
  return bytes.slice(0, writePublishOne(bytes, 0, head, null, null, VALUE, null));
}

async function withTopic<T>(broker: number, run: (link: Link, topic: string) => Promise<T>): Promise<T> {
  const link = await Link.open(broker);
  const topic = `bench-${crypto.randomUUID()}`;
  await link.request(Op.TOPIC_CREATE, { name: topic, partitions: 1, config: {} });
  await link.request(Op.PUBLISHER_OPEN, 1, { topic });
  try {
    return await run(link, topic);
  } finally {
    await link.request(Op.TOPIC_DELETE, { name: topic });
    link.close();
  }
}

/** Sends units until all their publishes are acknowledged; resolves to the seconds. */
async function publishAll(link: Link, unit: Uint8Array, units: number, acksPerUnit: number): Promise<number> {
  const start = performance.now();
  await new Promise<void>((resolve) => {
    link.onAck = () => {
      if (link.acked >= units * acksPerUnit) resolve();
    };
    link.sendUnits(unit, units);
  });
  return (performance.now() - start) / 1e3;
}

async function produceBatched(broker: number): Promise<number> {
  const { frame } = batchFrame();
  const units = Math.ceil(BYTES / frame.length);
  return await withTopic(
    broker,
    async (link) => (units * frame.length) / 1e6 / (await publishAll(link, frame, units, 1)),
  );
}

async function produceSingle(broker: number): Promise<number> {
  const unit = Buffer.concat(Array.from({ length: SINGLES_PER_WRITE }, (_, n) => singleFrame(n, 2)));
  const units = Math.ceil(BYTES / unit.length);
  const seconds = await withTopic(broker, (link) => publishAll(link, unit, units, SINGLES_PER_WRITE));
  return (units * SINGLES_PER_WRITE) / 1e6 / seconds;
}

async function catchUp(broker: number): Promise<number> {
  const { frame } = batchFrame();
  const units = Math.ceil(BYTES / frame.length);
  return await withTopic(broker, async (link, topic) => {
    await publishAll(link, frame, units, 1);
    const start = performance.now();
    const expected = units * (frame.length - 64);
    link.subscription = 1;
    const whole = new Promise<void>((resolve) => {
      link.onDeliver = () => {
        if (link.deliveredBytes >= expected) resolve();
      };
    });
    await link.request(Op.SUBSCRIBE, 1, { topic, from: "earliest", creditBytes: CREDIT_BYTES });
    await whole;
    return link.deliveredBytes / 1e3 / (performance.now() - start);
  });
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function echo(): Promise<number> {
  const { port, end } = await bare(ECHO);
  const times: number[] = [];
  const unit = singleFrame(1, 0);
  await new Promise<void>((resolve) => {
    let sent = 0;
    const send = (socket: { write(data: Uint8Array): number; end(): void }) => {
      sent = performance.now();
      socket.write(unit);
    };
    const data = (socket: { write(data: Uint8Array): number; end(): void }) => {
      times.push((performance.now() - sent) * 1e3);
      if (times.length === LATENCY_SAMPLES) resolve();
      else send(socket);
    };
    void Bun.connect({ hostname: "127.0.0.1", port, socket: { open: send, data } });
  });
  await end();
  return median(times);
}

/** One record in flight: from the publish's write to its delivery on the same connection, in µs. */
async function delivery(broker: number): Promise<number> {
  const unit = singleFrame(1, 0);
  return await withTopic(broker, async (link, topic) => {
    await link.request(Op.SUBSCRIBE, 1, { topic, from: "latest", creditBytes: CREDIT_BYTES });
    const times: number[] = [];
    await new Promise<void>((resolve) => {
      let sent = performance.now();
      link.onDeliver = () => {
        times.push((performance.now() - sent) * 1e3);
        if (times.length === LATENCY_SAMPLES) return resolve();
        sent = performance.now();
        link.write(unit);
      };
      link.write(unit);
    });
    return median(times);
  });
}

const FIGURES: readonly Figure[] = [
  { name: "bare sink: a listener that drops", unit: "MB/s", run: sink },
  { name: "produce, 64 KiB batches, written", unit: "MB/s", run: produceBatched },
  { name: "produce, single records, written", unit: "M records/s", run: produceSingle },
  { name: "catch-up read", unit: "MB/s", run: catchUp },
  { name: "bare echo, p50", unit: "µs", run: echo },
  { name: "publish to delivery, p50", unit: "µs", run: delivery },
];

async function main(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), "millrace-bench-"));
  const serve = [process.execPath, join(import.meta.dir, "../src/main.ts"), "serve", "--port", "0", "--http-port", "0"];
  const where = ["--data-dir", dataDir, "--storage", values.storage];
  const broker = await spawnWithPort([...serve, ...where], (line) => {
    const port = /"message":"serving"/.test(line) && /"port":(\d+)/.exec(line)?.[1];
    return port ? Number(port) : undefined;
  });
  const runs = new Map<Figure, number[]>(FIGURES.map((figure) => [figure, []]));
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [figure, results] of runs) results.push(await figure.run(broker.port));
    }
  } finally {
    await broker.end();
    await rm(dataDir, { recursive: true, force: true });
  }
  for (const [{ name, unit }, results] of runs) {
    const spread = `${Math.min(...results).toFixed(1)}–${Math.max(...results).toFixed(1)}`;
    console.log(`${name.padEnd(36)} ${median(results).toFixed(1).padStart(8)} ${unit.padEnd(12)} (${spread})`);
  }
}

await main();
