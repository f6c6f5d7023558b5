import { expect, test } from "bun:test";
import { connect } from "../../src/client/index.ts";
import { Op } from "../../src/protocol/index.ts";
import { all, dial, RawConnection, startBroker, textOf, until } from "./harness.ts";

test("metrics count messages and bytes of topics in and out, log size, connections and loop delay", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("a.b", { partitions: 2 });
  const producer = client.producer("a.b");
  await Promise.all(Array.from({ length: 50 }, (_, index) => producer.send({ partition: index % 2, value: "x" })));
  await all(client.consume("a.b", { from: "earliest", until: "end" }));
  await Bun.sleep(120);
  const response = await fetch(`http://127.0.0.1:${broker.httpPort}/metrics`);
  expect(response.headers.get("content-type")).toContain("text/plain");
  const text = await response.text();
  const value = (name: string): number => {
    const line = text.split("\n").find((each) => each.startsWith(name));
    return Number(line?.split(" ").at(-1));
  };
  const labels = '{namespace="default",topic="a.b"}';
  expect(value(`millrace_messages_in_total${labels}`)).toBe(50);
  expect(value(`millrace_messages_out_total${labels}`)).toBe(50);
  expect(value(`millrace_bytes_in_total${labels}`)).toBeGreaterThan(50);
  expect(value(`millrace_log_bytes${labels}`)).toBeGreaterThan(50);
  const connections = text.split("\n").filter((line) => line.startsWith("millrace_connections{"));
  expect(connections.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)).toBe(1);
  expect(text).toContain("millrace_sync_seconds_bucket");
  expect(text).toContain('millrace_event_loop_delay_seconds{worker="0",quantile="0.99"}');
});

test("errors over HTTP are JSON", async () => {
  await using broker = await startBroker();
  const base = `http://127.0.0.1:${broker.httpPort}`;
  const missing = await fetch(`${base}/nothing`);
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({ error: { code: 404 } });
  expect((await fetch(`${base}/metrics`, { method: "POST" })).status).toBe(405);
  expect((await fetch(`${base}/ws`)).status).toBe(426);
});

test("the protocol works over WebSocket as over TCP, however the bytes are cut into messages", async () => {
  await using broker = await startBroker();
  await using client = await connect(`ws://127.0.0.1:${broker.httpPort}/ws`);
  await client.topics.create("t");
  const producer = client.producer("t");
  const value = "x".repeat(100_000);
  await Promise.all(Array.from({ length: 100 }, () => producer.send({ value })));
  const read = await all(client.consume("t", { from: "earliest", until: "end" }));
  expect(read.map((message) => textOf(message.value) === value)).toEqual(Array.from({ length: 100 }, () => true));
});

test("a WebSocket from a page of another machine is refused", async () => {
  await using broker = await startBroker();
  const status = async (origin: string): Promise<number> => {
    const headers = {
      origin,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    return (await fetch(`http://127.0.0.1:${broker.httpPort}/ws`, { headers })).status;
  };
  expect(await status("https://example.org")).toBe(403);
  expect(await status("null")).toBe(403);
});

test("connections over the limit are refused with the limit's name, and room comes back", async () => {
  await using broker = await startBroker({ connectionsMax: 3 });
  const open = await Promise.all([1, 2, 3].map(() => RawConnection.open(broker.port)));
  await Promise.all(open.map((raw) => raw.hello()));
  using fourth = await RawConnection.open(broker.port);
  expect(await fourth.goodbye()).toBe(9);
  open[0]?.end();
  await until("there is room", async () => {
    using raw = await RawConnection.open(broker.port);
    const answered = await Promise.race([raw.hello().catch(() => undefined), raw.goodbye().catch(() => undefined)]);
    return typeof answered === "object";
  });
  for (const raw of open) raw.end();
});

test("requests over requestsInFlightMax are refused, and the session lives", async () => {
  await using broker = await startBroker({ requestsInFlightMax: 2 });
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  const asked = Array.from({ length: 10 }, (_, index) =>
    raw.ask(Op.TOPIC_CREATE, { name: `t${index}` }).then(() => "ok", String),
  );
  const answers = await Promise.all(asked);
  expect(answers.filter((answer) => answer === "ok").length).toBeGreaterThanOrEqual(2);
  expect(answers.filter((answer) => answer.includes("limit_exceeded")).length).toBeGreaterThan(0);
  expect(await raw.ask(Op.TOPIC_LIST, {})).toHaveProperty("topics");
});
