/** Compatibility of Avro schemas: the verdict, and what a message names. */
import { describe, expect, test } from "bun:test";
import { avroIncompatibilities } from "../../src/schema/avro/compat.ts";
import { parseAvro } from "../../src/schema/avro/parse.ts";
import type { Incompatibility } from "../../src/schema/types.ts";

const check = (reader: unknown, writer: unknown, readerIs: "new" | "old" = "new"): Incompatibility[] =>
  avroIncompatibilities(parseAvro(JSON.stringify(reader)).type, parseAvro(JSON.stringify(writer)).type, readerIs);
const kinds = (reader: unknown, writer: unknown): string[] => check(reader, writer).map(({ kind }) => kind);

const record = (fields: unknown[], more: object = {}): object => ({ type: "record", name: "R", fields, ...more });
const field = (name: string, type: unknown, more: object = {}): object => ({ name, type, ...more });
const enumOf = (symbols: string[], more: object = {}): object => ({ type: "enum", name: "E", symbols, ...more });

describe("data is readable", () => {
  const pairs: readonly [what: string, reader: unknown, writer: unknown][] = [
    ["by the same schema", record([field("a", "int")]), record([field("a", "int")])],
    ["where a number grows", record([field("a", "double")]), record([field("a", "int")])],
    ["as bytes where it was text, and as text where it was bytes", ["string"], "bytes"],
    ["where a field is left out", record([]), record([field("a", "int")])],
    ["where a new field has a default", record([field("b", "int", { default: 1 })]), record([])],
    [
      "where a field was renamed under an alias",
      record([field("b", "int", { aliases: ["a"] })]),
      record([field("a", "int")]),
    ],
    ["where a record was renamed under an alias", record([], { name: "S", aliases: ["R"] }), record([])],
    ["where a type became a union that holds it", ["null", "int"], "int"],
    ["where a union lost branches that were not all that was written", ["null", "long", "string"], ["null", "int"]],
    ["where an enum has a default for new symbols", enumOf(["A"], { default: "A" }), enumOf(["A", "B"])],
    ["where recursion is alike", record([field("a", ["null", "R"])]), record([field("a", ["null", "R"])])],
    ["where no branch is named alike and another reads it", [record([], { name: "S" }), "long"], "int"],
  ];
  test.each(pairs)("%s", (_, reader, writer) => {
    expect(check(reader, writer)).toEqual([]);
  });
});

describe("data is not readable, and it is said", () => {
  const pairs: readonly [what: string, reader: unknown, writer: unknown, kind: string, path: string][] = [
    ["where a number shrinks", "int", "long", "TYPE_MISMATCH", ""],
    [
      "where a new field has no default",
      record([field("b", "int")]),
      record([]),
      "READER_FIELD_MISSING_DEFAULT_VALUE",
      "/fields/0",
    ],
    [
      "where a field could be read from two, by its name and by an alias",
      record([field("b", "int", { aliases: ["a"] })]),
      record([field("a", "int"), field("b", "int")]),
      "READER_FIELD_AMBIGUOUS",
      "/fields/0",
    ],
    ["where names differ", record([], { name: "S" }), record([]), "NAME_MISMATCH", "/name"],
    ["where a union lost a branch", ["null", "int"], ["null", "string"], "MISSING_UNION_BRANCH", ""],
    ["where a union became one of its branches", "int", ["int", "null"], "MISSING_UNION_BRANCH", ""],
    ["where an enum lost a symbol", enumOf(["A"]), enumOf(["A", "B"]), "MISSING_ENUM_SYMBOLS", "/symbols"],
    [
      "where a fixed has another size",
      { type: "fixed", name: "F", size: 2 },
      { type: "fixed", name: "F", size: 3 },
      "FIXED_SIZE_MISMATCH",
      "/size",
    ],
    [
      "deep inside",
      record([field("a", { type: "array", items: { type: "map", values: "int" } })]),
      record([field("a", { type: "array", items: { type: "map", values: "string" } })]),
      "TYPE_MISMATCH",
      "/fields/0/type/items/values",
    ],
  ];
  test.each(pairs)("%s", (_, reader, writer, kind, path) => {
    const found = check(reader, writer);
    expect(found.map((fault) => fault.kind)).toContain(kind);
    expect(found.map((fault) => fault.path)).toContain(path);
  });

  test("naming path, field and repair", () => {
    const [fault] = check(record([field("price", "double")]), record([]));
    expect(fault?.field).toBe("price");
    expect(fault?.message).toBe(
      'at /fields/0 of the new schema: the field "price" of record "R" has no default and is not in what is written; give it a default',
    );
    const [inner] = check(record([field("price", "int")]), record([field("price", "string")]));
    expect(inner?.message).toContain('field "price", at /fields/0/type of the new schema');
    const [forward] = check(record([field("price", "double")]), record([]), "old");
    expect(forward?.message).toContain("of the old schema");
    expect(forward?.message).toContain("keep it");
  });

  test("once for each place, however often the type is named", () => {
    const of = (size: number): object =>
      record([
        field("a", { type: "fixed", name: "F", size }),
        field("b", "F"),
        field("c", { type: "array", items: "F" }),
      ]);
    expect(check(of(2), of(3)).map(({ kind }) => kind)).toEqual(["a", "b", "c"].map(() => "FIXED_SIZE_MISMATCH"));
  });
});

test("what fits only because an outer record was taken to fit is not believed when that does not fit", () => {
  // Reading S inside R takes R to fit; R does not, so neither does S where it comes again beside R.
  const inner = (name: string, more: unknown[]): object => ({
    type: "record",
    name: "R",
    fields: [field("s", { type: "record", name: "S", fields: [field("r", ["null", "R"])] }), ...more],
    doc: name,
  });
  const reader = record([field("u", [inner("new", [field("x", "int")]), "string"]), field("v", "S")], { name: "Top" });
  const writer = record([field("u", ["string", inner("old", [])]), field("v", "S")], { name: "Top" });
  expect(kinds(reader, writer).length).toBeGreaterThan(1);
});

test("schemas that would take for ever to compare are refused", () => {
  const size = 1_500;
  const union = (prefix: string): object[] =>
    Array.from({ length: size }, (_, i) => ({ type: "record", name: `${prefix}${i}`, fields: [] }));
  expect(kinds(union("A"), union("B"))).toEqual(["TOO_COMPLEX"]);
  const chain = (leaf: string): unknown[] => [
    { type: "record", name: "N0", fields: [field("f", leaf)] },
    ...Array.from({ length: 5_000 }, (_, i) => ({ type: "record", name: `N${i + 1}`, fields: [field("f", `N${i}`)] })),
  ];
  expect(kinds(chain("int"), chain("string"))).toEqual(["TOO_COMPLEX"]);
});
