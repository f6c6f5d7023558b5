/** What the broker tells of messages: stage latencies, queue metrics, skew, hot keys, and where one message went. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { decodeFromCompressedBase64 } from "hdr-histogram-js";
import { STAGES } from "../../src/metrics/index.ts";
import { commands } from "../cli/run-cli.ts";
import { all, dial, startBroker, temporaryFolder, until } from "./harness.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let broker: Broker;
let client: Client;

beforeAll(async () => {
  folder = await temporaryFolder();
  broker = await startBroker({ dataDir: folder.path });
  client = await dial(broker, { clientName: "figures-test" });
});

afterAll(async () => {
  await client.close();
  await broker.stop();
  await folder[Symbol.asyncDispose]();
});

/** Samples by name and labels, as /metrics has them. */
async function samples(): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${broker.httpPort}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

const { ok: cli } = commands(() => ({ MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` }));

test("each stage of a message that a consumer waits for is in /metrics", async () => {
  await client.topics.create("stages");
  const got: number[] = [];
  const consumer = client.consume("stages", { from: "earliest" });
  const reading = (async () => {
    for await (const message of consumer) if (got.push(message.offset) === 200) return;
  })();
  const producer = client.producer("stages");
  for (let at = 0; at < 200; at += 1) await producer.send({ value: `v${at}` });
  await reading;
  await consumer.close();
  const found = await until("all stages to be noted", async () => {
    const now = await samples();
    return (now.get('millrace_stage_seconds_count{stage="total"}') ?? 0) > 0 ? now : undefined;
  });
  for (const stage of ["receive", "append", "commit", "dispatch", "send", "total"]) {
    const count = found.get(`millrace_stage_seconds_count{stage="${stage}"}`) ?? 0;
    expect(count).toBeGreaterThan(0);
    expect(found.get(`millrace_stage_seconds_bucket{stage="${stage}",le="+Inf"}`)).toBe(count);
    const bounds = [...found].filter(([name]) => name.startsWith(`millrace_stage_seconds_bucket{stage="${stage}"`));
    const counts = bounds.map(([, value]) => value);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
  }
});

test("stages come as a log of HdrHistogram, too", async () => {
  const log = await (await fetch(`http://127.0.0.1:${broker.httpPort}/metrics/latencies.hlog`)).text();
  const lines = log.split("\n").filter((line) => line.startsWith("Tag="));
  expect(lines.map((line) => line.slice(4, line.indexOf(",")))).toEqual([...STAGES]);
  for (const line of lines) {
    const histogram = decodeFromCompressedBase64(line.slice(line.lastIndexOf(",") + 1));
    expect(histogram.totalCount).toBeGreaterThan(0);
    expect(histogram.maxValue).toBeLessThan(60_000_000);
  }
});

test("queues show where their messages are and what became of them", async () => {
  const queue = client.queue("counted");
  await queue.declare({ deliveryLimit: 3 });
  for (let at = 0; at < 5; at += 1) await client.exchange("").publish("counted", `m${at}`);
  const taken = await queue.get(2);
  await taken[0]?.ack();
  await client.quotas.put({ kind: "namespace", name: "default", queuesMax: 1_000, messagesPerSec: 1_000_000 });
  const labels = 'namespace="default",queue="counted"';
  const found = await until("the ack to be counted", async () => {
    const now = await samples();
    return now.get(`millrace_queue_acked_total{${labels}}`) === 1 ? now : undefined;
  });
  expect(found.get(`millrace_queue_messages{${labels},state="ready"}`)).toBe(3);
  expect(found.get(`millrace_queue_messages{${labels},state="unacked"}`)).toBe(1);
  expect(found.get(`millrace_queue_published_total{${labels}}`)).toBe(5);
  expect(found.get(`millrace_queue_delivered_total{${labels}}`)).toBe(2);
  const quota = 'kind="namespace",name="default",resource=';
  expect(found.get(`millrace_quota_limit{${quota}"queues"}`)).toBe(1_000);
  expect(found.get(`millrace_quota_used{${quota}"queues"}`)).toBeGreaterThanOrEqual(1);
  expect(found.has(`millrace_quota_used{${quota}"messages_per_second"}`)).toBe(false);
  expect(found.get('millrace_namespace_connections{namespace="default"}')).toBe(1);
});

test("a topic whose messages go to one partition, and mostly with one key, shows it", async () => {
  await client.topics.create("skewed", { partitions: 4 });
  const producer = client.producer("skewed");
  const send = (): Promise<unknown> =>
    Promise.all(
      Array.from({ length: 200 }, (_, at) => producer.send({ key: at % 10 === 0 ? `k${at}` : "hot", value: "v" })),
    );
  const labels = '{namespace="default",topic="skewed"}';
  const found = await until(
    "the hot key to be found",
    async () => {
      await send();
      const now = await samples();
      return (now.get(`millrace_hot_key_ratio${labels}`) ?? 0) > 0.6 ? now : undefined;
    },
    30_000,
  );
  expect(found.get(`millrace_partition_skew_ratio${labels}`)).toBeGreaterThan(3);
  expect(found.get(`millrace_hot_key_ratio${labels}`)).toBeLessThanOrEqual(1);
  const load = await client.explainLoad("skewed");
  expect(load.hotKeys[0]).toMatchObject({ key: "hot" });
  expect(load.partitions.length).toBe(4);
  const shown = await cli("explain", "skewed");
  expect(shown).toMatch(/KEY +SHARE\nhot +\d/);
});

test("a record is explained from its sender to the group that has committed it", async () => {
  await client.topics.create("explained", { partitions: 2 });
  const headers = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };
  const { offset: given } = await client.producer("explained").send({ partition: 1, key: "k", value: "four", headers });
  const offset = given ?? -1;
  await using other = await dial(broker, { clientName: "reader" });
  const read = await all(other.consume("explained", { from: "earliest", until: "end" }));
  expect(read.length).toBe(1);
  const explained = await client.explain({ topic: "explained", partition: 1, offset });
  expect(explained.message).toMatchObject({ bytes: 4 });
  expect(explained.stored).toMatchObject({ log: "topic", topic: "explained", partition: 1, offset, batchOffset: 0 });
  expect(explained.stored).toMatchObject({ batchRecords: 1, segmentOffset: 0, position: 0, isVisible: true });
  expect(explained.arrived).toMatchObject({ client: "figures-test" });
  expect(explained.arrived?.appendedMs).toBeGreaterThanOrEqual(explained.arrived?.receivedMs ?? Infinity);
  expect(explained.deliveries.map(({ client: name }) => name)).toEqual(["reader"]);
  expect(explained.acks).toEqual([]);

  const member = other.group("explainers").consume("explained", { from: "earliest" });
  for await (const message of member) {
    if (message.partition !== 1) continue;
    const delivered = await client.explain({ topic: "explained", partition: 1, offset });
    expect(delivered.deliveries.at(-1)).toMatchObject({ client: "reader", group: "explainers" });
    break;
  }
  await member.close();
  const stdout = await cli("explain", "explained", String(offset), "--partition", "1");
  expect(stdout).toContain('key "k"');
  expect(stdout).toContain("traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  expect(stdout).toMatch(/came in +\S+Z by figures-test.* from 127\.0\.0\.1/);
  expect(stdout).toMatch(/delivered +\S+Z to reader/);
  await expect(client.explain({ topic: "explained", partition: 1, offset: 99 })).rejects.toThrow("outside");
});

test("a queue's message is explained from its exchange to its ack", async () => {
  const exchange = client.exchange("traced");
  await exchange.declare("topic");
  for (const queue of ["traced-a", "traced-b"]) {
    await client.queue(queue).declare();
    await exchange.bind({ queue }, { key: "order.#" });
  }
  await exchange.publish("order.new", "body");
  const [message] = await client.queue("traced-a").get(1);
  const number = message?.number ?? -1;
  const delivered = await client.explain({ queue: "traced-a", number });
  expect(delivered.state).toBe("in_flight");
  expect(delivered.routing?.destinations.map(({ name }) => name).sort()).toEqual(["traced-a", "traced-b"]);
  expect(delivered.routing).toMatchObject({ exchange: "traced", key: "order.new" });
  expect(delivered.arrived).toMatchObject({ client: "figures-test" });
  expect(delivered.deliveries).toMatchObject([{ queue: "traced-a", client: "figures-test", redeliveries: 0 }]);
  await message?.ack();
  const acked = await until("the ack to be known", async () => {
    const now = await client.explain({ queue: "traced-a", number });
    return now.state === "gone" ? now : undefined;
  });
  expect(acked.acks).toMatchObject([{ outcome: "acked", queue: "traced-a", client: "figures-test" }]);
  expect((await client.explain({ queue: "traced-b", number })).state).toBe("ready");
  const stdout = await cli("explain", "--queue", "traced-a", String(number));
  expect(stdout).toMatch(/routed to +queue traced-a, queue traced-b/);
  expect(stdout).toMatch(/acked +\S+Z by figures-test/);
});
