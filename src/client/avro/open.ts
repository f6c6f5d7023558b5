import { builtinModule } from "../../protocol/runtime.ts";
import type { Client } from "../client.ts";
import { clientError } from "../errors.ts";
import type { NewSchema } from "../schemas.ts";
import { AvroCodec } from "./codec.ts";
import type { AvroOptions, SchemaStrategy } from "./options.ts";
import { loadParser } from "./parse.ts";
import { type SchemaRegistry, SchemaStore } from "./schema-store.ts";

/** From options to a codec: finds the schema, its subject and its id. */

interface Files {
  readFile(path: string, encoding: "utf8"): Promise<string>;
}

/** Schemas that were asked for, by the client that asked. */
const stores = new WeakMap<Client, SchemaStore>();

export function storeOf(client: Client): SchemaStore {
  const store = stores.get(client) ?? new SchemaStore(client.schemas);
  stores.set(client, store);
  return store;
}

/** What the registry has: a schema, with its id where that is known already. */
interface Found {
  readonly schema: NewSchema;
  readonly id: number | null;
}

/**
 * The codec of a topic, queue or exchange.
 *
 * Errors: invalid_argument; schema_invalid, schema_incompatible; subject_not_found, version_not_found, schema_not_found;
 * ENOENT of `file`; connection_lost, timeout, closed.
 */
export async function openCodec<T>(
  registry: SchemaRegistry,
  store: SchemaStore,
  place: string,
  options: AvroOptions<T>,
): Promise<AvroCodec<T>> {
  const { framing = "prefix", longs = "number", strategy = "topic" } = options;
  const parser = await loadParser(longs);
  const found = await foundOf(registry, place, options);
  const base = { store, parser, framing };
  if (found === null) return new AvroCodec({ ...base, type: null, schemaId: null, subject: null });
  const { schema, references = [] } = found.schema;
  const isWhole = references.length === 0;
  const given = isWhole ? parser.parse(schema) : null;
  if (options.readOnly === true && given !== null) {
    return new AvroCodec({ ...base, type: given, schemaId: null, subject: null });
  }
  const fullName = strategy === "topic" ? undefined : (given?.name ?? nameOf(schema));
  const subject = options.subject ?? subjectOf(strategy, place, fullName);
  const schemaId = found.id ?? (await idOf(registry, subject, found.schema, options));
  const type = given ?? parser.parse((await registry.get(schemaId, { resolved: true })).schema);
  return new AvroCodec({ ...base, type, schemaId: options.readOnly === true ? null : schemaId, subject });
}

/** The full name of a schema that cannot be parsed without what it refers to. What is wrong with it the registry says. */
function nameOf(schema: string): string | undefined {
  try {
    const { name, namespace } = JSON.parse(schema) as { name?: string; namespace?: string };
    return name === undefined || name.includes(".") || namespace === undefined ? name : `${namespace}.${name}`;
  } catch {
    return undefined;
  }
}

/** The subject that a value belongs to. Errors: invalid_argument. */
export function subjectOf(strategy: SchemaStrategy, place: string, fullName: string | undefined): string {
  if (strategy === "topic") return `${place}-value`;
  if (fullName === undefined) {
    const message = `strategy "${strategy}" needs a schema with a name: a record, an enum or a fixed`;
    throw clientError("invalid_argument", message, { field: "strategy" });
  }
  return strategy === "record" ? fullName : `${place}-${fullName}`;
}

async function foundOf<T>(registry: SchemaRegistry, place: string, options: AvroOptions<T>): Promise<Found | null> {
  const { schema, file, version, references = [], strategy = "topic" } = options;
  const given = [schema, file, version].filter((each) => each !== undefined).length;
  if (given > 1) throw clientError("invalid_argument", "give one of schema, file and version", { field: "schema" });
  if (version !== undefined) {
    const subject = options.subject ?? subjectOf(strategy, place, undefined);
    const found = await registry.version(subject, version);
    return { schema: { schema: found.schema, references: found.references ?? [] }, id: found.id };
  }
  if (file !== undefined) return { schema: { schema: await readText(file), references }, id: null };
  if (schema === undefined) return null;
  return { schema: { schema: typeof schema === "string" ? schema : JSON.stringify(schema), references }, id: null };
}

async function readText(path: string): Promise<string> {
  const files = builtinModule<Files>("node:fs/promises");
  if (!files)
    throw clientError("invalid_argument", "there are no files here: give the schema itself", { field: "file" });
  return files.readFile(path, "utf8");
}

async function idOf<T>(
  registry: SchemaRegistry,
  subject: string,
  schema: NewSchema,
  { autoRegister = true, readOnly = false }: AvroOptions<T>,
): Promise<number> {
  const { id } =
    autoRegister && !readOnly ? await registry.register(subject, schema) : await registry.lookup(subject, schema);
  return id;
}
