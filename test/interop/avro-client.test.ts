/** Avro values of the client beside those of another one that knows the registry: each reads what the other wrote. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { SchemaRegistry, SchemaType } from "@kafkajs/confluent-schema-registry";
import { avroTopic } from "../../src/client/avro/index.ts";
import { type Client, connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";

let broker: Broker;
let client: Client;
let kafkajs: SchemaRegistry;

beforeAll(async () => {
  broker = await Broker.start({ storage: "memory", port: 0, httpPort: 0 });
  client = await connect(`millrace://127.0.0.1:${broker.port}`);
  kafkajs = new SchemaRegistry({ host: `http://127.0.0.1:${broker.registryPort}` });
});

afterAll(async () => {
  await client.close();
  await broker.stop();
});

const tick = (...more: object[]): string =>
  JSON.stringify({
    type: "record",
    name: "Tick",
    namespace: "stock",
    fields: [
      { name: "symbol", type: "string" },
      { name: "price", type: ["null", "double"] },
      { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
      { name: "raw", type: "bytes" },
      ...more,
    ],
  });

test("values of @kafkajs/confluent-schema-registry and of avroTopic are each other's", async () => {
  await client.topics.create("ticks");
  const { id } = await kafkajs.register({ type: SchemaType.AVRO, schema: tick() }, { subject: "ticks-value" });
  const value = { symbol: "A", price: 1.5, at: 1_795_262_400_000, raw: Buffer.from([1, 2]) };
  await client.producer("ticks").send({ value: await kafkajs.encode(id, value) });

  const volume = { name: "volume", type: "long", default: 7 };
  const ticks = await avroTopic<object>(client, "ticks", {
    schema: tick(volume),
  });
  for await (const { value: read } of ticks.consume({ from: "earliest" })) {
    const at = new Date("2026-11-21T12:00:00Z");
    expect(read).toEqual({ symbol: "A", price: 1.5, at, raw: Uint8Array.of(1, 2), volume: 7 });
    break;
  }

  const own = { symbol: "B", price: null, at: new Date(5), raw: Uint8Array.of(3), volume: 8 };
  const decoded: object = (await kafkajs.decode(Buffer.from(ticks.codec.encode(own)))) as object;
  expect(decoded).toEqual({ symbol: "B", price: null, at: 5, raw: Buffer.from([3]), volume: 8 });
  expect(ticks.codec.schemaId).toBe(await kafkajs.getLatestSchemaId("ticks-value"));
});
