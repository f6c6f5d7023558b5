/** Namespaces as things: declared, listed with what they hold, deleted with or without it, and closed to strangers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { commands } from "../cli/run-cli.ts";
import { codeOf, dial, startBroker, temporaryFolder } from "./harness.ts";

let broker: Broker;
let client: Client;

beforeAll(async () => {
  broker = await startBroker();
  client = await dial(broker);
});

afterAll(async () => {
  await client.close();
  await broker.stop();
});

async function found(name: string): Promise<unknown> {
  return (await client.namespaces.list()).find((namespace) => namespace.name === name);
}

/** A topic, an exchange, two queues, bindings, a schedule and a message. */
async function furnish(namespace: string): Promise<void> {
  await using inside = await dial(broker, { namespace });
  await inside.topics.create("t");
  await inside.producer("t").send({ value: "v" });
  const exchange = inside.exchange("x");
  await exchange.declare("topic");
  for (const name of ["q", "r"]) await inside.queue(name).declare();
  await exchange.bind({ queue: "q" }, { key: "#" });
  await exchange.bind({ topic: "t" }, { key: "#" });
  await exchange.publish("k", "v");
  await inside.schedules.put({ name: "s", cron: "0 0 1 1 *", key: "q", value: null });
}

test("a namespace is declared once, described anew, listed, and deleted while it is empty", async () => {
  expect(await client.namespaces.put("shop", { description: "the shop" })).toBe(true);
  expect(await client.namespaces.put("shop", { description: "our shop" })).toBe(false);
  expect(await found("shop")).toMatchObject({ description: "our shop", topics: 0, queues: 0, storageBytes: 0 });
  await client.namespaces.delete("shop");
  expect(await found("shop")).toBeUndefined();
  expect(await codeOf(client.namespaces.delete("shop"))).toBe("namespace_not_found");
  expect(await codeOf(client.namespaces.put("no/../good"))).toBe("invalid_argument");
  expect(await codeOf(client.namespaces.delete("default", { force: true }))).toBe("invalid_argument");
});

test("one that holds something is deleted only by force, with all of it, and others keep theirs", async () => {
  for (const name of ["full", "neighbour"]) await furnish(name);
  const held = { topics: 1, exchanges: 1, queues: 2, schedules: 1 };
  expect(await found("full")).toMatchObject({ ...held, createdMs: null });
  expect(await codeOf(client.namespaces.delete("full"))).toBe("not_empty");
  expect(await found("full")).toMatchObject(held);
  await client.namespaces.delete("full", { force: true });
  expect(await found("full")).toBeUndefined();
  expect(await found("neighbour")).toMatchObject(held);
  await using inside = await dial(broker, { namespace: "full" });
  expect(await inside.topics.list()).toEqual([]);
  expect(await inside.schedules.list()).toEqual([]);
  // The names are free again.
  await furnish("full");
  expect(await found("full")).toMatchObject(held);
});

test("schemas are not deleted with a namespace", async () => {
  await using inside = await dial(broker, { namespace: "with-schemas" });
  await inside.schemas.register("s", { schema: '"string"' });
  expect(await found("with-schemas")).toMatchObject({ subjects: 1 });
  expect(await codeOf(client.namespaces.delete("with-schemas", { force: true }))).toBe("not_empty");
});

test("where namespaces have to be declared, nobody enters another one, also after a restart", async () => {
  await using folder = await temporaryFolder();
  const options = { dataDir: folder.path, namespaces: "declared" } as const;
  for (const round of [0, 1]) {
    await using strict = await startBroker(options);
    await using root = await dial(strict);
    if (round === 0) await root.namespaces.put("known");
    await using known = await dial(strict, { namespace: "known" });
    expect(await known.topics.list()).toEqual([]);
    expect(await codeOf(dial(strict, { namespace: "unknown" }))).toBe("namespace_not_found");
    const { status } = await fetch(`http://127.0.0.1:${strict.httpPort}/api/v1/topics?namespace=unknown`);
    expect(status).toBe(404);
  }
});

test("the command line creates, lists and deletes namespaces, and REST does", async () => {
  const { ok, refused } = commands(() => ({ MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` }));
  expect(await ok("namespace", "create", "cli", "--description", "by hand")).toBe("created the namespace cli\n");
  expect(await ok("namespace", "list")).toContain("by hand");
  await ok("namespace", "delete", "cli");
  expect(await refused(4, "namespace", "delete", "cli")).toContain("namespace_not_found");

  const url = `http://127.0.0.1:${broker.httpPort}/api/v1/namespaces`;
  const headers = { "content-type": "application/json" };
  const set = await fetch(`${url}/web`, { method: "PUT", headers, body: JSON.stringify({ description: "by REST" }) });
  expect(set.status).toBe(201);
  expect(await (await fetch(`${url}/web`)).json()).toMatchObject({ name: "web", description: "by REST", topics: 0 });
  const { items, next } = (await (await fetch(`${url}?limit=1`)).json()) as { items: unknown[]; next: string };
  expect([items.length, typeof next]).toEqual([1, "string"]);
  expect((await fetch(`${url}/web`, { method: "DELETE" })).status).toBe(204);
  expect((await fetch(`${url}/web`)).status).toBe(404);
});
