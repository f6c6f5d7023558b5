/** Answers of the registry's HTTP interface. What has its usual value (the type AVRO, no references) is left out, as Confluent does. */
import type { Schema, SchemasFound } from "../../broker/index.ts";

type Body = Readonly<Record<string, unknown>>;

/** A schema by its id. */
export function schemaBody({ guid, schemaType, references }: Schema, text: string): Body {
  return { ...kind(schemaType), schema: text, ...(references.length === 0 ? {} : { references }), guid };
}

/** A version with its schema. */
export function versionBody({ version, schema }: SchemasFound, text: string): Body {
  const { subject, version: number, id } = version;
  const { schemaType, references, guid } = schema;
  const listed = references.length === 0 ? {} : { references };
  return { subject, version: number, id, guid, ...kind(schemaType), ...listed, schema: text };
}

function kind(schemaType: Schema["schemaType"]): Body {
  return schemaType === "AVRO" ? {} : { schemaType };
}
