import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { jsonText } from "../../src/client/avro/index.ts";
import { MillraceError } from "../../src/client/index.ts";
import { codecFor, FakeRegistry, message } from "./avro-kit.ts";

/** Avro codecs with random schemas, values and damage. */

const seed = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 1_000_000);
const RUNS = process.env["MILLRACE_LONG"] === undefined ? 150 : 5_000;

/** A schema with a way to draw values of it. */
interface Drawn {
  readonly schema: unknown;
  readonly values: fc.Arbitrary<unknown>;
  /** What a value is, to JavaScript and in JSON: of each a union can have one that stands for itself. */
  readonly kinds: readonly string[];
  /** The name of its branch in a union. */
  readonly branch: string;
}

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const bytes = fc.uint8Array({ maxLength: 12 });

const LEAVES: readonly Drawn[] = [
  { schema: "null", values: fc.constant(null), kinds: ["null"], branch: "null" },
  { schema: "boolean", values: fc.boolean(), kinds: ["boolean"], branch: "boolean" },
  { schema: "int", values: fc.integer(), kinds: ["number"], branch: "int" },
  { schema: "long", values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), kinds: ["number"], branch: "long" },
  { schema: "float", values: fc.float(), kinds: ["number"], branch: "float" },
  { schema: "double", values: fc.double(), kinds: ["number"], branch: "double" },
  { schema: "bytes", values: bytes, kinds: ["object", "string"], branch: "bytes" },
  { schema: "string", values: text, kinds: ["string"], branch: "string" },
  {
    schema: { type: "long", logicalType: "timestamp-millis" },
    values: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }),
    kinds: ["object", "string"],
    branch: "long",
  },
];

/** Schemas of some depth; names of types count up, so that none is there twice. */
function schemas(depth: number, name: () => string): fc.Arbitrary<Drawn> {
  const leaf = fc.constantFrom(...LEAVES);
  const named = leaf.chain((drawn) => (drawn.branch === "null" ? enums(name) : fc.constant(drawn)));
  if (depth === 0) return fc.oneof(leaf, named);
  const inner = schemas(depth - 1, name);
  return fc.oneof(
    { weight: 2, arbitrary: leaf },
    enums(name),
    fixeds(name),
    inner.map(arrayOf),
    inner.map(mapOf),
    { weight: 2, arbitrary: fc.array(inner, { maxLength: 4 }).map((fields) => recordOf(fields, name())) },
    { weight: 2, arbitrary: fc.array(inner, { minLength: 1, maxLength: 4 }).map(unionOf) },
  );
}

function enums(name: () => string): fc.Arbitrary<Drawn> {
  return fc.integer({ min: 1, max: 4 }).map((count) => {
    const own = name();
    const symbols = ["A", "B", "C", "D"].slice(0, count);
    return {
      schema: { type: "enum", name: own, symbols },
      values: fc.constantFrom(...symbols),
      kinds: ["string"],
      branch: own,
    };
  });
}

function fixeds(name: () => string): fc.Arbitrary<Drawn> {
  return fc.integer({ min: 0, max: 5 }).map((size) => {
    const own = name();
    const values = fc.uint8Array({ minLength: size, maxLength: size });
    return { schema: { type: "fixed", name: own, size }, values, kinds: ["object", "string"], branch: own };
  });
}

function arrayOf({ schema, values }: Drawn): Drawn {
  return {
    schema: { type: "array", items: schema },
    values: fc.array(values, { maxLength: 4 }),
    kinds: ["array"],
    branch: "array",
  };
}

function mapOf({ schema, values }: Drawn): Drawn {
  const keys = fc.string({ maxLength: 4 }).filter((key) => key !== "__proto__");
  return {
    schema: { type: "map", values: schema },
    values: fc.dictionary(keys, values, { maxKeys: 3, noNullPrototype: true }),
    kinds: ["object"],
    branch: "map",
  };
}

function recordOf(fields: readonly Drawn[], name: string): Drawn {
  const named = fields.map((field, index) => [`f${index}`, field] as const);
  return {
    schema: { type: "record", name, fields: named.map(([name, { schema }]) => ({ name, type: schema })) },
    values: fc.record(Object.fromEntries(named.map(([name, { values }]) => [name, values])), { noNullPrototype: true }),
    kinds: ["object"],
    branch: name,
  };
}

/** Of branches with different names, without unions in it. */
function unionOf(drawn: readonly Drawn[]): Drawn {
  const branches = [
    ...new Map(drawn.filter(({ branch }) => branch !== "union").map((each) => [each.branch, each])).values(),
  ];
  if (branches.length === 0) return LEAVES[0] as Drawn;
  const all = branches.flatMap(({ kinds }) => kinds);
  const isWrapped = new Set(all).size < all.length;
  const values = branches.map(({ branch, values }) =>
    isWrapped && branch !== "null" ? values.map((value) => ({ [branch]: value })) : values,
  );
  return {
    schema: branches.map(({ schema }) => schema),
    values: fc.oneof(...values),
    kinds: ["union"],
    branch: "union",
  };
}

const cases: fc.Arbitrary<{ drawn: Drawn; value: unknown }> = fc
  .constant(null)
  .chain(() => {
    let count = 0;
    return schemas(3, () => `T${count++}`);
  })
  .chain((drawn) => drawn.values.map((value) => ({ drawn, value })));

/** A value as data alone: without the classes that avsc gives records and branches. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array || value instanceof Date || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

/** The error of a decode, or its value. */
async function outcome(decode: () => unknown): Promise<unknown> {
  try {
    return await decode();
  } catch (error) {
    return error;
  }
}

describe(`random schemas (seed ${seed})`, () => {
  const parameters = { seed, numRuns: RUNS };

  test("values come back as they were written, and as JSON too", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ drawn, value }) => {
        const codec = await codecFor(new FakeRegistry(), { schema: JSON.stringify(drawn.schema), longs: "bigint" });
        if (value === null) return;
        const encoded = codec.encode(value);
        expect(plain(await codec.decode(message(encoded)))).toEqual(plain(value));
        expect(codec.framed(codec.valueOfJson(jsonText(value))).value).toEqual(encoded);
      }),
      parameters,
    );
  });

  test("a body that is cut, or that has bytes behind it, is refused and names its schema", async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), async ({ drawn, value }, at) => {
        const codec = await codecFor(new FakeRegistry(), { schema: JSON.stringify(drawn.schema), longs: "bigint" });
        if (value === null) return;
        const encoded = codec.encode(value);
        const longer = Uint8Array.from([...encoded, 0]);
        const shorter = encoded.subarray(0, 5 + (at % Math.max(1, encoded.length - 5)));
        for (const damaged of encoded.length > 5 ? [longer, shorter] : [longer]) {
          const error = await outcome(() => codec.decode(message(damaged)));
          expect(error).toBeInstanceOf(MillraceError);
          expect((error as MillraceError).codeName).toBe("schema_violation");
          expect((error as MillraceError).details?.["schemaId"]).toBe(1);
        }
      }),
      parameters,
    );
  });

  test("whatever bytes come are a value or a violation, soon", async () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(cases, damage, bytes, async ({ drawn, value }, changes, tail) => {
        const codec = await codecFor(new FakeRegistry(), { schema: JSON.stringify(drawn.schema), longs: "bigint" });
        if (value === null) return;
        const damaged = Uint8Array.from([...codec.encode(value), ...tail]);
        for (const [at, byte] of changes) if (damaged.length > 5) damaged[5 + (at % (damaged.length - 5))] = byte;
        const found = await outcome(() => codec.decode(message(damaged)));
        if (found instanceof Error) expect((found as MillraceError).codeName).toBe("schema_violation");
      }),
      parameters,
    );
  });
});

describe("bodies that mean to harm", () => {
  const many = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
  const list = { type: "record", name: "List", fields: [{ name: "next", type: ["null", "List"] }] };

  const least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
  const ends = (kind: string): string => `the body ends inside a value of type ${kind}`;
  const size = "a block's size is not that of its items";

  test.each([
    ["an array of more items than there are bytes", { type: "array", items: "int" }, many, ends("int")],
    ["an array of items without bytes", { type: "array", items: "null" }, many, "items without a byte, over 65536"],
    ["a map of more entries than there are bytes", { type: "map", values: "null" }, many, ends("string")],
    ["a block whose size leads out of the body", { type: "array", items: "int" }, [0x01, 0x7e, 0x02, 0x00], size],
    ["a block whose size leads backwards", { type: "array", items: "int" }, [0x01, 0x03, 0x02, 0x00], size],
    ["a block of another size than it says", { type: "map", values: "null" }, [0x01, 0x06, 0x02, 0x61, 0x00], size],
    ["a string longer than the body", "string", many, ends("string")],
    ["text of a negative length", "string", least, "a length of -9223372036854776000"],
    ["bytes of a negative length", "bytes", [0x01], "a length of -1"],
    [
      "a number without an end",
      "long",
      Array.from({ length: 40 }, () => 0xff),
      "a number that is too large for type long",
    ],
    ["a number of 65 bits", "long", [...many.slice(0, 9), 0x02], "a number that is too large for type long"],
    ["an int past its range", "int", [0x80, 0x80, 0x80, 0x80, 0x20], "a number that is too large for type int"],
    ["an int in more bytes than it needs", "int", [0x80, 0x80, 0x80, 0x80, 0x80, 0x00], "too large for type int"],
    ["a union's branch that is not there", ["null", "int"], [0x04], "branch 2 of a union that has 2"],
    ["an enum's symbol that is not there", { type: "enum", name: "E", symbols: ["A"] }, [0x02], "symbol 1 of an enum"],
    ["text that is not UTF-8", "string", [0x04, 0xc3, 0x28], "a string that is not UTF-8"],
    ["a boolean of another byte", "boolean", [0x02], "a boolean is the byte 0 or 1, not 2"],
    ["bytes behind it", "int", [0x02, 0x02], "1 bytes are left behind the value"],
    ["records in each other without end", list, Array.from({ length: 100_000 }, () => 0x02), "nested deeper than 256"],
  ])("%s", async (_, schema, body, reason) => {
    const codec = await codecFor(new FakeRegistry(), { schema: JSON.stringify(schema) });
    const error = await outcome(() => codec.decode(message(Uint8Array.from([0, 0, 0, 0, 1, ...body]))));
    expect((error as MillraceError).codeName).toBe("schema_violation");
    expect((error as MillraceError).details?.["reason"]).toContain(reason);
  });

  test("a schema nested without end is no schema, and nothing else happens", async () => {
    const depth = 200_000;
    const schema = `${'{"type":"array","items":'.repeat(depth)}"int"${"}".repeat(depth)}`;
    const error = await outcome(() => codecFor(new FakeRegistry(), { schema, readOnly: true }));
    expect((error as MillraceError).codeName).toBe("schema_invalid");
  });
});
