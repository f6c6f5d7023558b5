/** Which versions a new schema has to get on with, and in which direction. */
import { avroIncompatibilities } from "./avro/compat.ts";
import { jsonIncompatibilities } from "./json/compat.ts";
import type { Parsed } from "./parsed.ts";
import type { Compatibility, Incompatibility, Reader } from "./types.ts";

/** The versions that the level asks to be compared with, of all live ones in their order. */
export function versionsToCheck<T>(level: Compatibility, versions: readonly T[]): readonly T[] {
  if (level === "NONE") return [];
  return level.endsWith("_TRANSITIVE") ? versions : versions.slice(-1);
}

/** What keeps a schema from following an older one; empty when nothing does. */
export function incompatibilities(next: Parsed, old: Parsed, level: Compatibility): Incompatibility[] {
  if (next.schemaType !== old.schemaType) {
    const message = `the type of the schema is ${next.schemaType}, and was ${old.schemaType}; keep it, or use another subject`;
    return [{ kind: "TYPE_CHANGED", path: "", field: null, message }];
  }
  const isBackward = level.startsWith("BACKWARD") || level.startsWith("FULL");
  const isForward = level.startsWith("FORWARD") || level.startsWith("FULL");
  return [...(isBackward ? faults(next, old, "new") : []), ...(isForward ? faults(old, next, "old") : [])];
}

function faults(reader: Parsed, writer: Parsed, readerIs: Reader): Incompatibility[] {
  if (reader.schemaType === "AVRO" && writer.schemaType === "AVRO") {
    return avroIncompatibilities(reader.avro.type, writer.avro.type, readerIs);
  }
  if (reader.schemaType === "JSON" && writer.schemaType === "JSON") {
    return jsonIncompatibilities(reader.json, writer.json, readerIs);
  }
  return [];
}
