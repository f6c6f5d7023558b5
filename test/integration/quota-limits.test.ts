/** Quotas of what is counted: connections, topics, queues, stored bytes. Past them something is refused, and only there. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { commands } from "../cli/run-cli.ts";
import { codeOf, dial, startBroker, until } from "./harness.ts";

let broker: Broker;
let free: Client;

beforeAll(async () => {
  broker = await startBroker({ segmentBytes: 256 * 1024, retentionCheckMs: 20 });
  free = await dial(broker);
});

afterAll(async () => {
  await free.close();
  await broker.stop();
});

async function usedOf(name: string): Promise<Record<string, number>> {
  const found = (await free.quotas.list()).find((quota) => quota.name === name);
  return { ...found?.used };
}

test("connections past a namespace's quota are refused until one closes, those of others are not", async () => {
  const namespace = "few-connections";
  await free.quotas.put({ kind: "namespace", name: namespace, connectionsMax: 2 });
  const first = await dial(broker, { namespace });
  await using second = await dial(broker, { namespace });
  expect(await usedOf(namespace)).toMatchObject({ connections: 2 });
  expect(await codeOf(dial(broker, { namespace, connectTimeoutMs: 300 }))).toBe("quota_exceeded");
  await using other = await dial(broker, { namespace: "other" });
  await other.topics.create("t");
  await first.close();
  await until("its place is free", async () => (await usedOf(namespace))["connections"] === 1);
  await using third = await dial(broker, { namespace });
  expect(await third.topics.list()).toEqual([]);
  expect(await second.topics.list()).toEqual([]);
});

test("connections that are there when a quota comes stay, and count", async () => {
  const namespace = "late-quota";
  await using first = await dial(broker, { namespace });
  await using second = await dial(broker, { namespace });
  await free.quotas.put({ kind: "namespace", name: namespace, connectionsMax: 1 });
  await until("both count", async () => (await usedOf(namespace))["connections"] === 2);
  expect(await codeOf(dial(broker, { namespace, connectTimeoutMs: 300 }))).toBe("quota_exceeded");
  for (const client of [first, second]) expect(await client.topics.list()).toEqual([]);
  await free.quotas.delete({ kind: "namespace", name: namespace });
  await using third = await dial(broker, { namespace });
  expect(await third.topics.list()).toEqual([]);
});

test("topics and queues past a namespace's quota are refused, and deleting one makes room", async () => {
  const namespace = "few-things";
  await free.quotas.put({ kind: "namespace", name: namespace, topicsMax: 2, queuesMax: 1 });
  await using client = await dial(broker, { namespace });
  for (const name of ["a", "b"]) await client.topics.create(name);
  expect(await codeOf(client.topics.create("c"))).toBe("quota_exceeded");
  await client.queue("q").declare();
  // Declared again, it is the same queue.
  await client.queue("q").declare();
  expect(await codeOf(client.queue("r").declare())).toBe("quota_exceeded");
  expect(await usedOf(namespace)).toMatchObject({ topics: 2, queues: 1 });
  await client.topics.delete("a");
  await client.topics.create("c");
  await client.queue("q").delete();
  await client.queue("r").declare();
});

test("a user's quota counts what the user created, in whatever namespace", async () => {
  const quota = { kind: "user", name: "anonymous", topicsMax: 0 } as const;
  await using client = await dial(broker, { namespace: "of-a-user" });
  await client.topics.create("before");
  const { topics = 0 } = await free.quotas.put(quota).then(() => usedOf("anonymous"));
  expect(topics).toBeGreaterThan(0);
  expect(await codeOf(client.topics.create("t"))).toBe("quota_exceeded");
  expect(await codeOf(free.topics.create("of-a-user"))).toBe("quota_exceeded");
  await free.quotas.delete(quota);
  await client.topics.create("t");
});

test("a user has a quota under any name that a token or a certificate may give", async () => {
  for (const name of ["maria@example.org", "CN=Maria M. 100%"]) {
    const quota = { kind: "user", name, connectionsMax: 3 } as const;
    await free.quotas.put(quota);
    expect(await free.quotas.list()).toContainEqual(expect.objectContaining(quota));
    expect(await free.quotas.delete(quota)).toBe(true);
    expect(await free.quotas.delete(quota)).toBe(false);
  }
});

test("past a quota of storage publishes are refused, reads and acks go on, and room lets them go on", async () => {
  const namespace = "little-room";
  const MIB = 1024 * 1024;
  await using client = await dial(broker, { namespace });
  await client.topics.create("t");
  await client.queue("q").declare();
  await client.exchange("").publish("q", "waits");
  await free.quotas.put({ kind: "namespace", name: namespace, storageBytesMax: 2 * MIB });
  const value = "v".repeat(64 * 1024);
  await using once = client.producer("t", { lingerMs: 0, deliveryTimeoutMs: 200 });
  let stored = 0;
  const refusal = await codeOf(
    (async () => {
      for (;;) {
        await once.send({ value });
        stored += 1;
      }
    })(),
  );
  expect(["quota_exceeded", "timeout"]).toContain(refusal);
  expect(stored * value.length).toBeGreaterThanOrEqual(MIB);
  expect(await codeOf(client.transaction((transaction) => transaction.publish("", "q", value)))).toBe("quota_exceeded");
  // What is there is read, and acked.
  const read = await Array.fromAsync(client.consume("t", { from: "earliest", until: "end" }));
  expect(read.length).toBeGreaterThanOrEqual(stored);
  const pulled = await client.queue("q").get(1);
  for (const message of pulled) await message.ack();
  await until("nothing waits", async () => (await client.queue("q").describe()).counts.ready === 0);
  // Others publish as before.
  await free.topics.create("free");
  await free.producer("free").send({ value });
  // A producer waits, and goes on when retention has made room.
  const waiting = client.producer("t", { lingerMs: 0 }).send({ value: "after" });
  await client.topics.alter("t", { retentionBytes: 256 * 1024 });
  expect(await waiting).toHaveProperty("offset");
});

test("the command line sets and shows these limits", async () => {
  const { ok, refused } = commands(() => ({ MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` }));
  const of = ["--of-namespace", "cli"];
  await ok("quota", "set", ...of, "--connections", "7", "--storage", "10GiB", "--topics", "3", "--queues", "0");
  const listed = await ok("quota", "list");
  for (const shown of ["0/7", "0 B/10.0 GiB", "0/3", "0/0"]) expect(listed).toContain(shown);
  expect(await refused(2, "quota", "set", ...of, "--connections", "0")).toContain("--connections");
});
