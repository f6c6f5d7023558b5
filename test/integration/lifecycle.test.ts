import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, isMillraceError } from "../../src/client/index.ts";
import { Op } from "../../src/protocol/index.ts";
import { Broker } from "../../src/server/index.ts";
import { all, dial, RawConnection, startBroker, temporaryFolder, textOf, THREADS, until } from "./harness.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

async function codeOf(promise: PromiseLike<unknown>): Promise<string> {
  return promise.then(
    () => "no error",
    (error: unknown) => (isMillraceError(error) ? error.codeName : String(error)),
  );
}

test("a stop acknowledges what is in flight, says goodbye, and leaves everything for the next start", async () => {
  await using folder = await temporaryFolder();
  const broker = await startBroker({ dataDir: folder.path });
  const client = await dial(broker, { reconnect: { enabled: false } });
  await client.topics.create("t", { partitions: 2, durability: "synced" });
  const producer = client.producer("t", { acks: "synced" });
  await producer.ready();
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  const sent = Array.from({ length: 500 }, (_, index) => producer.send({ value: String(index) }));
  // Until the frames are with the broker: what it has taken in, it has to answer.
  await sent[0];
  const stopping = broker.stop();
  const results = await Promise.allSettled(sent);
  await stopping;
  expect(await raw.goodbye()).toBe(8);
  await client.close();
  const acknowledged = results.filter(({ status }) => status === "fulfilled").length;
  expect(acknowledged).toBeGreaterThan(0);
  await using again = await startBroker({ dataDir: folder.path });
  expect(again.recovery).toMatchObject({ clean: true, scannedBytes: 0 });
  await using reader = await dial(again);
  const read = await all(reader.consume("t", { from: "earliest", until: "end" }));
  expect(read.length).toBeGreaterThanOrEqual(acknowledged);
});

test("topics, their settings and their records are there after a restart; deleted ones are not", async () => {
  await using folder = await temporaryFolder();
  {
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await dial(broker);
    await client.topics.create("kept", { partitions: 2, messageBytesMax: 5000 });
    await client.topics.create("gone");
    await client.producer("kept").send({ partition: 1, key: "k", value: "v" });
    await client.topics.alter("kept", { partitions: 3 });
    await client.topics.delete("gone");
  }
  await using broker = await startBroker({ dataDir: folder.path });
  await using client = await dial(broker);
  expect(await client.topics.list()).toMatchObject([{ name: "kept", partitions: 3 }]);
  expect(await client.topics.describe("kept")).toMatchObject({ config: { messageBytesMax: 5000 } });
  const read = await all(client.consume("kept", { from: "earliest", until: "end" }));
  expect(read.map(({ partition, value }) => [partition, textOf(value)])).toEqual([[1, "v"]]);
  await client.topics.create("gone");
  expect((await client.topics.offsets("gone", "latest"))[0]?.offset).toBe(0);
});

test("metadata is compacted and still read after many changes and restarts", async () => {
  await using folder = await temporaryFolder();
  for (let round = 0; round < 3; round += 1) {
    await using broker = await startBroker({ dataDir: folder.path, retentionCheckMs: 20 });
    await using client = await dial(broker);
    await client.topics.create("t", { ifNotExists: true });
    for (let change = 0; change < 30; change += 1)
      await client.topics.alter("t", { retentionMs: 1000 + round * 100 + change });
    await client.topics.create(`t${round}`);
    expect((await client.topics.list()).length).toBe(2 + round);
  }
});

test("a data directory in use, or of a newer format, is refused with what to do", async () => {
  await using folder = await temporaryFolder();
  {
    await using broker = await startBroker({ dataDir: folder.path });
    expect(broker.port).toBeGreaterThan(0);
    expect(await codeOf(startBroker({ dataDir: folder.path }))).toBe("data_dir_locked");
  }
  await writeFile(join(folder.path, "format"), "9999\n");
  expect(["format_too_new", "bad_format"]).toContain(await codeOf(startBroker({ dataDir: folder.path })));
});

test("wrong settings are refused before anything is opened", async () => {
  expect(await codeOf(Broker.start({ threads: 0 }))).toBe("invalid_config");
  expect(await codeOf(Broker.start({ host: "0.0.0.0" }))).toBe("invalid_config");
});

test("two brokers live in one process, each with its own data", async () => {
  await using one = await startBroker();
  await using two = await startBroker();
  await using toOne = await dial(one);
  await using toTwo = await dial(two);
  await toOne.topics.create("t");
  expect(await toTwo.topics.list()).toEqual([]);
});

test("with a clock of its own an embedded broker stamps records and ends sessions by it", async () => {
  await using broker = await startBroker({ manualClockMs: 1_000_000, heartbeatMs: 600_000 });
  await using client = await dial(broker);
  await client.topics.create("t", { timestampType: "append" });
  await client.producer("t").send({ value: "x", timestamp: 5 });
  const [message] = await all(client.consume("t", { from: "earliest", until: "end" }));
  expect(message?.timestamp).toBe(1_000_000);
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  await raw.ask(Op.SUBSCRIBE, 1, { group: "g", topics: ["t"], creditBytes: 1000, sessionTimeoutMs: 60_000 });
  await raw.frame("ASSIGNMENT", ({ op }) => op === Op.ASSIGNMENT);
  broker.setClock(1_000_000 + 60_001);
  const end = await raw.frame("SOURCE_END", ({ op }) => op === Op.SOURCE_END);
  expect(end.args[3]).toBe(161);
});

test("a half-open connection is found by its silence", async () => {
  await using broker = await startBroker();
  using raw = await RawConnection.open(broker.port);
  const { heartbeatMs } = await raw.hello({ heartbeatMs: 100 });
  expect(heartbeatMs).toBe(100);
  await raw.frame("a PING", ({ op }) => op === Op.PING);
  expect(await raw.goodbye()).toBe(16);
});

test("SIGTERM ends the process well, and health tells the phases", async () => {
  await using folder = await temporaryFolder();
  const served = await serve(folder.path);
  const health = async (path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${served.httpPort}/health/${path}`)).status;
  expect(await health("live")).toBe(200);
  expect(await health("ready")).toBe(200);
  const client = await connect(`millrace://127.0.0.1:${served.port}`);
  await client.topics.create("t");
  await client.producer("t").send({ value: "x" });
  served.process.kill("SIGTERM");
  expect(await served.process.exited).toBe(0);
  await client.close();
  await using broker = await startBroker({ dataDir: folder.path });
  expect(broker.recovery.clean).toBe(true);
});

test("kill -9 loses nothing that was written, and the next start says what it found", async () => {
  await using folder = await temporaryFolder();
  const served = await serve(folder.path);
  const client = await connect(`millrace://127.0.0.1:${served.port}`, { reconnect: { enabled: false } });
  await client.topics.create("t");
  const producer = client.producer("t");
  for (let index = 0; index < 100; index += 1) await producer.send({ value: String(index) });
  served.process.kill("SIGKILL");
  await served.process.exited;
  await client.close();
  await using broker = await startBroker({ dataDir: folder.path });
  expect(broker.recovery.clean).toBe(false);
  expect(broker.recovery.epoch).toBe(2);
  await using reader = await dial(broker);
  expect((await all(reader.consume("t", { from: "earliest", until: "end" }))).length).toBe(100);
});

/** `millrace serve` as a process, once it serves. */
async function serve(dataDir: string): Promise<{ process: Bun.Subprocess; port: number; httpPort: number }> {
  const words = ["serve", "--port", "0", "--http-port", "0", "--data-dir", dataDir, "--threads", String(THREADS)];
  const child = Bun.spawn([process.execPath, MAIN, ...words], { stdout: "ignore", stderr: "pipe" });
  const lines: Record<string, unknown>[] = [];
  void (async () => {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) lines.push(JSON.parse(part) as Record<string, unknown>);
    }
  })();
  const line = await until("the server serves", () => lines.find(({ message }) => message === "serving"));
  return { process: child, port: line["port"] as number, httpPort: line["httpPort"] as number };
}
