/** Reading with another schema: the core beside avsc, and beside what the registry says of the pair. */
import { describe, expect, test } from "bun:test";
import { Type } from "avsc";
import fc from "fast-check";
import { schemaResolve, schemaValidate } from "../../src/log/native.ts";
import { avroIncompatibilities } from "../../src/schema/avro/compat.ts";
import { parseAvro } from "../../src/schema/avro/parse.ts";
import { compileAvro } from "../../src/schema/compile.ts";
import { evolve } from "./evolve.ts";
import { Random, type SchemaJson, SchemaDraw, valueOf } from "./random.ts";

/** A busy machine takes several times as long as an idle one. */
const TIMEOUT_MS = 120_000;
const RUNS = process.env["MILLRACE_LONG"] ? 20_000 : 1_500;

const avsc = (schema: unknown): Type => Type.forSchema(schema as string, { wrapUnions: true });
const parse = (schema: unknown): ReturnType<typeof parseAvro>["type"] => parseAvro(JSON.stringify(schema)).type;

/** Values without the names of their branches: the core takes a branch of a value's own type before one that it is promoted to. */
function plain(value: unknown, type: Type): unknown {
  const { typeName, fields, types, itemsType, valuesType } = type as unknown as {
    typeName: string;
    fields: { name: string; type: Type }[];
    types: Type[];
    itemsType: Type;
    valuesType: Type;
  };
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  if (typeName === "record") {
    const given = value as Record<string, unknown>;
    return fields.map(({ name, type }) => [name, plain(given[name], type)]);
  }
  if (typeName === "array") return (value as unknown[]).map((item) => plain(item, itemsType));
  if (typeName === "map") return entries.map(([key, item]) => [key, plain(item, valuesType)]);
  if (typeName === "union:wrapped") {
    const [[name, inner] = []] = entries;
    const branch = types.find((type) => type.branchName === name);
    return branch === undefined ? null : plain(inner, branch);
  }
  // With as many digits as a float has: what avsc promotes keeps more, and what it takes for a float may be a long of ours.
  if (typeof value === "number") return Math.fround(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  return typeof value === "string" ? Buffer.from(value).toString("latin1") : value;
}

interface Pair {
  readonly random: Random;
  readonly writer: SchemaJson;
  readonly reader: SchemaJson;
}

function drawn(seed: number): Pair {
  const random = new Random(seed);
  const draw = new SchemaDraw(random);
  const writer = random.isLucky(0.5) ? draw.record() : draw.schema();
  const reader = evolve(writer, random, random.pick([0.02, 0.1, 0.3]));
  return { random, writer, reader: isFinite(reader) ? reader : writer };
}

/** A record that lost the way out of itself is refused by the registry. */
function isFinite(schema: SchemaJson): boolean {
  try {
    parse(schema);
    return true;
  } catch (error) {
    expect(String(error)).toContain("holds itself without end");
    return false;
  }
}

/** What avsc reads the pair with; undefined where it says that not all values can be read. */
function resolverOf(writer: Type, reader: Type): ReturnType<Type["createResolver"]> | undefined {
  try {
    return reader.createResolver(writer);
  } catch {
    return undefined;
  }
}

describe("of drawn pairs", () => {
  test(
    "the core reads all values exactly where avsc does, to the same ones, and where the registry says so",
    () => {
      const seen = { read: 0, refused: 0 };
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const pair = drawn(seed);
          const [writer, reader] = [avsc(pair.writer), avsc(pair.reader)];
          const [from, to] = [parse(pair.writer), parse(pair.reader)];
          const resolver = resolverOf(writer, reader);
          expect(avroIncompatibilities(to, from, "new").length === 0).toBe(resolver !== undefined);
          const body = writer.toBuffer(valueOf(writer, pair.random));
          if (resolver === undefined) {
            seen.refused += 1;
            expect(isTotal(compileAvro(from), compileAvro(to), body)).toBe(false);
            return;
          }
          seen.read += 1;
          const resolved = schemaResolve(compileAvro(from), compileAvro(to), body);
          expect(resolved).toMatchObject({ isTotal: true });
          const read = reader.fromBuffer(Buffer.from(resolved.body ?? []));
          expect(plain(read, reader)).toEqual(plain(reader.fromBuffer(body, resolver, true), reader));
        }),
        { numRuns: RUNS },
      );
      expect(seen.read).toBeGreaterThan(RUNS / 10);
      expect(seen.refused).toBeGreaterThan(RUNS / 10);
    },
    TIMEOUT_MS,
  );

  test(
    "a body of the writer's either is read or is not, and what is read is a body of the reader's",
    () => {
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const { writer, reader, random } = drawn(seed);
          const type = avsc(writer);
          const body = type.toBuffer(valueOf(type, random));
          if (body.length > 0 && random.isLucky(0.5)) body[random.below(body.length)] = random.below(256);
          const tables = [compileAvro(parse(writer)), compileAvro(parse(reader))] as const;
          const isValid = schemaValidate(tables[0], body) === null;
          const resolved = outcome(() => schemaResolve(...tables, body));
          if (resolved?.body === undefined) {
            if (isValid && resolved !== undefined)
              expect(resolved.isTotal && !isText(resolved.fault?.reason)).toBe(false);
            return;
          }
          expect(isValid).toBe(true);
          expect(schemaValidate(tables[1], resolved.body)).toBeNull();
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );
});

/** Bytes that are read as a string may be none, whatever the schemas say. */
function isText(reason: string | undefined): boolean {
  return reason === "a string that is not UTF-8";
}

function outcome<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    expect(error).toMatchObject({ codeName: "schema_incompatible" });
    return undefined;
  }
}

function isTotal(writer: Uint8Array, reader: Uint8Array, body: Uint8Array): boolean {
  return outcome(() => schemaResolve(writer, reader, body))?.isTotal ?? false;
}
