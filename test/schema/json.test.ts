/** JSON Schemas: what is accepted, which changes get on with what was, and that a pass holds for every value. */
import { describe, expect, test } from "bun:test";
import { Ajv } from "ajv";
import fc from "fast-check";
import { isMillraceError } from "../../src/errors/index.ts";
import { jsonIncompatibilities } from "../../src/schema/json/compat.ts";
import { JsonDocument } from "../../src/schema/json/document.ts";
import { JsonSchemaValidator } from "../../src/schema/json/validate.ts";
import type { Incompatibility } from "../../src/schema/types.ts";

type Others = Record<string, unknown>;

function documentOf(schema: unknown, others: Others = {}): JsonDocument {
  const documents = new Map(Object.entries(others).map(([name, other]) => [name, documentOf(other)]));
  return new JsonDocument(JSON.stringify(schema), documents);
}

const check = (reader: unknown, writer: unknown, readerIs: "new" | "old" = "new"): Incompatibility[] =>
  jsonIncompatibilities(documentOf(reader), documentOf(writer), readerIs);

function faultOf(schema: unknown, others: Others = {}): string {
  try {
    const document = documentOf(schema, others);
    new JsonSchemaValidator().check(document.root);
  } catch (error) {
    if (isMillraceError(error, "schema_invalid", "schema_unsupported")) return error.message;
    throw error;
  }
  return "accepted";
}

describe("a schema", () => {
  const good: readonly [what: string, schema: unknown, others?: Others][] = [
    ["true", true],
    ["of draft 7, which is the default", { type: "object", definitions: { a: { type: "string" } } }],
    ["of draft 6", { $schema: "http://json-schema.org/draft-06/schema#", const: 1 }],
    [
      "of 2019-09",
      { $schema: "https://json-schema.org/draft/2019-09/schema", $defs: { a: { $anchor: "x" } }, $ref: "#x" },
    ],
    ["of 2020-12", { $schema: "https://json-schema.org/draft/2020-12/schema", prefixItems: [{ type: "string" }] }],
    ["that names a part of itself", { $ref: "#/definitions/a", definitions: { a: { type: "null" } } }],
    ["that names itself", { properties: { next: { $ref: "#" } } }],
    ["that names a part by its $id", { $id: "http://x.org/a.json", $ref: "b.json", $defs: { b: { $id: "b.json" } } }],
    [
      "that names another document",
      { $ref: "other.json#/definitions/a" },
      { "other.json": { definitions: { a: {} } } },
    ],
    ["that names the schema of schemas", { $ref: "http://json-schema.org/draft-07/schema#" }],
  ];
  for (const [what, schema, others] of good) {
    test(`${what} is accepted`, () => {
      expect(faultOf(schema, others)).toBe("accepted");
    });
  }

  const bad: readonly [what: string, schema: unknown, words: string][] = [
    ["that is a text", "x", "an object, true or false"],
    ["with a type that is none", { properties: { a: { type: "int" } } }, "/properties/a/type"],
    [
      "with a $ref that leads nowhere",
      { items: { $ref: "#/definitions/none" } },
      'at /items: "$ref": "#/definitions/none"',
    ],
    ["that names a document without a reference", { $ref: "other.json" }, "add a reference"],
    ["that names itself without end", { $ref: "#" }, "without end"],
    ["that holds itself in a branch", { anyOf: [{ type: "null" }, { $ref: "#" }] }, "without end"],
    ["of draft 4", { $schema: "http://json-schema.org/draft-04/schema#" }, "draft"],
    ["with too many parts", { allOf: Array.from({ length: 20_001 }, () => ({})) }, "20000 schemas"],
  ];
  for (const [what, schema, words] of bad) {
    test(`${what} is refused`, () => {
      expect(faultOf(schema)).toContain(words);
    });
  }
});

const object = (properties: object, more: object = {}): object => ({ type: "object", properties, ...more });
const closed = { additionalProperties: false };
const text = { type: "string" };
const whole = { type: "integer" };

describe("what was written is still accepted", () => {
  const pairs: readonly [what: string, reader: unknown, writer: unknown][] = [
    ["by the same schema", object({ a: text }), object({ a: text })],
    ["where whole numbers became numbers", { type: "number" }, whole],
    ["where a type was added", { type: ["string", "null"] }, text],
    [
      "where a property was added to a closed schema",
      object({ a: text, b: text }, closed),
      object({ a: text }, closed),
    ],
    ["where a property went from an open schema", object({}), object({ a: text })],
    ["where a property was added that may be anything", object({ a: text, b: true }), object({ a: text })],
    ["where a property is not required any more", object({ a: text }), object({ a: text }, { required: ["a"] })],
    ["where what is required has a default", object({ a: { default: 1 } }, { required: ["a"] }), object({ a: true })],
    ["where bounds are wider", { type: "integer", maximum: 10 }, { type: "integer", exclusiveMaximum: 10 }],
    ["where bounds say nothing about what is written", { maximum: 3, minLength: 2 }, { type: "boolean" }],
    ["where a value was added", { enum: ["a", "b"] }, { const: "a" }],
    ["where a branch was added", { anyOf: [text, whole] }, text],
    ["where branches changed places", { oneOf: [whole, text] }, { oneOf: [text, whole] }],
    ["where it was written apart", { $ref: "#/$defs/a", $defs: { a: text } }, { allOf: [text, { minLength: 1 }] }],
    [
      "where a tuple says the same in another way",
      { prefixItems: [text], items: whole },
      { items: [text], additionalItems: whole },
    ],
    ["where recursion is alike", object({ next: { $ref: "#" } }), object({ next: { $ref: "#" } })],
    ["where what cannot be compared stayed as it is", { not: text, minimum: 1 }, { not: text, minimum: 2 }],
    [
      "where a name leads to the same",
      { not: { $ref: "#/$defs/a" }, $defs: { a: text } },
      { not: { $ref: "#/$defs/a" }, $defs: { a: text } },
    ],
  ];
  for (const [what, reader, writer] of pairs) {
    test(what, () => {
      expect(check(reader, writer)).toEqual([]);
    });
  }
});

describe("what was written may be refused, and it is said", () => {
  const pairs: readonly [what: string, reader: unknown, writer: unknown, kind: string, path: string][] = [
    ["where a type went", text, { type: ["string", "null"] }, "TYPE_NARROWED", "/type"],
    ["where the type changed", object({ a: whole }), object({ a: text }), "TYPE_NARROWED", "/properties/a/type"],
    [
      "where a property was added to an open schema",
      object({ a: text }),
      object({}),
      "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
      "/properties/a",
    ],
    [
      "where a property went from a closed schema",
      object({}, closed),
      object({ a: text }, closed),
      "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
      "/properties/a",
    ],
    [
      "where the schema was closed",
      object({}, closed),
      object({}),
      "ADDITIONAL_PROPERTIES_REMOVED",
      "/additionalProperties",
    ],
    [
      "where more is required",
      object({}, { required: ["a"] }),
      object({ a: text }),
      "REQUIRED_ATTRIBUTE_ADDED",
      "/required",
    ],
    [
      "where a bound is narrower",
      { type: "string", maxLength: 3 },
      { type: "string", maxLength: 4 },
      "MAX_LENGTH_NARROWED",
      "/maxLength",
    ],
    ["where a bound is new", { type: "integer", multipleOf: 2 }, whole, "MULTIPLE_OF_NARROWED", "/multipleOf"],
    ["where a value went", { enum: ["a"] }, { enum: ["a", "b"] }, "ENUM_ARRAY_NARROWED", "/enum"],
    [
      "where a branch went",
      { anyOf: [text, whole] },
      { anyOf: [text, { type: "null" }] },
      "SUM_TYPE_NARROWED",
      "/anyOf",
    ],
    [
      "where items changed",
      { type: "array", items: whole },
      { type: "array", items: text },
      "TYPE_NARROWED",
      "/items/type",
    ],
    ["where what cannot be compared changed", { not: text }, { not: whole }, "KEYWORD_CHANGED", "/not"],
    [
      "where a name leads elsewhere",
      { not: { $ref: "#/$defs/a" }, $defs: { a: text } },
      { not: { $ref: "#/$defs/a" }, $defs: { a: whole } },
      "KEYWORD_CHANGED",
      "/not",
    ],
    [
      "where the rest was refused and the schema changed",
      { ...object({ a: text }), unevaluatedProperties: false },
      { ...object({ a: text, b: text }), unevaluatedProperties: false },
      "KEYWORD_CHANGED",
      "",
    ],
    [
      "where the type changed beside a branch that accepts all",
      { ...whole, anyOf: [true] },
      { ...text, anyOf: [true] },
      "TYPE_NARROWED",
      "/type",
    ],
    ["where nothing is accepted any more", object({ a: false }), object({ a: text }), "NOT_ALLOWED", "/properties/a"],
  ];
  for (const [what, reader, writer, kind, path] of pairs) {
    test(what, () => {
      expect(check(reader, writer).map((fault) => [fault.kind, fault.path])).toContainEqual([kind, path]);
    });
  }

  test("naming path, field and repair", () => {
    const [fault] = check(object({ price: whole }), object({ price: text }));
    expect(fault?.field).toBe("price");
    expect(fault?.message).toBe(
      "at /properties/price/type of the new schema: string is written, and only integer is accepted; accept these types still",
    );
    const [forward] = check(object({}, { required: ["a"] }), object({ a: text }), "old");
    expect(forward?.message).toContain("of the old schema");
    expect(forward?.message).toContain("keep requiring it");
  });
});

test("schemas that would take for ever to compare are refused", () => {
  const union = (prefix: string): object => ({
    anyOf: Array.from({ length: 1_000 }, (_, index) => object({ [`${prefix}${index}`]: text }, closed)),
  });
  expect(check(union("a"), union("b")).map(({ kind }) => kind)).toEqual(["TOO_COMPLEX"]);
});

/** Schemas of a few names and values, so that pairs meet. */
const { schema: schemas } = fc.letrec<{ schema: Record<string, unknown> | boolean; object: Record<string, unknown> }>(
  (tie) => {
    const some = tie("schema");
    const name = fc.constantFrom("a", "b");
    const small = fc.integer({ min: 0, max: 3 });
    const type = fc.constantFrom("null", "boolean", "integer", "number", "string", "array", "object");
    const members = fc.array(some, { minLength: 1, maxLength: 2 });
    return {
      object: fc.record(
        {
          type: fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 3 })),
          enum: fc.uniqueArray(fc.constantFrom<unknown>(null, 1, 1.5, "a", "bb"), { minLength: 1, maxLength: 3 }),
          minimum: small,
          exclusiveMaximum: small,
          multipleOf: fc.constantFrom(1, 2, 0.5),
          minLength: small,
          maxLength: small,
          minItems: small,
          maxItems: small,
          uniqueItems: fc.boolean(),
          items: some,
          properties: fc.dictionary(name, some, { maxKeys: 2 }),
          patternProperties: fc.dictionary(fc.constantFrom("^a", "b"), some, { maxKeys: 1 }),
          additionalProperties: some,
          required: fc.uniqueArray(name, { maxLength: 2 }),
          minProperties: small,
          allOf: members,
          anyOf: members,
          not: some,
          if: some,
          then: some,
          $ref: fc.constant("#"),
        },
        { requiredKeys: [] },
      ),
      schema: fc.oneof(
        { maxDepth: 3, withCrossShrink: true },
        { weight: 1, arbitrary: fc.boolean() },
        { weight: 4, arbitrary: tie("object") },
      ),
    };
  },
);

const { value: values } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    fc.constantFrom<unknown>(null, true, 0, 1, 2, 3, 0.5, 1.5, "", "a", "bb", "ccc"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("a", "b", "c", "ab"), tie("value"), { maxKeys: 3 }),
  ),
}));

function accepts(schema: Record<string, unknown> | boolean): (value: unknown) => boolean {
  const validate = new Ajv({ strict: false, logger: false }).compile(schema);
  return (value) => validate(value);
}

function isRefused(schema: unknown): boolean {
  try {
    documentOf(schema);
    return false;
  } catch (error) {
    if (isMillraceError(error, "schema_invalid")) return true;
    throw error;
  }
}

test("a pass holds: what the writer accepts, the reader accepts", () => {
  let passes = 0;
  let accepted = 0;
  const changed = fc
    .tuple(schemas, schemas, fc.boolean())
    .map(([a, b, isNear]) => [a, isNear ? near(a, b) : b] as const);
  fc.assert(
    fc.property(changed, fc.array(values, { minLength: 20, maxLength: 20 }), ([reader, writer], drawn) => {
      // What names itself without end is no schema.
      if (isRefused(reader) || isRefused(writer) || check(reader, writer).length > 0) return;
      const [reads, writes] = [accepts(reader), accepts(writer)];
      passes += 1;
      for (const value of drawn) {
        if (!writes(value)) continue;
        accepted += 1;
        expect({ value, reader, writer, accepted: reads(value) }).toMatchObject({ accepted: true });
      }
    }),
    { numRuns: process.env["MILLRACE_LONG"] === undefined ? 3_000 : 30_000 },
  );
  // A test in which nothing passes would show nothing.
  expect(Math.min(passes, accepted)).toBeGreaterThan(100);
}, 600_000);

/** The first schema with some keywords of the second: pairs that share nothing never pass. */
function near(
  a: Record<string, unknown> | boolean,
  b: Record<string, unknown> | boolean,
): Record<string, unknown> | boolean {
  if (typeof a === "boolean" || typeof b === "boolean") return a;
  const [first] = Object.entries(b);
  return first === undefined ? a : { ...a, [first[0]]: first[1] };
}
