import { expect, test } from "bun:test";
import { RecordLines } from "../../src/cli/record-line.ts";
import { SchemaView } from "../../src/cli/schema-view.ts";
import type { Message } from "../../src/client/index.ts";
import { codecFor, FakeRegistry, message } from "../client/avro-kit.ts";

test("a value is shown as JSON with the schema that it names, at once when that is known", async () => {
  const registry = new FakeRegistry();
  const codec = await codecFor<bigint[]>(registry, { schema: { type: "array", items: "long" }, longs: "bigint" });
  const view = new SchemaView(registry);
  const value = codec.encode([1n, 2n ** 60n]);
  const expected = { json: "[1,1152921504606846976]", schemaId: 1 };
  expect(await view.of(message(value))).toEqual(expected);
  expect(view.of(message(value))).toEqual(expected);
});

test("a value of JSON Schema is the JSON behind its prefix, or beside its header", async () => {
  const registry = new FakeRegistry();
  await registry.register("documents", { schema: '{"$schema":"any"}' });
  const view = new SchemaView(registry);
  const json = new TextEncoder().encode('{"a":12345678901234567890}');
  const prefixed = Uint8Array.from([0, 0, 0, 0, 1, ...json]);
  const expected = { json: '{"a":12345678901234567890}', schemaId: 1 };
  expect(await view.of(message(prefixed))).toEqual(expected);
  expect(await view.of(message(json, { "x-schema-id": 1 }))).toEqual(expected);
  expect(await view.of(message(Uint8Array.of(0, 0, 0, 0, 1, 0x7b)))).toBeNull();
});

test("a value without a schema, of one that nobody knows, or that is not what it says, is not shown so", async () => {
  const registry = new FakeRegistry();
  await registry.register("text", { schema: '"string"' });
  const view = new SchemaView(registry);
  expect(view.of(message(null))).toBeNull();
  expect(view.of(message(new TextEncoder().encode("text")))).toBeNull();
  expect(await view.of(message(Uint8Array.of(0, 0, 0, 0, 9, 0)))).toBeNull();
  expect(await view.of(message(Uint8Array.of(0, 0, 0, 0, 1, 4, 0x61)))).toBeNull();
  const text = new TextEncoder().encode('{"a":1}');
  expect(await view.of(message(Uint8Array.from([0, 0, 0, 0, 1, ...text])))).toBeNull();
  expect(registry.calls.get).toBe(2);
});

test("a line has the value in its place and the schema's id behind it", () => {
  const record = {
    topic: "t",
    partition: 0,
    offset: 1,
    timestamp: 2,
    key: null,
    headers: {},
    keyText: () => null,
    text: () => "not asked for",
  };
  const line = new RecordLines().of(record as unknown as Message, { json: '{"a":1}', schemaId: 7 });
  expect(line).toBe(
    '{"topic":"t","partition":0,"offset":1,"timestamp":2,"key":null,"value":{"a":1},"schemaId":7,"headers":{}}\n',
  );
});
