/** The registry's HTTP interface: paths, bodies and error codes as clients of Confluent's registry know them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Broker } from "../../src/server/index.ts";
import { startBroker, temporaryFolder } from "./harness.ts";

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

let broker: Broker;
let base: string;

beforeEach(async () => {
  broker = await startBroker();
  base = `http://127.0.0.1:${broker.registryPort}`;
});

afterEach(() => broker.stop());

async function call(method: string, path: string, body?: unknown): Promise<Answer> {
  const init =
    body === undefined
      ? { method }
      : { method, body: JSON.stringify(body), headers: { "content-type": "application/vnd.schemaregistry.v1+json" } };
  const response = await fetch(base + path, init);
  expect(response.headers.get("content-type")).toBe("application/vnd.schemaregistry.v1+json");
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

const get = async (path: string): Promise<unknown> => (await call("GET", path)).body;
const register = async (subject: string, schema: unknown, more: object = {}): Promise<Answer> =>
  call("POST", `/subjects/${encodeURIComponent(subject)}/versions`, { schema: JSON.stringify(schema), ...more });

/** The status and the code of an error, joined. */
async function codeOf(method: string, path: string, body?: unknown): Promise<string> {
  const answer = await call(method, path, body);
  const { error_code: code, message } = answer.body as { error_code: number; message: string };
  expect(typeof message).toBe("string");
  return `${answer.status} ${code}`;
}

const record = (fields: unknown[], name = "R"): object => ({ type: "record", name, fields });
const A = { name: "a", type: "int" };
const B = { name: "b", type: "int", default: 0 };
const TEXT_A = JSON.stringify(record([A]));
const TEXT_AB = JSON.stringify(record([A, B]));

async function registerBoth(): Promise<void> {
  await register("s", record([A]));
  await register("s", record([A, B]));
}

describe("subjects and versions", () => {
  test("a schema is registered and found again in every way", async () => {
    const first = await register("s", record([A]));
    expect(first).toMatchObject({ status: 200, body: { id: 1, version: 1, schema: TEXT_A } });
    expect(await register("s", record([A]))).toMatchObject({ body: { id: 1 } });
    expect(await register("s", record([A, B]))).toMatchObject({ body: { id: 2 } });
    expect(await get("/subjects")).toEqual(["s"]);
    expect(await get("/subjects/s/versions")).toEqual([1, 2]);
    const { guid } = first.body as { guid: string };
    expect(await get("/subjects/s/versions/1")).toEqual({ subject: "s", version: 1, id: 1, guid, schema: TEXT_A });
    expect(await get("/subjects/s/versions/latest")).toMatchObject({ version: 2, id: 2, schema: TEXT_AB });
    expect(await get("/subjects/s/versions/-1")).toMatchObject({ version: 2 });
    expect(await get("/subjects/s/versions/1/schema")).toEqual(record([A]));
    expect(await get("/schemas/ids/1")).toEqual({ schema: TEXT_A, guid });
    expect(await get("/schemas/ids/1?fetchMaxId=true")).toMatchObject({ maxId: 2 });
    expect(await get("/schemas/ids/1/schema")).toEqual(record([A]));
    expect(await get("/schemas/ids/1/subjects")).toEqual(["s"]);
    expect(await get("/schemas/ids/1/versions")).toEqual([{ subject: "s", version: 1 }]);
    expect(await get(`/schemas/guids/${guid}`)).toEqual({ schema: TEXT_A, guid });
    expect(await get(`/schemas/guids/${guid}/ids`)).toEqual([{ context: ".", id: 1 }]);
    expect(await call("POST", "/subjects/s", { schema: TEXT_A })).toMatchObject({ body: { version: 1, id: 1 } });
    expect(await get("/schemas/types")).toContain("AVRO");
    expect(await get("/")).toEqual({});
  });

  test("any text may be a subject", async () => {
    for (const subject of ["stock/AAPL-value", "ü ö?&#%", "a:b", "com.x.Y"]) {
      expect((await register(subject, record([A]))).status).toBe(200);
      expect(await get(`/subjects/${encodeURIComponent(subject)}/versions`)).toEqual([1]);
    }
  });

  test("lists come in pages, by prefix, and with what is deleted", async () => {
    for (const subject of ["a1", "a2", "b1", ":.ns:a3"]) await register(subject, record([A]));
    await call("DELETE", "/subjects/a2");
    expect(await get("/subjects")).toEqual([":.ns:a3", "a1", "b1"]);
    expect(await get("/subjects?deleted=true&subjectPrefix=a")).toEqual(["a1", "a2"]);
    expect(await get("/subjects?deletedOnly=true")).toEqual(["a2"]);
    expect(await get("/subjects?subjectPrefix=:*:a")).toEqual([":.ns:a3", "a1"]);
    expect(await get("/subjects?subjectPrefix=:.ns:")).toEqual([":.ns:a3"]);
    expect(await get("/subjects?offset=1&limit=1")).toEqual(["a1"]);
    expect(await get("/schemas?subjectPrefix=a")).toMatchObject([{ subject: "a1", version: 1 }]);
    await register("a1", record([A, B]));
    expect(await get("/schemas?subjectPrefix=a1&latestOnly=true")).toMatchObject([{ version: 2 }]);
    expect(await get("/subjects/a1/versions?offset=1")).toEqual([2]);
    expect(await codeOf("GET", "/subjects?limit=x")).toBe("400 400");
  });

  test("deleting is soft, then for good", async () => {
    await registerBoth();
    expect(await call("DELETE", "/subjects/s/versions/1")).toEqual({ status: 200, body: 1 });
    expect(await get("/subjects/s/versions")).toEqual([2]);
    expect(await get("/subjects/s/versions?deleted=true")).toEqual([1, 2]);
    expect(await get("/subjects/s/versions?deletedOnly=true")).toEqual([1]);
    expect(await get("/subjects/s/versions/1?deleted=true")).toMatchObject({ id: 1 });
    expect(await call("DELETE", "/subjects/s/versions/latest")).toEqual({ status: 200, body: 2 });
    expect(await codeOf("GET", "/subjects/s/versions")).toBe("404 40401");
    expect(await get("/schemas/ids/2")).toMatchObject({ schema: TEXT_AB });
    expect(await call("DELETE", "/subjects/s?permanent=true")).toEqual({ status: 200, body: [1, 2] });
    expect(await codeOf("GET", "/schemas/ids/2")).toBe("404 40403");
  });

  test("references are kept, resolved, told of, and keep what they name", async () => {
    await register("e", { type: "enum", name: "n.E", symbols: ["X"] });
    const references = [{ name: "n.E", subject: "e", version: 1 }];
    expect(await register("s", record([{ name: "e", type: "n.E" }]), { references })).toMatchObject({
      body: { id: 2 },
    });
    expect(await get("/subjects/s/versions/1")).toMatchObject({ references });
    expect(await get("/schemas/ids/2")).toMatchObject({ references });
    const { schema } = (await get("/schemas/ids/2?format=resolved")) as { schema: string };
    expect(schema).toContain('"symbols":["X"]');
    expect(await get("/subjects/e/versions/1/referencedby")).toEqual([2]);
    expect(await codeOf("DELETE", "/subjects/e")).toBe("422 42206");
    expect(await codeOf("DELETE", "/subjects/e/versions/1")).toBe("422 42206");
  });

  test("normalised schemas that mean the same are one", async () => {
    const path = (query: string): string => `/subjects/s${query}`;
    await call("POST", path("/versions?normalize=true"), {
      schema: JSON.stringify({ ...record([A]), x: { b: 1, a: 2 } }),
    });
    const other = { schema: JSON.stringify({ ...record([A]), x: { b: 1, a: 2 } }) };
    expect(await call("POST", path("?normalize=true"), other)).toMatchObject({ status: 200, body: { version: 1 } });
    expect(await codeOf("POST", path(""), other)).toBe("404 40403");
  });
});

test("JSON Schemas are registered, compared and refer to each other", async () => {
  const json = (subject: string, schema: unknown, more: object = {}): Promise<Answer> =>
    register(subject, schema, { schemaType: "JSON", ...more });
  const item = { type: "object", properties: { id: { type: "string" } }, additionalProperties: false };
  expect(await json("item", item)).toMatchObject({ status: 200, body: { id: 1, schemaType: "JSON" } });
  expect(await get("/schemas/ids/1")).toMatchObject({ schemaType: "JSON", schema: JSON.stringify(item) });
  const references = [{ name: "item.json", subject: "item", version: 1 }];
  expect(await json("list", { type: "array", items: { $ref: "item.json" } }, { references })).toMatchObject({
    body: { id: 2 },
  });
  const { body } = await json("item", { ...item, properties: { id: { type: "integer" } } });
  expect(body).toMatchObject({ error_code: 409, message: expect.stringContaining("/properties/id/type") });
  expect(await json("item", { ...item, properties: { ...item.properties, n: true } })).toMatchObject({
    body: { id: 3 },
  });
  expect(await json("item", { type: "obj" })).toMatchObject({ status: 422, body: { error_code: 42201 } });
  expect(await register("item", record([A]))).toMatchObject({ status: 409 });
  expect(await get("/schemas/types")).toEqual(["JSON", "AVRO"]);
});

describe("errors have their codes", () => {
  const cases: readonly [code: string, method: string, path: string, body?: unknown][] = [
    ["404 40401", "GET", "/subjects/none/versions"],
    ["404 40401", "GET", "/subjects/none/versions/1"],
    ["404 40401", "POST", "/subjects/none", { schema: TEXT_A }],
    ["404 40401", "DELETE", "/subjects/none"],
    ["404 40401", "DELETE", "/subjects/none/versions/1"],
    ["404 40401", "DELETE", "/config/none"],
    ["404 40401", "DELETE", "/mode/none"],
    ["404 40402", "GET", "/subjects/s/versions/9"],
    ["404 40402", "DELETE", "/subjects/s/versions/9"],
    ["404 40402", "POST", "/compatibility/subjects/s/versions/9", { schema: TEXT_A }],
    ["404 40403", "GET", "/schemas/ids/999"],
    ["404 40403", "GET", "/schemas/ids/999/versions"],
    ["404 40403", "GET", "/schemas/guids/no-such"],
    ["404 40403", "POST", "/subjects/s", { schema: '"long"' }],
    ["404 40405", "DELETE", "/subjects/s?permanent=true"],
    ["404 40407", "DELETE", "/subjects/s/versions/1?permanent=true"],
    ["404 40408", "GET", "/config/s"],
    ["404 40409", "GET", "/mode/s"],
    ["409 409", "POST", "/subjects/s/versions", { schema: '"long"' }],
    ["422 42201", "POST", "/subjects/s/versions", { schema: "{" }],
    ["422 42201", "POST", "/subjects/s/versions", {}],
    ["422 42201", "POST", "/subjects/s/versions", { schema: "syntax = x", schemaType: "PROTOBUF" }],
    ["422 42201", "POST", "/subjects/s/versions", { schema: TEXT_A, ruleSet: { domainRules: [1] } }],
    ["422 42201", "POST", "/subjects/s/versions", { schema: TEXT_A, references: [{ name: "x" }] }],
    [
      "422 42201",
      "POST",
      "/subjects/t/versions",
      { schema: TEXT_A, references: [{ name: "x", subject: "y", version: 1 }] },
    ],
    [
      "422 42201",
      "POST",
      "/subjects/t/versions",
      { schema: '{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}' },
    ],
    ["422 42201", "POST", "/subjects/t/versions", { schema: "[".repeat(100_000) }],
    ["422 42201", "POST", "/compatibility/subjects/s/versions/1", { schema: "nothing" }],
    ["422 42202", "GET", "/subjects/s/versions/0"],
    ["422 42202", "GET", "/subjects/s/versions/first"],
    ["422 42202", "DELETE", "/subjects/s/versions/-7"],
    ["422 42203", "PUT", "/config", { compatibility: "SIDEWAYS" }],
    ["422 42203", "PUT", "/config/s", {}],
    ["422 42205", "PUT", "/config/s", { compatibility: "NONE", alias: "t" }],
    ["422 42204", "PUT", "/mode", { mode: "SLEEP" }],
    ["422 42205", "PUT", "/mode", { mode: "IMPORT" }],
    ["422 42205", "POST", "/subjects/s/versions", { schema: TEXT_AB, id: 77 }],
    ["422 42208", "POST", "/subjects/__EMPTY/versions", { schema: TEXT_A }],
    ["422 42208", "POST", "/subjects/a%0Ab/versions", { schema: TEXT_A }],
    ["422 42209", "POST", "/subjects/s/versions", { schema: JSON.stringify("x".repeat(600_000)) }],
    ["404 404", "GET", "/nothing"],
    ["404 404", "GET", "/schemas/ids/x"],
    ["404 404", "GET", "/contexts/x/subjects"],
    ["405 405", "PUT", "/subjects"],
    ["400 400", "POST", "/subjects/s/versions", [1]],
    ["400 400", "GET", "/subjects/%ff/versions"],
  ];
  for (const [code, method, path, body] of cases) {
    test(`${code} for ${method} ${path} ${body === undefined ? "" : JSON.stringify(body).slice(0, 80)}`, async () => {
      await registerBoth();
      expect(await codeOf(method, path, body)).toBe(code);
      // The registry goes on.
      expect(await get("/subjects/s/versions")).toEqual([1, 2]);
    });
  }

  test("soft deletion twice, and of a version twice", async () => {
    await registerBoth();
    await call("DELETE", "/subjects/s/versions/1");
    expect(await codeOf("DELETE", "/subjects/s/versions/1")).toBe("404 40406");
    await call("DELETE", "/subjects/s");
    expect(await codeOf("DELETE", "/subjects/s")).toBe("404 40404");
  });

  test("a body that is no JSON, or of another type, is refused", async () => {
    const post = (body: string, type: string): Promise<Response> =>
      fetch(`${base}/subjects/s/versions`, { method: "POST", body, headers: { "content-type": type } });
    expect((await post("{", "application/json")).status).toBe(400);
    expect((await post(JSON.stringify({ schema: TEXT_A }), "text/plain")).status).toBe(415);
    expect((await post(JSON.stringify({ schema: TEXT_A }), "application/json; charset=utf-8")).status).toBe(200);
  });

  test("a body without end is refused before it is read", async () => {
    const response = await fetch(`${base}/subjects/s/versions`, {
      method: "POST",
      body: "x".repeat(8 * 1024 * 1024),
      headers: { "content-type": "application/json" },
      // A connection of its own: what a refusal before leaves unread on one is no request.
      keepalive: false,
    });
    expect(response.status).toBe(413);
  });

  test("pages of other machines are refused", async () => {
    const from = async (origin: string): Promise<number> =>
      (await fetch(`${base}/subjects`, { headers: { origin } })).status;
    expect([await from("https://example.com"), await from("http://localhost:3000")]).toEqual([403, 200]);
  });
});

describe("compatibility", () => {
  test("is checked against one version or against those that the level asks for", async () => {
    await registerBoth();
    const worse = { schema: JSON.stringify(record([A, { name: "c", type: "int" }])) };
    expect(await call("POST", "/compatibility/subjects/s/versions/latest", worse)).toEqual({
      status: 200,
      body: { is_compatible: false },
    });
    const verbose = await call("POST", "/compatibility/subjects/s/versions?verbose=true", worse);
    expect(verbose.body).toMatchObject({
      is_compatible: false,
      messages: [expect.stringMatching(/READER_FIELD_MISSING_DEFAULT_VALUE.*\/fields\/1.*"c".*give it a default/)],
    });
    expect(await call("POST", "/compatibility/subjects/s/versions/1?verbose=true", { schema: TEXT_A })).toMatchObject({
      body: { is_compatible: true, messages: [] },
    });
    expect(await call("POST", "/compatibility/subjects/new/versions/latest", worse)).toMatchObject({
      body: { is_compatible: true },
    });
  });

  test("a schema that is refused names path, field and repair", async () => {
    await registerBoth();
    const { body } = await register("s", record([A, { name: "c", type: "int" }]));
    expect((body as { message: string }).message).toMatch(
      /incompatible with an earlier schema for subject "s".*\/fields\/1.*"c".*give it a default.*BACKWARD/,
    );
  });

  test("is set for all, for a namespace and for a subject", async () => {
    expect(await get("/config")).toEqual({ compatibilityLevel: "BACKWARD" });
    expect(await call("PUT", "/config", { compatibility: "full" })).toEqual({
      status: 200,
      body: { compatibility: "FULL" },
    });
    expect(await get("/config")).toEqual({ compatibilityLevel: "FULL" });
    expect(await get("/config/s?defaultToGlobal=true")).toEqual({ compatibilityLevel: "FULL" });
    await call("PUT", "/config/s", { compatibility: "NONE", normalize: true });
    expect(await get("/config/s")).toEqual({ compatibilityLevel: "NONE", normalize: true });
    await call("PUT", "/config/:.ns:", { compatibility: "FORWARD" });
    expect(await get("/config/:.ns:x?defaultToGlobal=true")).toEqual({ compatibilityLevel: "FORWARD" });
    expect(await call("DELETE", "/config/s")).toEqual({ status: 200, body: { compatibilityLevel: "NONE" } });
    expect(await call("DELETE", "/config")).toEqual({ status: 200, body: { compatibilityLevel: "FULL" } });
    expect(await get("/config")).toEqual({ compatibilityLevel: "BACKWARD" });
  });
});

test("modes are set, read and taken away, and import takes ids as they come", async () => {
  expect(await get("/mode")).toEqual({ mode: "READWRITE" });
  await call("PUT", "/mode/s", { mode: "IMPORT" });
  expect(await get("/mode/s")).toEqual({ mode: "IMPORT" });
  expect(await register("s", record([A]), { id: 40, version: 3 })).toMatchObject({ body: { id: 40, version: 3 } });
  expect(await call("DELETE", "/mode/s")).toEqual({ status: 200, body: { mode: "IMPORT" } });
  await call("PUT", "/mode", { mode: "READONLY" });
  expect(await codeOf("POST", "/subjects/s/versions", { schema: TEXT_AB })).toBe("422 42205");
  expect(await codeOf("DELETE", "/subjects/s")).toBe("422 42205");
  expect(await get("/mode/s?defaultToGlobal=true")).toEqual({ mode: "READONLY" });
  await call("PUT", "/mode", { mode: "READWRITE" });
  expect(await register("s", record([A, B]))).toMatchObject({ body: { id: 41, version: 4 } });
});

test("contexts are namespaces: subjects of each are its own", async () => {
  await register("s", record([A]));
  await register(":.ns:s", record([A, B]));
  expect(await get("/contexts")).toEqual([".", ".ns"]);
  expect(await get("/contexts/:.ns:/subjects")).toEqual([":.ns:s"]);
  expect(await get("/contexts/.ns/subjects/s/versions/1")).toMatchObject({ subject: ":.ns:s", id: 2 });
  expect(await call("POST", "/contexts/.ns/subjects/t/versions", { schema: TEXT_A })).toMatchObject({
    body: { id: 1 },
  });
  expect(await get("/schemas/ids/1/subjects")).toEqual([":.ns:t", "s"]);
  expect(await get("/subjects/:.:s/versions")).toEqual([1]);
});

test("the same interface is on the port of the other HTTP paths", async () => {
  await register("s", record([A]));
  const admin = `http://127.0.0.1:${broker.httpPort}/schemas`;
  expect(await (await fetch(`${admin}/subjects`)).json()).toEqual(["s"]);
  expect(await (await fetch(`${admin}/schemas/ids/1`)).json()).toMatchObject({ schema: TEXT_A });
  expect((await fetch(admin)).status).toBe(200);
});

test("what was registered is there after a restart, under the same ids", async () => {
  await using folder = await temporaryFolder();
  const first = await startBroker({ dataDir: folder.path });
  base = `http://127.0.0.1:${first.registryPort}`;
  await registerBoth();
  await call("PUT", "/config/s", { compatibility: "FULL" });
  await first.stop();
  const second = await startBroker({ dataDir: folder.path });
  base = `http://127.0.0.1:${second.registryPort}`;
  try {
    expect(await get("/subjects/s/versions/2")).toMatchObject({ id: 2, schema: TEXT_AB });
    expect(await get("/config/s")).toEqual({ compatibilityLevel: "FULL" });
    expect(await register("s", record([A, B, { ...B, name: "c" }]))).toMatchObject({ body: { id: 3, version: 3 } });
  } finally {
    await second.stop();
  }
});
