/** Permissions over sockets: every way to a topic, queue, exchange, group, subject or transform, and what is open already. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Client,
  type ClientOptions,
  isMillraceError,
  type PermissionOperation,
  type PermissionResource,
} from "../../src/client/index.ts";
import { Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, startBroker, temporaryFolder, textOf, THREADS, until } from "./harness.ts";

const PASSWORD = "correct horse battery";
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let broker: Broker;
let admin: Client;
let made = 0;
const opened: Client[] = [];

const as = (user: string, options: ClientOptions = {}): Promise<Client> =>
  dial(broker, { auth: { user, password: PASSWORD }, reconnect: { enabled: false }, ...options });

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(join(folder.path, "password"), PASSWORD);
  broker = await startBroker({
    authentication: "required",
    adminPasswordFile: join(folder.path, "password"),
    auditFile: join(folder.path, "audit.log"),
  });
  admin = await as("admin");
});

afterAll(async () => {
  for (const client of opened) await client.close();
  await admin?.close();
  await broker?.stop();
  await folder?.[Symbol.asyncDispose]();
});

type Right = readonly [
  operations: PermissionOperation | readonly PermissionOperation[],
  resource: Partial<PermissionResource> & Pick<PermissionResource, "kind">,
];

async function grant(user: string, [operations, resource]: Right, effect: "allow" | "deny" = "allow"): Promise<string> {
  const list = typeof operations === "string" ? [operations] : [...operations];
  return admin.permissions.put({ principal: user, effect, operations: list, resource });
}

/** A user with these rights, and its connection. */
async function visitor(...rights: Right[]): Promise<{ user: string; client: Client }> {
  const user = `user${++made}`;
  await admin.users.put({ name: user, password: PASSWORD });
  for (const right of rights) await grant(user, right);
  // Without any right nobody comes in.
  if (rights.length === 0) await grant(user, ["read", { kind: "topic", name: "nothing" }]);
  const client = await as(user);
  opened.push(client);
  return { user, client };
}

async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
    return "done";
  } catch (error) {
    if (isMillraceError(error)) return error.codeName;
    throw error;
  }
}

const topic = (name: string): PermissionResource => ({ kind: "topic", name });
const queue = (name: string): PermissionResource => ({ kind: "queue", name });
const exchange = (name: string): PermissionResource => ({ kind: "exchange", name });

describe("a namespace", () => {
  test("takes nobody in whom no rule allows anything there", async () => {
    const { user } = await visitor(["read", topic("t")]);
    await admin.users.put({ name: "nobody", password: PASSWORD });
    expect(await codeOf(as("nobody"))).toBe("unauthorized");
    expect(await codeOf(as(user, { namespace: "elsewhere" }))).toBe("unauthorized");
  });
});

describe("topics", () => {
  test("are published to, read, changed and described by those who may, and lists show no others", async () => {
    for (const name of ["t.read", "t.write", "t.none"]) await admin.topics.create(name);
    const { client } = await visitor(["read", topic("t.read")], ["write", topic("t.write")]);
    expect((await client.topics.list()).map(({ name }) => name)).toEqual(["t.read", "t.write"]);
    expect(await codeOf(client.producer("t.write").send({ value: "v" }))).toBe("done");
    expect(await codeOf(client.producer("t.read").send({ value: "v" }))).toBe("unauthorized");
    await admin.producer("t.read").send({ value: "seen" });
    const read = client.consume("t.read", { from: "earliest", until: "end" });
    const { value } = await read.next();
    expect(textOf(value?.value ?? null)).toBe("seen");
    await read.close();
    expect(await codeOf(client.consume("t.write", { from: "earliest" }).next())).toBe("unauthorized");
    expect(await codeOf(client.topics.describe("t.write"))).toBe("done");
    expect(await codeOf(client.topics.describe("t.none"))).toBe("unauthorized");
    expect(await codeOf(client.topics.delete("t.write"))).toBe("unauthorized");
    expect(await codeOf(client.topics.create("t.new"))).toBe("unauthorized");
    // What is not there looks like what may not be seen.
    expect(await codeOf(client.topics.describe("t.nowhere"))).toBe("unauthorized");
  });

  test("come to a pattern when they may be read, and leave it when they may not", async () => {
    for (const name of ["p.a", "p.b"]) await admin.topics.create(name);
    const { user, client } = await visitor(["read", topic("p.a")]);
    const seen = new Set<string>();
    const pattern = client.subscribe("p.*");
    const reading = (async () => {
      for await (const message of pattern) seen.add(`${message.topic} ${textOf(message.value)}`);
    })();
    let round = 0;
    /** Whether what is published to the other topic now comes too. */
    const bothCome = async (): Promise<boolean> => {
      round += 1;
      await admin.producer("p.b").send({ value: String(round) });
      await admin.producer("p.a").send({ value: String(round) });
      const isIn = async (): Promise<boolean> => seen.has(`p.a ${round}`);
      await until("the topic that may be read", isIn, 1_000).catch(() => undefined);
      return seen.has(`p.b ${round}`);
    };
    await until("the first topic", async () => (await bothCome()) || seen.has(`p.a ${round}`));
    expect([...seen].filter((line) => line.startsWith("p.b"))).toEqual([]);
    const id = await grant(user, ["read", topic("p.b")]);
    await until("the second topic", bothCome);
    await admin.permissions.delete(id);
    await until("that it is gone", async () => !(await bothCome()));
    await until("the first topic as before", async () => !(await bothCome()) && seen.has(`p.a ${round}`));
    await pattern.close();
    await reading;
  });
});

describe("queues", () => {
  test("are published to by name only by those who may write to them, one by one and many together", async () => {
    for (const name of ["q.mine", "q.other"]) await admin.queue(name).declare();
    const { client } = await visitor(["write", queue("q.mine")]);
    expect(await codeOf(client.queue("q.mine").publish("v"))).toBe("done");
    expect(await codeOf(client.queue("q.other").publish("v"))).toBe("unauthorized");
    const many = client.exchange("", { lingerMs: 20 });
    const both = [many.publish("q.mine", "1"), many.publish("q.mine", "2")];
    expect(await Promise.all(both.map((delivery) => codeOf(Promise.resolve(delivery))))).toEqual(["done", "done"]);
    expect(await codeOf(client.transaction((transaction) => transaction.publish("", "q.mine", "v")))).toBe("done");
    expect(await codeOf(client.transaction((transaction) => transaction.publish("", "q.other", "v")))).toBe(
      "unauthorized",
    );
    expect((await admin.queue("q.mine").describe()).counts.ready).toBe(4);
    expect((await admin.queue("q.other").describe()).counts.ready).toBe(0);
    expect(await codeOf(client.queue("q.mine").get(1))).toBe("unauthorized");
    expect((await client.queues.list()).map(({ name }) => name)).toEqual(["q.mine"]);
  });

  test("that a rule denies stay shut to whoever may write to all others", async () => {
    for (const name of ["d.open", "d.shut"]) await admin.queue(name).declare();
    const { user, client } = await visitor(["write", { kind: "*", name: "", match: "prefix" }]);
    await grant(user, ["write", queue("d.shut")], "deny");
    await until("the rule", async () => (await codeOf(client.queue("d.shut").publish("v"))) === "unauthorized");
    expect(await codeOf(client.queue("d.open").publish("v"))).toBe("done");
  });

  test("are declared, altered, purged and peeked at with the right for each", async () => {
    const { client } = await visitor(["configure", { kind: "queue", name: "c.", match: "prefix" }]);
    expect(await codeOf(client.queue("c.own").declare())).toBe("done");
    expect(await codeOf(client.queue("x.other").declare())).toBe("unauthorized");
    expect(await codeOf(client.queue("c.own").alter({ lengthMax: 5 }))).toBe("done");
    expect(await codeOf(client.queue("c.own").purge())).toBe("unauthorized");
    expect(await codeOf(client.queue("c.own").peek())).toBe("unauthorized");
  });

  test("send dead letters on only where their owner may read the queue and write to the target", async () => {
    await admin.queue("dl.target").declare();
    const { user, client } = await visitor(["configure", { kind: "queue", name: "dl.", match: "prefix" }]);
    const config = { deadLetter: { exchange: "", routingKey: "dl.target" } };
    expect(await codeOf(client.queue("dl.own").declare(config))).toBe("unauthorized");
    await grant(user, ["read", queue("dl.own")]);
    expect(await codeOf(client.queue("dl.own").declare(config))).toBe("unauthorized");
    await grant(user, ["write", queue("dl.target")]);
    expect(await codeOf(client.queue("dl.own").declare(config))).toBe("done");
    const elsewhere = { deadLetter: { exchange: "", routingKey: "dl.secret" } };
    expect(await codeOf(client.queue("dl.own").alter(elsewhere))).toBe("unauthorized");
    // Without a key of its own each dead letter would keep one that names any queue.
    const anywhere = { deadLetter: { exchange: "" } };
    expect(await codeOf(client.queue("dl.all").declare(anywhere))).toBe("unauthorized");
  });

  test("get dead letters back only where whoever redrives may write", async () => {
    await admin.queue("r.dead").declare();
    for (const name of ["r.a", "r.b"]) {
      const from = admin.queue(name);
      await from.declare({ deadLetter: { exchange: "", routingKey: "r.dead" } });
      await from.publish(name);
      for (const message of await from.get(1)) message.reject();
    }
    await until("dead letters", async () => (await admin.queue("r.dead").describe()).counts.ready === 2);
    const { user, client } = await visitor(["read", queue("r.dead")], ["write", queue("r.a")]);
    expect(await codeOf(client.queue("r.dead").redrive())).toBe("unauthorized");
    expect(await codeOf(client.queue("r.dead").redrive({ to: "", key: "r.b" }))).toBe("unauthorized");
    await grant(user, ["write", queue("r.b")]);
    await until("both", async () => {
      await codeOf(client.queue("r.dead").redrive());
      return (await admin.queue("r.dead").describe()).counts.ready === 0;
    });
    expect((await admin.queue("r.b").describe()).counts.ready).toBe(1);
  });
});

describe("requests", () => {
  test("need no rule for their inbox, which belongs to one connection and stands in no list of others", async () => {
    const asks = await visitor(["write", queue("service")]);
    const answers = await visitor([["configure", "read"], queue("service")]);
    const responder = answers.client.reply("service", (message) => `re: ${message.text()}`);
    const answer = await until("an answer", () => asks.client.request("service", "hi").catch(() => undefined));
    expect(answer.text()).toBe("re: hi");
    const inboxes = (await admin.queues.list()).filter(({ name }) => name.startsWith("_inbox."));
    expect(inboxes).toHaveLength(1);
    const [inbox] = inboxes;
    expect((await answers.client.queues.list()).map(({ name }) => name)).toEqual(["service"]);
    expect(await codeOf(answers.client.queue(inbox?.name ?? "").get(1))).toBe("unauthorized");
    // Without being exclusive it is a queue like any other.
    expect(await codeOf(asks.client.queue("_inbox.lasting").declare())).toBe("unauthorized");
    await responder.close();
  });
});

describe("exchanges", () => {
  test("are bound by whoever may read from them and write to the target", async () => {
    await admin.exchange("e.in").declare("topic");
    await admin.queue("e.q").declare();
    await admin.topics.create("e.t");
    const { user, client } = await visitor(["write", exchange("e.in")]);
    expect(await codeOf(client.exchange("e.in").publish("k", "v"))).toBe("done");
    const bind = (): Promise<string> => codeOf(client.exchange("e.in").bind({ queue: "e.q" }, { key: "#" }));
    expect(await bind()).toBe("unauthorized");
    await grant(user, ["read", exchange("e.in")]);
    expect(await bind()).toBe("unauthorized");
    await grant(user, ["write", queue("e.q")]);
    expect(await bind()).toBe("done");
    expect(await codeOf(client.exchange("e.in").bind({ topic: "e.t" }, { key: "#" }))).toBe("unauthorized");
    // Who binds an exchange to the default one would write to every queue.
    expect(await codeOf(client.exchange("e.in").bind({ to: "" }, { key: "#" }))).toBe("unauthorized");
    expect(await codeOf(client.exchange("e.new").declare("fanout"))).toBe("unauthorized");
    await grant(user, ["configure", exchange("e.new")]);
    expect(await codeOf(client.exchange("e.new").declare("fanout", { alternate: "e.in" }))).toBe("unauthorized");
    expect(await codeOf(client.exchange("e.new").declare("fanout"))).toBe("done");
    expect(await codeOf(client.transaction((transaction) => transaction.publish("e.in", "k", "v")))).toBe("done");
    expect(await codeOf(client.transaction((transaction) => transaction.publish("e.new", "k", "v")))).toBe(
      "unauthorized",
    );
  });
});

describe("definitions that send messages on", () => {
  test("of schedules take the right to write where they publish, and their messages are shown to no others", async () => {
    await admin.queue("s.q").declare();
    const { user, client } = await visitor(["read", queue("s.q")]);
    const schedule = { name: "s", cron: "0 0 1 1 *", key: "s.q", value: "secret" };
    expect(await codeOf(client.schedules.put(schedule))).toBe("unauthorized");
    await admin.schedules.put(schedule);
    expect(await client.schedules.list()).toMatchObject([{ name: "s", value: null }]);
    expect(await codeOf(client.schedules.delete("s"))).toBe("unauthorized");
    await grant(user, ["write", queue("s.q")]);
    expect(await client.schedules.list()).toMatchObject([{ name: "s", value: "secret" }]);
    expect(await codeOf(client.schedules.put(schedule))).toBe("done");
    expect(await codeOf(client.schedules.put({ ...schedule, key: "elsewhere" }))).toBe("unauthorized");
    expect(await codeOf(client.schedules.delete("s"))).toBe("done");
  });

  test("of transforms take the right to everything that they read and write", async () => {
    for (const name of ["x.from", "x.to", "x.else"]) await admin.topics.create(name);
    const { user, client } = await visitor(["configure", { kind: "transform", name: "x" }]);
    const definition = {
      from: { topic: "x.from" },
      to: { topic: "x.to" },
      steps: [{ choose: { otherwise: [{ route: { topic: "x.else" } }] } }],
    };
    const put = (): Promise<string> => codeOf(client.transforms.put("x", definition));
    for (const right of [
      ["read", topic("x.from")],
      ["write", topic("x.to")],
      ["write", topic("x.else")],
    ] as const) {
      expect(await put()).toBe("unauthorized");
      await grant(user, right);
    }
    expect(await put()).toBe("done");
    expect((await client.transforms.list()).map(({ name }) => name)).toEqual(["x"]);
    await client.transforms.delete("x");
  });
});

describe("groups", () => {
  test("are joined by whoever may read the group and its topics, and left when that ends", async () => {
    await admin.topics.create("g.t");
    await admin.producer("g.t").send({ value: "1" });
    const { user, client } = await visitor(["read", topic("g.t")]);
    expect(await codeOf(client.group("g").consume(["g.t"], { from: "earliest" }).next())).toBe("unauthorized");
    const id = await grant(user, ["read", { kind: "group", name: "g" }]);
    const member = client.group("g").consume(["g.t"], { from: "earliest" });
    expect(textOf((await member.next()).value?.value ?? null)).toBe("1");
    expect((await client.groups.list()).map(({ group }) => group)).toEqual(["g"]);
    await admin.permissions.delete(id);
    expect(await codeOf(() => member.next())).toBe("unauthorized");
    const members = async (): Promise<unknown> =>
      (await admin.groups.list()).find(({ group }) => group === "g")?.["members"] ?? 0;
    await until("the empty group", async () => (await members()) === 0);
    expect(await client.groups.list()).toEqual([]);
  });
});

describe("what is open", () => {
  test("ends for readers, and for publishers until the right comes back", async () => {
    await admin.topics.create("o.t");
    await admin.queue("o.q").declare();
    const { user, client } = await visitor(["write", queue("o.q")]);
    const write = await grant(user, ["write", topic("o.t")]);
    const read = await grant(user, ["read", topic("o.t")]);
    const take = await grant(user, ["read", queue("o.q")]);
    const producer = client.producer("o.t");
    await producer.send({ value: "1" });
    const reader = client.consume("o.t", { from: "earliest" });
    expect(textOf((await reader.next()).value?.value ?? null)).toBe("1");
    const consumer = client.queue("o.q").consume(() => undefined);
    const consumed = codeOf(consumer.done);
    await until("a consumer", async () => (await admin.queue("o.q").describe()).counts.consumers === 1);
    for (const id of [write, read, take]) await admin.permissions.delete(id);
    expect(await codeOf(() => reader.next())).toBe("unauthorized");
    expect(await consumed).toBe("unauthorized");
    await until("the refusal", async () => (await codeOf(producer.send({ value: "2" }))) === "unauthorized");
    await grant(user, ["write", topic("o.t")]);
    await until("the right again", async () => (await codeOf(producer.send({ value: "3" }))) === "done");
    expect(await codeOf(client.queue("o.q").publish("v"))).toBe("done");
  });

  test("ends whole for a user that is disabled or taken away, or has no right left", async () => {
    for (const end of [
      (user: string) => admin.users.put({ name: user, isEnabled: false }),
      (user: string) => admin.users.delete(user),
      async (user: string) => {
        for (const { id } of await admin.permissions.list({ principal: user })) await admin.permissions.delete(id);
      },
    ]) {
      const { user, client } = await visitor();
      await end(user);
      await until("the end", () => client.state === "closed");
    }
  });
});

describe("schemas", () => {
  test("are shown by id and in lists where a subject of theirs may be read, over both ways", async () => {
    const text = (name: string): string =>
      JSON.stringify({ type: "record", name, fields: [{ name: "a", type: "int" }] });
    const open = await admin.schemas.register("sub.open", { schema: text("Open") });
    const shut = await admin.schemas.register("sub.shut", { schema: text("Shut") });
    const { user, client } = await visitor(["read", { kind: "subject", name: "sub.open" }]);
    const subjects = (await client.ask(Op.SCHEMA_SUBJECTS, [{}])) as { subjects: { subject: string }[] };
    expect(subjects.subjects.map(({ subject }) => subject)).toEqual(["sub.open"]);
    expect(await codeOf(client.ask(Op.SCHEMA_GET, [{ id: open.id }]))).toBe("done");
    expect(await codeOf(client.ask(Op.SCHEMA_GET, [{ id: shut.id }]))).toBe("schema_not_found");
    expect(await codeOf(client.schemas.register("sub.open", { schema: text("Open") }))).toBe("unauthorized");
    const authorization = `Basic ${btoa(`${user}:${PASSWORD}`)}`;
    const get = async (path: string): Promise<[number, unknown]> => {
      const response = await fetch(`http://127.0.0.1:${broker.registryPort}${path}`, { headers: { authorization } });
      return [response.status, await response.json()];
    };
    expect(await get("/subjects")).toEqual([200, ["sub.open"]]);
    expect((await get("/subjects/sub.shut/versions"))[0]).toBe(403);
    expect((await get("/subjects/sub.open/versions/latest"))[0]).toBe(200);
    expect((await get(`/schemas/ids/${shut.id}`))[0]).toBe(404);
    expect((await get(`/schemas/ids/${open.id}`))[0]).toBe(200);
    expect((await get("/config"))[0]).toBe(200);
    expect((await get("/config/sub.shut"))[0]).toBe(403);
  });
});

describe("roles", () => {
  test("give their rights to whoever has them; monitoring lists everything and reads nothing", async () => {
    await admin.topics.create("m.t");
    await admin.roles.put("watchers", "those who watch");
    await admin.permissions.put({ role: "watchers", operations: ["read"], resource: topic("m.t") });
    await admin.users.put({ name: "watcher", password: PASSWORD, roles: ["watchers"] });
    await admin.users.put({ name: "monitor", password: PASSWORD, roles: ["monitoring"] });
    const [watcher, monitor] = await Promise.all([as("watcher"), as("monitor")]);
    opened.push(watcher, monitor);
    expect((await watcher.topics.list()).map(({ name }) => name)).toEqual(["m.t"]);
    expect((await monitor.topics.list()).length).toBe((await admin.topics.list()).length);
    expect(await codeOf(monitor.users.list())).toBe("done");
    expect(await codeOf(monitor.consume("m.t", { from: "earliest" }).next())).toBe("unauthorized");
    expect(await codeOf(monitor.users.put({ name: "x" }))).toBe("unauthorized");
    expect(await codeOf(watcher.users.list())).toBe("unauthorized");
    const question = {
      principal: "watcher",
      operation: "topic.consume",
      resource: { kind: "topic", name: "m.t" },
    } as const;
    expect(await watcher.permissions.test(question)).toMatchObject({ allowed: true });
    expect(await watcher.permissions.test({ ...question, operation: "write" })).toEqual({ allowed: false, rule: null });
    expect(await codeOf(watcher.permissions.test({ ...question, principal: "monitor" }))).toBe("unauthorized");
    await admin.roles.delete("watchers");
    await until("the end", () => watcher.state === "closed");
  });
});

test("the audit log has acts and refusals of all threads, and no password", async () => {
  const { client } = await visitor(["read", topic("a.t")]);
  expect(await codeOf(client.topics.create("a.refused"))).toBe("unauthorized");
  await admin.topics.create("a.made");
  const text = await readFile(join(folder.path, "audit.log"), "utf8");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const about = (name: string): unknown =>
    lines.find(({ resources }) => JSON.stringify(resources).includes(`"${name}"`));
  expect(about("a.refused")).toMatchObject({ event: "refused", operation: "topic.create", outcome: "refused" });
  expect(about("a.made")).toMatchObject({ event: "act", principal: "admin", outcome: "done" });
  const access = lines.filter(({ operation }) => operation === "access.change");
  expect(access.map(({ about }) => about)).toContain("user monitor, roles monitoring, another password");
  expect(
    access.some(({ about }) => String(about).includes('allow read for principal user1 on topic literal "t"')),
  ).toBe(true);
  expect(text).not.toContain(PASSWORD);
  expect(THREADS).toBeGreaterThan(0);
});
