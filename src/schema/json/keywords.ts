/** Which keywords of JSON Schema hold schemas, and how. */
import { isArray, isObject, type Json, type JsonObject, under } from "../json-text.ts";

const ONE = [
  "additionalItems",
  "additionalProperties",
  "contains",
  "contentSchema",
  "else",
  "if",
  "items",
  "not",
  "propertyNames",
  "then",
  "unevaluatedItems",
  "unevaluatedProperties",
];
const LIST = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
const MAP = ["properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "dependencies"];

export interface Inner {
  readonly schema: Json;
  readonly path: string;
}

/** What is a schema: an object, true or false. */
export function isSchema(value: Json | undefined): value is JsonObject | boolean {
  return typeof value === "boolean" || isObject(value);
}

/** The schemas directly inside a schema. */
export function innerSchemas(schema: JsonObject, path: string): Inner[] {
  const found: Inner[] = [];
  const add = (value: Json | undefined, path: string): void => {
    if (value !== undefined && isSchema(value)) found.push({ schema: value, path });
  };
  for (const word of ONE) add(schema[word], under(path, word));
  for (const word of LIST) {
    const list = schema[word];
    if (isArray(list)) for (const [index, entry] of list.entries()) add(entry, under(under(path, word), index));
  }
  for (const word of MAP) {
    const map = schema[word];
    if (isObject(map)) for (const key of Object.keys(map)) add(map[key], under(under(path, word), key));
  }
  return found;
}
