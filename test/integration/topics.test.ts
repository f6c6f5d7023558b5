import { expect, test } from "bun:test";
import { isMillraceError } from "../../src/client/index.ts";
import { Op } from "../../src/protocol/index.ts";
import { all, dial, RawConnection, startBroker, textOf, until } from "./harness.ts";

async function errorOf(promise: PromiseLike<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isMillraceError(error)) return `${error.codeName}: ${error.message}`;
    throw error;
  }
  return "no error";
}

test("a topic is created, described, listed, altered and deleted", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  const created = await client.topics.create("stock/AAPL", { partitions: 3, retentionMs: 60_000 });
  expect(created).toMatchObject({ created: true, name: "stock/AAPL", partitions: 3 });
  await client.topics.create("orders.eu.created");
  expect((await client.topics.list()).map(({ name }) => name)).toEqual(["orders.eu.created", "stock/AAPL"]);
  expect((await client.topics.list({ pattern: "stock/*" })).map(({ name }) => name)).toEqual(["stock/AAPL"]);
  expect((await client.topics.list({ limit: 1 })).length).toBe(2);
  await client.topics.alter("stock/AAPL", { partitions: 5, compact: true });
  const described = await client.topics.describe("stock/AAPL");
  expect(described).toMatchObject({
    partitions: 5,
    config: { retentionMs: 60_000, compact: true, durability: "written" },
  });
  expect((described["offsets"] as unknown[]).length).toBe(5);
  await client.topics.delete("stock/AAPL");
  expect(await errorOf(client.topics.describe("stock/AAPL"))).toContain("topic_not_found");
});

test("wrong topics are refused with the name of what is wrong", async () => {
  await using broker = await startBroker({ partitionsPerTopicMax: 16, partitionsMax: 20, topicsMax: 3 });
  await using client = await dial(broker);
  const create = (name: string, options: object = {}): Promise<string> => errorOf(client.topics.create(name, options));
  expect(await create("a b")).toContain("invalid_topic_name");
  expect(await create("__internal")).toContain("invalid_topic_name");
  expect(await create("a//b")).toContain("invalid_topic_name");
  expect(await create("a/../b")).toContain("invalid_topic_name");
  expect(await create("x".repeat(250))).toContain("invalid_topic_name");
  expect(await create("t", { segmentBytes: 5 })).toContain("segmentBytes must be an integer from 65536");
  expect(await create("t", { retentionDays: 5 })).toContain("retentionDays is no topic setting");
  expect(await create("t", { durability: "eternal" })).toContain("durability must be one of memory, written, synced");
  expect(await create("t", { storage: "memory", compact: true })).toContain("compact must be false");
  expect(await create("t", { partitions: 17 })).toContain("partitions must be an integer from 1 to 16");
  expect(await create("t", { partitions: 4 })).toBe("no error");
  expect(await create("t")).toContain("topic_exists");
  expect(await create("t", { ifNotExists: true })).toBe("no error");
  expect(await errorOf(client.topics.alter("t", { partitions: 2 }))).toContain("never shrink");
  expect(await create("u", { partitions: 16 })).toBe("no error");
  expect(await create("v")).toContain("partitionsMax");
});

test("namespaces keep topics of the same name apart", async () => {
  await using broker = await startBroker();
  await using one = await dial(broker, { namespace: "one" });
  await using two = await dial(broker, { namespace: "two" });
  await one.topics.create("t");
  expect(await two.topics.list()).toEqual([]);
  await two.topics.create("t");
  await one.producer("t").send({ value: "1" });
  expect(await all(two.consume("t", { from: "earliest", until: "end" }))).toEqual([]);
  expect((await all(one.consume("t", { from: "earliest", until: "end" }))).map(({ value }) => textOf(value))).toEqual([
    "1",
  ]);
});

test("what one connection creates, every other connection can use at once, whatever thread serves it", async () => {
  await using broker = await startBroker();
  const clients = await Promise.all(Array.from({ length: 6 }, () => dial(broker)));
  for (const [index, client] of clients.entries()) {
    await client.topics.create(`t${index}`);
    await Promise.all(clients.map((other) => other.topics.describe(`t${index}`)));
  }
  await Promise.all(clients.map((client) => client.close()));
});

test("many connections creating the same topic at once make one", async () => {
  await using broker = await startBroker();
  const clients = await Promise.all(Array.from({ length: 8 }, () => dial(broker)));
  const results = await Promise.all(clients.map((client) => errorOf(client.topics.create("same"))));
  expect(results.filter((result) => result === "no error").length).toBe(1);
  expect(results.filter((result) => result.startsWith("topic_exists")).length).toBe(7);
  await Promise.all(clients.map((client) => client.close()));
});

test("deleting a topic ends its readers with topic_deleted, and its name can be used again from offset 0", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  await client.producer("t").send({ value: "old" });
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  await raw.ask(Op.SUBSCRIBE, 1, { topic: "t", from: "latest", creditBytes: 1000 });
  await client.topics.delete("t");
  const end = await raw.frame("SOURCE_END", ({ op }) => op === Op.SOURCE_END);
  expect(end.args[3]).toBe(105);
  await client.topics.create("t");
  expect(await client.topics.offsets("t", "latest")).toEqual([{ partition: 0, offset: 0, timestamp: null }]);
});

test("new partitions reach those who follow the topic", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t", { partitions: 1 });
  const reader = client.consume("t", { from: "latest" });
  const seen: number[] = [];
  const reading = (async () => {
    for await (const { partition } of reader) {
      seen.push(partition);
      if (seen.length === 4) break;
    }
  })();
  await using writer = await dial(broker);
  await until("the reader reads", async () => {
    await writer.producer("t").send({ partition: 0, value: "x" });
    return seen.length > 0;
  });
  await writer.topics.alter("t", { partitions: 3 });
  const producer = writer.producer("t");
  await producer.send({ partition: 2, value: "x" });
  await until("partition 2 is read", () => seen.includes(2));
  for (let more = seen.length; more < 4; more += 1) await producer.send({ partition: 1, value: "x" });
  await reading;
});

test("offsets are found by time", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  const producer = client.producer("t");
  for (let index = 0; index < 5; index += 1) await producer.send({ value: "x", timestamp: 1000 + index * 10 });
  expect(await client.topics.offsets("t", "earliest")).toEqual([{ partition: 0, offset: 0, timestamp: 1000 }]);
  expect(await client.topics.offsets("t", "latest")).toEqual([{ partition: 0, offset: 5, timestamp: null }]);
  expect((await client.topics.offsets("t", { timestamp: 1015 }))[0]?.offset).toBe(2);
  expect((await client.topics.offsets("t", { timestamp: 2000 }))[0]?.offset).toBe(5);
});
