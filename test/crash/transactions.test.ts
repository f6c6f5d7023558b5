import { expect, test } from "bun:test";
import { type Client, connect, isMillraceError, type QueueMessage } from "../../src/client/index.ts";
import { place, ServerProcess } from "./server-process.ts";

/**
 * The broker is killed again and again under a pipeline of transactions: a queue is read into a topic (publish and ack),
 * and the topic into a queue (publish and offset). Its second stage changes hands in each round, and the one before goes
 * on as a zombie. In the end every input stands in the topic once, and in the last queue once.
 */

const ROUNDS = process.env.MILLRACE_LONG ? 50 : 4;
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);
const PARTITIONS = 2;
const OUTPUTS_PER_ROUND = 150;
const BACKLOG_MAX = 1_000;
const RECONNECT = { reconnect: { delayMinMs: 5, delayMaxMs: 50 } };

/** Park and Miller's generator: a round's delay must come back with the seed. */
function random(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** What a transaction may end with while brokers die and stages change hands; anything else fails the test. */
const EXPECTED = ["connection_lost", "timeout", "shutting_down", "unknown_delivery", "producer_fenced"] as const;

interface Pipeline {
  readonly url: string;
  isOver: boolean;
  sent: number;
  relayed: number;
  fenced: number;
  readonly failures: unknown[];
}

function note(pipeline: Pipeline, error: unknown): void {
  if (pipeline.isOver) return;
  if (isMillraceError(error, "producer_fenced")) pipeline.fenced += 1;
  if (!isMillraceError(error, ...EXPECTED)) pipeline.failures.push(error);
}

async function feed(client: Client, pipeline: Pipeline): Promise<void> {
  const inputs = client.exchange("");
  while (!pipeline.isOver) {
    const batch = Array.from({ length: 20 }, () => inputs.publish("in", `${pipeline.sent++}`));
    try {
      await Promise.all(batch);
    } catch (error) {
      pipeline.failures.push(error);
    }
    while (pipeline.sent - pipeline.relayed > BACKLOG_MAX && !pipeline.isOver) await Bun.sleep(5);
  }
}

/** Stage one: queue to topic. Several transactions are under way at a time. */
function readQueue(client: Client, pipeline: Pipeline): { close(): Promise<void> } {
  const handle = async (message: QueueMessage): Promise<void> => {
    await client.transaction((tx) => {
      tx.send("mid", { key: message.text(), value: message.text() });
      tx.ack(message);
    });
  };
  return client.queue("in").consume(handle, {
    prefetch: 64,
    concurrency: 16,
    onThrow: "requeue",
    onError: (error) => note(pipeline, error),
  });
}

async function committed(client: Client, group: string, partition: number): Promise<number> {
  try {
    const offsets = await client.group(group).offsets();
    return offsets.find((row) => row.partition === partition)?.offset ?? 0;
  } catch (error) {
    if (isMillraceError(error, "group_not_found")) return 0;
    throw error;
  }
}

/** Stage two, for one partition: from the committed offset on until a transaction fails, and again. */
async function readTopic(client: Client, pipeline: Pipeline, partition: number): Promise<void> {
  const id = `relay-${partition}`;
  let isHolder = false;
  while (!pipeline.isOver) {
    try {
      if (!isHolder) await client.transactions.init(id);
      isHolder = true;
      await relay(client, pipeline, { id, partition });
    } catch (error) {
      note(pipeline, error);
      if (isMillraceError(error, "producer_fenced")) return;
    }
  }
}

async function relay(client: Client, pipeline: Pipeline, at: { id: string; partition: number }): Promise<void> {
  const { id, partition } = at;
  const offset = await committed(client, "relay", partition);
  const consumer = client.consume("mid", { from: { offsets: { [partition]: offset } }, partitions: [partition] });
  try {
    for await (const message of consumer) {
      const work = (tx: Parameters<Parameters<Client["transaction"]>[0]>[0]): void => {
        tx.publish("", "out", message.text());
        tx.commitOffsets("relay", message);
      };
      await client.transaction(work, { id });
      pipeline.relayed += 1;
      if (pipeline.isOver) return;
    }
  } finally {
    await consumer.close();
  }
}

/** Everything that came in has gone out. */
async function isDrained(client: Client): Promise<boolean> {
  const { ready = 0, inFlight = 0, delayed = 0 } = (await client.queue("in").describe()).counts;
  if (ready + inFlight + delayed > 0) return false;
  for (const { partition, highWatermark } of (await client.topics.describe("mid")).offsets) {
    if ((await committed(client, "relay", partition)) < highWatermark) return false;
  }
  return true;
}

async function outputs(client: Client): Promise<string[]> {
  const { ready = 0, inFlight = 0 } = (await client.queue("out").describe()).counts;
  const found: string[] = [];
  const consumer = client.queue("out").consume({ prefetch: 1_000 });
  for await (const message of consumer) {
    found.push(message.text() ?? "");
    if (found.length === ready + inFlight) break;
  }
  await consumer.close();
  return found;
}

async function killRounds(where: Awaited<ReturnType<typeof place>>, pipeline: Pipeline): Promise<ServerProcess> {
  const next = random(SEED);
  let server = await ServerProcess.start(where);
  for (let round = 0; round < ROUNDS; round += 1) {
    const successor = await connect(pipeline.url, RECONNECT);
    successors.push(successor);
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      running.push(readTopic(successor, pipeline, partition));
    }
    const before = pipeline.relayed;
    while (pipeline.relayed < before + OUTPUTS_PER_ROUND) {
      if (pipeline.failures.length > 0) throw pipeline.failures[0];
      await Bun.sleep(2);
    }
    await Bun.sleep(next() * 50);
    await server.kill();
    // Transactional ids change their owners with the number of threads.
    server = await ServerProcess.start(where, ["--checkpoint-bytes", "64KiB", "--threads", `${1 + (round % 2)}`]);
  }
  return server;
}

const successors: Client[] = [];
const running: Promise<void>[] = [];

function repeated(values: readonly string[]): string[] {
  const seen = new Set<string>();
  return values.filter((value) => seen.has(value) || !seen.add(value));
}

test(
  `every input has one output after ${ROUNDS} kills (seed ${SEED})`,
  async () => {
    await using where = await place();
    const url = `millrace://127.0.0.1:${where.port}`;
    const first = await ServerProcess.start(where);
    const client = await connect(url, RECONNECT);
    await client.topics.create("mid", { partitions: PARTITIONS });
    await client.queue("in").declare();
    await client.queue("out").declare();
    await first.kill();

    const pipeline: Pipeline = { url, isOver: false, sent: 0, relayed: 0, fenced: 0, failures: [] };
    const feeding = feed(client, pipeline);
    const reader = readQueue(client, pipeline);
    const server = await killRounds(where, pipeline).finally(() => (pipeline.isOver = true));
    await feeding;
    const last = await connect(url, RECONNECT);
    pipeline.isOver = false;
    for (let partition = 0; partition < PARTITIONS; partition += 1) running.push(readTopic(last, pipeline, partition));
    const deadline = performance.now() + 60_000;
    while (!(await isDrained(client))) {
      if (performance.now() > deadline) throw new Error("the pipeline does not drain");
      await Bun.sleep(50);
    }
    pipeline.isOver = true;
    // A stage that waits for the next record of its topic ends with its client.
    await reader.close();
    await Promise.all([last, ...successors].map((each) => each.close()));
    await Promise.all(running);

    expect(pipeline.failures).toEqual([]);
    const inputs = Array.from({ length: pipeline.sent }, (_, n) => `${n}`);
    const mid: string[] = [];
    for await (const message of client.consume("mid", { from: "earliest", until: "end" })) {
      mid.push(message.text() ?? "");
    }
    const out = await outputs(client);
    for (const [name, values] of Object.entries({ mid, out })) {
      expect(repeated(values), `twice in ${name}`).toEqual([]);
      const seen = new Set(values);
      const missing = inputs.filter((input) => !seen.has(input));
      expect(missing, `missing in ${name}`).toEqual([]);
      expect(values.length).toBe(inputs.length);
    }
    expect(pipeline.fenced, "zombies that were fenced").toBeGreaterThan(0);
    await client.close();
    expect(await server.stop()).toBe(0);
  },
  ROUNDS * 15_000 + 90_000,
);
