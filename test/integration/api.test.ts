/** The REST interface over the wire, on one broker. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Broker } from "../../src/server/index.ts";
import { startBroker } from "./harness.ts";

let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
});
afterAll(() => broker.stop());

interface Answered {
  readonly status: number;
  readonly headers: Headers;
  // What a test reads of an answer differs from test to test.
  readonly body: Record<string, unknown>;
}

async function ask(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answered> {
  const response = await fetch(`http://127.0.0.1:${broker.httpPort}/api/v1${path}`, {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
}

function errorOf({ status, body }: Answered): unknown {
  return [status, (body["error"] as Record<string, unknown> | undefined)?.["name"]];
}

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
