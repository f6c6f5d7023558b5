/** The REST interface against requests that nobody should send. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Broker } from "../../src/server/index.ts";
import { Api, errorOf } from "./api-kit.ts";
import { startBroker } from "./harness.ts";
import { random } from "./kit.ts";

/** The same requests in every run; another seed asks others. */
const SEED = Number(process.env["MILLRACE_SEED"] ?? 20_261_121);

let broker: Broker;
let api: Api;
const lines: string[] = [];
beforeAll(async () => {
  broker = await startBroker({ log: (line) => lines.push(line) });
  api = await Api.open(broker.httpPort);
});
afterAll(() => broker.stop());

/** Sends bytes as they are, and resolves to all that comes back until the broker closes or so much is there. */
async function raw(request: string, isEnough: (text: string) => boolean): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: broker.httpPort,
    socket: {
      data(_, chunk) {
        text += chunk.toString("latin1");
        if (isEnough(text)) resolve(text);
      },
      close: () => resolve(text),
      error: () => resolve(text),
    },
  });
  socket.write(request);
  const answer = await promise;
  socket.terminate();
  return answer;
}

test("names that climb out of a path, or bring headers of their own, are refused as names", async () => {
  for (const name of [
    "..%2f..%2fetc%2fpasswd",
    "%2fetc",
    "a%2f..%2fb",
    "a%00b",
    "a%0d%0aset-cookie:%20x=1",
    "%2e%2e%2fb",
  ]) {
    const answered = await api.ask("PUT", `/topics/default/${name}`, {});
    expect([name, errorOf(answered)]).toEqual([name, [400, "invalid_topic_name"]]);
    expect(answered.headers.get("set-cookie")).toBeNull();
    expect(errorOf(await api.ask("PUT", `/queues/default/${name}`, {}))).toEqual([400, "invalid_topic_name"]);
    expect((await api.ask("PUT", `/topics/${name}/t`, {})).status).toBe(400);
  }
  const climbed = await raw("GET /api/v1/../../etc/passwd HTTP/1.1\r\nhost: localhost\r\n\r\n", (text) =>
    text.includes("}"),
  );
  expect(climbed).toStartWith("HTTP/1.1 404");
  expect(climbed.toLowerCase()).toContain("x-content-type-options: nosniff");
  const made = await api.ask("PUT", "/topics/default/a%3Ab", {});
  expect(made.headers.get("location")).toBe("/api/v1/topics/default/a%3Ab");
});

test("a body past its limit is refused before and while it is read", async () => {
  const large = JSON.stringify({ config: { x: "x".repeat(2 * 1024 * 1024) } });
  expect((await api.ask("PUT", "/topics/default/large", large)).status).toBe(413);
  const said = "PUT /api/v1/topics/default/large HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
  const early = await raw(`${said}content-length: 9000000000\r\n\r\n{`, (text) => text.includes("\r\n\r\n"));
  expect(early).toStartWith("HTTP/1.1 413");
  const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
  const chunked = await raw(`${said}transfer-encoding: chunked\r\n\r\n${chunk.repeat(40)}0\r\n\r\n`, (text) =>
    text.includes("\r\n\r\n"),
  );
  expect(chunked).toStartWith("HTTP/1.1 413");
});

test("bodies that are deep, no UTF-8, or meant for prototypes do no harm", async () => {
  const deep = `{"config":{"retentionMs":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`;
  expect(errorOf(await api.ask("PUT", "/topics/default/deep", deep))).toEqual([400, "invalid_argument"]);
  const bytes = await fetch(`${api.base}/topics/default/deep`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: new Uint8Array([0x7b, 0xff, 0x7d]),
  });
  expect(bytes.status).toBe(400);
  const polluted = '{"config":{"__proto__":{"compact":true},"constructor":1}}';
  expect(errorOf(await api.ask("PUT", "/topics/default/deep", polluted))).toEqual([400, "invalid_config"]);
  expect(({} as Record<string, unknown>)["compact"]).toBeUndefined();
  expect(errorOf(await api.ask("PUT", "/topics/default/deep", '{"partitions":1e999}'))).toEqual([
    400,
    "invalid_argument",
  ]);
  expect(errorOf(await api.ask("GET", "/topics/default/deep"))).toEqual([404, "topic_not_found"]);
});

interface Parameter {
  readonly name: string;
  readonly in: string;
}

interface Described {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { content: Record<string, { schema: { properties?: Record<string, unknown> } }> };
}

test("whatever is sent to a route, the answer is one that the document describes, and never a fault of ours", async () => {
  console.log(`seed ${SEED}`);
  const next = random(SEED);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  const texts = [
    "a",
    "there",
    "a/b",
    "(default)",
    "-1",
    "0",
    "9007199254740993",
    "\u0000",
    "ü",
    "%",
    "*",
    "#",
    "a b",
    "[",
    "null",
  ];
  const values: readonly unknown[] = [
    ...texts,
    null,
    true,
    -1,
    0,
    1.5,
    1e21,
    [],
    {},
    [1, "a"],
    { a: { b: null } },
    ["earliest"],
  ];
  await api.ask("PUT", "/topics/default/there", { partitions: 2 });
  await api.ask("PUT", "/queues/default/there", {});
  await api.ask("PUT", "/exchanges/default/there", { type: "topic" });
  const document = (await (await fetch(`${api.base}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, Described | readonly Parameter[]>>;
  };
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      // A stream has no end, and a change of the configuration would change what follows.
      .filter(
        ([method]) =>
          method !== "parameters" && path !== "/events" && !path.startsWith("/config") && !path.startsWith("/log"),
      )
      .map(([method, described]) => ({ path, method: method.toUpperCase(), described: described as Described })),
  );
  for (let round = 0; round < 400; round += 1) {
    const { path, method, described } = pick(routes);
    const word = (): string => encodeURIComponent(next() < 0.5 ? pick(["default", "there"]) : pick(texts));
    const query = (described.parameters ?? [])
      .filter((parameter) => parameter.in === "query" && next() < 0.4)
      .map(({ name }) => `${name}=${encodeURIComponent(pick(texts))}`);
    const properties = Object.keys(described.requestBody?.content["application/json"]?.schema.properties ?? {});
    const body = Object.fromEntries(properties.filter(() => next() < 0.6).map((name) => [name, pick(values)]));
    const url = `${path.replace(/\{\w+\}/g, word)}${query.length > 0 ? `?${query.join("&")}` : ""}`;
    const answered = await api.ask(method, url, described.requestBody === undefined ? undefined : body);
    const isOurs = answered.status === 500;
    expect([`${method} ${url}`, body, isOurs]).toEqual([`${method} ${url}`, body, false]);
  }
  expect(lines.filter((line) => line.includes("a request of the API failed"))).toEqual([]);
});
