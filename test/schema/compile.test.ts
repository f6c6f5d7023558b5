/** Tables of schemas, read by the core: what its walk takes beside what avsc writes and reads. */
import { describe, expect, test } from "bun:test";
import { Type } from "avsc";
import fc from "fast-check";
import { schemaValidate } from "../../src/log/native.ts";
import { parseAvro } from "../../src/schema/avro/parse.ts";
import { compileAvro } from "../../src/schema/compile.ts";
import { Random, SchemaDraw, valueOf } from "./random.ts";

/** A busy machine takes several times as long as an idle one. */
const TIMEOUT_MS = 120_000;
const RUNS = process.env["MILLRACE_LONG"] ? 20_000 : 1_000;

const tableOf = (schema: unknown): Uint8Array => compileAvro(parseAvro(JSON.stringify(schema)).type);
const avsc = (schema: unknown): Type => Type.forSchema(schema as string, { wrapUnions: true });

describe("a table", () => {
  test("has every kind of type and a body of every kind of default", () => {
    const schema = {
      type: "record",
      name: "a.All",
      fields: [
        { name: "flag", type: "boolean", default: true },
        { name: "small", type: "int", default: -(2 ** 31) },
        { name: "float", type: "float", default: 1.5 },
        { name: "double", type: "double", default: -0.1 },
        { name: "bytes", type: "bytes", default: "\u00ff\u0001" },
        { name: "text", type: "string", default: "zürich" },
        { name: "fixed", type: { type: "fixed", name: "F", size: 2 }, default: "\u0000\u00fe" },
        { name: "symbol", type: { type: "enum", name: "E", symbols: ["A", "B"], default: "A" }, default: "B" },
        { name: "list", type: { type: "array", items: "long" }, default: [1, 2 ** 53 - 2, -3] },
        { name: "map", type: { type: "map", values: "string" }, default: { a: "b" } },
        { name: "maybe", type: ["null", "a.All"], default: null },
        {
          name: "inner",
          type: {
            type: "record",
            name: "I",
            fields: [
              { name: "x", type: "int", default: 7 },
              { name: "y", type: "int" },
            ],
          },
          default: { y: 8 },
        },
      ],
    };
    const table = tableOf(schema);
    const type = avsc(schema);
    const value = valueOf(type, new Random(1));
    expect(schemaValidate(table, type.toBuffer(value))).toBeNull();
    // The core compares each default with its type when it reads the table; avsc encodes the same ones.
    const { fields } = type as unknown as { fields: { type: Type; defaultValue: () => unknown }[] };
    const bytes = Buffer.from(table).toString("latin1");
    for (const field of fields) {
      const encoded = field.type.toBuffer(field.defaultValue());
      expect(bytes).toContain(String.fromCharCode(0xc4, encoded.length) + encoded.toString("latin1"));
    }
  });

  test("keeps numbers that JavaScript has not", () => {
    const text = `{"type":"record","name":"R","fields":[{"name":"a","type":"long","default":9223372036854775807}]}`;
    const table = compileAvro(parseAvro(text).type);
    expect(Buffer.from(table).toString("hex")).toContain("c40afeffffffffffffffff01");
  });

  test("of a schema that holds itself has each type once", () => {
    const schema = { type: "record", name: "R", fields: [{ name: "next", type: ["null", "R"], default: null }] };
    expect(schemaValidate(tableOf(schema), Uint8Array.of(2, 2, 0))).toBeNull();
    expect(schemaValidate(tableOf(schema), Uint8Array.of(2, 2))).toEqual({
      path: "next.next.next",
      reason: "the body ends inside a value of type union",
      at: 2,
    });
  });

  test("of a schema as deep as the registry takes them is written without recursion", () => {
    let schema: unknown = "int";
    for (let depth = 0; depth < 250; depth += 1) schema = { type: "array", items: schema };
    expect(schemaValidate(tableOf(schema), Uint8Array.of(0))).toBeNull();
  });

  test("is refused where defaults hold themselves or double without end", () => {
    const itself = { type: "record", name: "R", fields: [{ name: "next", type: ["R", "null"], default: {} }] };
    expect(() => tableOf(itself)).toThrow("its defaults come to more than");
    const level = (depth: number): unknown => ({
      type: "record",
      name: `R${depth}`,
      fields:
        depth === 0
          ? []
          : [
              { name: "a", type: level(depth - 1), default: {} },
              { name: "b", type: `R${depth - 1}`, default: {} },
            ],
    });
    expect(() => tableOf(level(40))).toThrow("its defaults come to more than");
    expect(schemaValidate(tableOf(level(8)), new Uint8Array(0))).toBeNull();
  });

  test("that is none is refused with the registry's error", () => {
    expect(() => schemaValidate(Uint8Array.of(0x93, 1, 8, 0x90), new Uint8Array(0))).toThrow(
      expect.objectContaining({ codeName: "schema_invalid" }),
    );
  });
});

describe("a body", () => {
  const drawn = (seed: number): { table: Uint8Array; type: Type; body: Buffer; random: Random } => {
    const random = new Random(seed);
    const schema = new SchemaDraw(random).schema();
    const type = avsc(schema);
    return { table: tableOf(schema), type, body: type.toBuffer(valueOf(type, random)), random };
  };

  test(
    "that avsc writes is valid, and neither a beginning of it nor a longer one is",
    () => {
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const { table, body } = drawn(seed);
          expect(schemaValidate(table, body)).toBeNull();
          for (let cut = 0; cut < body.length; cut += 1) {
            expect(schemaValidate(table, body.subarray(0, cut))).not.toBeNull();
          }
          expect(schemaValidate(table, Buffer.concat([body, Buffer.of(0)]))).not.toBeNull();
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );

  test(
    "with a byte changed is either refused or read by avsc to its end",
    () => {
      let taken = 0;
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const { table, type, body, random } = drawn(seed);
          if (body.length === 0) return;
          const other = Buffer.from(body);
          other[random.below(body.length)] = random.below(256);
          if (schemaValidate(table, other) !== null) return;
          taken += 1;
          try {
            type.fromBuffer(other);
          } catch (error) {
            // The only thing that the core takes and avsc does not: longs that are no JavaScript numbers.
            expect(String(error)).toContain("precision loss");
          }
        }),
        { numRuns: RUNS },
      );
      expect(taken).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});
