import { afterAll, beforeAll, expect, test } from "bun:test";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { commands } from "../cli/run-cli.ts";
import { dial, failureOf, startBroker, temporaryFolder } from "./harness.ts";

/** Definitions are exported, and imported whole or not at all. */

let source: Broker;
let client: Client;

beforeAll(async () => {
  source = await startBroker();
  client = await dial(source);
  await declareAll(client);
});

afterAll(async () => {
  await client.close();
  await source.stop();
});

const SCHEMA = JSON.stringify({ type: "record", name: "Tick", fields: [{ name: "price", type: "double" }] });

async function declareAll(on: Client): Promise<void> {
  await on.namespaces.put("shop", { description: "of the shop" });
  await on.topics.create("orders", { partitions: 3, retentionMs: 60_000 });
  await on.exchange("unrouted").declare("fanout");
  await on.exchange("all").declare("topic", { alternate: "unrouted" });
  await on.queue("dead").declare();
  await on.queue("work").declare({ deliveryLimit: 3, deadLetter: { exchange: "", routingKey: "dead" } });
  await on.queue("passing").declare({ durable: false });
  await on.exchange("all").bind({ queue: "work" }, { key: "order.#" });
  await on.exchange("all").bind({ queue: "passing" }, { key: "#" });
  await on.exchange("all").bind({ topic: "orders" }, { key: "#" });
  await on.exchange("unrouted").bind({ queue: "dead" });
  await on.schedules.put({ name: "nightly", cron: "0 3 * * *", exchange: "all", key: "order.new", value: "x" });
  await on.schemas.register("ticks-value", { schema: SCHEMA });
  await on.schemas.compatibility("ticks-value", "FULL");
  await on.quotas.put({ kind: "namespace", name: "shop", messagesPerSec: 100, topicsMax: 5 });
}

type Definitions = Record<string, unknown> & { queues: Record<string, unknown>[]; topics: Record<string, unknown>[] };

async function exported(from: Client): Promise<Definitions> {
  const { exportedAt: _, ...rest } = await from.definitions.export();
  return rest as Definitions;
}

function text(definitions: unknown): string {
  return JSON.stringify(definitions, null, 2);
}

test("an export imports into an empty broker, which then exports the same; importing again changes nothing", async () => {
  const definitions = await exported(client);
  expect(definitions.queues.map(({ name }) => name)).toEqual(["dead", "work"]);
  await using folder = await temporaryFolder();
  const dataDir = join(folder.path, "data");
  {
    await using broker = await startBroker({ dataDir });
    await using into = await dial(broker);
    const dry = await into.definitions.import(text(definitions), { dryRun: true });
    expect(dry).toMatchObject({
      dryRun: true,
      format: "millrace",
      notes: [],
      counts: { queues: { created: 2, unchanged: 0 } },
    });
    expect((await exported(into)).queues).toEqual([]);
    const done = await into.definitions.import(text(definitions));
    expect(done.counts).toEqual(dry.counts);
    expect(await exported(into)).toEqual(definitions);
    const again = await into.definitions.import(text(definitions));
    expect(Object.values(again.counts).map(({ created }) => created)).toEqual(Object.keys(again.counts).map(() => 0));
    await into.exchange("all").publish("order.new", "hello");
    expect((await into.queue("work").get(1)).map((message) => message.text())).toEqual(["hello"]);
  }
  await using broker = await startBroker({ dataDir });
  await using after = await dial(broker);
  expect(await exported(after)).toEqual(definitions);
});

test("a file with something wrong is refused as a whole, and its line is named", async () => {
  await using broker = await startBroker();
  await using into = await dial(broker);
  const before = await exported(into);
  const queues = [{ name: "a" }, { name: "b", config: { deadLetter: { exchange: "", routingKey: "b" } } }];
  const files: [definitions: object, line: number, what: string][] = [
    [{ format: 1, topics: [{ name: "fine" }], exchanges: [{ name: "x", type: "round" }] }, 9, "type must be one of"],
    [{ format: 1, topics: [{ name: "fine" }], queues: [{ name: "q", config: { odd: 1 } }] }, 9, "odd"],
    [{ format: 1, topics: [{ name: "fine" }], que: [] }, 8, "no list of definitions"],
    [{ format: 1, topics: [{ name: "fine", partition: 2 }] }, 4, "no field"],
    [{ format: 1, topics: [{ name: "not fine" }] }, 4, "characters"],
    [
      {
        format: 1,
        exchanges: [
          { name: "x", type: "fanout", config: { alternate: "y" } },
          { name: "y", type: "fanout", config: { alternate: "x" } },
        ],
      },
      4,
      "cycle",
    ],
    [{ format: 1, exchanges: [{ name: "x", type: "fanout" }], bindings: [{ exchange: "x", to: "x" }] }, 10, "itself"],
    [{ format: 1, queues }, 7, "dead"],
    [{ format: 1, queues: [{ name: "q" }], bindings: [{ exchange: "none", queue: "q" }] }, 9, "no exchange"],
    [{ format: 1, users: [{ name: "u", roles: ["none"] }] }, 4, "role"],
    [{ format: 1, users: [{ name: "u", credentials: [{ mechanism: "PLAIN" }] }] }, 4, "mechanism"],
    [{ format: 1, schemas: [{ subject: "s", schema: '{"type": "odd"}' }] }, 4, ""],
    [{ format: 1, quotas: [{ kind: "queue", name: "q" }] }, 4, "kind"],
    [{ format: 1, users: [{ name: "u", isEnabled: "no" }] }, 4, "isEnabled must be true or false"],
    [
      { format: 1, schedules: [{ name: "s", cron: "0 3 * * *", missed: "often" }] },
      4,
      "missed must be one of once, skip",
    ],
    [{ format: 1, schemaSettings: [{ scope: "s", mode: "ODD" }] }, 4, "mode must be one of"],
    [
      { format: 1, schemas: [{ subject: "s", schema: '"int"', references: [{ name: "a" }] }] },
      4,
      "subject must be a string",
    ],
    [{ format: 1, topics: [{ name: "t", partitions: "many" }] }, 4, "partitions"],
  ];
  for (const [definitions, line, what] of files) {
    const { codeName, message, details } = await failureOf(into.definitions.import(text(definitions)));
    expect({ codeName, line: details?.["line"], message }).toEqual({
      codeName: "definitions_invalid",
      line,
      message: expect.stringContaining(what) as string,
    });
  }
  expect((await failureOf(into.definitions.import("{\n,"))).message).toContain("line 2");
  expect(await exported(into)).toEqual(before);
});

test("what only the core can refuse is taken back with all else", async () => {
  await using broker = await startBroker();
  await using into = await dial(broker);
  const before = await exported(into);
  const definitions = {
    format: 1,
    topics: [{ name: "t" }],
    roles: [{ name: "r" }],
    exchanges: [{ name: "x", type: "topic" }],
    queues: [{ name: "q" }],
    bindings: [{ exchange: "x", queue: "q", where: "$.a ==" }],
  };
  expect((await failureOf(into.definitions.import(text(definitions)))).codeName).toBe("definitions_invalid");
  expect(await exported(into)).toEqual(before);
  const [binding] = definitions.bindings;
  expect(binding).toBeDefined();
  if (binding !== undefined) binding.where = "$.a == 1";
  expect((await into.definitions.import(text(definitions))).counts["bindings"]).toEqual({ created: 1, unchanged: 0 });
});

test("what is there and is another refuses the file and stays", async () => {
  await using broker = await startBroker();
  await using into = await dial(broker);
  await into.topics.create("orders", { partitions: 1 });
  const { message } = await failureOf(into.definitions.import(text(await exported(client))));
  expect(message).toContain("is there, and is another");
  expect((await into.topics.describe("orders")).partitions).toBe(1);
  expect((await exported(into)).queues).toEqual([]);
});

test("a thousand things are one import, at the command line and over REST", async () => {
  await using broker = await startBroker();
  const { ok, refused } = commands(() => ({ MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` }));
  await using folder = await temporaryFolder();
  const file = join(folder.path, "definitions.json");
  const vhost = "/";
  const queues = Array.from({ length: 1000 }, (_, n) => ({ name: `q${n}`, vhost, durable: true, arguments: {} }));
  const bindings = queues.map(({ name }) => ({
    source: "amq.direct",
    vhost,
    destination: name,
    destination_type: "queue",
    routing_key: name,
  }));
  const users = [{ name: "u", password_hash: "secret-hash", tags: "" }];
  await Bun.write(file, text({ rabbit_version: "3.12.1", vhosts: [{ name: vhost }], users, queues, bindings }));
  const dry = JSON.parse(await ok("definitions", "import", file, "--dry-run", "--json")) as { notes: unknown[] };
  expect(dry).toMatchObject({
    dryRun: true,
    format: "rabbitmq",
    counts: { queues: { created: 1000 }, bindings: { created: 1000 } },
  });
  expect(dry.notes).toHaveLength(1);
  await ok("definitions", "import", file, "--json");
  const out = join(folder.path, "out.json");
  expect(await ok("definitions", "export", out)).toBe(`wrote ${out}\n`);
  expect((await stat(out)).mode & 0o777).toBe(0o600);
  const written = (await Bun.file(out).json()) as Definitions;
  expect([written.queues.length, JSON.stringify(written).includes("secret-hash")]).toEqual([1000, false]);
  const url = `http://127.0.0.1:${broker.httpPort}/api/v1/definitions`;
  const body = await (await fetch(url)).text();
  const answer = await fetch(`${url}?dryRun=true`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
  });
  expect([answer.status, await answer.json()]).toMatchObject([
    200,
    { counts: { queues: { created: 0, unchanged: 1000 } } },
  ]);
  await Bun.write(file, '{"format": 1,\n"queues": [{"name": "q", "odd": 1}]}');
  expect(await refused(2, "definitions", "import", file)).toContain("line 2, queues[0]");
}, 60_000);
