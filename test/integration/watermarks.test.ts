/** Low disk or memory holds publishers back before the machine suffers; readers, acks and administration go on. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/index.ts";
import { encodePublish, Op } from "../../src/protocol/index.ts";
import { place, ServerProcess } from "../crash/server-process.ts";
import { dial, startBroker, until } from "./harness.ts";
import { batchOf, publishFrame, RawClient } from "./kit.ts";
import { SmallDisk } from "./small-disk.ts";

const UNTIL_MS = 40_000;
const MIB = 1024 * 1024;
const VALUE = "v".repeat(60_000);
const LANES = 4;
const CREDIT_BYTES = 256 * 1024;

/** Asking is work for the broker, which shares this process and its processors. */
const ASK_MS = 50;

async function gauge(httpPort: number, name: string): Promise<number> {
  await Bun.sleep(ASK_MS);
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`millrace_${name} `));
  return Number(line?.split(" ").at(-1));
}

/** Sends values, several at a time, until it is stopped. Counts those that are acknowledged. */
class Flood {
  acked = 0;
  readonly done: Promise<void>;
  #isStopped = false;

  constructor(client: Client, topic: string) {
    const producer = client.producer(topic, { lingerMs: 0 });
    const lanes = Array.from({ length: LANES }, () => this.#run(() => producer.send({ value: VALUE })));
    this.done = Promise.all(lanes).then(() => producer.close());
  }

  async #run(send: () => Promise<unknown>): Promise<void> {
    while (!this.#isStopped) {
      await send();
      this.acked += 1;
    }
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return this.done;
  }
}

/** Reads all of a topic, gets a message of a queue and acks it, creates a topic. */
async function goOn(client: Client, topic: string, acked: number): Promise<void> {
  let read = 0;
  for await (const { value } of client.consume(topic, { from: "earliest", until: "end" }))
    if (value?.length === VALUE.length) read += 1;
  expect(read).toBeGreaterThanOrEqual(acked);
  const [message] = await client.queue("q").get(1);
  await message?.ack();
  await until("it is acked", async () => (await client.queue("q").describe()).counts.ready === 0);
  await client.topics.create(`${topic}-more`);
}

test("a disk that runs low holds publishers back above its last bytes, and room lets them go on", async () => {
  using disk = new SmallDisk(96 * MIB);
  const diskFreeBytesMin = 48 * MIB;
  const options = { segmentBytes: 4 * MIB, publishCreditBytes: CREDIT_BYTES, retentionCheckMs: 50, diskFreeBytesMin };
  await using broker = await startBroker({ dataDir: join(disk.path, "data"), ...options });
  await using client = await dial(broker);
  await using publisher = await dial(broker);
  await client.topics.create("t");
  await client.queue("q").declare();
  await client.exchange("").publish("q", "waits");
  const level = (): Promise<number> => gauge(broker.httpPort, 'pressure_level{resource="disk"}');
  const flood = new Flood(publisher, "t");
  await until("publishers are held back", async () => (await level()) > 0, UNTIL_MS);
  await goOn(client, "t", flood.acked);
  const stored = flood.acked;
  // What was on its way and what a window holds is all that came since.
  expect(disk.freeBytes).toBeGreaterThan(diskFreeBytesMin / 8);
  expect(await level()).toBeGreaterThan(0);
  await client.topics.alter("t", { retentionBytes: MIB });
  await until("publishers go on", () => flood.acked > stored + 20);
  await flood.stop();
  expect(await level()).toBe(0);
});

test("with half of that left, what is published all the same is refused, and a producer waits for room", async () => {
  using disk = new SmallDisk(64 * MIB);
  await using broker = await startBroker({ dataDir: join(disk.path, "data"), diskFreeBytesMin: 32 * MIB });
  await using client = await dial(broker);
  using raw = await RawClient.connect(broker.port);
  await client.topics.create("t");
  await client.queue("q").declare();
  await client.exchange("").publish("q", "waits");
  await raw.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
  const head = { publisher: 1, correlation: 0, partition: 0, acks: 2, condition: null };
  const publish = () => publishFrame(raw, encodePublish(head, batchOf(["v"])));
  expect(await publish()).toHaveProperty("offset");
  disk.fill("filler", 52 * MIB);
  await until(
    "publishes are refused",
    async () => (await gauge(broker.httpPort, 'pressure_level{resource="disk"}')) === 2,
  );
  expect(await publish()).toEqual({ error: "low_resources" });
  const transaction = client.transaction((each) => each.publish("", "q", "v"));
  expect(await transaction.catch(({ codeName }) => codeName as string)).toBe("low_resources");
  const messages = `http://127.0.0.1:${broker.httpPort}/api/v1/topics/default/t/messages`;
  const headers = { "content-type": "application/json" };
  expect((await fetch(messages, { method: "POST", headers, body: '{"value": "v"}' })).status).toBe(507);
  const waiting = client.producer("t", { lingerMs: 0 }).send({ value: "later" });
  await goOn(client, "t", 0);
  // The mark itself may be moved while the broker runs; null moves it back.
  const config = (value: number | null): Promise<Response> => {
    const body = JSON.stringify({ diskFreeBytesMin: value });
    return fetch(`http://127.0.0.1:${broker.httpPort}/api/v1/config`, { method: "PATCH", headers, body });
  };
  expect((await config(0)).status).toBe(200);
  expect(await waiting).toMatchObject({ offset: 1 });
  expect((await config(null)).status).toBe(200);
  await until("publishes are refused again", async () => "error" in (await publish()));
  disk.empty("filler");
  await until("publishes are taken again", async () => "offset" in (await publish()));
  expect(await publish()).toHaveProperty("offset");
});

test("memory past its limit holds publishers back, stays where it is, and goes on when it is given back", async () => {
  await using where = await place();
  const limit = 160 * MIB;
  const flags = [
    "--retention-check-ms",
    "100",
    "--memory-bytes-max",
    String(limit),
    "--publish-credit-bytes",
    String(CREDIT_BYTES),
  ];
  await ServerProcess.start(where, [...flags, "--threads", process.env["MILLRACE_TEST_THREADS"] ?? "1"]);
  await using client = await connect(`millrace://127.0.0.1:${where.port}`);
  await using publisher = await connect(`millrace://127.0.0.1:${where.port}`);
  for (const topic of ["t", "u"])
    await client.topics.create(topic, { storage: "memory", segmentBytes: 4 * MIB, memoryBytesMax: 512 * MIB });
  await client.queue("q").declare();
  await client.exchange("").publish("q", "waits");
  const used = (): Promise<number> => gauge(where.httpPort, "memory_bytes");
  const level = (): Promise<number> => gauge(where.httpPort, 'pressure_level{resource="memory"}');
  const flood = new Flood(publisher, "t");
  await until("publishers are held back", async () => (await level()) > 0, UNTIL_MS);
  await goOn(client, "t", flood.acked);
  expect(await used()).toBeLessThan(limit * 1.3);
  const stored = flood.acked;
  expect(stored * VALUE.length).toBeGreaterThan(limit / 4);
  await client.topics.alter("t", { retentionBytes: 4 * MIB });
  await until("publishers go on", () => flood.acked > stored + 20);
  await flood.stop();
}, 60_000);
