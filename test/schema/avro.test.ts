/** Avro schemas: what is accepted, how a schema is written, and what a fault says. */
import { describe, expect, test } from "bun:test";
import { isMillraceError } from "../../src/errors/index.ts";
import { avroText } from "../../src/schema/avro/canonical.ts";
import { parseAvro } from "../../src/schema/avro/parse.ts";

const canonical = (schema: unknown): string => avroText(parseAvro(JSON.stringify(schema)), "canonical");

function faultOf(schema: unknown): { message: string; path: unknown } {
  try {
    parseAvro(typeof schema === "string" ? schema : JSON.stringify(schema));
  } catch (error) {
    if (isMillraceError(error, "schema_invalid")) return { message: error.message, path: error.details?.["path"] };
    throw error;
  }
  throw new Error("the schema was accepted");
}

const record = (fields: unknown[], more: object = {}): object => ({ type: "record", name: "R", fields, ...more });
const field = (type: unknown, more: object = {}): object => ({ name: "f", type, ...more });

describe("the canonical text", () => {
  test("has its attributes in the order of Avro's Java library", () => {
    const schema = {
      fields: [
        {
          aliases: ["b"],
          default: 1,
          doc: "d",
          type: { type: "int" },
          name: "a",
          order: "descending",
          x: { z: 1, y: 2 },
        },
        { name: "c", type: { symbols: ["A"], default: "A", name: "E", type: "enum" }, order: "ascending" },
      ],
      aliases: ["n.Old", "m.Older"],
      extra: [1],
      doc: "the doc",
      namespace: "n",
      name: "R",
      type: "record",
    };
    expect(canonical(schema)).toBe(
      '{"type":"record","name":"R","namespace":"n","doc":"the doc","fields":[' +
        '{"name":"a","type":"int","doc":"d","default":1,"order":"descending","aliases":["b"],"x":{"z":1,"y":2}},' +
        '{"name":"c","type":{"type":"enum","name":"E","symbols":["A"],"default":"A"}}],' +
        '"extra":[1],"aliases":["Old","m.Older"]}',
    );
  });

  test("writes a type in full where it comes first and by its name behind that", () => {
    const inner = { type: "fixed", name: "n.F", size: 4 };
    const schema = record(
      [
        { name: "a", type: inner },
        { name: "b", type: "n.F" },
        { name: "c", type: ["null", "R"] },
      ],
      { name: "m.R" },
    );
    expect(canonical(schema)).toBe(
      '{"type":"record","name":"R","namespace":"m","fields":[' +
        '{"name":"a","type":{"type":"fixed","name":"F","namespace":"n","size":4}},' +
        '{"name":"b","type":"n.F"},{"name":"c","type":["null","R"]}]}',
    );
  });

  test("is a name alone for a primitive without attributes", () => {
    expect(canonical({ type: "string" })).toBe('"string"');
    expect(canonical({ type: "long", logicalType: "timestamp-millis" })).toBe(
      '{"type":"long","logicalType":"timestamp-millis"}',
    );
  });

  test("keeps numbers that JavaScript would change", () => {
    const text =
      '{"type":"record","name":"R","fields":[{"name":"f","type":"long","default":9223372036854775807},{"name":"g","type":"double","default":1.0}]}';
    expect(avroText(parseAvro(text), "canonical")).toBe(text);
  });

  test("is a fixed point: reading and writing it again changes nothing", () => {
    const schema = record([field({ type: "array", items: { type: "map", values: ["null", "R"] } }, { default: [] })]);
    const text = canonical(schema);
    expect(avroText(parseAvro(text), "canonical")).toBe(text);
  });

  test("normalised, does not depend on the order of attributes or on how names are written", () => {
    const a = record([field("n.E", { z: { b: 1, a: 2 }, y: 1 })], { name: "R", namespace: "n" });
    const b = record([field("E", { y: 1, z: { a: 2, b: 1 } })], { name: "n.R" });
    const e = '{"type":"enum","name":"n.E","symbols":["A"]}';
    const text = (schema: object): string => avroText(parseAvro(JSON.stringify(schema), [e]), "normalized");
    expect(text(a)).toBe(text(b));
    expect(avroText(parseAvro(JSON.stringify(a), [e]), "canonical")).not.toBe(
      avroText(parseAvro(JSON.stringify(b), [e]), "canonical"),
    );
  });

  test("resolved, holds the types of references", () => {
    const other = '{"type":"enum","name":"n.E","symbols":["A"]}';
    const schema = parseAvro(JSON.stringify(record([field("n.E")])), [other]);
    expect(avroText(schema, "canonical")).toContain('"type":"n.E"');
    expect(avroText(schema, "canonical", true)).toContain('"symbols":["A"]');
  });
});

describe("a schema that is refused", () => {
  const cases: readonly [what: string, schema: unknown, path: string, words: string][] = [
    ["is no JSON", "{", "", "no JSON"],
    ["has a type that is not there", record([field("Nope")]), "/fields/0/type", 'no type "Nope"'],
    ["has a record without fields", { type: "record", name: "R" }, "/fields", 'array of "fields"'],
    ["has a name that is none", record([], { name: "1R" }), "/name", '"1R"'],
    ["has a field without a name", record([{ type: "int" }]), "/fields/0", "field"],
    ["has a field twice", record([field("int"), field("int")]), "/fields", '"f" twice'],
    ["defines a name twice", record([field(record([]))]), "/fields/0/type", '"R" is defined twice'],
    ["has an alias that is no name", record([field("int", { aliases: ["a b"] })]), "/fields/0/aliases", '"a b"'],
    ["has an enum without a symbol", { type: "enum", name: "E", symbols: [] }, "/symbols", "no symbol"],
    ["has a union without a branch", { type: "array", items: [] }, "/items", "at least one branch"],
    ["has a union in a union", ["null", ["int"]], "/1", "union directly in a union"],
    ["has a branch twice", ["int", "int"], "/1", "int twice"],
    ["has a default of another type", record([field("int", { default: "x" })]), "/fields/0", "32 bits"],
    [
      "has a default of a later branch",
      record([field(["int", "null"], { default: null })]),
      "/fields/0",
      "first branch",
    ],
    [
      "has an enum default that is no symbol",
      { type: "enum", name: "E", symbols: ["A"], default: "B" },
      "/default",
      "symbols",
    ],
    ["has a fixed without a size", { type: "fixed", name: "F" }, "/size", "size"],
    ["holds itself without end", record([field("R")]), "", 'through the field "f"'],
    [
      "holds itself in each branch",
      record([field(["R", { type: "record", name: "S", fields: [field("R")] }])]),
      "",
      "without end",
    ],
  ];
  test.each(cases)("because it %s names the place and the reason", (_, schema, path, words) => {
    const { message, path: at } = faultOf(schema);
    expect(message).toContain(words);
    expect(at).toBe(path);
  });

  test("because it nests without end is refused without harm", () => {
    expect(faultOf("[".repeat(200_000)).message).toContain("nested deeper");
    expect(faultOf(`${'{"type":"array","items":'.repeat(50_000)}"int"${"}".repeat(50_000)}`).message).toContain(
      "nested deeper",
    );
  });

  test("because it has too many types is refused", () => {
    expect(
      faultOf(JSON.stringify(record(Array.from({ length: 20_001 }, (_, i) => ({ name: `f${i}`, type: "int" })))))
        .message,
    ).toContain("20000 types");
  });
});

test("a record may hold itself behind a null, an array or a map", () => {
  for (const type of [["null", "R"], { type: "array", items: "R" }, { type: "map", values: "R" }]) {
    expect(canonical(record([field(type)]))).toContain('"R"');
  }
});
