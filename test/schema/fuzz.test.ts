/** Whatever text comes as a schema: it is one, or it is refused with the registry's error. */
import { describe, expect, test } from "bun:test";
import { Type } from "avsc";
import fc from "fast-check";
import { isMillraceError } from "../../src/errors/index.ts";
import { avroIncompatibilities } from "../../src/schema/avro/compat.ts";
import { jsonIncompatibilities } from "../../src/schema/json/compat.ts";
import { type Parsed, SchemaReader, SchemaState } from "../../src/schema/index.ts";
import type { SchemaType } from "../../src/schema/types.ts";
import { Random, SchemaDraw } from "./random.ts";

const TIMEOUT_MS = 300_000;
const RUNS = process.env["MILLRACE_LONG"] ? 50_000 : 2_000;
const reader = new SchemaReader(new SchemaState());

const read = (schema: string, schemaType: SchemaType, normalize = false): Parsed =>
  reader.read({ schema, schemaType, references: [] }, "default", normalize);

function readOrRefused(schema: string, schemaType: SchemaType): Parsed | undefined {
  try {
    return read(schema, schemaType);
  } catch (error) {
    if (isMillraceError(error, "schema_invalid", "schema_unsupported")) return undefined;
    throw error;
  }
}

const JSON_SCHEMA = JSON.stringify({
  $id: "http://x.org/a.json",
  type: ["object", "null"],
  properties: {
    a: { $ref: "#/definitions/b" },
    "c/d": { enum: [1, "x", null] },
    e: { items: [true, { type: "string" }] },
  },
  patternProperties: { "^x": { minimum: 1, exclusiveMaximum: 9 } },
  definitions: { b: { anyOf: [{ type: "integer", multipleOf: 2 }, { $ref: "#" }] } },
  required: ["a"],
});

/** A text with some of its tokens exchanged, doubled, taken away or made another. */
function bent(text: string, random: Random): string {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[\d.]+|\w+|./gsu) ?? [];
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    const [at, other] = [random.below(tokens.length), random.below(tokens.length)];
    const changes = [
      () => tokens.splice(at, 1),
      () => tokens.splice(at, 0, tokens[other] ?? ""),
      () => (tokens[at] = tokens[other] ?? ""),
      () =>
        (tokens[at] = random.pick([
          "null",
          "{}",
          "[]",
          "-1",
          "1e999",
          '"#"',
          '"__proto__"',
          '"\\ud800"',
          "true",
          "\0",
        ])),
    ];
    random.pick(changes)();
  }
  return tokens.join("");
}

describe("a bent text", () => {
  test(
    "of an Avro schema is one, or is refused; what is one compares with any other",
    () => {
      const seen = { read: 0, refused: 0 };
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const random = new Random(seed);
          const text = JSON.stringify(new SchemaDraw(random).schema());
          const parsed = readOrRefused(bent(text, random), "AVRO");
          seen[parsed === undefined ? "refused" : "read"] += 1;
          const whole = read(text, "AVRO");
          if (parsed?.schemaType !== "AVRO" || whole.schemaType !== "AVRO") return;
          expect(avroIncompatibilities(parsed.avro.type, parsed.avro.type, "new")).toEqual([]);
          avroIncompatibilities(parsed.avro.type, whole.avro.type, "new");
          avroIncompatibilities(whole.avro.type, parsed.avro.type, "old");
        }),
        { numRuns: RUNS },
      );
      expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(RUNS / 100);
    },
    TIMEOUT_MS,
  );

  test(
    "of a JSON Schema is one, or is refused; what is one compares with any other",
    () => {
      const seen = { read: 0, refused: 0 };
      const whole = read(JSON_SCHEMA, "JSON");
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const parsed = readOrRefused(bent(JSON_SCHEMA, new Random(seed)), "JSON");
          seen[parsed === undefined ? "refused" : "read"] += 1;
          if (parsed?.schemaType !== "JSON" || whole.schemaType !== "JSON") return;
          expect(jsonIncompatibilities(parsed.json, parsed.json, "new")).toEqual([]);
          jsonIncompatibilities(parsed.json, whole.json, "new");
          jsonIncompatibilities(whole.json, parsed.json, "old");
        }),
        { numRuns: RUNS },
      );
      expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(RUNS / 100);
    },
    TIMEOUT_MS,
  );
});

test("any JSON at all is a schema or is refused", () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom("AVRO" as const, "JSON" as const), (text, type) => {
      readOrRefused(text, type);
    }),
    { numRuns: RUNS },
  );
});

test(
  "the canonical text of a drawn schema is read to itself, and means the same to avsc",
  () => {
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (seed, normalize) => {
        const schema = new SchemaDraw(new Random(seed)).schema();
        const parsed = read(JSON.stringify(schema), "AVRO", normalize);
        const again = read(parsed.schema, "AVRO", normalize);
        expect([again.schema, again.guid]).toEqual([parsed.schema, parsed.guid]);
        const fingerprint = (schema: unknown): string =>
          Type.forSchema(schema as string)
            .fingerprint()
            .toString();
        expect(fingerprint(JSON.parse(parsed.schema))).toBe(fingerprint(schema));
      }),
      { numRuns: RUNS },
    );
  },
  TIMEOUT_MS,
);
