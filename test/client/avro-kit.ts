import { clientError } from "../../src/client/errors.ts";
import {
  type AvroOptions,
  type AvroCodec,
  openCodec,
  type SchemaRegistry,
  SchemaStore,
} from "../../src/client/avro/index.ts";
import type { NewSchema, SchemaVersion } from "../../src/client/index.ts";

/** What tests of Avro share: a registry in a map, and codecs on it. */

export class FakeRegistry implements SchemaRegistry {
  /** How often each method was called. */
  readonly calls = { get: 0, version: 0, register: 0, lookup: 0 };
  /** What `get` fails with. */
  failure: Error | null = null;
  private readonly texts: string[] = [];
  private readonly subjects = new Map<string, number[]>();

  /** What references to types would resolve to: a test gives the whole text. */
  readonly resolved = new Map<number, string>();

  private idOf({ schema }: NewSchema): number {
    const at = this.texts.indexOf(schema);
    return at >= 0 ? at + 1 : this.texts.push(schema);
  }

  async register(subject: string, schema: NewSchema): Promise<{ id: number; version: number }> {
    this.calls.register++;
    const id = this.idOf(schema);
    const ids = this.subjects.get(subject) ?? [];
    this.subjects.set(subject, ids);
    if (!ids.includes(id)) ids.push(id);
    return { id, version: ids.indexOf(id) + 1 };
  }

  async lookup(subject: string, schema: NewSchema): Promise<{ subject: string; version: number; id: number }> {
    this.calls.lookup++;
    const id = this.texts.indexOf(schema.schema) + 1;
    const at = this.subjects.get(subject)?.indexOf(id) ?? -1;
    if (at < 0) throw clientError("schema_not_found", "there is no such schema");
    return { subject, version: at + 1, id };
  }

  async get(id: number): ReturnType<SchemaRegistry["get"]> {
    this.calls.get++;
    if (this.failure) throw this.failure;
    const schema = this.resolved.get(id) ?? this.texts[id - 1];
    if (schema === undefined) throw clientError("schema_not_found", `there is no schema ${id}`);
    return {
      id,
      guid: "",
      schemaType: schema.includes("$schema") ? "JSON" : "AVRO",
      schema,
      references: [],
      subjects: [],
    };
  }

  async version(subject: string, version: number | "latest" = "latest"): Promise<SchemaVersion> {
    this.calls.version++;
    const ids = this.subjects.get(subject);
    if (!ids) throw clientError("subject_not_found", `there is no subject ${subject}`);
    const number = version === "latest" ? ids.length : version;
    const id = ids[number - 1] ?? 0;
    const schema = this.texts[id - 1] ?? "";
    return { subject, version: number, id, schemaType: "AVRO", schema, references: [] };
  }
}

/** A codec for the topic ticks. */
export function codecFor<T = unknown>(
  registry: SchemaRegistry,
  options: AvroOptions<T>,
  store: SchemaStore = new SchemaStore(registry),
): Promise<AvroCodec<T>> {
  return openCodec<T>(registry, store, "ticks", options);
}

/** A record of fields, each a name and its type, with a default where there is a third. */
export function record(name: string, ...fields: [name: string, type: unknown, missing?: unknown][]): object {
  return {
    type: "record",
    name,
    fields: fields.map(([name, type, missing]) => ({
      name,
      type,
      ...(missing === undefined ? {} : { default: missing }),
    })),
  };
}

/** A message as codecs see it. */
export function message(value: Uint8Array | null, headers: { [name: string]: string | number } = {}) {
  return { value, headers };
}
