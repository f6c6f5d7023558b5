/** Exchanges and bindings over real sockets: each kind, what goes where, and bindings that change under load. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Client, Exchange, ExchangeConfig, ExchangeType, Queue } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, failureOf, startBroker, take, until } from "./harness.ts";

let broker: Broker;
let client: Client;
let made = 0;

beforeAll(async () => {
  broker = await startBroker();
  client = await dial(broker);
});

afterAll(async () => {
  await client.close();
  await broker.stop();
});

async function exchange(type: ExchangeType, config: ExchangeConfig = {}): Promise<Exchange> {
  const found = client.exchange(`e${++made}`);
  await found.declare(type, config);
  return found;
}

async function queues<T extends string>(...names: T[]): Promise<{ [K in T]: Queue }> {
  const suffix = ++made;
  const found = names.map((name) => [name, client.queue(`${name}.${suffix}`)] as const);
  for (const [, queue] of found) await queue.declare();
  return Object.fromEntries(found) as { [K in T]: Queue };
}

/** What a queue holds, taken out. */
async function texts(queue: Queue): Promise<string[]> {
  const messages = await queue.get(1_000);
  for (const message of messages) message.ack();
  return messages.map((message) => message.text() as string);
}

describe("an exchange", () => {
  test("of type direct routes by the whole key, to every queue that is bound to it", async () => {
    const orders = await exchange("direct");
    const { a, b } = await queues("a", "b");
    await a.bind(orders.name, { key: "new" });
    await b.bind(orders.name, { key: "new" });
    await b.bind(orders.name, { key: "old" });
    await orders.publish("new", "1");
    await orders.publish("old", "2");
    await orders.publish("new.x", "3");
    expect([await texts(a), await texts(b)]).toEqual([["1"], ["1", "2"]]);
  });

  test("of type fanout routes to all, one copy each, however often they are bound", async () => {
    const all = await exchange("fanout");
    const { a, b } = await queues("a", "b");
    await a.bind(all.name);
    await a.bind(all.name, { key: "x" });
    await b.bind(all.name);
    await all.publish("x", "1");
    expect([await texts(a), await texts(b)]).toEqual([["1"], ["1"]]);
  });

  test("of type topic routes by words", async () => {
    const topic = await exchange("topic");
    const { one, any, exact } = await queues("one", "any", "exact");
    await one.bind(topic.name, { key: "eu.*.new" });
    await any.bind(topic.name, { key: "eu.#" });
    await exact.bind(topic.name, { key: "eu.shop.new" });
    for (const key of ["eu.shop.new", "eu.web.new", "eu", "us.shop.new", "eu.a.b.new"]) await topic.publish(key, key);
    expect(await texts(one)).toEqual(["eu.shop.new", "eu.web.new"]);
    expect(await texts(any)).toEqual(["eu.shop.new", "eu.web.new", "eu", "eu.a.b.new"]);
    expect(await texts(exact)).toEqual(["eu.shop.new"]);
  });

  test("of type headers routes by all or any of them, with comparisons", async () => {
    const jobs = await exchange("headers");
    const { all, any, big } = await queues("all", "any", "big");
    await all.bind(jobs.name, { headers: { format: "pdf", urgent: true } });
    await any.bind(jobs.name, { match: "any", headers: { format: "pdf", urgent: true } });
    await big.bind(jobs.name, { headers: { pages: { op: ">=", value: 100 }, trace: { op: "prefix", value: "eu-" } } });
    await jobs.publish("", "1", { headers: { format: "pdf", urgent: true } });
    await jobs.publish("", "2", { headers: { format: "pdf" } });
    await jobs.publish("", "3", { headers: { pages: 100, trace: "eu-1" } });
    await jobs.publish("", "4", { headers: { pages: 99, trace: "eu-1" } });
    expect([await texts(all), await texts(any), await texts(big)]).toEqual([["1"], ["1", "2"], ["3"]]);
  });

  test("of type consistent-hash sends a key always to the same queue, and shares keys by weight", async () => {
    const shards = await exchange("consistent-hash");
    const { a, b } = await queues("a", "b");
    await a.bind(shards.name, { key: "1" });
    await b.bind(shards.name, { key: "3" });
    for (const round of [1, 2]) {
      await Promise.all(Array.from({ length: 400 }, (_, index) => shards.publish(`key-${index}`, `${index}/${round}`)));
    }
    const [inA, inB] = [await texts(a), await texts(b)];
    expect(inA.length + inB.length).toBe(800);
    expect(inA.length).toBeGreaterThan(80);
    expect(inB.length).toBeGreaterThan(inA.length);
    const keysOfA = new Set(inA.map((value) => value.split("/")[0]));
    expect(inB.filter((value) => keysOfA.has(value.split("/")[0]))).toEqual([]);
  });

  test("routes by what the body says", async () => {
    const mail = await exchange("topic");
    const { urgent, large } = await queues("urgent", "large");
    await urgent.bind(mail.name, { key: "#", where: '$.priority == "urgent" && $.amount > 100' });
    await large.bind(mail.name, { key: "#", where: '$.amount > 1000 || header("x-size") == "large"' });
    await mail.publish("a", JSON.stringify({ priority: "urgent", amount: 101 }));
    await mail.publish("b", JSON.stringify({ priority: "urgent", amount: 5_000 }));
    await mail.publish("c", "no json", { headers: { "x-size": "large" } });
    const amounts = (found: string[]): unknown[] => found.map((text) => /\d+/.exec(text)?.[0] ?? text);
    expect(amounts(await texts(urgent))).toEqual(["101", "5000"]);
    expect(amounts(await texts(large))).toEqual(["5000", "no json"]);
    const bad = await failureOf(urgent.bind(mail.name, { where: "$.amount >" }));
    expect(bad.codeName).toBe("bad_expression");
    expect(await mail.bindings()).toHaveLength(2);
  });

  test("bound to another hands on, in a circle too, and a message visits each queue once", async () => {
    const first = await exchange("fanout");
    const second = await exchange("topic");
    const { a, b } = await queues("a", "b");
    await first.bind({ to: second.name });
    await second.bind({ to: first.name }, { key: "#" });
    await a.bind(first.name);
    await b.bind(second.name, { key: "x.#" });
    await b.bind(first.name);
    await first.publish("x.y", "1");
    await second.publish("z", "2");
    expect([await texts(a), await texts(b)]).toEqual([
      ["1", "2"],
      ["1", "2"],
    ]);
    expect((await failureOf(first.bind({ to: first.name }))).codeName).toBe("routing_cycle");
  });

  test("bound to a topic writes to it, beside the queues", async () => {
    const orders = await exchange("topic");
    const topic = `audit.${made}`;
    await client.topics.create(topic, { partitions: 2 });
    const { a } = await queues("a");
    await orders.bind({ topic }, { key: "#" });
    await a.bind(orders.name, { key: "#" });
    for (let index = 0; index < 20; index++)
      await orders.publish(`key-${index}`, `v${index}`, { headers: { n: index } });
    const read = await take(20, client.consume(topic, { from: "earliest" }));
    expect(read.map((message) => message.text()).toSorted()).toEqual((await texts(a)).toSorted());
    expect(read.map((message) => message.keyText()).toSorted()[0]).toBe("key-0");
    await client.topics.delete(topic);
    await orders.publish("key", "after");
    expect(await texts(a)).toEqual(["after"]);
    expect(await orders.bindings()).toHaveLength(1);
  });
});

describe("what no binding matches", () => {
  test("goes to the alternate exchange, back to a publisher that asks, or nowhere", async () => {
    const rest = await exchange("fanout");
    const { unrouted } = await queues("unrouted");
    await unrouted.bind(rest.name);
    const orders = await exchange("direct", { alternate: rest.name });
    await orders.publish("nobody", "1", { mandatory: true });
    expect(await texts(unrouted)).toEqual(["1"]);
    const strict = await exchange("direct");
    expect((await failureOf(strict.publish("nobody", "2", { mandatory: true }))).codeName).toBe("unroutable");
    expect((await strict.publish("nobody", "3")).level).not.toBe("none");
    expect((await failureOf(rest.delete())).codeName).toBe("in_use");
  });

  test("is told for each message of a batch", async () => {
    const strict = await exchange("direct");
    const { a } = await queues("a");
    await a.bind(strict.name, { key: "a" });
    const keys = ["a", "b", "a", "c", "a"];
    const results = await Promise.allSettled(keys.map((key) => strict.publish(key, key, { mandatory: true })));
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(await texts(a)).toEqual(["a", "a", "a"]);
  });
});

test("an exchange that is not there, or takes nothing from clients, refuses publishes with its name", async () => {
  const missing = await failureOf(client.exchange("missing").publish("k", "v"));
  expect(missing.codeName).toBe("exchange_not_found");
  await client.exchange("missing").declare("fanout");
  await client.exchange("missing").publish("k", "v");
  const inner = await exchange("fanout", { internal: true });
  expect((await failureOf(inner.publish("k", "v"))).codeName).toBe("unauthorized");
});

test("binding and unbinding under load loses and doubles nothing", async () => {
  const orders = await exchange("topic");
  const { kept, coming } = await queues("kept", "coming");
  await kept.bind(orders.name, { key: "#" });
  const seen: string[] = [];
  const consumer = kept.consume((message) => void seen.push(message.text() as string), { prefetch: 1_000 });
  const count = 5_000;
  const publishing = (async () => {
    for (let index = 0; index < count; index++) {
      if (!orders.append("a.b", `m${index}`)) await orders.ready();
      if (index % 500 === 0) await Bun.sleep(1);
    }
    await orders.flush();
  })();
  for (let round = 0; round < 20; round++) {
    await coming.bind(orders.name, { key: "a.*" });
    await kept.bind(orders.name, { key: `other.${round}` });
    await coming.unbind(orders.name, { key: "a.*" });
  }
  await publishing;
  await until("all messages", () => seen.length >= count);
  await Bun.sleep(20);
  expect(seen).toEqual(Array.from({ length: count }, (_, index) => `m${index}`));
  await consumer.close();
});

test("names of one namespace mean nothing in another", async () => {
  await using other = await dial(broker, { namespace: "other" });
  const orders = await exchange("direct");
  await other.exchange(orders.name).declare("fanout");
  const { a } = await queues("a");
  await other.queue(a.name).declare({ lengthMax: 5 });
  await other.queue(a.name).bind(orders.name);
  await other.exchange(orders.name).publish("k", "theirs");
  expect(await texts(a)).toEqual([]);
  expect(await texts(other.queue(a.name))).toEqual(["theirs"]);
  expect((await other.queues.list()).map(({ name }) => name)).toEqual([a.name]);
});
