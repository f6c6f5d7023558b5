import { expect, test } from "bun:test";
import { type Client, type GroupConsumer, isMillraceError } from "../../src/client/index.ts";
import { Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, RawConnection, startBroker, take, temporaryFolder, textOf, until } from "./harness.ts";

const FAST = { from: "earliest", sessionTimeoutMs: 600, autoCommitMs: 30 } as const;

/** Reads on in the background and remembers what came. */
function collect(consumer: GroupConsumer): { seen: string[]; done: Promise<void> } {
  const seen: string[] = [];
  const done = (async () => {
    for await (const { value } of consumer) seen.push(textOf(value));
  })().catch(() => undefined);
  return { seen, done };
}

async function filled(broker: Broker, topic: string, partitions: number, count: number): Promise<Client> {
  const client = await dial(broker);
  await client.topics.create(topic, { partitions });
  await fill(client, topic, partitions, 0, count);
  return client;
}

async function fill(client: Client, topic: string, partitions: number, from: number, count: number): Promise<void> {
  const producer = client.producer(topic);
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      producer.send({ partition: index % partitions, value: String(from + index) }),
    ),
  );
}

async function codeOf(promise: PromiseLike<unknown>): Promise<string> {
  return promise.then(
    () => "no error",
    (error: unknown) => (isMillraceError(error) ? error.codeName : String(error)),
  );
}

test("a group of three shares the partitions evenly, and a member that leaves gives its share to the others", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 8, 0);
  const clients = await Promise.all([1, 2, 3].map(() => dial(broker)));
  const members = clients.map((each) => each.group("g").consume("t", FAST));
  const readers = members.map(collect);
  await until("8 partitions are shared", () => {
    const sizes = members.map(({ assignment }) => assignment.length).sort();
    return sizes.join() === "2,3,3";
  });
  const keptBefore = members[1]?.assignment.map(({ partition }) => partition) ?? [];
  await members[0]?.close();
  await until("two share", () => (members[1]?.assignment.length ?? 0) + (members[2]?.assignment.length ?? 0) === 8);
  const keptAfter = new Set(members[1]?.assignment.map(({ partition }) => partition));
  expect(keptBefore.every((partition) => keptAfter.has(partition))).toBe(true);
  await fill(client, "t", 8, 0, 80);
  await until("all is read", () => readers.reduce((sum, { seen }) => sum + seen.length, 0) === 80);
  await Promise.all(clients.map((each) => each.close()));
});

test("a member whose connection breaks is replaced after its session timeout, and nothing is lost", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 4, 400);
  using dead = await RawConnection.open(broker.port);
  await dead.hello();
  await dead.ask(Op.SUBSCRIBE, 1, { group: "g", topics: ["t"], creditBytes: 1_000_000, sessionTimeoutMs: 500 });
  await dead.frame("ASSIGNMENT", ({ op }) => op === Op.ASSIGNMENT);
  dead.end();
  const reader = collect(client.group("g").consume("t", FAST));
  await until("the survivor reads all", () => new Set(reader.seen).size === 400);
});

test("a member that stops its heartbeats is expelled though its connection lives", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 2, 20);
  using silent = await RawConnection.open(broker.port);
  await silent.hello();
  const joined = (await silent.ask(Op.SUBSCRIBE, 1, {
    group: "g",
    topics: ["t"],
    creditBytes: 1_000_000,
    sessionTimeoutMs: 300,
  })) as { member: string; generation: number };
  const ended = await silent.frame("SOURCE_END", ({ op }) => op === Op.SOURCE_END);
  expect(ended.args[3]).toBe(161);
  const heartbeat = silent.ask(Op.GROUP_HEARTBEAT, { group: "g", ...joined });
  expect(await heartbeat.then(String, String)).toContain("member_unknown");
  const reader = collect(client.group("g").consume("t", FAST));
  await until("the next member reads all", () => reader.seen.length === 20);
});

test("committed offsets survive a restart, with their metadata", async () => {
  await using folder = await temporaryFolder();
  {
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await filled(broker, "t", 1, 10);
    const consumer = client.group("g").consume("t", { ...FAST, autoCommit: false });
    for await (const message of consumer) {
      if (message.offset !== 3) continue;
      await consumer.commit(message, { metadata: "half way" });
      break;
    }
  }
  await using broker = await startBroker({ dataDir: folder.path });
  await using client = await dial(broker);
  expect(await client.group("g").offsets()).toMatchObject([
    { topic: "t", partition: 0, offset: 4, metadata: "half way", lag: 6 },
  ]);
  const rest = await take(6, client.group("g").consume("t", FAST));
  expect(rest.map(({ value }) => textOf(value))).toEqual(["4", "5", "6", "7", "8", "9"]);
});

test("a connection that comes back as the same member keeps its partitions without a rebalance", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 4, 0);
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  const request = { group: "g", topics: ["t"], creditBytes: 1_000_000, sessionTimeoutMs: 5000 };
  const first = (await raw.ask(Op.SUBSCRIBE, 1, request)) as { member: string };
  const before = await raw.frame("ASSIGNMENT", ({ op }) => op === Op.ASSIGNMENT);
  raw.end();
  using again = await RawConnection.open(broker.port);
  await again.hello();
  expect(await again.ask(Op.SUBSCRIBE, 1, { ...request, member: first.member })).toMatchObject({
    member: first.member,
  });
  const after = await again.frame("ASSIGNMENT", ({ op }) => op === Op.ASSIGNMENT);
  const partitions = (args: unknown[]): unknown[] =>
    (args[2] as unknown[][]).map(([, topic, partition]) => [topic, partition]);
  expect(partitions(after.args)).toEqual(partitions(before.args));
  expect((await client.group("g").describe())["members"]).toHaveLength(1);
});

test("a static member that restarts takes its place again, and fences a second one of its name", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 4, 0);
  using first = await RawConnection.open(broker.port);
  await first.hello();
  const request = { group: "g", topics: ["t"], creditBytes: 1000, sessionTimeoutMs: 5000 };
  await first.ask(Op.SUBSCRIBE, 1, { ...request, instance: "host-1" });
  using other = await RawConnection.open(broker.port);
  await other.hello();
  await other.ask(Op.SUBSCRIBE, 1, { ...request, instance: "host-2" });
  const revoked = await first.frame(
    "a revocation",
    ({ op, args }) => op === Op.ASSIGNMENT && (args[3] as unknown[]).length > 0,
  );
  await first.ask(Op.RELEASE, { sub: 1, generation: revoked.args[1], sources: revoked.args[3] });
  await other.frame("ASSIGNMENT", ({ op }) => op === Op.ASSIGNMENT);
  const heard = other.frames.length;
  first.sendFrame(Op.GOODBYE, 0, "restart");
  using second = await RawConnection.open(broker.port);
  await second.hello();
  await second.ask(Op.SUBSCRIBE, 1, { ...request, instance: "host-1" });
  const back = await second.frame("ASSIGNMENT", ({ op }) => op === Op.ASSIGNMENT);
  expect((back.args[2] as unknown[]).length).toBe(2);
  expect(other.frames.slice(heard).filter(({ op }) => op === Op.ASSIGNMENT)).toEqual([]);
  using third = await RawConnection.open(broker.port);
  await third.hello();
  await third.ask(Op.SUBSCRIBE, 1, { ...request, instance: "host-1" });
  const fenced = await second.frame("SOURCE_END", ({ op }) => op === Op.SOURCE_END);
  expect(fenced.args[3]).toBe(164);
  expect((await client.group("g").describe())["members"]).toHaveLength(2);
});

test("commits are fenced: strangers, past owners and outsiders of a group with members are refused", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 1, 10);
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  const request = { group: "g", topics: ["t"], creditBytes: 1000, sessionTimeoutMs: 5000 };
  const joined = (await raw.ask(Op.SUBSCRIBE, 1, request)) as { member: string; generation: number };
  const commit = (fields: object, offset = 5): Promise<string> =>
    raw.ask(Op.COMMIT, { group: "g", offsets: [["t", 0, offset, null]], ...fields }).then(() => "ok", String);
  expect(await commit(joined)).toBe("ok");
  expect(await commit({ member: "stranger" })).toContain("member_unknown");
  expect(await commit({})).toContain("group_not_empty");
  expect(await commit({ ...joined, generation: joined.generation + 1 })).toContain("generation_stale");
  expect(await commit(joined, 11)).toContain("offset_out_of_range");
  expect(
    await raw.ask(Op.COMMIT, { group: "g", ...joined, offsets: [["no", 0, 1, null]] }).then(String, String),
  ).toContain("generation_stale");
  await raw.ask(Op.UNSUBSCRIBE, 1);
  expect(await commit({})).toBe("ok");
  expect((await client.group("g").offsets())[0]?.offset).toBe(5);
});

test("an empty group can be reset to any position, and deleted; one with members cannot", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t", { partitions: 1 });
  const producer = client.producer("t");
  for (let index = 0; index < 10; index += 1) await producer.send({ value: "x", timestamp: 1000 + index });
  const group = client.group("g");
  expect(await codeOf(group.describe())).toBe("group_not_found");
  const consumer = group.consume("t", FAST);
  await take(10, consumer);
  await until("the group is empty", async () => (await group.describe())["state"] === "empty");
  const offset = async (): Promise<number | undefined> => (await group.offsets())[0]?.offset;
  await group.reset("t", "earliest");
  expect(await offset()).toBe(0);
  await group.reset("t", { offset: 4 });
  expect(await offset()).toBe(4);
  await group.reset("t", { timestamp: 1006 });
  expect(await offset()).toBe(6);
  await group.reset("t", "latest");
  expect(await offset()).toBe(10);
  expect(await codeOf(group.reset("t", { offset: 11 }))).toBe("offset_out_of_range");
  expect(await codeOf(group.reset("no", "latest"))).toBe("topic_not_found");
  const member = group.consume("t", FAST);
  const reading = collect(member);
  await until("it has a member", async () => ((await group.describe())["members"] as unknown[]).length === 1);
  expect(await codeOf(group.reset("t", "latest"))).toBe("group_not_empty");
  expect(await codeOf(group.delete())).toBe("group_not_empty");
  await member.close();
  await reading.done;
  await group.delete();
  expect(await codeOf(group.describe())).toBe("group_not_found");
});

test("lag is told in messages and in the age of the first record that was not committed", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  const producer = client.producer("t");
  const now = Date.now();
  for (let index = 0; index < 10; index += 1)
    await producer.send({ value: "x", timestamp: now - 60_000 + index * 1000 });
  await client.group("g").commit([{ topic: "t", partition: 0, offset: 4 }]);
  const [row] = await client.group("g").offsets();
  expect(row?.lag).toBe(6);
  expect(row?.lagMs).toBeGreaterThanOrEqual(56_000);
  expect(row?.lagMs).toBeLessThan(70_000);
  await client.group("g").commit([{ topic: "t", partition: 0, offset: 10 }]);
  expect(await client.group("g").offsets()).toMatchObject([{ lag: 0, lagMs: 0 }]);
  const metrics = await (await fetch(`http://127.0.0.1:${broker.httpPort}/metrics`)).text();
  expect(metrics).toContain('millrace_group_lag{namespace="default",group="g",topic="t"} 0');
});

test("groups follow topics that grow, come and go", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 1, 0);
  const consumer = client.group("g").consume(["t", "u"], FAST);
  const reader = collect(consumer);
  await until("it has t/0", () => consumer.assignment.length === 1);
  await client.topics.alter("t", { partitions: 3 });
  await until("it has all of t", () => consumer.assignment.length === 3);
  await client.topics.create("u", { partitions: 2 });
  await until("it has u too", () => consumer.assignment.length === 5);
  await fill(client, "u", 2, 0, 10);
  await until("u is read", () => reader.seen.length === 10);
  await client.topics.delete("u");
  await fill(client, "t", 3, 0, 30);
  await until("t is read on", () => reader.seen.length === 40);
  expect((await client.group("g").describe())["state"]).toBe("stable");
});

test("groups of all workers are listed together", async () => {
  await using broker = await startBroker();
  await using client = await filled(broker, "t", 1, 1);
  const names = Array.from({ length: 12 }, (_, index) => `group-${String(index).padStart(2, "0")}`);
  await Promise.all(names.map((name) => client.group(name).commit([{ topic: "t", partition: 0, offset: 1 }])));
  expect((await client.groups.list()).map(({ group }) => group)).toEqual(names);
});
