/** Topics and queues that take only records of their schemas: what is refused, and what a change of the registry does. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/index.ts";
import type { MillraceError } from "../../src/errors/index.ts";
import { Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { all, dial, RawConnection, startBroker, temporaryFolder } from "./harness.ts";

let broker: Broker;
let client: Client;
let raw: RawConnection;

beforeEach(async () => {
  broker = await startBroker();
  client = await dial(broker);
  raw = await openRaw(broker);
});

afterEach(async () => {
  raw[Symbol.dispose]();
  await client.close();
  await broker.stop();
});

async function openRaw(to: Broker): Promise<RawConnection> {
  const raw = await RawConnection.open(to.port);
  await raw.hello();
  return raw;
}

/** A record of one int. */
const schemaOf = (name: string, ...more: object[]): string =>
  JSON.stringify({ type: "record", name, fields: [{ name: "price", type: "int" }, ...more] });

async function register(subject: string, schema: string, on = raw): Promise<number> {
  return ((await on.ask(Op.SCHEMA_REGISTER, { subject, schema })) as { id: number }).id;
}

/** A value with its schema before it. */
function framed(id: number, ...body: number[]): Uint8Array {
  const value = new Uint8Array(5 + body.length);
  new DataView(value.buffer).setUint32(1, id);
  value.set(body, 5);
  return value;
}

const GOOD = [42];
/** The int does not end. */
const BAD = [0x80];

async function refusal(sent: Promise<unknown>): Promise<MillraceError> {
  return sent.then(
    () => {
      throw new Error("it was taken");
    },
    (error: MillraceError) => error,
  );
}

const send = (topic: string, value: Uint8Array, on = client): Promise<unknown> => on.producer(topic).send({ value });

async function count(topic: string): Promise<number> {
  return (await all(client.consume(topic, { from: "earliest", until: "end" }))).length;
}

describe("a topic that enforces schemas", () => {
  test("takes values that decode with a schema of its subject, and says of others what is wrong with them", async () => {
    const id = await register("ticks-value", schemaOf("Tick"));
    const other = await register("others-value", schemaOf("Other"));
    await client.topics.create("ticks", { schemaEnforce: "full" });
    await send("ticks", framed(id, ...GOOD));
    const error = await refusal(send("ticks", framed(id, ...BAD)));
    expect(error).toMatchObject({
      codeName: "schema_violation",
      details: { position: 0, schemaId: id, field: "price", reason: expect.stringContaining("int") },
    });
    expect(error.message).toContain("price");
    expect(await refusal(send("ticks", framed(other, ...GOOD)))).toMatchObject({
      details: { schemaId: other, field: "" },
    });
    expect(await refusal(send("ticks", Buffer.from("{}")))).toMatchObject({ details: { schemaId: null } });
    await client.producer("ticks").send({ key: "k", value: null });
    const inHeader = { value: new Uint8Array(GOOD), headers: { "x-schema-id": id } };
    await client.producer("ticks").send(inHeader);
    expect(await count("ticks")).toBe(3);
  });

  test("refuses a batch with one bad record as a whole, and single records one by one", async () => {
    const id = await register("ticks-value", schemaOf("Tick"));
    await client.topics.create("ticks", { schemaEnforce: "full" });
    const values = [GOOD, BAD, GOOD].map((body) => ({ value: framed(id, ...body) }));
    const batched = client.producer("ticks", { lingerMs: 20 });
    const refused = await Promise.all(values.map((record) => refusal(batched.send(record))));
    expect(refused.map(({ details }) => details?.["position"])).toEqual([1, 1, 1]);
    const singles = client.producer("ticks", { mode: "single" });
    const outcomes = await Promise.allSettled(values.map((record) => singles.send(record)));
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await count("ticks")).toBe(2);
  });

  test("takes what the registry takes up at once, and no more what it lets go", async () => {
    await client.topics.create("ticks", { schemaEnforce: "id" });
    const first = await register("ticks-value", schemaOf("Tick"));
    await send("ticks", framed(first));
    const second = await register("ticks-value", schemaOf("Tick", { name: "volume", type: "int", default: 0 }));
    await using elsewhere = await dial(broker);
    await send("ticks", framed(second), elsewhere);
    await raw.ask(Op.SCHEMA_DELETE, { subject: "ticks-value", version: 1 });
    expect(await refusal(send("ticks", framed(first), elsewhere))).toMatchObject({ codeName: "schema_violation" });
    await send("ticks", framed(second), elsewhere);
  });

  test("can be told to, and told no more, and shows it", async () => {
    await client.topics.create("ticks");
    const producer = client.producer("ticks");
    await producer.send({ value: "anything" });
    await client.topics.alter("ticks", { schemaEnforce: "id" });
    expect(await refusal(producer.send({ value: "anything" }))).toMatchObject({ codeName: "schema_violation" });
    expect((await client.topics.describe("ticks")).config).toMatchObject({
      schemaEnforce: "id",
      schemaStrategy: "topic",
    });
    await client.topics.alter("ticks", { schemaEnforce: "none" });
    await producer.send({ value: "anything" });
    expect(await refusal(client.topics.create("t", { schemaEnforce: "loosely" as "id" }))).toMatchObject({
      codeName: "invalid_config",
    });
  });

  test("goes by the record's name where the strategy says so", async () => {
    const byName = await register("Tick", schemaOf("Tick"));
    const byBoth = await register("both-Tick", schemaOf("Tick", { name: "a", type: "int", default: 0 }));
    const underAnother = await register("else", schemaOf("Tick", { name: "b", type: "int", default: 0 }));
    await client.topics.create("any", { schemaEnforce: "id", schemaStrategy: "record" });
    await client.topics.create("both", { schemaEnforce: "id", schemaStrategy: "topic_record" });
    const taken = async (topic: string): Promise<boolean[]> => {
      const sent = [byName, byBoth, underAnother].map((id) => send(topic, framed(id)));
      return (await Promise.allSettled(sent)).map(({ status }) => status === "fulfilled");
    };
    expect(await taken("any")).toEqual([true, false, false]);
    expect(await taken("both")).toEqual([false, true, false]);
    await register("both-Tick", schemaOf("Tick"));
    expect(await taken("both")).toEqual([true, true, false]);
  });
});

describe("a queue that enforces schemas", () => {
  test("refuses what would come to it through an exchange, and other queues get nothing of the batch", async () => {
    const id = await register("orders-value", schemaOf("Order"));
    await client.exchange("in").declare("fanout");
    await client.queue("orders").declare({ schemaEnforce: "full" });
    await client.queue("all").declare();
    for (const queue of ["orders", "all"]) await client.exchange("in").bind({ queue });
    await client.exchange("in").publish("k", framed(id, ...GOOD));
    const error = await refusal(client.exchange("in").publish("k", framed(id, ...BAD)));
    expect(error).toMatchObject({ codeName: "schema_violation", details: { field: "price" } });
    await client.queue("all").publish("straight to it");
    expect((await client.queue("orders").describe()).counts).toMatchObject({ ready: 1 });
    expect((await client.queue("all").describe()).counts).toMatchObject({ ready: 2 });
  });

  test("fails a transaction that has something for it, or for such a topic, that it does not take", async () => {
    const id = await register("orders-value", schemaOf("Order"));
    await client.queue("orders").declare({ schemaEnforce: "full" });
    await client.topics.create("plain");
    await client.topics.create("checked", { schemaEnforce: "id" });
    const toQueue = client.transaction((tx) => {
      tx.send("plain", { value: "x" });
      tx.publish("", "orders", framed(id, ...BAD));
    });
    expect(await refusal(toQueue)).toMatchObject({ codeName: "schema_violation" });
    const toTopic = client.transaction((tx) => {
      tx.send("plain", { value: "x" });
      tx.send("checked", { value: "x" });
    });
    expect(await refusal(toTopic)).toMatchObject({ codeName: "schema_violation", details: { position: 0 } });
    expect(await count("plain")).toBe(0);
    await client.transaction((tx) => {
      tx.send("plain", { value: "x" });
      tx.publish("", "orders", framed(id, ...GOOD));
    });
    expect(await count("plain")).toBe(1);
  });
});

test("a restart enforces what was enforced before", async () => {
  await using folder = await temporaryFolder();
  const options = { dataDir: folder.path };
  let id = 0;
  {
    await using before = await startBroker(options);
    await using first = await dial(before);
    using connection = await openRaw(before);
    id = await register("ticks-value", schemaOf("Tick"), connection);
    await first.topics.create("ticks", { schemaEnforce: "full" });
    await first.queue("ticks").declare({ schemaEnforce: "full" });
  }
  await using after = await startBroker(options);
  await using second = await dial(after);
  for (const publish of [
    (value: Uint8Array) => send("ticks", value, second),
    (value: Uint8Array) => second.queue("ticks").publish(value),
  ]) {
    expect(await refusal(publish(framed(id, ...BAD)))).toMatchObject({ codeName: "schema_violation" });
    await publish(framed(id, ...GOOD));
  }
});
