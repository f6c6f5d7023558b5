/** A schema as the registry works with it: read, checked, with its canonical text, its identity and its references. */
import { createHash } from "node:crypto";
import { isNamed, type AvroSchema } from "./avro/ast.ts";
import { avroText } from "./avro/canonical.ts";
import { parseAvro } from "./avro/parse.ts";
import { invalidSchema, shown, unsupported } from "./faults.ts";
import { JsonDocument } from "./json/document.ts";
import { JsonSchemaValidator } from "./json/validate.ts";
import { sortedJson } from "./json-text.ts";
import type { SchemaState } from "./state.ts";
import { DEFAULT_NAMESPACE, normalizeSubject, qualify, splitSubject } from "./subjects.ts";
import { type Reference, type Schema, SCHEMA_TYPES, type SchemaSource, type SchemaType } from "./types.ts";

/** The type that a request names; Avro where it names none. @throws schema_unsupported. */
export function schemaTypeOf(name: string | undefined): SchemaType {
  const found = name === undefined ? "AVRO" : SCHEMA_TYPES.find((type) => type === name.toUpperCase());
  if (found !== undefined) return found;
  throw unsupported(`Invalid schema type ${shown(name)}: the registry has ${SCHEMA_TYPES.join(" and ")}`);
}

interface Common extends SchemaSource {
  readonly guid: string;
  /** Of an Avro record, enum or fixed; the title of a JSON Schema. */
  readonly fullName: string | null;
}

export interface ParsedAvro extends Common {
  readonly schemaType: "AVRO";
  readonly avro: AvroSchema;
}

export interface ParsedJson extends Common {
  readonly schemaType: "JSON";
  readonly json: JsonDocument;
}

export type Parsed = ParsedAvro | ParsedJson;

/** Schemas that one schema may need, directly and through others. */
export const REFERENCES_MAX = 1000;
/** Text of the parsed schemas that are kept, least recently used first out; parsed they take a multiple. */
const KEPT_CHARACTERS_MAX = 8 * 1024 * 1024;

/** Reads schemas; what was read of registered ones is kept, within a limit. */
export class SchemaReader {
  readonly #state: SchemaState;
  /** By guid. */
  readonly #kept = new Map<string, Parsed>();
  #keptCharacters = 0;
  readonly #validator = new JsonSchemaValidator();

  constructor(state: SchemaState) {
    this.#state = state;
  }

  /**
   * Reads a schema that a peer sends.
   *
   * @param namespace where subjects of references are looked for that do not say.
   * @throws schema_invalid, also for references that are not there.
   */
  read(source: SchemaSource, namespace: string, normalize: boolean): Parsed {
    const references = source.references.map((reference) => this.#located(reference, namespace));
    const ordered = normalize ? [...references].sort((a, b) => (a.name < b.name ? -1 : 1)) : references;
    const form = normalize ? "normalized" : "canonical";
    if (source.schemaType === "JSON") {
      const json = this.#document(source.schema, references);
      this.#validator.check(json.root);
      const schema = normalize ? sortedJson(json.root) : JSON.stringify(json.root);
      return jsonParsed({ schemaType: "JSON", schema, references: ordered }, json);
    }
    const avro = parseAvro(source.schema, this.#textsOf(references));
    return avroParsed({ schemaType: "AVRO", schema: avroText(avro, form), references: ordered }, avro);
  }

  /** A registered schema, read. */
  registered(schema: Schema): Parsed {
    const kept = this.#kept.get(schema.guid);
    if (kept !== undefined) {
      this.#kept.delete(schema.guid);
      this.#kept.set(schema.guid, kept);
      return kept;
    }
    const parsed = this.#again(schema);
    this.#kept.set(schema.guid, parsed);
    this.#keptCharacters += parsed.schema.length;
    for (const [guid, oldest] of this.#kept) {
      if (this.#keptCharacters <= KEPT_CHARACTERS_MAX || guid === schema.guid) break;
      this.#kept.delete(guid);
      this.#keptCharacters -= oldest.schema.length;
    }
    return parsed;
  }

  /** Reads a text that was checked when it was registered. */
  #again({ schemaType, schema, references, guid, fullName }: Schema): Parsed {
    const common = { schema, references, guid, fullName };
    if (schemaType === "JSON") return { ...common, schemaType, json: this.#document(schema, references) };
    return { ...common, schemaType, avro: parseAvro(schema, this.#textsOf(references)) };
  }

  /**
   * The text of a registered Avro schema with all types of its references in it, so that it stands alone. A JSON Schema
   * is given as it is: its references name other documents.
   */
  resolved(schema: Schema): string {
    const parsed = this.registered(schema);
    return parsed.schemaType === "AVRO" ? avroText(parsed.avro, "canonical", true) : parsed.schema;
  }

  /** A JSON Schema with the documents that its references name. */
  #document(text: string, references: readonly Reference[]): JsonDocument {
    const documents = new Map<string, JsonDocument>();
    for (const { name, subject, version } of references) {
      const parsed = this.registered(this.#schemaAt(subject, version));
      if (parsed.schemaType !== "JSON") throw invalidSchema(`the schema of "${shown(subject)}" is no JSON Schema`);
      documents.set(name, parsed.json);
    }
    return new JsonDocument(text, documents);
  }

  /** The reference with the global name of its subject, and with a version where it asks for the latest (-1). */
  #located({ name, subject, version }: Reference, namespace: string): Reference {
    const isQualified = splitSubject(subject).namespace !== DEFAULT_NAMESPACE || subject.startsWith(":.");
    const at = isQualified ? normalizeSubject(subject) : qualify(namespace, subject);
    const live = this.#state.liveVersions(at);
    const found = version === -1 ? live.at(-1) : live.find((entry) => entry.version === version);
    if (found !== undefined) return { name, subject: at, version: found.version };
    throw invalidSchema(
      `No schema reference found for subject "${shown(at)}" and version ${version}; register it first, or correct the reference "${shown(name)}"`,
    );
  }

  #schemaAt(subject: string, version: number): Schema {
    const entry = this.#state.versions(subject).find((entry) => entry.version === version);
    const schema = entry && this.#state.schema(entry.id);
    if (schema === undefined) throw invalidSchema(`the schema of "${shown(subject)}", version ${version}, is gone`);
    return schema;
  }

  /** The texts of all schemas that references lead to, each behind those that it needs itself. */
  #textsOf(references: readonly Reference[]): string[] {
    const texts = new Map<number, string>();
    const visited = new Set<number>();
    const visit = (references: readonly Reference[]): void => {
      for (const { subject, version } of references) {
        const schema = this.#schemaAt(subject, version);
        if (schema.schemaType !== "AVRO") throw invalidSchema(`the schema of "${shown(subject)}" is no Avro schema`);
        if (visited.has(schema.id)) continue;
        visited.add(schema.id);
        if (visited.size > REFERENCES_MAX) throw invalidSchema(`it needs more than ${REFERENCES_MAX} other schemas`);
        visit(schema.references);
        texts.set(schema.id, schema.schema);
      }
    };
    visit(references);
    return [...texts.values()];
  }
}

function avroParsed(source: SchemaSource & { schemaType: "AVRO" }, avro: AvroSchema): ParsedAvro {
  return { ...source, guid: guidOf(source), fullName: isNamed(avro.type) ? avro.type.name : null, avro };
}

function jsonParsed(source: SchemaSource & { schemaType: "JSON" }, json: JsonDocument): ParsedJson {
  const title = typeof json.root === "object" ? json.root["title"] : undefined;
  return { ...source, guid: guidOf(source), fullName: typeof title === "string" ? title : null, json };
}

/** UUID (version 8: of a form of our own) from a hash of what makes a schema this one. */
export function guidOf({ schemaType, schema, references }: SchemaSource): string {
  const identity = JSON.stringify([schemaType, schema, references.map((r) => [r.name, r.subject, r.version])]);
  const hash = createHash("sha256").update(identity).digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString("hex").slice(0, 32);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
