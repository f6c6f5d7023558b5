/** The REST interface over the wire, on one broker. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Broker } from "../../src/server/index.ts";
import { type Answered, Api, errorOf, type Shown } from "./api-kit.ts";
import { dial, startBroker } from "./harness.ts";

let broker: Broker;
let api: Api;
beforeAll(async () => {
  broker = await startBroker();
  api = await Api.open(broker.httpPort);
});
afterAll(() => broker.stop());

const ask = (...args: Parameters<Api["ask"]>): Promise<Answered> => api.ask(...args);
const shown = (path: string): Promise<Shown> => api.shown(path);

test("PUT of a topic makes it once, finds it alike, and refuses to find it different", async () => {
  const made = await ask("PUT", "/topics/default/put%2Fonce", { partitions: 2, config: { retentionMs: 60_000 } });
  expect(made).toMatchObject({ status: 201, body: { namespace: "default", name: "put/once", partitions: 2 } });
  expect(made.headers.get("location")).toBe("/api/v1/topics/default/put%2Fonce");
  const again = await ask("PUT", "/topics/default/put%2Fonce", { partitions: 2, config: { retentionMs: 60_000 } });
  expect(again).toMatchObject({ status: 200, body: { partitions: 2 } });
  expect(errorOf(await ask("PUT", "/topics/default/put%2Fonce", { partitions: 3 }))).toEqual([
    409,
    "argument_mismatch",
  ]);
  const there = await ask("GET", "/topics/default/put%2Fonce");
  expect(there.body).toMatchObject({ config: { retentionMs: 60_000 }, offsets: [{ partition: 0 }, { partition: 1 }] });
  expect(there.headers.get("etag")).toBe(made.headers.get("etag"));
});

test("a change with a stale If-Match is refused with 412 and changes nothing", async () => {
  const { headers } = await ask("PUT", "/topics/default/tagged", {});
  const stale = headers.get("etag") ?? "";
  const changed = await ask("PATCH", "/topics/default/tagged", { config: { compact: true } }, { "if-match": stale });
  expect(changed).toMatchObject({ status: 200, body: { config: { compact: true } } });
  const late = await ask("PATCH", "/topics/default/tagged", { config: { compact: false } }, { "if-match": stale });
  expect(late.status).toBe(412);
  expect((await ask("DELETE", "/topics/default/tagged", undefined, { "if-match": stale })).status).toBe(412);
  expect((await ask("GET", "/topics/default/tagged")).body).toMatchObject({ config: { compact: true } });
  expect((await ask("PUT", "/topics/default/tagged", {}, { "if-none-match": "*" })).status).toBe(412);
  const fresh = changed.headers.get("etag") ?? "";
  expect((await ask("DELETE", "/topics/default/tagged", undefined, { "if-match": fresh })).status).toBe(204);
  expect(errorOf(await ask("GET", "/topics/default/tagged"))).toEqual([404, "topic_not_found"]);
});

test("lists come in pages by name, and `next` leads through all of them once", async () => {
  const names = Array.from({ length: 7 }, (_, index) => `page.${index}`);
  await Promise.all(names.map((name) => ask("PUT", `/topics/default/${name}`, {})));
  await Promise.all(names.map((name) => ask("PUT", `/exchanges/default/${name}`, { type: "fanout" })));
  for (const kind of ["topics", "exchanges"]) {
    const found: unknown[] = [];
    let after = "";
    for (let pages = 0; pages < names.length; pages += 1) {
      const { body } = await ask("GET", `/${kind}?pattern=page.*&limit=3${after}`);
      found.push(...(body["items"] as { name: string }[]).map(({ name }) => name));
      if (body["next"] === undefined) break;
      after = `&after=${encodeURIComponent(String(body["next"]))}`;
    }
    expect(found).toEqual(names);
  }
});

test("exchanges, queues and bindings are made, shown and removed", async () => {
  expect((await ask("PUT", "/exchanges/default/orders", { type: "topic" })).status).toBe(201);
  expect((await ask("PUT", "/queues/default/work", { config: { lengthMax: 5 } })).status).toBe(201);
  const binding = { exchange: "orders", queue: "work", key: "order.#" };
  expect(await ask("POST", "/bindings/default", binding)).toMatchObject({ status: 201, body: binding });
  expect(await ask("POST", "/bindings/default", binding)).toMatchObject({ status: 200, body: binding });
  const { body } = await ask("GET", "/bindings?exchange=orders");
  expect(body["items"]).toMatchObject([binding]);
  const [{ id }] = body["items"] as [{ id: string }];
  expect((await ask("DELETE", `/bindings/default/${id}`)).status).toBe(204);
  expect(errorOf(await ask("DELETE", `/bindings/default/${id}`))).toEqual([404, "binding_not_found"]);
  expect(await ask("PATCH", "/queues/default/work", { config: { lengthMax: 9 } })).toMatchObject({
    status: 200,
    body: { config: { lengthMax: 9 } },
  });
  expect(await ask("POST", "/queues/default/work/purge")).toMatchObject({ status: 200, body: { purged: 0 } });
  expect(errorOf(await ask("PUT", "/queues/default/mine", { config: { exclusive: true } }))).toEqual([
    400,
    "invalid_argument",
  ]);
  expect((await ask("DELETE", "/queues/default/work?ifEmpty=true")).status).toBe(204);
  expect((await ask("DELETE", "/exchanges/default/orders")).status).toBe(204);
});

test("what a route does not know is refused by name, and so are other types and methods", async () => {
  expect(errorOf(await ask("GET", "/topics?lim=3"))).toEqual([400, "invalid_argument"]);
  expect(errorOf(await ask("GET", "/topics?limit=3&limit=4"))).toEqual([400, "invalid_argument"]);
  expect(errorOf(await ask("GET", "/topics?limit=1001"))).toEqual([400, "invalid_argument"]);
  const typo = await ask("PUT", "/topics/default/typo", { partitons: 3 });
  expect((typo.body["error"] as { message: string }).message).toContain("partitons");
  expect(errorOf(await ask("PUT", "/topics/default/typo", "{no json"))).toEqual([400, "invalid_argument"]);
  expect((await ask("PUT", "/topics/default/typo", "a=b", { "content-type": "text/plain" })).status).toBe(415);
  const method = await ask("POST", "/topics/default/typo", {});
  expect([method.status, method.headers.get("allow")]).toEqual([405, "GET, PUT, PATCH, DELETE"]);
  expect(errorOf(await ask("GET", "/topic"))).toEqual([404, "http"]);
  expect((await ask("GET", "/topics/default/%ff")).status).toBe(400);
  expect((await ask("GET", "/topics", undefined, { origin: "https://example.org" })).status).toBe(403);
});

test("records of a topic are browsed from both ends, by time and by key, each once over all pages", async () => {
  await ask("PUT", "/topics/default/browsed", { partitions: 3 });
  const path = "/topics/default/browsed/messages";
  const numbers = Array.from({ length: 23 }, (_, index) => index);
  for (const number of numbers) {
    // Times fall within a partition too: order is that of offsets.
    const message = { partition: number % 3, timestampMs: 1_700_000_000_000 - (number % 5), json: { number } };
    expect((await ask("POST", path, message)).status).toBe(201);
  }
  const numberOf = ({ value }: Record<string, unknown>): number => (value as { json: { number: number } }).json.number;
  for (const from of ["earliest", "latest"]) {
    const found: Record<string, unknown>[] = [];
    let after = "";
    for (let pages = 0; pages < numbers.length; pages += 1) {
      const { items, next } = await shown(`${path}?from=${from}&limit=4${after}`);
      expect(items.length).toBeLessThanOrEqual(4);
      found.push(...items);
      if (next === undefined) break;
      after = `&after=${next}`;
    }
    expect(found.map(numberOf).sort((a, b) => a - b)).toEqual(numbers);
    const first = found.filter(({ partition }) => partition === 0).map(({ offset }) => Number(offset));
    expect(first).toEqual(first.toSorted((a, b) => (from === "earliest" ? a - b : b - a)));
  }
  const at = await shown(`${path}?partition=1&offset=5`);
  expect(at.items.map(({ offset }) => offset)).toEqual([5, 6, 7]);
  expect((await shown(`${path}?timestampMs=1700000000001`)).items).toEqual([]);
  for (const key of ["a", "b", "a"]) await ask("POST", path, { key, value: `of ${key}` });
  const ofKey = await shown(`${path}?key=a`);
  expect(ofKey.items.map(({ value }) => (value as { text: string }).text)).toEqual(["of a", "of a"]);
  expect(errorOf(await ask("GET", `${path}?offset=3`))).toEqual([400, "invalid_argument"]);
  expect(errorOf(await ask("GET", `${path}?after=nonsense`))).toEqual([400, "invalid_argument"]);
});

test("values are read as JSON, text, msgpack, or Avro by their schema, and else shown as bytes", async () => {
  await ask("PUT", "/topics/default/decoded", {});
  const path = "/topics/default/decoded/messages";
  const schema = { type: "record", name: "Tick", fields: [{ name: "at", type: "long" }] };
  const registered = await ask("POST", "/schemas/subjects/decoded-value/versions", { schema: JSON.stringify(schema) });
  const { id } = registered.body as { id: number };
  const framed = (body: number[]): string => Buffer.from([0, 0, 0, id >> 8, id & 255, ...body]).toString("base64");
  const values: [Record<string, unknown>, Record<string, unknown>][] = [
    [{ json: { a: [1] } }, { encoding: "json", json: { a: [1] } }],
    [{ value: '{"id": 12345678901234567890}' }, { encoding: "json", text: '{"id": 12345678901234567890}' }],
    [{ value: "plain" }, { encoding: "text", text: "plain" }],
    [{ base64: Buffer.from([0x81, 0xa1, 0x61, 0xc2]).toString("base64") }, { encoding: "msgpack", json: { a: false } }],
    [{ base64: framed([0x54]) }, { encoding: "avro", json: { at: 42 }, schemaId: id }],
    [{ base64: framed([]) }, { encoding: "binary", schemaId: id, error: expect.stringContaining("does not read it") }],
    [{ base64: "//79" }, { encoding: "binary", bytes: 3, base64: "//79" }],
    [{}, null as never],
  ];
  for (const [message] of values) expect((await ask("POST", path, message)).status).toBe(201);
  const { items } = await shown(`${path}?from=earliest`);
  expect(items.map(({ value }) => value)).toMatchObject(values.map(([, content]) => content));
  const [raw] = (await shown(`${path}?from=earliest&as=binary&limit=1`)).items;
  expect(raw?.["value"]).toMatchObject({ encoding: "binary", base64: Buffer.from('{"a":[1]}').toString("base64") });
});

test("messages go to queues and through exchanges, are peeked, and redriven with a dry run first", async () => {
  for (const name of ["mail", "mail.dead"]) await ask("PUT", `/queues/default/${name}`, {});
  const path = "/queues/default/mail.dead";
  expect(await ask("POST", `${path}/messages`, { value: "one", headers: { kind: "a" } })).toMatchObject({
    status: 201,
  });
  expect(await ask("POST", "/exchanges/default/(default)/messages", { key: "mail.dead", value: "two" })).toMatchObject({
    status: 201,
    body: { routed: true },
  });
  expect(await ask("POST", "/exchanges/default/(default)/messages", { key: "nobody" })).toMatchObject({
    status: 200,
    body: { routed: false },
  });
  const first = await shown(`${path}/messages?limit=1`);
  expect(first.items).toMatchObject([{ value: { text: "one" }, headers: { kind: "a" }, state: "ready" }]);
  const rest = await shown(`${path}/messages?from=${first.next}`);
  expect(rest.items).toMatchObject([{ value: { text: "two" } }]);
  const where = { to: "(default)", key: "mail", where: 'header("kind") == "a"' };
  const dry = await ask("POST", `${path}/redrive`, { ...where, dryRun: true });
  expect(dry.body).toMatchObject({ matched: 1, moved: 0, items: [{ queues: ["mail"], value: { text: "one" } }] });
  expect((await ask("POST", `${path}/redrive`, where)).body).toMatchObject({ matched: 1, moved: 1 });
  expect((await shown("/queues/default/mail/messages")).items).toMatchObject([{ value: { text: "one" } }]);
  expect((await ask("POST", `${path}/purge`)).body).toEqual({ purged: 1 });
});

test("messages that are not due yet are listed by their times and taken back", async () => {
  await ask("PUT", "/queues/default/later", {});
  for (const hours of [3, 1, 2]) {
    const message = { value: `in ${hours} h`, headers: { "x-delay-ms": hours * 3_600_000 } };
    expect((await ask("POST", "/queues/default/later/messages", message)).status).toBe(201);
  }
  const found: Record<string, unknown>[] = [];
  let after = "";
  for (let pages = 0; pages < 3; pages += 1) {
    const { items, next } = await shown(`/queues/default/later/scheduled?limit=2${after}`);
    found.push(...items);
    if (next === undefined) break;
    after = `&after=${next}`;
  }
  expect(found.map(({ value }) => (value as { text: string }).text)).toEqual(["in 1 h", "in 2 h", "in 3 h"]);
  const numbers = found.map(({ number }) => number);
  expect((await ask("POST", "/queues/default/later/scheduled/cancel", { numbers })).body).toEqual({ cancelled: 3 });
});

test("quotas, schedules and transforms are set, shown, listed and removed", async () => {
  const quota = { messagesPerSec: 1000, burstMs: 100 };
  expect((await ask("PUT", "/quotas/namespace/slow", quota)).status).toBe(200);
  expect((await ask("GET", "/quotas/namespace/slow")).body).toMatchObject(quota);
  expect((await shown("/quotas")).items).toMatchObject([{ kind: "namespace", name: "slow" }]);
  expect(errorOf(await ask("PUT", "/quotas/planet/slow", quota))).toEqual([400, "invalid_argument"]);
  expect((await ask("DELETE", "/quotas/namespace/slow")).status).toBe(204);
  expect((await ask("DELETE", "/quotas/namespace/slow")).status).toBe(404);

  await ask("PUT", "/queues/default/timed", {});
  const schedule = { cron: "0 0 1 1 *", key: "timed", json: { yearly: true } };
  const made = await ask("PUT", "/schedules/default/yearly", schedule);
  expect(made.body).toMatchObject({
    name: "yearly",
    cron: "0 0 1 1 *",
    value: { json: { yearly: true } },
    lastMs: null,
  });
  expect((await shown("/schedules?pattern=other")).items).toHaveLength(0);
  expect((await shown("/schedules?pattern=yearly")).items).toMatchObject([{ name: "yearly" }]);
  expect((await ask("DELETE", "/schedules/default/yearly")).status).toBe(204);
  expect((await ask("GET", "/schedules/default/yearly")).status).toBe(404);

  const definition = {
    from: { topic: "tried.in" },
    steps: [{ map: { rename: { a: "n" } } }],
    to: { topic: "tried.out" },
  };
  const tried = await ask("POST", "/transforms/default/any/try", { definition, messages: [{ json: { a: 1 } }] });
  expect(tried.body).toMatchObject({ items: [{ from: 0, value: { json: { n: 1 } } }], errors: [] });
  expect((await shown("/transforms")).items).toEqual([]);
  expect((await shown("/transactions")).items).toEqual([]);
});

test("a trace tells where a message would go and by which way, and publishes nothing", async () => {
  for (const [name, type, config] of [
    ["way.in", "topic", {}],
    ["way.rules", "headers", { alternate: "way.rest" }],
    ["way.rest", "fanout", {}],
  ] as const) {
    // The alternate has to be there first.
    if (name === "way.rules") await ask("PUT", "/exchanges/default/way.rest", { type: "fanout" });
    expect((await ask("PUT", `/exchanges/default/${name}`, { type, config })).status).toBeLessThan(300);
  }
  for (const name of ["way.a", "way.b", "way.c"]) await ask("PUT", `/queues/default/${name}`, {});
  await ask("PUT", "/topics/default/way.t", {});
  for (const binding of [
    { exchange: "way.in", queue: "way.a", key: "order.#" },
    { exchange: "way.in", to: "way.rules", key: "order.*" },
    { exchange: "way.rules", topic: "way.t", headers: { kind: "big" } },
    { exchange: "way.rest", queue: "way.c" },
  ]) {
    expect((await ask("POST", "/bindings/default", binding)).status).toBe(201);
  }
  const trace = async (exchange: string, message: unknown): Promise<Record<string, unknown>> =>
    (await ask("POST", `/exchanges/default/${exchange}/route`, message)).body;
  const queue = (name: string): unknown => ({ kind: "queue", name });
  const big = await trace("way.in", { key: "order.new", headers: { kind: "big" } });
  expect(big["destinations"]).toEqual([queue("way.a"), { kind: "topic", name: "way.t" }]);
  expect(big["path"]).toContainEqual({
    exchange: "way.in",
    to: { kind: "exchange", name: "way.rules" },
    isAlternate: false,
  });
  const small = await trace("way.in", { key: "order.new", headers: { kind: "small" } });
  expect(small["destinations"]).toEqual([queue("way.a"), queue("way.c")]);
  expect(small["path"]).toContainEqual({
    exchange: "way.rules",
    to: { kind: "exchange", name: "way.rest" },
    isAlternate: true,
  });
  expect(await trace("way.in", { key: "bill.new" })).toEqual({ destinations: [], path: [] });
  expect((await trace("(default)", { key: "way.b" }))["destinations"]).toEqual([queue("way.b")]);
  for (const name of ["way.a", "way.b", "way.c"])
    expect((await shown(`/queues/default/${name}/messages`)).items).toEqual([]);
  expect(errorOf(await ask("POST", "/exchanges/default/way.none/route", {}))).toEqual([404, "exchange_not_found"]);
});

test("of many changes under the same If-Match one wins", async () => {
  for (const kind of ["topics", "queues"]) {
    const made = await ask("PUT", `/${kind}/default/raced`, {});
    const tag = made.headers.get("etag") ?? "";
    const changes = Array.from({ length: 20 }, (_, index) => {
      const config = kind === "topics" ? { retentionMs: 60_000 + index } : { lengthMax: 1 + index };
      return ask("PATCH", `/${kind}/default/raced`, { config }, { "if-match": tag });
    });
    const statuses = (await Promise.all(changes)).map(({ status }) => status);
    expect(statuses.toSorted()).toEqual([200, ...Array.from({ length: 19 }, () => 412)]);
  }
});

test("publishing over REST counts for the quota of its namespace, and waits where it is used up", async () => {
  await ask("PUT", "/topics/default/metered", {});
  expect((await ask("PUT", "/quotas/namespace/default", { messagesPerSec: 10, burstMs: 0 })).status).toBe(200);
  try {
    const startedMs = performance.now();
    for (let count = 0; count < 6; count += 1) {
      expect((await ask("POST", "/topics/default/metered/messages", { value: "x" })).status).toBe(201);
    }
    // The first is free, each further one waits for the one before to be paid for.
    expect(performance.now() - startedMs).toBeGreaterThan(300);
  } finally {
    expect((await ask("DELETE", "/quotas/namespace/default")).status).toBe(204);
  }
});

test("a rare key is found in a long log, in pages that may be empty, from both ends", async () => {
  await using client = await dial(broker);
  await client.topics.create("long", { partitions: 1 });
  const producer = client.producer("long");
  const padding = "x".repeat(1024);
  await producer.send({ key: "rare", value: "first" });
  // More than one request looks at.
  const sent: Promise<unknown>[] = [];
  for (let count = 0; count < 40_000; count += 1) sent.push(producer.send({ key: "common", value: padding }));
  await Promise.all(sent);
  await producer.send({ key: "rare", value: "last" });
  const path = "/topics/default/long/messages?key=rare&limit=2";
  for (const from of ["earliest", "latest"]) {
    const found: unknown[] = [];
    let empty = 0;
    let after = "";
    for (let pages = 0; pages < 100; pages += 1) {
      const { items, next } = await shown(`${path}&from=${from}${after}`);
      if (items.length === 0) empty += 1;
      found.push(...items.map(({ value }) => (value as { text: string }).text));
      if (next === undefined) break;
      after = `&after=${next}`;
    }
    expect([from, found]).toEqual([from, from === "earliest" ? ["first", "last"] : ["last", "first"]]);
    expect(empty).toBeLessThan(50);
  }
});

test("records that are larger than a look are browsed backwards all the same", async () => {
  await ask("PUT", "/topics/default/wide", { config: { messageBytesMax: 1024 * 1024 } });
  await using client = await dial(broker);
  const producer = client.producer("wide");
  const value = "x".repeat(1_000_000);
  for (let count = 0; count < 12; count += 1) await producer.send({ value });
  const found: unknown[] = [];
  let after = "";
  for (let pages = 0; pages < 30; pages += 1) {
    const { items, next } = await shown(`/topics/default/wide/messages?limit=500${after}`);
    found.push(...items.map(({ offset }) => offset));
    if (next === undefined) break;
    after = `&after=${next}`;
  }
  expect(found).toEqual(Array.from({ length: 12 }, (_, index) => 11 - index));
});
