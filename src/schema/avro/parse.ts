/** Reads Avro schemas: JSON to the graph of ast.ts, everything checked, faults naming the path. */
import { invalidSchema, shown } from "../faults.ts";
import { integerOf, isArray, isObject, type Json, type JsonObject, parseJson, under } from "../json-text.ts";
import {
  type AvroField,
  type AvroNamed,
  type AvroRecord,
  type AvroSchema,
  type AvroType,
  isNamed,
  isPrimitive,
  nameOf,
} from "./ast.ts";
import { defaultFault } from "./defaults.ts";
import { checkFinite } from "./finite.ts";
import { fullNameOf, isFullName, isSimpleName, namespaceOf } from "./names.ts";

/** Types in one schema, its references included. */
export const TYPES_MAX = 20_000;
const FIXED_BYTES_MAX = 2 ** 31 - 1;

const TYPE_WORDS = new Set([
  "type",
  "name",
  "namespace",
  "doc",
  "aliases",
  "fields",
  "items",
  "values",
  "symbols",
  "size",
]);
const FIELD_WORDS = new Set(["name", "type", "default", "doc", "order", "aliases"]);
const ORDERS = ["ascending", "descending", "ignore"];

/**
 * Reads a schema.
 *
 * @param referenced texts of the schemas whose types it may name, each behind those that it needs itself.
 * @throws schema_invalid.
 */
export function parseAvro(text: string, referenced: readonly string[] = []): AvroSchema {
  const reader = new Reader();
  for (const other of referenced) reader.read(other);
  const foreign = new Set(reader.names.keys());
  const type = reader.read(text);
  checkFinite(type);
  return { type, foreign };
}

class Reader {
  readonly names = new Map<string, AvroNamed>();
  #types = 0;

  read(text: string): AvroType {
    return this.#type(parseJson(text), "", "");
  }

  #type(json: Json | undefined, namespace: string, path: string): AvroType {
    this.#types += 1;
    if (this.#types > TYPES_MAX) throw invalidSchema(`it has more than ${TYPES_MAX} types`, path);
    if (typeof json === "string") return this.#named(json, namespace, path);
    if (isArray(json)) return this.#union(json, namespace, path);
    if (isObject(json)) return this.#complex(json, namespace, path);
    throw invalidSchema(
      `a type is a name, an object or an array of types, not ${json === undefined ? "missing" : shown(JSON.stringify(json))}`,
      path,
    );
  }

  #named(name: string, namespace: string, path: string): AvroType {
    if (isPrimitive(name)) return { kind: name, props: {} };
    const found = this.names.get(fullNameOf(name, namespace)) ?? this.names.get(name);
    if (found !== undefined) return found;
    throw invalidSchema(
      `there is no type "${shown(name)}"; define it before it is named, or add a reference to the subject that has it`,
      path,
    );
  }

  #union(json: readonly Json[], namespace: string, path: string): AvroType {
    if (json.length === 0) throw invalidSchema("a union has at least one branch", path);
    const branches = json.map((branch, index) => this.#type(branch, namespace, under(path, index)));
    const seen = new Set<string>();
    for (const [index, branch] of branches.entries()) {
      const at = under(path, index);
      if (branch.kind === "union") throw invalidSchema("a union directly in a union is not allowed", at);
      const identity = isNamed(branch) ? branch.name : branch.kind;
      if (seen.has(identity)) throw invalidSchema(`the union has ${nameOf(branch)} twice`, at);
      seen.add(identity);
    }
    return { kind: "union", branches };
  }

  #complex(json: JsonObject, namespace: string, path: string): AvroType {
    const { type } = json;
    if (typeof type !== "string") throw invalidSchema('"type" must be the name of a type', under(path, "type"));
    const props = propsOf(json, TYPE_WORDS);
    switch (type) {
      case "record":
      case "error":
        return this.#record(json, namespace, path);
      case "enum":
        return this.#enum(json, namespace, path);
      case "fixed":
        return this.#fixed(json, namespace, path);
      case "array":
        return { kind: "array", items: this.#type(json["items"], namespace, under(path, "items")), props };
      case "map":
        return { kind: "map", values: this.#type(json["values"], namespace, under(path, "values")), props };
      default:
        if (isPrimitive(type)) return { kind: type, props };
        return this.#named(type, namespace, under(path, "type"));
    }
  }

  #record(json: JsonObject, namespace: string, path: string): AvroType {
    const fields: AvroField[] = [];
    const isError = json["type"] === "error";
    const record: AvroRecord = {
      kind: "record",
      isError,
      ...head(json, namespace, path),
      fields,
      props: propsOf(json, TYPE_WORDS),
    };
    this.#define(record, path);
    const given = json["fields"];
    const fieldsPath = under(path, "fields");
    if (!isArray(given)) throw invalidSchema(`record "${record.name}" needs an array of "fields"`, fieldsPath);
    const seen = new Set<string>();
    for (const [index, entry] of given.entries()) {
      const field = this.#field(entry, namespaceOf(record.name), under(fieldsPath, index));
      for (const name of new Set([field.name, ...field.aliases])) {
        if (seen.has(name)) throw invalidSchema(`record "${record.name}" has the field "${name}" twice`, fieldsPath);
        seen.add(name);
      }
      fields.push(field);
    }
    return record;
  }

  #field(json: Json, namespace: string, path: string): AvroField {
    if (!isObject(json)) throw invalidSchema("a field is an object", path);
    const { name, default: standard } = json;
    if (typeof name !== "string" || !isSimpleName(name)) throw badName("field", name, path);
    const type = this.#type(json["type"], namespace, under(path, "type"));
    const order = json["order"];
    if (order !== undefined && !(typeof order === "string" && ORDERS.includes(order.toLowerCase()))) {
      throw invalidSchema(`the order of field "${name}" is one of ${ORDERS.join(", ")}`, under(path, "order"));
    }
    const why = standard === undefined ? undefined : defaultFault(standard, type);
    if (why !== undefined) throw invalidSchema(`the default of field "${name}" does not fit: ${why}`, path);
    const aliases = namesIn(json["aliases"], "aliases", path);
    const wrong = aliases.find((alias) => !isSimpleName(alias));
    if (wrong !== undefined) throw badName("alias", wrong, under(path, "aliases"));
    return { name, type, default: standard, doc: docOf(json), order, aliases, props: propsOf(json, FIELD_WORDS) };
  }

  #enum(json: JsonObject, namespace: string, path: string): AvroType {
    const named = head(json, namespace, path);
    const symbols = namesIn(json["symbols"] ?? null, "symbols", path);
    const wrong = symbols.find((symbol) => !isSimpleName(symbol));
    if (wrong !== undefined) throw badName("symbol", wrong, under(path, "symbols"));
    if (symbols.length === 0) throw invalidSchema(`enum "${named.name}" has no symbol`, under(path, "symbols"));
    if (new Set(symbols).size < symbols.length) {
      throw invalidSchema(`enum "${named.name}" has a symbol twice`, under(path, "symbols"));
    }
    const standard = json["default"];
    if (standard !== undefined && !(typeof standard === "string" && symbols.includes(standard))) {
      throw invalidSchema(`the default of enum "${named.name}" is one of its symbols`, under(path, "default"));
    }
    const props = propsOf(json, TYPE_WORDS, "default");
    return this.#define({ kind: "enum", ...named, symbols, default: standard, props }, path);
  }

  #fixed(json: JsonObject, namespace: string, path: string): AvroType {
    const named = head(json, namespace, path);
    const size = Number(integerOf(json["size"]) ?? -1n);
    if (size < 0 || size > FIXED_BYTES_MAX) {
      throw invalidSchema(`fixed "${named.name}" needs a "size" from 0 to ${FIXED_BYTES_MAX}`, under(path, "size"));
    }
    return this.#define({ kind: "fixed", ...named, sizeBytes: size, props: propsOf(json, TYPE_WORDS) }, path);
  }

  #define<T extends AvroNamed>(type: T, path: string): T {
    if (this.names.has(type.name)) throw invalidSchema(`the name "${type.name}" is defined twice`, path);
    this.names.set(type.name, type);
    return type;
  }
}

function head(
  json: JsonObject,
  around: string,
  path: string,
): { name: string; aliases: string[]; doc: string | undefined } {
  const { name: given, namespace: own } = json;
  if (own !== undefined && typeof own !== "string") throw badName("namespace", own, under(path, "namespace"));
  if (typeof given !== "string") throw badName("name", given, under(path, "name"));
  const name = fullNameOf(given, own ?? around);
  if (!isFullName(name) || isPrimitive(name)) throw badName("name", name, under(path, "name"));
  const aliases = namesIn(json["aliases"], "aliases", path).map((alias) => fullNameOf(alias, namespaceOf(name)));
  const wrong = aliases.find((alias) => !isFullName(alias));
  if (wrong !== undefined) throw badName("alias", wrong, under(path, "aliases"));
  return { name, aliases, doc: docOf(json) };
}

function badName(what: string, name: unknown, path: string): Error {
  const text = typeof name === "string" ? `"${shown(name)}"` : "missing or no text";
  return invalidSchema(`the ${what} ${text} is no name: letters, digits and _, and no digit first`, path);
}

function docOf(json: JsonObject): string | undefined {
  const { doc } = json;
  return typeof doc === "string" ? doc : undefined;
}

function namesIn(json: Json | undefined, what: string, path: string): string[] {
  if (json === undefined) return [];
  if (isArray(json) && json.every((entry): entry is string => typeof entry === "string")) return [...json];
  throw invalidSchema(`"${what}" must be an array of names`, under(path, what));
}

function propsOf(json: JsonObject, words: ReadonlySet<string>, also = ""): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !words.has(key) && key !== also));
}
