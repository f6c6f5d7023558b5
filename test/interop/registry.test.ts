/** Clients of Confluent's registry, as they are, against ours. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { COMPATIBILITY, SchemaRegistry, SchemaType } from "@kafkajs/confluent-schema-registry";
import { Broker } from "../../src/server/index.ts";
import { preparePython, python, run, scripts } from "./run-python.ts";

let broker: Broker;
let url: string;

beforeEach(async () => {
  broker = await Broker.start({ storage: "memory", port: 0, httpPort: 0 });
  url = `http://127.0.0.1:${broker.registryPort}`;
});

afterEach(() => broker.stop());

describe("confluent-kafka for Python", () => {
  beforeAll(preparePython, 300_000);

  test("registers, serialises, deserialises, evolves, administers, and knows the errors", async () => {
    const { code, output } = await run([python, join(scripts, "registry.py")], { REGISTRY_URL: url });
    for (const line of [
      "avro: written, read, and read with other versions",
      "references: resolved, and kept",
      "json: written and read",
      "administration: listed, looked up, compared, configured",
      "failures: told by their codes",
    ]) {
      expect(output).toContain(line);
    }
    expect(code).toBe(0);
  }, 120_000);
});

describe("@kafkajs/confluent-schema-registry", () => {
  const tick = (fields: object[]): string =>
    JSON.stringify({
      type: "record",
      name: "Tick",
      namespace: "stock",
      fields: [{ name: "price", type: "double" }, ...fields],
    });
  const avro = (schema: string): { type: SchemaType.AVRO; schema: string } => ({ type: SchemaType.AVRO, schema });

  test("registers, encodes and decodes Avro, also with an older version", async () => {
    const registry = new SchemaRegistry({ host: url });
    const { id } = await registry.register(avro(tick([])));
    expect(id).toBe(1);
    const data = await registry.encode(id, { price: 190.5 });
    expect([...data.subarray(0, 5)]).toEqual([0, 0, 0, 0, 1]);
    // Another client knows the id alone.
    const other = new SchemaRegistry({ host: url });
    expect(await other.decode(data)).toMatchObject({ price: 190.5 });
    const newer = await registry.register(avro(tick([{ name: "volume", type: "long", default: 0 }])));
    expect(await registry.getLatestSchemaId("stock.Tick")).toBe(newer.id);
    expect(await registry.getRegistryId("stock.Tick", 1)).toBe(id);
    expect(await registry.getRegistryIdBySchema("stock.Tick", avro(tick([])))).toBe(id);
  });

  test("sets the compatibility of a new subject, and is told why a schema is refused", async () => {
    const registry = new SchemaRegistry({ host: url });
    const options = { subject: "ticks-value", compatibility: COMPATIBILITY.FULL };
    await registry.register(avro(tick([])), options);
    const config = await (await fetch(`${url}/config/ticks-value`)).json();
    expect(config).toMatchObject({ compatibilityLevel: "FULL" });
    const broken = registry.register(avro(tick([{ name: "volume", type: "long" }])), options);
    expect(await broken.catch((error: Error) => error.message)).toMatch(/incompatible.*\/fields\/1.*"volume"/);
  });

  test("registers, encodes and decodes JSON, with what it refers to", async () => {
    const registry = new SchemaRegistry({ host: url });
    const item = {
      $id: "http://x.org/item.json",
      type: "object",
      properties: { id: { type: "string" } },
      required: ["id"],
    };
    await registry.register({ type: SchemaType.JSON, schema: JSON.stringify(item) }, { subject: "item" });
    const schema = JSON.stringify({ $id: "http://x.org/list.json", type: "array", items: { $ref: "item.json" } });
    const references = [{ name: "http://x.org/item.json", subject: "item", version: 1 }];
    const { id } = await registry.register({ type: SchemaType.JSON, schema, references }, { subject: "list" });
    const data = await registry.encode(id, [{ id: "I101" }]);
    expect(await new SchemaRegistry({ host: url }).decode(data)).toEqual([{ id: "I101" }]);
    await expect(registry.encode(id, [{ no: 1 }])).rejects.toThrow();
  });

  test("is told what is not there", async () => {
    const registry = new SchemaRegistry({ host: url, retry: { retries: 0 } });
    await expect(registry.getSchema(99)).rejects.toThrow("Schema 99 not found");
    const protobuf = registry.register(
      { type: SchemaType.PROTOBUF, schema: 'syntax = "proto3"; message M {}' },
      { subject: "m" },
    );
    await expect(protobuf).rejects.toThrow("Invalid schema type PROTOBUF");
  });
});
