import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Client, connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";
import { commands, jsonLines } from "../cli/run-cli.ts";
import { until } from "./harness.ts";

/** The command line against a real broker: exchanges, bindings, queues, publishing and requests. */

const threads = Number(process.env["MILLRACE_TEST_THREADS"] ?? 1);
let broker: Broker;
let client: Client;
let env: Record<string, string>;

beforeAll(async () => {
  broker = await Broker.start({ storage: "memory", port: 0, httpPort: 0, threads });
  const url = `millrace://127.0.0.1:${broker.port}`;
  client = await connect(url);
  env = { MILLRACE_URL: url };
});

afterAll(async () => {
  await client.close();
  await broker.stop();
});

const { ok, refused } = commands(() => env);

describe("exchanges and bindings", () => {
  test("are created, described, listed and removed", async () => {
    expect(await ok("exchange", "create", "orders")).toBe("created orders\n");
    expect(await ok("exchange", "create", "orders")).toBe("orders was there already\n");
    await ok("exchange", "create", "mail", "--type", "headers", "--alternate", "orders");
    await ok("queue", "create", "eu");
    expect(await ok("binding", "add", "orders", "--queue", "eu", "--key", "eu.#")).toBe("bound eu to orders\n");
    await ok("binding", "add", "mail", "--queue", "eu", "-H", "pages>100", "-H", "format=pdf", "--match", "any");
    await ok("binding", "add", "mail", "--to", "orders", "--where", "$.a == 1");
    expect(await ok("exchange", "list")).toBe(
      "EXCHANGE  TYPE     BINDINGS\nmail      headers         2\norders    topic           1\n",
    );
    expect(await ok("exchange", "describe", "mail")).toContain("alternate  orders\n");
    const bindings = JSON.parse(await ok("binding", "list", "--queue", "eu", "--json")) as unknown[];
    expect(bindings).toEqual([
      { exchange: "orders", queue: "eu", key: "eu.#" },
      {
        exchange: "mail",
        queue: "eu",
        key: "",
        match: "any",
        headers: { format: "pdf", pages: { op: ">", value: 100 } },
      },
    ]);
    expect(await ok("binding", "remove", "orders", "--queue", "eu", "--key", "eu.#")).toBe("unbound eu from orders\n");
    expect(await refused(4, "binding", "remove", "orders", "--queue", "eu")).toContain("binding_not_found");
    expect(await refused(1, "exchange", "delete", "orders")).toContain("in_use");
    expect(await ok("exchange", "delete", "mail", "orders")).toBe("deleted mail\ndeleted orders\n");
  });

  test("that are wrong are refused with what to do", async () => {
    expect(await refused(2, "exchange", "create", "x", "--type", "round")).toContain("use direct, fanout");
    expect(await refused(4, "exchange", "describe", "none")).toContain("exchange_not_found");
    expect(await refused(2, "binding", "add", "x", "--key", "a")).toContain("--queue, --topic and --to");
    await ok("exchange", "create", "wrong");
    await ok("queue", "create", "wrong");
    expect(await refused(2, "binding", "add", "wrong", "--queue", "wrong", "--where", "$.a ==")).toContain(
      "bad_expression",
    );
    expect(await refused(1, "exchange", "create", "wrong", "--type", "fanout")).toContain("argument_mismatch");
  });
});

describe("queues", () => {
  test("hold what is published until it is consumed, peeked, redriven or purged", async () => {
    await ok("queue", "create", "work.dead");
    await ok("queue", "create", "work", "--delivery-limit", "3", "--dead-letter", ":work.dead", "--ttl", "1h");
    expect(await ok("publish", "", "work", "-m", '{"n":1}', "-m", "two", "-H", "tenant=a")).toBe(
      "published 2 messages\n",
    );
    expect(await ok("queue", "list", "work")).toMatch(/^QUEUE +READY .*\nwork +2 +0 +0 +0 +0\n$/);
    const peeked = jsonLines(await ok("queue", "peek", "work")) as { value: unknown; headers: unknown }[];
    expect(peeked.map(({ value, headers }) => [value, headers])).toEqual([
      [{ n: 1 }, { tenant: "a" }],
      ["two", { tenant: "a" }],
    ]);
    const described = await ok("queue", "describe", "work");
    expect(described).toMatch(/messageTtlMs +1 h\n/);
    expect(described).toMatch(/deadLetter +\{"exchange":"","routingKey":"work.dead"\}\n/);
    for (const message of await client.queue("work").get(2)) message.reject();
    await until("dead letters", async () => (await client.queue("work.dead").describe()).counts.ready === 2);
    expect(await ok("queue", "peek", "work.dead", "-n", "1")).toContain('"rejected"');
    const dry = await ok(
      "queue",
      "redrive",
      "work.dead",
      "--dry-run",
      "--set-header",
      "n=5",
      "--remove-header",
      "tenant",
    );
    expect(dry).toEndWith("\nwould move 2 messages; nothing was changed\n");
    expect(JSON.parse(dry.split("\n")[1] as string)).toMatchObject({
      queues: ["work"],
      value: "two",
      headers: { n: "5" },
    });
    expect(await ok("queue", "redrive", "work.dead", "--where", "$.n == 1")).toBe("moved 1 messages\n");
    expect(await ok("queue", "purge", "work", "work.dead")).toBe(
      "purged 1 messages from work\npurged 1 messages from work.dead\n",
    );
    expect(await ok("queue", "delete", "work", "work.dead", "--if-empty")).toBe("deleted work\ndeleted work.dead\n");
    expect(await refused(4, "queue", "peek", "work")).toContain("queue_not_found");
  });

  test("are altered by the settings that are named", async () => {
    await ok("queue", "create", "altered", "--length-max", "5", "--ttl", "1h", "-c", "retry.delayMs=1s");
    const options = ["--length-max", "7", "-c", "retry.kind=fixed", "--reset", "messageTtlMs"];
    expect(await ok("queue", "alter", "altered", ...options)).toBe("altered altered\n");
    const { config } = await client.queue("altered").describe();
    expect(config).toMatchObject({ lengthMax: 7, retry: { kind: "fixed", delayMs: 1_000 } });
    expect(config.messageTtlMs).toBeUndefined();
    expect(await refused(2, "queue", "alter", "altered", "-c", "ordered=true")).toContain("ordered cannot be changed");
    expect(await refused(4, "queue", "alter", "none", "--ttl", "1h")).toContain("queue_not_found");
  });

  test("give delayed messages later, which are listed and cancelled until then", async () => {
    await ok("queue", "create", "reminders");
    await ok("publish", "", "reminders", "-m", "call back", "--delay", "2h");
    await ok("publish", "", "reminders", "-m", "new year", "--at", "2099-01-01T00:00");
    const scheduled = JSON.parse(await ok("queue", "scheduled", "reminders", "--json")) as { number: number }[];
    expect(scheduled).toHaveLength(2);
    expect(await ok("queue", "scheduled", "reminders")).toContain("2099-01-01T00:00:00.000Z");
    expect(await ok("queue", "scheduled", "reminders", "--cancel", String(scheduled[0]?.number))).toBe(
      "cancelled 1 messages\n",
    );
    expect(await refused(2, "publish", "", "reminders", "-m", "x", "--at", "soon")).toContain("is no time");
  });

  test("that are wrong are refused with what to do", async () => {
    expect(await refused(2, "queue", "create", "x", "-c", "lengthMx=1")).toContain("did you mean lengthMax?");
    expect(await refused(2, "queue", "create", "x", "-c", "priorityMax=99")).toContain("invalid_config: priorityMax");
    expect(await refused(1, "queue", "create", "x", "--dead-letter", ":x")).toContain("dead_letter_loop");
    expect(await refused(1, "publish", "", "nowhere", "-m", "x", "--mandatory")).toContain("unroutable");
    expect(await refused(4, "publish", "nowhere", "key", "-m", "x")).toContain("exchange_not_found");
  });
});

test("a request prints its answer, or says at once that nobody is there", async () => {
  const responder = client.reply("double", (message) => String(2 * Number(message.text())));
  await until("the responder", () => responder.isSubscribed);
  expect(await ok("request", "double", "-m", "21")).toBe("42\n");
  expect(JSON.parse(await ok("request", "double", "-m", "4", "--json"))).toMatchObject({ value: "8" });
  expect(await refused(1, "request", "nobody", "-m", "?")).toContain("no_responder");
});

test("connections are listed, and one is closed with a reason that its client hears", async () => {
  const other = await connect(`millrace://127.0.0.1:${broker.port}`, {
    clientName: "to-be-closed",
    reconnect: { enabled: false },
  });
  const rows = JSON.parse(await ok("connection", "list", "--json")) as { id: string; client: string }[];
  const id = rows.find(({ client: name }) => name === "to-be-closed")?.id ?? "";
  expect(await ok("connection", "list", "--of", "nowhere")).not.toContain("to-be-closed");
  const heard = new Promise<string>((resolve) => {
    other.onStateChange = (_, error) => resolve(String(error));
  });
  expect(await ok("connection", "close", id, "--reason", "out of the way")).toBe(`closed ${id}\n`);
  expect(await heard).toContain("out of the way");
  expect(await refused(4, "connection", "close", id)).toContain(`there is no connection "${id}"`);
  await other.close();
});

test("every command has help with examples", async () => {
  const commands = [
    ...["create", "list", "describe", "delete"].map((word) => ["exchange", word]),
    ...["add", "list", "remove"].map((word) => ["binding", word]),
    ...["create", "alter", "list", "describe", "purge", "delete", "peek", "redrive", "scheduled"].map((word) => [
      "queue",
      word,
    ]),
    ...["list", "close"].map((word) => ["connection", word]),
    ["publish"],
    ["request"],
  ];
  for (const words of commands) expect(await ok(...words, "--help")).toContain("\nExamples:\n");
});
