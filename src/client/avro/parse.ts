import type * as Avsc from "avsc";
import type { Schema, Type } from "avsc";
import { clientError } from "../errors.ts";
import { formClasses, formKind, type LongForm, withForms } from "./forms.ts";

/** Schemas' texts to avsc's types: plain ones, which say what a body holds, and those with the forms of `forms.ts`. */

/** Reads schemas that refer to no others. Both throw schema_invalid. */
export interface Parser {
  parse(text: string): Type;
  /** With avsc's own forms, for `bodyCheck` and as the writer's side of a resolver. */
  parsePlain(text: string): Type;
}

/** avsc's own module and the Buffer that it uses, which browsers have no other way to. */
async function loadAvsc(): Promise<{ avsc: typeof Avsc; buffer: BufferConstructor }> {
  const loaded = await import("avsc");
  // It is CommonJS, which some bundlers put under `default`.
  const avsc = (loaded as typeof Avsc & { default?: typeof Avsc }).default ?? loaded;
  const buffer = avsc.Type.forSchema("null").toBuffer(null).constructor as BufferConstructor;
  return { avsc, buffer };
}

/** Loads avsc, which takes some 50 ms the first time. */
export async function loadParser(longs: LongForm): Promise<Parser & { readonly buffer: BufferConstructor }> {
  const { avsc, buffer } = await loadAvsc();
  const logicalTypes = formClasses(avsc, buffer);
  const bigintType = longs === "bigint" ? bigintLong(avsc, buffer) : undefined;
  const unionOf = (branches: readonly unknown[], options: Avsc.ForSchemaOptions): Type => {
    const types = branches.map((branch) => avsc.Type.forSchema(branch as Schema, options));
    const Union = isAmbiguous(types) ? avsc.types.WrappedUnionType : avsc.types.UnwrappedUnionType;
    return new Union(types as unknown as Schema, options);
  };
  const typeHook = (schema: unknown, options: Avsc.ForSchemaOptions): Type | undefined =>
    Array.isArray(schema) ? unionOf(schema as unknown[], options) : undefined;
  return {
    buffer,
    parse(text) {
      const registry: Record<string, Type> = bigintType ? { long: bigintType } : {};
      const options = { registry, logicalTypes, typeHook, omitRecordMethods: true } as Partial<Avsc.ForSchemaOptions>;
      return typeOf(avsc, text, withForms, options);
    },
    parsePlain: (text) => typeOf(avsc, text, (json) => json, { registry: {}, omitRecordMethods: true }),
  };
}

function typeOf(
  avsc: typeof Avsc,
  text: string,
  prepared: (json: unknown) => unknown,
  options: Partial<Avsc.ForSchemaOptions>,
): Type {
  try {
    return avsc.Type.forSchema(prepared(JSON.parse(text)) as Schema, options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw clientError("schema_invalid", `no Avro schema: ${reason}`);
  }
}

/** What a branch's value is, to JavaScript and in JSON; of each a union can have one whose values need no name beside them. */
function kindsOf(type: Type): readonly string[] {
  switch (formKind(type)) {
    case "bytes":
    case "timestamp-millis":
      return ["object", "string"];
    case "decimal":
    case "date":
    case "uuid":
      return ["string"];
    case null:
  }
  switch (type.typeName) {
    case "int":
    case "long":
    case "abstract:long":
    case "float":
    case "double":
      return ["number"];
    case "enum":
      return ["string"];
    case "record":
    case "error":
    case "map":
      return ["object"];
    default:
      return [type.typeName];
  }
}

function isAmbiguous(types: readonly Type[]): boolean {
  const kinds = types.flatMap(kindsOf);
  return new Set(kinds).size < kinds.length;
}

const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

function bigintLong(avsc: typeof Avsc, buffer: BufferConstructor): Type {
  // oxlint-disable-next-line no-underscore-dangle -- it is the name that avsc documents.
  return avsc.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: (value: bigint) => {
      const bytes = buffer.alloc(8);
      bytes.writeBigInt64LE(value);
      return bytes;
    },
    // avsc comes this way where a schema's default is a long, and where an int is read as a long.
    fromJSON: BigInt,
    toJSON: Number,
    isValid: (value: unknown) => typeof value === "bigint" && value >= LONG_MIN && value <= LONG_MAX,
    compare: (one: bigint, other: bigint) => (one < other ? -1 : Number(one > other)),
  });
}
