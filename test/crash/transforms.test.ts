import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/index.ts";
import { temporaryFolder, until } from "../integration/harness.ts";
import { place, ServerProcess } from "./server-process.ts";

/**
 * The broker is killed again and again under a transform. Its workers end with it, and in the end every record has
 * come out once.
 */

const ROUNDS = process.env.MILLRACE_LONG ? 30 : 3;
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);
const RECORDS = 4_000 * ROUNDS;
const WAIT_MS = 60_000;

/** Park and Miller's generator: a round's delay must come back with the seed. */
function random(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** Takes about 0.1 ms, and for good where a message says so. */
const FUNCTION = `
import { writeFileSync } from "node:fs";
export default (message, { config }) => {
  if (message.text() === "loop") {
    writeFileSync(config.marker, "");
    for (;;) {}
  }
  for (const end = performance.now() + 0.1; performance.now() < end; );
  return message;
};
`;

async function fill(client: Client): Promise<void> {
  await client.topics.create("in", { partitions: 2 });
  await client.topics.create("out", { partitions: 2 });
  const producer = client.producer("in");
  for (let id = 0; id < RECORDS; id += 1) if (!producer.append(String(id), `k${id % 20}`)) await producer.ready();
  await producer.flush();
}

async function outputs(client: Client): Promise<number> {
  const { offsets } = await client.topics.describe("out");
  return offsets.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
}

async function workers(client: Client): Promise<number[]> {
  const [transform] = await client.transforms.list();
  return (transform?.workers ?? []).flatMap(({ pid }) => (pid === null ? [] : [pid]));
}

const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`);

test("records go through a transform once, however often the broker is killed", async () => {
  console.log(`seed ${SEED}`);
  const draw = random(SEED);
  await using server = await place();
  await using folder = await temporaryFolder();
  await Bun.write(join(folder.path, "f.ts"), FUNCTION);
  const marker = join(folder.path, "marker");
  const flags = ["--transforms-dir", folder.path];
  const url = `millrace://127.0.0.1:${server.port}`;
  for (let round = 0; round < ROUNDS; round += 1) {
    const broker = await ServerProcess.start(server, flags);
    const client = await connect(url, { reconnect: { enabled: false } });
    if (round === 0) {
      await fill(client);
      const definition = {
        from: { topic: "in" },
        to: { topic: "out" },
        steps: [{ function: { file: "f.ts", config: { marker } } }],
      };
      await client.transforms.put("t", { ...definition, workers: 2, timeoutMs: 60_000 });
    }
    const before = await outputs(client);
    await until("it has begun", async () => (await outputs(client)) > before || before === RECORDS, WAIT_MS);
    await Bun.sleep(draw() * 200);
    const pids = await workers(client);
    await broker.kill();
    await until("the workers have ended with it", () => pids.every(isGone), WAIT_MS);
    await client.close();
  }
  const broker = await ServerProcess.start(server, flags);
  const client = await connect(url);
  await until("all have come out", async () => (await outputs(client)) >= RECORDS, WAIT_MS);
  const seen: number[] = [];
  for await (const message of client.consume("out", { from: "earliest", until: "end" }))
    seen.push(Number(message.text()));
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: RECORDS }, (_, id) => id));

  // A worker that is in a loop hears nothing, and ends all the same.
  await client.producer("in").send({ value: "loop" });
  await until("one has taken it", () => existsSync(marker), WAIT_MS);
  const pids = await workers(client);
  await broker.kill();
  await until("the looping worker has ended too", () => pids.every(isGone), WAIT_MS);
  await client.close();
}, 240_000);
