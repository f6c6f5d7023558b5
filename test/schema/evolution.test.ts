/** The registry's verdict on versions that follow each other, beside whether avsc can read what was written. */
import { expect, test } from "bun:test";
import { Type } from "avsc";
import fc from "fast-check";
import { isMillraceError } from "../../src/errors/index.ts";
import { register, SchemaReader, SchemaState, setConfig } from "../../src/schema/index.ts";
import { COMPATIBILITIES, type Compatibility, type SchemaRecord } from "../../src/schema/types.ts";
import { evolve } from "./evolve.ts";
import { Random, type SchemaJson, SchemaDraw, valueOf } from "./random.ts";

/** A busy machine takes several times as long as an idle one. */
const TIMEOUT_MS = 300_000;
const RUNS = process.env["MILLRACE_LONG"] ? 20_000 : 2_000;
const VALUES = 5;
const VERSIONS = 3;
/** A field that could be read from two, by its name and by an alias: once in many thousand draws. */
const FOUND_BEFORE: [number, Compatibility][] = [[993_051_633, "BACKWARD"]];
const LIMITS = { schemasMax: 10, schemasBytesMax: 1_000_000, schemaVersionsMax: 10 };

class Registry {
  readonly #state = new SchemaState();
  readonly #reader = new SchemaReader(this.#state);

  constructor(level: Compatibility) {
    this.#apply(setConfig(this.#state, "s", { compatibility: level }));
  }

  /** Whether the schema is taken as the next version. */
  takes(schema: SchemaJson): "taken" | "incompatible" | "invalid" {
    try {
      const source = { schemaType: "AVRO" as const, schema: JSON.stringify(schema), references: [] };
      const parsed = this.#reader.read(source, "default", false);
      this.#apply(register(this.#state, this.#reader, { subject: "s", parsed }, LIMITS).records);
      return "taken";
    } catch (error) {
      if (isMillraceError(error, "schema_incompatible")) return "incompatible";
      if (isMillraceError(error, "schema_invalid")) return "invalid";
      throw error;
    }
  }

  #apply(records: readonly SchemaRecord[]): void {
    for (const record of records) this.#state.apply(record);
  }
}

const avsc = (schema: SchemaJson): Type => Type.forSchema(schema as string, { wrapUnions: true });

/** Whether avsc reads with one schema what it wrote with the other, drawn values and all. */
function reads(reader: Type, writer: Type, random: Random): boolean {
  let resolver;
  try {
    resolver = reader.createResolver(writer);
  } catch {
    // It says so of the schemas when some value could not be read.
    return false;
  }
  for (let count = 0; count < VALUES; count += 1) {
    const body = writer.toBuffer(valueOf(writer, random));
    // What it does not throw at, it has read.
    reader.fromBuffer(body, resolver);
  }
  return true;
}

/** What the level asks for, by avsc. */
function getsOn(next: Type, earlier: readonly Type[], level: Compatibility, random: Random): boolean {
  const compared = level === "NONE" ? [] : level.endsWith("_TRANSITIVE") ? earlier : earlier.slice(-1);
  const isBackward = /^(BACKWARD|FULL)/.test(level);
  const isForward = /^(FORWARD|FULL)/.test(level);
  return compared.every((old) => (!isBackward || reads(next, old, random)) && (!isForward || reads(old, next, random)));
}

test(
  "at every level a version is taken exactly if avsc reads what the level promises",
  () => {
    const seen = { taken: 0, incompatible: 0, invalid: 0 };
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(...COMPATIBILITIES), (seed, level) => {
        const random = new Random(seed);
        let schema = new SchemaDraw(random).record() as SchemaJson;
        const registry = new Registry(level);
        const taken: { text: string; type: Type }[] = [];
        for (let version = 0; version < VERSIONS; version += 1) {
          const text = JSON.stringify(schema);
          const verdict = registry.takes(schema);
          seen[verdict] += 1;
          // A record that lost the way out of itself; avsc takes it, and can write no value of it.
          if (verdict === "invalid") return;
          const isThere = taken.some((entry) => entry.text === text);
          const earlier = taken.map(({ type }) => type);
          const isReadable = isThere || getsOn(avsc(schema), earlier, level, random);
          expect({ verdict, text, level, before: taken.at(-1)?.text }).toMatchObject({
            verdict: isReadable ? "taken" : "incompatible",
          });
          if (verdict === "taken" && !isThere) taken.push({ text, type: avsc(schema) });
          schema = evolve(schema, random, random.pick([0.03, 0.1, 0.3, 0.5]));
        }
      }),
      { numRuns: RUNS, examples: FOUND_BEFORE },
    );
    expect(seen.taken).toBeGreaterThan(RUNS / 2);
    expect(seen.incompatible).toBeGreaterThan(RUNS / 10);
  },
  TIMEOUT_MS,
);
