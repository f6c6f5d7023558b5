/** Records of the registry in the metadata log. `v` is the version of a record's form. */
import type { Mode, Schema, SchemaRecord, SubjectConfig, Version } from "./types.ts";

/** Parts are joined by a space, which no encoded part contains. */
function key(...parts: readonly (string | number)[]): string {
  return parts.join(" ");
}

export const COUNTER_KEY = key("counter", "schemaId");

export const KEY = {
  schema: (id: number): string => key("schema", id),
  version: (subject: string, version: number): string => key("schemaVersion", encodeURIComponent(subject), version),
  config: (scope: string): string => key("schemaConfig", encodeURIComponent(scope)),
  mode: (scope: string): string => key("schemaMode", encodeURIComponent(scope)),
  parseVersion(text: string): { subject: string; number: number } {
    const [, subject = "", number = ""] = text.split(" ");
    return { subject: decodeURIComponent(subject), number: Number(number) };
  },
  parseSubject: (text: string): string => decodeURIComponent(text.slice(text.indexOf(" ") + 1)),
};

/** The first word of a record's key. */
export function kindOf(text: string): string {
  const end = text.indexOf(" ");
  return end < 0 ? text : text.slice(0, end);
}

export function schemaRecord(schema: Schema): SchemaRecord {
  return { key: KEY.schema(schema.id), value: { type: "schema", v: 1, ...schema } };
}

export function versionRecord(version: Version): SchemaRecord {
  return { key: KEY.version(version.subject, version.version), value: { type: "schemaVersion", v: 1, ...version } };
}

export function configRecord(scope: string, config: SubjectConfig): SchemaRecord {
  return { key: KEY.config(scope), value: { type: "schemaConfig", v: 1, subject: scope, ...config } };
}

export function modeRecord(scope: string, mode: Mode): SchemaRecord {
  return { key: KEY.mode(scope), value: { type: "schemaMode", v: 1, subject: scope, mode } };
}

/** The highest id given, which the schemas alone forget when the newest one is removed. */
export function schemaCounterRecord(value: number): SchemaRecord {
  return { key: COUNTER_KEY, value: { type: "counter", v: 1, name: "schemaId", value } };
}

export function gone(text: string): SchemaRecord {
  return { key: text, value: null };
}
