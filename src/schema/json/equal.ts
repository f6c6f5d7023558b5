/** Whether two schemas say the same in the same words, also where their `$ref`s lead. */
import { isArray, isObject, type Json, type JsonObject, sortedJson } from "../json-text.ts";
import type { JsonDocument, Place } from "./document.ts";

export function equalSchemas(a: Place, b: Place): boolean {
  const seen = new Set<Json>();
  const waiting: [Place, Place][] = [[a, b]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [one, other] = next;
    if (sortedJson(one.schema) !== sortedJson(other.schema)) return false;
    if (seen.has(one.schema)) continue;
    seen.add(one.schema);
    const [own, others] = [targetsIn(one.schema, one.document), targetsIn(other.schema, other.document)];
    if (own.length !== others.length) return false;
    for (const [index, target] of own.entries()) waiting.push([target, others[index] as Place]);
  }
  return true;
}

/** What the `$ref`s in a schema lead to, in the order of its sorted text. */
function targetsIn(value: Json, document: JsonDocument): Place[] {
  if (isArray(value)) return value.flatMap((entry) => targetsIn(entry, document));
  if (!isObject(value)) return [];
  const target = typeof value["$ref"] === "string" ? document.resolve(value) : undefined;
  const inner = Object.keys(value as JsonObject)
    .sort()
    .flatMap((key) => targetsIn(value[key] ?? null, document));
  return target === undefined ? inner : [target, ...inner];
}
