/** Subscriptions that see records through a filter, or in another schema. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/index.ts";
import type { MillraceError } from "../../src/errors/index.ts";
import { Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { all, dial, RawConnection, startBroker, take, until } from "./harness.ts";

let broker: Broker;
let client: Client;
let raw: RawConnection;

beforeEach(async () => {
  broker = await startBroker();
  client = await dial(broker);
  raw = await RawConnection.open(broker.port);
  await raw.hello();
});

afterEach(async () => {
  raw[Symbol.dispose]();
  await client.close();
  await broker.stop();
});

const schemaOf = (...fields: object[]): string => JSON.stringify({ type: "record", name: "Tick", fields });
const PRICE = { name: "price", type: "int" };
const VOLUME = { name: "volume", type: "int", default: 3 };

async function register(schema: string): Promise<number> {
  return ((await raw.ask(Op.SCHEMA_REGISTER, { subject: "ticks-value", schema })) as { id: number }).id;
}

/** A value with its schema before it; the ints are small enough for a byte each. */
function framed(id: number, ...ints: number[]): Uint8Array {
  const value = new Uint8Array(5 + ints.length);
  new DataView(value.buffer).setUint32(1, id);
  value.set(
    ints.map((int) => int * 2),
    5,
  );
  return value;
}

const failure = (promise: Promise<unknown>): Promise<MillraceError> =>
  promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: MillraceError) => error,
  );

const BOUNDED = { from: "earliest", until: "end" } as const;

describe("a filter", () => {
  test("lets JSON, msgpack and Avro records through by their fields", async () => {
    const id = await register(schemaOf(PRICE));
    await client.topics.create("ticks", { partitions: 2 });
    const producer = client.producer("ticks");
    for (let price = 0; price < 20; price += 1) {
      await producer.send({ partition: 0, value: JSON.stringify({ price }) });
      await producer.send({ partition: 1, value: framed(id, price) });
    }
    await producer.send({ partition: 1, value: "neither" });
    const found = await all(client.consume("ticks", { ...BOUNDED, filter: "price >= 18" }));
    const places = found.map(({ partition, offset }) => `${partition}/${offset}`).sort();
    expect(places).toEqual(["0/18", "0/19", "1/18", "1/19"]);
  });

  test("reads with schemas that come after it", async () => {
    await client.topics.create("ticks");
    await using consumer = client.consume("ticks", { from: "earliest", filter: "price == 7" });
    const first = take(1, consumer);
    const id = await register(schemaOf(PRICE));
    for (const price of [6, 7]) await client.producer("ticks").send({ value: framed(id, price) });
    expect((await first).map(({ offset }) => offset)).toEqual([1]);
  });

  test("moves a group on over what it leaves out", async () => {
    await client.topics.create("ticks");
    for (let n = 0; n < 50; n += 1) await client.producer("ticks").send({ value: JSON.stringify({ n }) });
    await using member = client.group("g").consume("ticks", { filter: "n == 10", autoCommitMs: 20 });
    const offsets: number[] = [];
    const reading = (async (): Promise<void> => {
      for await (const { offset } of member) offsets.push(offset);
    })();
    const committed = async (): Promise<number | undefined> => (await client.group("g").offsets())[0]?.offset;
    await until("the group is past what it does not get", async () => (await committed()) === 50);
    expect(offsets).toEqual([10]);
    await member.close();
    await reading;
  });

  test("that is no rule is refused, and the subscription is free", async () => {
    await client.topics.create("ticks");
    const error = await failure(all(client.consume("ticks", { ...BOUNDED, filter: "price >" })));
    expect(error).toMatchObject({ codeName: "bad_expression" });
  });
});

describe("a reader schema", () => {
  test("has records of all versions sent in one", async () => {
    const first = await register(schemaOf(PRICE));
    const second = await register(schemaOf(VOLUME, PRICE));
    await client.topics.create("ticks");
    for (const value of [framed(first, 20), framed(second, 9, 21)]) await client.producer("ticks").send({ value });
    const valuesIn = async (readerSchema: number | "latest" | { id: number }): Promise<Uint8Array[]> =>
      (await all(client.consume("ticks", { ...BOUNDED, readerSchema }))).map(({ value }) => value ?? new Uint8Array(0));
    expect(await valuesIn("latest")).toEqual([framed(second, 3, 20), framed(second, 9, 21)]);
    expect(await valuesIn(1)).toEqual([framed(first, 20), framed(first, 21)]);
    expect(await valuesIn({ id: second })).toEqual([framed(second, 3, 20), framed(second, 9, 21)]);
    const error = await failure(valuesIn(7));
    expect(error).toMatchObject({ codeName: "reader_schema_unknown" });
  });
});
