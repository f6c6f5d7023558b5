/** A schema that names itself without going into a value (a property, an item) never comes to an end. */
import { isArray, isObject, type Json, type JsonObject } from "../json-text.ts";

const ONE = ["not", "if", "then", "else"];
const LIST = ["allOf", "anyOf", "oneOf"];
const MAP = ["dependentSchemas", "dependencies"];

/**
 * A schema that is met again before a value was gone into; undefined where there is none.
 *
 * @param resolve where a schema's `$ref` leads, within the same document.
 */
export function endlessSchema(
  schemas: Iterable<JsonObject>,
  resolve: (schema: JsonObject) => Json | undefined,
): JsonObject | undefined {
  const state = new Map<JsonObject, "open" | "done">();
  for (const start of schemas) {
    // Each is left when all that it applies in place was seen.
    const path: { schema: JsonObject; next: JsonObject[] }[] = [];
    const enter = (schema: JsonObject): void => {
      state.set(schema, "open");
      path.push({ schema, next: inPlace(schema, resolve) });
    };
    if (state.get(start) === undefined) enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const next = top.next.pop();
      if (next === undefined) {
        state.set(top.schema, "done");
        path.pop();
      } else if (state.get(next) === "open") {
        return next;
      } else if (state.get(next) === undefined) {
        enter(next);
      }
    }
  }
  return undefined;
}

/** The schemas that are applied to the same value. */
function inPlace(schema: JsonObject, resolve: (schema: JsonObject) => Json | undefined): JsonObject[] {
  const found: (Json | undefined)[] = [resolve(schema), ...ONE.map((word) => schema[word])];
  for (const word of LIST) {
    const list = schema[word];
    if (isArray(list)) found.push(...list);
  }
  for (const word of MAP) {
    const map = schema[word];
    if (isObject(map)) found.push(...Object.values(map));
  }
  return found.filter((entry) => isObject(entry));
}
