import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { avroExchange, avroQueue, avroTopic, SCHEMA_HEADER } from "../../src/client/avro/index.ts";
import { type Client, isMillraceError, type MillraceError, type QueueMessage } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, startBroker, take, until } from "./harness.ts";

/** Avro through a whole broker: topics, groups, queues, exchanges, transactions, and schemas that change. */

interface Tick {
  symbol: string;
  price: number;
}

const tick = (...more: object[]): object => ({
  type: "record",
  name: "stock.Tick",
  fields: [{ name: "symbol", type: "string" }, { name: "price", type: "double" }, ...more],
});
const VENUE = { name: "venue", type: ["null", "string"], default: null };

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

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (thrown: MillraceError) => thrown,
  );
  return error === null ? "no error" : error.codeName;
}

describe("topics", () => {
  test("carry values with their schema's id, in either framing, and both are read", async () => {
    await client.topics.create("framed");
    const prefixed = await avroTopic<Tick>(client, "framed", { schema: tick() });
    const headed = await avroTopic<Tick>(client, "framed", { schema: tick(), framing: "header" });
    expect(headed.codec.schemaId).toBe(prefixed.codec.schemaId);
    await prefixed.send({ symbol: "A", price: 1 }, { key: "A", headers: { n: 1 } });
    await headed.send({ symbol: "B", price: 2 }, { key: "B", headers: { n: 2 } });
    await headed.send(null, { key: "A" });
    expect(prefixed.append({ symbol: "C", price: 3 }, "C")).toBe(true);
    await prefixed.producer.flush();
    headed.append({ symbol: "D", price: 4 }, "D");
    await headed.producer.flush();
    const found = await take(5, prefixed.consume({ from: "earliest" }));
    const id = prefixed.codec.schemaId;
    const seen: unknown[] = found.map(({ value, message }) => [message.keyText(), value, message.headers]);
    expect(seen).toEqual([
      ["A", { symbol: "A", price: 1 }, { n: 1 }],
      ["B", { symbol: "B", price: 2 }, { n: 2, [SCHEMA_HEADER]: id }],
      ["A", null, {}],
      ["C", { symbol: "C", price: 3 }, {}],
      ["D", { symbol: "D", price: 4 }, { [SCHEMA_HEADER]: id }],
    ]);
    await prefixed.close();
    await headed.close();
  });

  test("are read by programs of older and of newer schemas", async () => {
    await client.topics.create("evolving");
    await client.schemas.compatibility("evolving-value", "FULL");
    const old = await avroTopic<Tick>(client, "evolving", { schema: tick() });
    const fresh = await avroTopic<Tick & { venue: string | null }>(client, "evolving", { schema: tick(VENUE) });
    await old.send({ symbol: "A", price: 1 });
    await fresh.send({ symbol: "B", price: 2, venue: "X" });
    const byOld = await take(2, old.consume({ from: "earliest" }));
    const byFresh = await take(2, fresh.consume({ from: "earliest" }));
    const valuesOf = (found: { value: unknown }[]): unknown[] => found.map(({ value }) => value);
    expect(valuesOf(byOld)).toEqual([
      { symbol: "A", price: 1 },
      { symbol: "B", price: 2 },
    ]);
    expect(valuesOf(byFresh)).toEqual([
      { symbol: "A", price: 1, venue: null },
      { symbol: "B", price: 2, venue: "X" },
    ]);
  });

  test("take no schema that their subject's compatibility forbids", async () => {
    await avroTopic(client, "guarded", { schema: tick() });
    const demanding = tick({ name: "size", type: "int" });
    expect(await codeOf(avroTopic(client, "guarded", { schema: demanding }))).toBe("schema_incompatible");
    expect(await codeOf(avroTopic(client, "guarded", { schema: demanding, autoRegister: false }))).toBe(
      "schema_not_found",
    );
    expect(await codeOf(avroTopic(client, "unheard", { version: "latest" }))).toBe("subject_not_found");
  });

  test("take values on conditions", async () => {
    await client.topics.create("conditional");
    const ticks = await avroTopic<Tick>(client, "conditional", { schema: tick() });
    const value = { symbol: "A", price: 1 };
    await ticks.send(value, { key: "A", expectKeyOffset: null });
    expect(await codeOf(ticks.send(value, { key: "A", expectKeyOffset: null }))).toBe("key_conflict");
    expect(await codeOf(ticks.send(value, { partition: 0, expectNextOffset: 7 }))).toBe("offset_conflict");
    await ticks.send(value, { partition: 0, expectNextOffset: 1 });
  });

  test("tell of values that cannot be read, and go on", async () => {
    await client.topics.create("mixed");
    const ticks = await avroTopic<Tick>(client, "mixed", { schema: tick() });
    const plain = client.producer("mixed");
    await plain.send({ value: "no Avro" });
    await ticks.send({ symbol: "A", price: 1 });
    const cut = ticks.codec.encode({ symbol: "B", price: 2 }).subarray(0, 9);
    await plain.send({ value: cut });
    await ticks.send({ symbol: "C", price: 3 });
    const heard: string[] = [];
    const reader = await avroTopic<Tick>(client, "mixed", {
      schema: tick(),
      onInvalid: (error, message) => heard.push(`${error.codeName} ${"offset" in message ? message.offset : ""}`),
    });
    const found = [];
    for await (const values of reader.consume({ from: "earliest", until: "end" }).batches()) found.push(...values);
    expect(found.map(({ value }) => value?.symbol)).toEqual(["A", "C"]);
    expect(heard).toEqual(["schema_violation 0", "schema_violation 2"]);
    const singly = await take(2, reader.consume({ from: "earliest" }));
    expect(singly.map(({ value }) => value?.symbol)).toEqual(["A", "C"]);
    const strict = await take(1, ticks.consume({ from: "earliest" })).catch((error: MillraceError) => error);
    expect(isMillraceError(strict, "schema_violation")).toBe(true);
  });

  test("are read by groups, which commit what was read", async () => {
    await client.topics.create("grouped");
    const ticks = await avroTopic<Tick>(client, "grouped", { schema: tick() });
    for (let price = 0; price < 5; price++) await ticks.send({ symbol: "A", price });
    const first = ticks.consumeInGroup("readers", { autoCommit: false });
    for await (const { value, message } of first) {
      if (value?.price !== 2) continue;
      await first.consumer.commit(message);
      break;
    }
    const rest = await take(2, ticks.consumeInGroup("readers"));
    expect(rest.map(({ value }) => value?.price)).toEqual([3, 4]);
  });
});

describe("queues and exchanges", () => {
  test("carry values, and hand them to handlers with their messages", async () => {
    await client.queue("orders").declare();
    const orders = await avroQueue<Tick>(client, "orders", { schema: tick() });
    expect(orders.codec.subject).toBe("orders-value");
    const seen: [value: Tick | null, priority: unknown][] = [];
    const consumer = orders.consume((value, message) =>
      seen.push([value && { ...value }, message.headers["x-priority"]]),
    );
    await orders.publish({ symbol: "A", price: 1 }, { priority: 3 });
    await orders.publish(null);
    await until("both were handled", () => seen.length === 2);
    expect(seen).toEqual([
      [{ symbol: "A", price: 1 }, 3],
      [null, undefined],
    ]);
    await consumer.close();
    await until("both are gone", async () => {
      const { ready, inFlight } = (await client.queue("orders").describe()).counts;
      return ready === 0 && inFlight === 0;
    });
  });

  test("let a message that is no value of the schema go to the dead letters", async () => {
    await client.queue("dead").declare();
    await client.queue("checked").declare({ deadLetter: { exchange: "", routingKey: "dead" } });
    const heard: string[] = [];
    const checked = await avroQueue<Tick>(client, "checked", {
      schema: tick(),
      onInvalid: (error, message) => heard.push(`${error.codeName} ${(message as QueueMessage).text()}`),
    });
    await client.queue("checked").publish("no Avro");
    await checked.publish({ symbol: "A", price: 1 });
    for await (const { value } of checked.messages()) {
      expect(value?.symbol).toBe("A");
      break;
    }
    expect(heard).toEqual(["schema_violation no Avro"]);
    const [dead] = await client.queue("dead").get(1, { waitMs: 10_000, min: 1 });
    expect(dead?.text()).toBe("no Avro");
    dead?.ack();
  });

  test("reject in a handler's consumer what cannot be read, and hand on the rest", async () => {
    await client.queue("refused").declare();
    await client.queue("handled").declare({ deadLetter: { exchange: "", routingKey: "refused" } });
    const handled = await avroQueue<Tick>(client, "handled", { schema: tick(), onInvalid: () => undefined });
    const seen: (string | undefined)[] = [];
    const consumer = handled.consume((value) => seen.push(value?.symbol));
    await client.queue("handled").publish("no Avro");
    await handled.publish({ symbol: "A", price: 1 });
    const [dead] = await client.queue("refused").get(1, { waitMs: 10_000, min: 1 });
    expect(dead?.text()).toBe("no Avro");
    dead?.ack();
    await until("the other one was handled", () => seen.length === 1);
    expect(seen).toEqual(["A"]);
    await consumer.close();
  });

  test("take values from an exchange, whose schema may refer to others", async () => {
    const item = { type: "record", name: "shop.Item", fields: [{ name: "id", type: "int" }] };
    await client.schemas.register("shop.Item", { schema: JSON.stringify(item) });
    const order = { type: "record", name: "Order", namespace: "shop", fields: [{ name: "item", type: "Item" }] };
    const references = [{ name: "shop.Item", subject: "shop.Item", version: 1 }];
    await client.exchange("shop").declare("topic");
    await client.queue("eu").declare();
    await client.queue("eu").bind("shop", { key: "eu.#" });
    const options = { schema: order, references, strategy: "record", framing: "header" } as const;
    const shop = await avroExchange<{ item: { id: number } }>(client, "shop", options);
    expect(shop.codec.subject).toBe("shop.Order");
    await shop.publish("eu.new", { item: { id: 7 } }, { mandatory: true });
    const eu = await avroQueue<{ item: { id: number } }>(client, "eu", { ...options, readOnly: true });
    for await (const { value, message } of eu.messages()) {
      expect([value?.item.id, message.routingKey]).toEqual([7, "eu.new"]);
      break;
    }
  });
});

test.each(["id", "full"] as const)(
  "topics and queues that enforce by %s take what codecs write",
  async (schemaEnforce) => {
    const name = `enforced-${schemaEnforce}`;
    await client.topics.create(name, { schemaEnforce, schemaStrategy: "topic_record" });
    await client.queue(name).declare({ schemaEnforce });
    for (const framing of ["prefix", "header"] as const) {
      const ticks = await avroTopic<Tick>(client, name, { schema: tick(), strategy: "topic_record", framing });
      const queue = await avroQueue<Tick>(client, name, { schema: tick(), framing });
      await ticks.send({ symbol: framing, price: 1 });
      await ticks.send(null, { key: "gone" });
      await queue.publish({ symbol: framing, price: 1 });
      const strange = await avroTopic<Tick>(client, name, { schema: '"double"', subject: "elsewhere", framing });
      expect(await codeOf(strange.send(1 as never))).toBe("schema_violation");
    }
    expect(await codeOf(client.producer(name).send({ value: "no Avro" }))).toBe("schema_violation");
    const reader = await avroTopic<Tick>(client, name, { schema: tick(), readOnly: true });
    const found = await take(4, reader.consume({ from: "earliest" }));
    expect(found.map(({ value }) => value?.symbol)).toEqual(["prefix", undefined, "header", undefined]);
  },
);

test("a transaction publishes values together, or none of them", async () => {
  await client.topics.create("audit");
  await client.queue("outbox").declare();
  const audit = await avroTopic<Tick>(client, "audit", { schema: tick() });
  const outbox = await avroQueue<Tick>(client, "outbox", { schema: tick() });
  const publish = (price: number, fail: boolean): Promise<void> =>
    client.transaction((tx) => {
      tx.send("audit", audit.record({ symbol: "A", price }, { key: "A" }));
      const { value, headers } = outbox.codec.framed({ symbol: "A", price });
      tx.publish("", "outbox", value, { headers });
      if (fail) throw new Error("rolled back");
    });
  await expect(publish(1, true)).rejects.toThrow("rolled back");
  await publish(2, false);
  const [first] = await take(1, audit.consume({ from: "earliest" }));
  expect(first?.value?.price).toBe(2);
  for await (const { value } of outbox.messages()) {
    expect(value?.price).toBe(2);
    break;
  }
});

test("schemas of one namespace are not those of another", async () => {
  const other = await dial(broker, { namespace: "tenant" });
  try {
    await other.topics.create("framed");
    const theirs = await avroTopic(other, "framed", { schema: '"string"' });
    expect(theirs.codec.subject).toBe("framed-value");
    expect((await other.schemas.subjects()).map(({ subject }) => subject)).toEqual(["framed-value"]);
    expect(await codeOf(client.schemas.version("framed-value", 9))).toBe("version_not_found");
    expect(await codeOf(client.schemas.get(theirs.codec.schemaId ?? 0))).toBe("schema_not_found");
  } finally {
    await other.close();
  }
});

test("the registry's answers come through the client", async () => {
  const { schemas } = client;
  const text = (fields: object[]): string => JSON.stringify({ type: "record", name: "R", fields });
  const first = { schema: text([{ name: "a", type: "int" }]) };
  const second = { schema: text([{ name: "b", type: "int" }]) };
  const { id, version } = await schemas.register("answers", first);
  expect(version).toBe(1);
  expect(await schemas.register("answers", first)).toEqual({ id, version: 1 });
  expect(await schemas.lookup("answers", first)).toEqual({ subject: "answers", version: 1, id });
  expect(await schemas.get(id)).toMatchObject({ id, schemaType: "AVRO", subjects: [["answers", 1]], references: [] });
  const verdict = await schemas.check("answers", second);
  expect(verdict.compatible).toBe(false);
  expect(verdict.messages.join()).toContain('"b"');
  expect(await schemas.check("answers", second, { version: 1 })).toEqual(verdict);
  expect(await schemas.compatibility("answers", "NONE")).toBe("NONE");
  expect((await schemas.register("answers", second)).version).toBe(2);
  expect(await schemas.compatibility("answers", null)).toBe(await schemas.compatibility(null));
  expect(await schemas.mode("answers", "READONLY")).toBe("READONLY");
  expect(await codeOf(schemas.register("answers", { schema: '"int"' }))).toBe("schema_mode");
  expect(await schemas.mode("answers", null)).toBe("READWRITE");
  expect(await schemas.delete("answers", { version: 2 })).toEqual([2]);
  expect(await schemas.subjects({ pattern: "answers" })).toMatchObject([{ subject: "answers", versions: [1] }]);
  expect(await schemas.subjects({ pattern: "answers", deleted: true })).toMatchObject([{ versions: [1, 2] }]);
  expect(await schemas.delete("answers")).toEqual([1]);
  expect(await codeOf(schemas.version("answers"))).toBe("subject_not_found");
  expect((await schemas.get(id)).schema).toBe(first.schema);
});
