import { expect, test } from "bun:test";
import { appendFile, cp, mkdir, open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { commands } from "../cli/run-cli.ts";
import { all, dial, failureOf, startBroker, temporaryFolder, until } from "./harness.ts";

/** Backups of brokers that are in use, restored by the command line, and what brokers find that start on them. */

const { ok, refused } = commands(() => ({}));
const SETTINGS = { segmentBytes: 64 * 1024, retentionCheckMs: 50, checkpointBytes: 64 * 1024 };

/** What is known of work that goes on. */
class Load {
  isOver = false;
  /** Of each partition of `stream`, the value that each acknowledged offset has. */
  readonly acknowledged = [new Map<number, string>(), new Map<number, string>()];
  fed = 0;
  /** Messages of `in` whose move to `mid` was committed. */
  readonly moved = new Set<string>();
  readonly work: Promise<unknown>[] = [];

  static async begin(client: Client): Promise<Load> {
    await client.topics.create("stream", { partitions: 2 });
    await client.topics.create("mid");
    await client.topics.create("short", { retentionBytes: 128 * 1024, segmentBytes: 64 * 1024 });
    await client.topics.create("keyed", { compact: true, segmentBytes: 64 * 1024 });
    await client.queue("in").declare();
    const load = new Load();
    load.work.push(load.#stream(client), load.#feed(client), load.#churn(client), load.#fill(client));
    const moving = client.queue("in").consume(
      async (message) => {
        const value = message.text() ?? "";
        await client.transaction((tx) => {
          tx.send("mid", { value });
          tx.ack(message);
        });
        load.moved.add(value);
      },
      { prefetch: 32, concurrency: 8 },
    );
    load.work.push(until("the load is over", () => load.isOver, 120_000).then(() => moving.close()));
    return load;
  }

  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.work);
  }

  async #stream(client: Client): Promise<void> {
    const producer = client.producer("stream");
    for (let n = 0; !this.isOver; n += 10) {
      const values = Array.from({ length: 10 }, (_, at) => `${n + at}`.padStart(200, "."));
      const sent = await Promise.all(values.map((value) => producer.send({ key: value.slice(-3), value })));
      for (const [at, { partition, offset }] of sent.entries()) {
        this.acknowledged[partition]?.set(offset ?? -1, values[at] ?? "");
      }
    }
    await producer.close();
  }

  async #feed(client: Client): Promise<void> {
    for (let n = 0; !this.isOver; n += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, at) => client.queue("in").publish(`${n + at}`)));
      this.fed = n + 10;
      while (this.fed - this.moved.size > 200 && !this.isOver) await Bun.sleep(2);
    }
  }

  /** Topics that come and go. */
  async #churn(client: Client): Promise<void> {
    for (let n = 0; !this.isOver; n += 1) {
      await client.topics.create(`gone-${n}`, { partitions: 3 });
      const producer = client.producer(`gone-${n}`);
      await Promise.all(Array.from({ length: 9 }, (_, at) => producer.send({ key: `${at}`, value: "x" })));
      await producer.close();
      await client.topics.delete(`gone-${n}`);
      await Bun.sleep(20);
    }
  }

  /** Enough for retention and compaction to have something to do. */
  async #fill(client: Client): Promise<void> {
    const [short, keyed] = [client.producer("short"), client.producer("keyed")];
    for (let n = 0; !this.isOver; n += 1) {
      const value = new Uint8Array(10_000);
      await Promise.all([short.send({ value }), keyed.send({ key: `${n % 5}`, value })]);
      await Bun.sleep(2);
    }
    await Promise.all([short.close(), keyed.close()]);
  }
}

interface Made {
  readonly folder: string;
  /** What had been acknowledged before it began. */
  readonly streamed: readonly ReadonlyMap<number, string>[];
  readonly fed: number;
  readonly moved: ReadonlySet<string>;
}

async function backUp(client: Client, load: Load, name: string): Promise<Made> {
  const streamed = load.acknowledged.map((values) => new Map(values));
  const before = { streamed, fed: load.fed, moved: new Set(load.moved) };
  const run = await client.backups.run({ name });
  expect(run).toMatchObject({ state: "done", error: null });
  expect(run.linkedBytes).toBeGreaterThan(0);
  return { folder: run.folder, ...before };
}

interface Verified {
  partitions: { kind: string; of: string; partition: number; startOffset: number; nextOffset: number }[];
}

async function messagesOf(client: Client, queue: string): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const messages = await client.queue(queue).get(1000);
    if (messages.length === 0) return found;
    for (const message of messages) message.ack();
    found.push(...messages.map((message) => message.text() ?? ""));
  }
}

/** Every acknowledged record up to the stated offsets is there, and the queue's moves happened once or not at all. */
async function check(client: Client, made: Made, { partitions }: Verified, load: Load): Promise<void> {
  for (const [partition, before] of made.streamed.entries()) {
    const stated = partitions.find(({ of, ...found }) => of === "default/stream" && found.partition === partition);
    const end = stated?.nextOffset ?? 0;
    expect(end).toBeGreaterThan(Math.max(-1, ...before.keys()));
    const found = await all(client.consume("stream", { partitions: [partition], from: "earliest", until: "end" }));
    expect(found.map(({ offset }) => offset)).toEqual(Array.from({ length: end }, (_, offset) => offset));
    for (const record of found) {
      const acknowledged = load.acknowledged[partition]?.get(record.offset);
      if (acknowledged !== undefined) expect(record.text()).toBe(acknowledged);
    }
  }
  const mid = (await all(client.consume("mid", { from: "earliest", until: "end" }))).map((record) => record.text());
  const left = await messagesOf(client, "in");
  const numbers = [...mid, ...left].map(Number).sort((a, b) => a - b);
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, n) => n));
  expect(numbers.length).toBeGreaterThanOrEqual(made.fed);
  expect(mid).toEqual(expect.arrayContaining([...made.moved]));
}

test("a backup under load restores to what was acknowledged, with retention, compaction, deletes and transactions under way", async () => {
  await using folder = await temporaryFolder();
  const data = join(folder.path, "data");
  await using broker = await startBroker({ dataDir: data, ...SETTINGS });
  await using client = await dial(broker);
  const load = await Load.begin(client);
  const made: Made[] = [];
  for (const name of ["first", "second"]) {
    const least = load.moved.size + 150;
    await until("messages were moved", () => load.moved.size >= least, 60_000);
    made.push(await backUp(client, load, name));
  }
  await load.end();
  for (const [at, backup] of made.entries()) {
    const verified = JSON.parse(await ok("backup", "verify", backup.folder, "--json")) as Verified;
    const restored = join(folder.path, `restored-${at}`);
    expect(await ok("restore", backup.folder, restored)).toContain(`${restored}: `);
    await using again = await startBroker({ dataDir: restored, ...SETTINGS });
    await using reader = await dial(again);
    await check(reader, backup, verified, load);
    expect((await reader.topics.list()).filter(({ name }) => !name.startsWith("gone-"))).toHaveLength(4);
  }
}, 180_000);

/** A broker with ten records, a queue with messages, and a backup of both. */
async function prepared(path: string): Promise<{ folder: string; data: string; middleMs: number }> {
  const data = join(path, "data");
  await using broker = await startBroker({ dataDir: data });
  await using client = await dial(broker);
  await client.topics.create("t");
  await client.queue("q").declare();
  const send = async (value: string): Promise<void> => {
    await client.producer("t").send({ value });
    await client.queue("q").publish(value);
  };
  for (const value of ["a", "b", "c"]) await send(value);
  const [taken] = await client.queue("q").get(1);
  expect(taken?.text()).toBe("a");
  taken?.ack();
  await until("the ack is taken", async () => (await client.queue("q").describe()).counts.inFlight === 0);
  // It is stored at the end of the turn that took it: the answer to another request is of a later one.
  await client.queue("q").describe();
  const middleMs = Date.now();
  await until("the clock has moved", () => Date.now() > middleMs);
  for (const value of ["d", "e"]) await send(value);
  await client.topics.create("late");
  const { folder } = await client.backups.run({ name: "b" });
  return { folder, data, middleMs };
}

async function contents(broker: Broker): Promise<unknown> {
  await using client = await dial(broker);
  const records = await all(client.consume("t", { from: "earliest", until: "end" }));
  const topics = await client.topics.list();
  return {
    topics: topics.map(({ name }) => name).sort(),
    t: records.map((record) => record.text()).join(""),
    q: (await messagesOf(client, "q")).join(""),
  };
}

test("restore goes to a time, refuses what it cannot do, and leaves nothing half done", async () => {
  await using folder = await temporaryFolder();
  const { folder: backup, data, middleMs } = await prepared(folder.path);
  const [whole, middle] = [join(folder.path, "whole"), join(folder.path, "middle")];
  await ok("restore", backup, whole);
  await using all = await startBroker({ dataDir: whole });
  expect(await contents(all)).toEqual({ topics: ["late", "t"], t: "abcde", q: "bcde" });

  expect(await ok("restore", backup, middle, "--until", new Date(middleMs).toISOString())).toContain(
    "default/t/0 ends at 3; 2 later left out",
  );
  await using some = await startBroker({ dataDir: middle });
  expect(await contents(some)).toEqual({ topics: ["t"], t: "abc", q: "bc" });

  expect(await refused(1, "restore", backup, middle)).toContain("is not empty");
  expect(await refused(2, "restore", backup, join(folder.path, "x"), "--until", "2099-01-01")).toContain(
    "nothing later",
  );
  expect(await refused(4, "restore", data, join(folder.path, "x"))).toContain("no_backup");
  const unfinished = join(folder.path, "unfinished");
  await mkdir(unfinished);
  await writeFile(join(unfinished, "restoring"), "");
  expect(await refused(1, "restore", backup, unfinished)).toContain("did not finish");
  const start = startBroker({ dataDir: unfinished });
  expect((await failureOf(start)).message).toContain("a restore into");
}, 60_000);

test("a snapshot that is later than the time is refused, and the folder is empty again", async () => {
  await using folder = await temporaryFolder();
  const data = join(folder.path, "data");
  const { middleMs } = await prepared(folder.path);
  // The stop has written a snapshot of the queues.
  await using broker = await startBroker({ dataDir: data });
  await using client = await dial(broker);
  const { folder: backup } = await client.backups.run();
  const target = join(folder.path, "target");
  const time = new Date(middleMs).toISOString();
  expect(await refused(1, "restore", backup, target, "--until", time)).toContain("the queues of default");
  expect(await readdir(target)).toEqual([]);
}, 60_000);

test("verify finds a changed byte, a missing file, a longer manifest and a path that leads out", async () => {
  await using folder = await temporaryFolder();
  const { folder: backup } = await prepared(folder.path);
  await ok("backup", "verify", backup);
  const logs = await readdir(join(backup, "logs"));
  const topic = join("logs", String(Math.max(...logs.map(Number).filter((id) => id < 17))), "0");
  const segment = join(topic, `${"0".repeat(20)}.log`);
  const copy = join(folder.path, "copy");
  const damage = async (work: () => Promise<unknown>): Promise<string> => {
    await rm(copy, { recursive: true, force: true });
    await cp(backup, copy, { recursive: true });
    await work();
    return await refused(1, "backup", "verify", copy);
  };
  const changed = async (): Promise<void> => {
    await using file = await open(join(copy, segment), "r+");
    await file.write(Buffer.from("?"), 0, 1, 66);
  };
  expect(await damage(changed)).toContain("position 0 (default/t/0): the batch's CRC is wrong");
  expect(await damage(() => rm(join(copy, segment)))).toContain("does not exist");
  expect(await damage(() => writeFile(join(copy, "epoch"), "123456"))).toContain("backup_damaged");
  expect(await damage(() => appendFile(join(copy, "manifest.json"), "x"))).toContain("manifest.json");
  const edited = async (): Promise<void> => {
    const text = await Bun.file(join(copy, "manifest.json")).text();
    await writeFile(join(copy, "manifest.json"), text.replace('"format":1', '"format":0'));
  };
  expect(await damage(edited)).toContain("its checksum is not that of its content");
}, 60_000);

test("names are folders of backupDir and no others; a second backup of a name is refused", async () => {
  await using folder = await temporaryFolder();
  const backupDir = join(folder.path, "elsewhere");
  await using broker = await startBroker({ dataDir: join(folder.path, "data"), backupDir });
  await using client = await dial(broker);
  for (const name of ["../out", "a/b", "/tmp/x", "", ".", "..", "-x", "a\0b", "x".repeat(129), "a.partial"]) {
    expect((await failureOf(client.backups.begin(name))).message).toContain("name must");
  }
  await mkdir(join(backupDir, "left.partial"), { recursive: true });
  const url = ["--url", `millrace://127.0.0.1:${broker.port}`];
  expect(await ok("backup", "nightly", ...url)).toStartWith(`${join(backupDir, "nightly")}: `);
  expect(await refused(1, "backup", "nightly", ...url)).toContain("backup_exists");
  const { backups, unfinished, run } = await client.backups.status();
  expect(backups).toMatchObject([{ name: "nightly", folder: join(backupDir, "nightly") }]);
  expect(unfinished).toEqual(["left.partial"]);
  expect(run).toMatchObject({ name: "nightly", state: "done" });
  expect((await readdir(backupDir)).sort()).toEqual(["left.partial", "nightly"]);
});

test("a broker in memory refuses backups", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  expect((await failureOf(client.backups.begin())).message).toContain("has nothing to back up");
});
