import { describe, expect, test } from "bun:test";
import { jsonText, SchemaStore } from "../../src/client/avro/index.ts";
import { clientError } from "../../src/client/errors.ts";
import { type Client, MillraceError, Schemas } from "../../src/client/index.ts";
import { codecFor, FakeRegistry, message, record } from "./avro-kit.ts";

/** Avro codecs without a broker: forms, framing, evolution, and what is wrong. */

const TICK_1 = record("stock.Tick", ["symbol", "string"], ["price", "float"], ["volume", "int"]);
const TICK_2 = record(
  "stock.Tick",
  ["price", "double"],
  ["venue", ["null", "string"], null],
  ["symbol", "string"],
  ["volume", "long"],
);

interface Tick {
  symbol: string;
  price: number;
  volume: number;
  venue: string | null;
}

/** The error that a function throws, or that its promise rejects with. */
async function errorOf(run: () => unknown): Promise<MillraceError> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(MillraceError);
    return error as MillraceError;
  }
  throw new Error("nothing was thrown");
}

describe("framing", () => {
  test("a value has a zero and the schema's id in four bytes before its body", async () => {
    const codec = await codecFor<string>(new FakeRegistry(), { schema: '"string"' });
    expect([...codec.encode("ab")]).toEqual([0, 0, 0, 0, 1, 4, 0x61, 0x62]);
    expect(codec.framed("ab", { a: 1 }).headers).toEqual({ a: 1 });
  });

  test("a value framed by a header is its bare body, and the header has the id", async () => {
    const codec = await codecFor<string>(new FakeRegistry(), { schema: '"string"', framing: "header" });
    const { value, headers } = codec.framed("ab", { a: 1 });
    expect([...(value as Uint8Array)]).toEqual([4, 0x61, 0x62]);
    expect(headers).toEqual({ a: 1, "x-schema-id": 1 });
    expect(await codec.decode(message(value as Uint8Array, { "x-schema-id": 1 }))).toBe("ab");
  });

  test("null is a tombstone both ways", async () => {
    const codec = await codecFor<string>(new FakeRegistry(), { schema: '"string"', framing: "header" });
    expect(codec.framed(null, { a: 1 })).toEqual({ value: null, headers: { a: 1 } });
    expect(codec.decode(message(null))).toBeNull();
  });

  test("a value that names no schema is refused", async () => {
    const codec = await codecFor<string>(new FakeRegistry(), { schema: '"string"' });
    for (const value of [[], [0], [0, 0, 0, 1], [1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]) {
      const error = await errorOf(() => codec.decode(message(Uint8Array.from(value))));
      expect(error.codeName).toBe("schema_violation");
    }
    const wrong = await errorOf(() =>
      codec.decode(message(Uint8Array.of(0, 0, 0, 0, 1, 0), { "x-schema-id": "many" })),
    );
    expect(wrong.codeName).toBe("schema_violation");
  });
});

describe("forms", () => {
  const all = record(
    "All",
    ["raw", "bytes"],
    ["six", { type: "fixed", name: "Six", size: 6 }],
    ["price", { type: "bytes", logicalType: "decimal", precision: 20, scale: 2 }],
    ["small", { type: "fixed", name: "Small", size: 3, logicalType: "decimal", precision: 6, scale: 3 }],
    ["day", { type: "int", logicalType: "date" }],
    ["at", { type: "long", logicalType: "timestamp-millis" }],
    ["micros", { type: "long", logicalType: "timestamp-micros" }],
    ["id", { type: "fixed", name: "Id", size: 16, logicalType: "uuid" }],
    ["side", { type: "enum", name: "Side", symbols: ["BUY", "SELL"] }],
    ["tags", { type: "map", values: ["null", "bytes"] }],
    ["parts", { type: "array", items: ["null", "All"] }],
  );
  const leaf = {
    raw: Uint8Array.of(0, 255),
    six: Uint8Array.of(1, 2, 3, 4, 5, 6),
    price: "-12345678901234567.89",
    small: "-0.001",
    day: "1969-12-31",
    at: new Date("2026-11-21T12:00:00.123Z"),
    micros: 1_795_262_400_123_456,
    id: "123e4567-e89b-12d3-a456-426614174000",
    side: "SELL",
    tags: { a: null, b: Uint8Array.of(9) },
    parts: [],
  };

  test("of every kind come back as they were written", async () => {
    const codec = await codecFor(new FakeRegistry(), { schema: all });
    const value = { ...leaf, parts: [null, leaf] };
    expect(await codec.decode(message(codec.encode(value)))).toEqual(value);
  });

  test("of bytes are Uint8Arrays, not Buffers, and stay when the message's bytes are overwritten", async () => {
    const codec = await codecFor<Uint8Array>(new FakeRegistry(), { schema: '"bytes"' });
    const bytes = codec.encode(Uint8Array.of(1, 2, 3));
    const value = (await codec.decode(message(bytes))) as Uint8Array;
    bytes.fill(0xff);
    expect(value.constructor).toBe(Uint8Array);
    expect([...value]).toEqual([1, 2, 3]);
  });

  test("of decimals pad what is missing behind the point, and refuse what does not fit", async () => {
    const schema = { type: "bytes", logicalType: "decimal", precision: 4, scale: 2 };
    const codec = await codecFor<string>(new FakeRegistry(), { schema });
    const round = async (text: string): Promise<string | null> => codec.decode(message(codec.encode(text)));
    for (const [text, expected] of [
      ["1", "1.00"],
      ["-1.5", "-1.50"],
      ["0", "0.00"],
      ["-0.01", "-0.01"],
      ["99.99", "99.99"],
      ["1.28", "1.28"],
      ["-1.28", "-1.28"],
    ] as const) {
      expect(await round(text)).toBe(expected);
    }
    for (const text of ["100.00", "1.001", "1e3", "", "1,5", "NaN"]) {
      expect((await errorOf(() => codec.encode(text))).codeName).toBe("schema_violation");
    }
    expect([...codec.encode("1.28")].slice(5)).toEqual([4, 0x00, 0x80]);
    const narrow = { type: "fixed", name: "Narrow", size: 1, logicalType: "decimal", precision: 3 };
    const byte = await codecFor<string>(new FakeRegistry(), { schema: narrow });
    expect([...byte.encode("-128")].slice(5)).toEqual([0x80]);
    expect((await errorOf(() => byte.encode("128"))).codeName).toBe("schema_violation");
  });

  test("of days are days of the calendar", async () => {
    const codec = await codecFor<string>(new FakeRegistry(), { schema: { type: "int", logicalType: "date" } });
    for (const text of ["2026-02-30", "2026-1-1", "today", "2026-11-21T00:00:00Z"]) {
      expect((await errorOf(() => codec.encode(text))).codeName).toBe("schema_violation");
    }
    expect([...codec.encode("1970-01-02")].slice(5)).toEqual([2]);
  });

  test("of a logical type that is not as it should be are those of the type beneath", async () => {
    const schema = record(
      "Odd",
      ["a", { type: "bytes", logicalType: "decimal", precision: 2, scale: 3 }],
      ["b", { type: "string", logicalType: "date" }],
      ["c", { type: "long", logicalType: "moon-phase" }],
    );
    const codec = await codecFor(new FakeRegistry(), { schema });
    const value = { a: Uint8Array.of(1), b: "x", c: 5 };
    expect(await codec.decode(message(codec.encode(value)))).toEqual(value);
  });

  test("of unions stand for themselves, and with their branch's name where two look the same", async () => {
    const schema = record(
      "Unions",
      ["plain", ["null", "string", "double", { type: "array", items: "int" }]],
      ["records", ["null", record("A", ["x", "int"]), record("B", ["x", "int"])]],
      ["bytes", [record("C", ["x", "int"]), "bytes"]],
      ["times", ["string", { type: "int", logicalType: "date" }]],
      ["texts", ["null", "string", "bytes"], null],
    );
    const codec = await codecFor(new FakeRegistry(), { schema });
    for (const value of [
      { plain: null, records: { B: { x: 1 } }, bytes: { bytes: Uint8Array.of(1) }, times: { int: "2026-11-21" } },
      { plain: "a", records: { A: { x: 1 } }, bytes: { C: { x: 2 } }, times: { string: "2026-11-21" } },
      { plain: [1, 2], records: null, bytes: { C: { x: 2 } }, times: { string: "" }, texts: { string: "a" } },
    ]) {
      const decoded = await codec.decode(message(codec.encode(value)));
      expect(JSON.parse(JSON.stringify(decoded))).toEqual(JSON.parse(JSON.stringify({ texts: null, ...value })));
    }
  });

  test("of longs refuse what a number does not hold, unless they are bigints", async () => {
    const registry = new FakeRegistry();
    const exact = await codecFor<bigint>(registry, { schema: '"long"', longs: "bigint" });
    const rounded = await codecFor<number>(registry, { schema: '"long"' });
    for (const value of [0n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      expect(await exact.decode(message(exact.encode(value)))).toBe(value);
    }
    expect((await errorOf(() => rounded.decode(message(exact.encode(2n ** 53n + 1n))))).message).toContain("bigint");
    expect(await rounded.decode(message(exact.encode(-5n)))).toBe(-5);
    expect((await errorOf(() => rounded.encode(2 ** 53))).codeName).toBe("schema_violation");
    expect((await errorOf(() => exact.encode(2n ** 63n))).codeName).toBe("schema_violation");
  });
});

describe("JSON", () => {
  test("has every digit, bytes as characters, and what JSON has no numbers for", () => {
    const value = { a: -0, b: 2n ** 60n, c: [NaN, -Infinity], d: Uint8Array.of(0, 65, 255), e: new Date(0), f: null };
    expect(jsonText(value)).toBe(
      '{"a":-0,"b":1152921504606846976,"c":["NaN","-Infinity"],"d":"\\u0000Aÿ","e":"1970-01-01T00:00:00.000Z","f":null}',
    );
  });

  test("is taken with or without branches, with times as texts or numbers, and defaults left out", async () => {
    const schema = record(
      "R",
      ["at", ["null", { type: "long", logicalType: "timestamp-millis" }], null],
      ["price", { type: "bytes", logicalType: "decimal", precision: 9, scale: 2 }],
      ["ratio", [{ type: "long", logicalType: "timestamp-millis" }, "double"], 0],
    );
    const codec = await codecFor(new FakeRegistry(), { schema });
    const read = (json: unknown): unknown => codec.valueOfJson(JSON.stringify(json));
    expect(read({ price: 12.5 })).toEqual({ price: "12.5" });
    expect(read({ price: "1", at: 5 })).toEqual({ price: "1", at: new Date(5) });
    expect(read({ price: "1", at: { long: "2026-11-21" } })).toEqual({ price: "1", at: new Date("2026-11-21") });
    expect(read({ price: "1", ratio: 5 })).toEqual({ price: "1", ratio: 5 });
    expect(codec.valueOfJson(" null ")).toBeNull();
    for (const [json, complaint] of [
      ["{", "no JSON"],
      ['{"price":"x"}', 'price: "x" is no decimal'],
      ['{"price":"1","at":"yesterday"}', "at: "],
      ['{"price":"1","at":{"long":true}}', "at.long: true is no timestamp-millis"],
      ['{"price":"1","prize":1}', "prize: is no field of the schema"],
      ["{}", "price: is missing, and has no default"],
    ] as const) {
      const error = await errorOf(() => codec.valueOfJson(json));
      expect([error.codeName, error.message]).toEqual(["schema_violation", expect.stringContaining(complaint)]);
    }
  });
});

describe("writing", () => {
  test("names the field that does not fit", async () => {
    const schema = record("Order", ["lines", { type: "array", items: record("Line", ["count", "int"]) }]);
    const codec = await codecFor(new FakeRegistry(), { schema });
    const error = await errorOf(() => codec.encode({ lines: [{ count: 1 }, { count: 1.5 }] }));
    expect(error.codeName).toBe("schema_violation");
    expect(error.details).toEqual({ field: "lines[1].count", reason: "1.5 is no int" });
    const missing = await errorOf(() => codec.encode({}));
    expect(missing.details).toEqual({ field: "lines", reason: "nothing is no array" });
  });

  test("fills in defaults", async () => {
    const codec = await codecFor(new FakeRegistry(), { schema: TICK_2 });
    const bytes = codec.encode({ symbol: "A", price: 1, volume: 2 });
    expect(await codec.decode(message(bytes))).toEqual({ symbol: "A", price: 1, volume: 2, venue: null });
  });

  test("grows with its values, and keeps each apart", async () => {
    const codec = await codecFor<string>(new FakeRegistry(), { schema: '"string"' });
    const values = [10, 2_000, 5, 3_000_000, 1].map((length) => "ü".repeat(length));
    const encoded = values.map((value) => codec.encode(value));
    expect(await Promise.all(encoded.map((bytes) => codec.decode(message(bytes))))).toEqual(values);
  });

  test("is refused where there is no schema to write with", async () => {
    const registry = new FakeRegistry();
    const reader = await codecFor(registry, { schema: TICK_1, readOnly: true });
    expect((await errorOf(() => reader.encode({}))).codeName).toBe("invalid_argument");
    expect(registry.calls).toEqual({ get: 0, version: 0, register: 0, lookup: 0 });
    const any = await codecFor(registry, {});
    expect((await errorOf(() => any.encode({}))).codeName).toBe("invalid_argument");
  });
});

describe("evolution", () => {
  test("reads what older and newer schemas wrote into this one", async () => {
    const registry = new FakeRegistry();
    const first = await codecFor<Tick>(registry, { schema: TICK_1 });
    const second = await codecFor<Tick>(registry, { schema: TICK_2 });
    const old = first.encode({ symbol: "A", price: 1.5, volume: 7, venue: null });
    expect(await second.decode(message(old))).toEqual({ symbol: "A", price: 1.5, volume: 7, venue: null });
    const fresh = second.encode({ symbol: "B", price: 1, volume: 7, venue: "X" });
    const narrower = record("stock.Tick", ["symbol", "string"], ["count", "int", 3]);
    const third = await codecFor(registry, { schema: narrower, readOnly: true });
    expect(await third.decode(message(fresh))).toEqual({ symbol: "B", count: 3 });
  });

  test("converts what the reader has another form of", async () => {
    const registry = new FakeRegistry();
    const write = async (schema: unknown, value: unknown): Promise<Uint8Array> =>
      (await codecFor(registry, { schema: JSON.stringify(schema) })).encode(value);
    const read = async (schema: unknown, bytes: Uint8Array, longs: "number" | "bigint" = "number"): Promise<unknown> =>
      (await codecFor(registry, { schema: JSON.stringify(schema), longs, readOnly: true })).decode(message(bytes));
    const time = { type: "long", logicalType: "timestamp-millis" };
    expect(await read(time, await write("int", 1_000))).toEqual(new Date(1_000));
    expect(await read("long", await write(time, new Date(5)))).toBe(5);
    expect(await read(["null", time], await write(time, new Date(5)))).toEqual(new Date(5));
    expect(await read("bytes", await write("string", "é"))).toEqual(Uint8Array.of(0xc3, 0xa9));
    expect(await read("string", await write("bytes", Uint8Array.of(0xc3, 0xa9)))).toBe("é");
    expect(await read("long", await write("int", 7), "bigint")).toBe(7n);
    const coins = { type: "bytes", logicalType: "decimal", precision: 9, scale: 2 };
    expect(await read(coins, await write("bytes", Uint8Array.of(0x04, 0xd2)))).toBe("12.34");
    const text = await write("string", "5");
    expect((await errorOf(() => read(time, text))).codeName).toBe("schema_incompatible");
  });

  test("says where a schema cannot be read, once for all its values", async () => {
    const registry = new FakeRegistry();
    const other = await codecFor(registry, { schema: record("stock.Tick", ["symbol", "string"]) });
    const codec = await codecFor(registry, { schema: TICK_1 });
    const bytes = other.encode({ symbol: "A" });
    const error = await errorOf(() => codec.decode(message(bytes)));
    expect(error.codeName).toBe("schema_incompatible");
    expect(error.message).toContain("stock.Tick.price");
    // The same error: nothing was tried again.
    expect(await errorOf(() => codec.decode(message(bytes)))).toBe(error);
    expect(registry.calls.get).toBe(1);
  });

  test("without a schema of its own reads each value as it was written", async () => {
    const registry = new FakeRegistry();
    const any = await codecFor(registry, {});
    const first = await codecFor(registry, { schema: TICK_1 });
    const text = await codecFor<string>(registry, { schema: '"string"' });
    expect(await any.decode(message(text.encode("a")))).toBe("a");
    const tick = { symbol: "A", price: 1, volume: 2 };
    expect(await any.decode(message(first.encode(tick)))).toEqual(tick);
  });
});

describe("schemas", () => {
  test("are registered, looked up or taken from the subject", async () => {
    const registry = new FakeRegistry();
    const missing = await errorOf(() => codecFor(registry, { schema: TICK_1, autoRegister: false }));
    expect(missing.codeName).toBe("schema_not_found");
    const registered = await codecFor(registry, { schema: TICK_1 });
    const found = await codecFor(registry, { schema: JSON.stringify(TICK_1), autoRegister: false });
    const latest = await codecFor(registry, { version: "latest" });
    expect([registered, found, latest].map(({ schemaId, subject }) => [schemaId, subject])).toEqual([
      [1, "ticks-value"],
      [1, "ticks-value"],
      [1, "ticks-value"],
    ]);
    expect((await errorOf(() => codecFor(registry, { version: 1, schema: TICK_1 }))).codeName).toBe("invalid_argument");
  });

  test("belong to the subject that the strategy says", async () => {
    const registry = new FakeRegistry();
    const subjectOf = async (options: object): Promise<string | null> =>
      (await codecFor(registry, { schema: TICK_1, ...options })).subject;
    expect(await subjectOf({ strategy: "record" })).toBe("stock.Tick");
    expect(await subjectOf({ strategy: "topic_record" })).toBe("ticks-stock.Tick");
    expect(await subjectOf({ strategy: "record", subject: "mine" })).toBe("mine");
    const nameless = await errorOf(() => codecFor(registry, { schema: '"string"', strategy: "record" }));
    expect(nameless.codeName).toBe("invalid_argument");
  });

  test("that refer to others are read with what they refer to", async () => {
    const registry = new FakeRegistry();
    const order = { type: "record", name: "Order", namespace: "shop", fields: [{ name: "item", type: "Item" }] };
    const whole = { ...order, fields: [{ name: "item", type: record("shop.Item", ["id", "int"]) }] };
    registry.resolved.set(1, JSON.stringify(whole));
    const references = [{ name: "shop.Item", subject: "item-value", version: 1 }];
    const codec = await codecFor(registry, { schema: order, references, strategy: "record" });
    expect(codec.subject).toBe("shop.Order");
    const bytes = codec.encode({ item: { id: 3 } });
    expect(await codec.decode(message(bytes))).toEqual({ item: { id: 3 } });
    registry.calls.register = 0;
    const reader = await codecFor(registry, { schema: order, references, strategy: "record", readOnly: true });
    expect(await reader.decode(message(bytes))).toEqual({ item: { id: 3 } });
    expect([reader.schemaId, registry.calls.register]).toEqual([null, 0]);
  });

  test("that are no Avro say why", async () => {
    const registry = new FakeRegistry();
    for (const schema of ["{", '"strong"', '{"type":"record","name":"A"}', "null", "[]"]) {
      expect((await errorOf(() => codecFor(registry, { schema, readOnly: true }))).codeName).toBe("schema_invalid");
    }
    await registry.register("json", { schema: '{"$schema":"x"}' });
    const any = await codecFor(registry, {});
    const error = await errorOf(() => any.decode(message(Uint8Array.of(0, 0, 0, 0, 1, 0))));
    expect(error.codeName).toBe("schema_unsupported");
  });

  test("are asked for once, however many values wait for one", async () => {
    const registry = new FakeRegistry();
    const writer = await codecFor<string>(registry, { schema: '"string"' });
    const reader = await codecFor(registry, {});
    const bytes = writer.encode("a");
    const values = await Promise.all(Array.from({ length: 50 }, () => reader.decode(message(bytes))));
    expect(new Set(values)).toEqual(new Set(["a"]));
    expect(reader.decode(message(bytes))).toBe("a");
    expect(registry.calls.get).toBe(1);
  });

  test("that are not there are asked for again after a while", async () => {
    const registry = new FakeRegistry();
    let nowMs = 0;
    const reader = await codecFor(registry, {}, new SchemaStore(registry, () => nowMs));
    const bytes = Uint8Array.of(0, 0, 0, 0, 1, 2, 0x61);
    for (let round = 0; round < 5; round++) {
      expect((await errorOf(() => reader.decode(message(bytes)))).codeName).toBe("schema_not_found");
    }
    expect(registry.calls.get).toBe(1);
    await registry.register("later", { schema: '"string"' });
    nowMs = 5_000;
    expect(await reader.decode(message(bytes))).toBe("a");
  });

  test("that could not be asked for are asked for again at once", async () => {
    const registry = new FakeRegistry();
    const writer = await codecFor<string>(registry, { schema: '"string"' });
    const reader = await codecFor(registry, {});
    registry.failure = clientError("connection_lost", "gone");
    const bytes = writer.encode("a");
    expect((await errorOf(() => reader.decode(message(bytes)))).codeName).toBe("connection_lost");
    registry.failure = null;
    expect(await reader.decode(message(bytes))).toBe("a");
  });

  test("are listed page by page", async () => {
    const pages = [
      { subjects: [{ subject: "a" }], next: "a" },
      { subjects: [{ subject: "b" }], next: null },
    ];
    const asked: unknown[] = [];
    const client = {
      ask(_: number, [args]: unknown[]): Promise<unknown> {
        asked.push(args);
        return Promise.resolve(pages.shift());
      },
    };
    const subjects = await new Schemas(client as unknown as Client).subjects({ pattern: "#" });
    expect(subjects.map(({ subject }) => subject)).toEqual(["a", "b"]);
    expect(asked).toEqual([{ pattern: "#" }, { pattern: "#", after: "a" }]);
  });

  test("are kept in a bounded number, those that are made up too", async () => {
    const registry = new FakeRegistry();
    const store = new SchemaStore(registry);
    const reader = await codecFor(registry, {}, store);
    for (let id = 1; id <= 2_500; id++) {
      const bytes = Uint8Array.of(0, 0, 0, id >> 8, id & 0xff, 0);
      await errorOf(() => reader.decode(message(bytes)));
    }
    expect(store.size).toBe(1_000);
  });
});
