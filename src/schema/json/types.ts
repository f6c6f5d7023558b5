/** Types of JSON values, as a schema narrows them. A `number` here is one that is not whole. */
import { integerOf, isArray, isObject, type Json, type JsonObject, numberOf } from "../json-text.ts";

export const JSON_TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
export type JsonType = (typeof JSON_TYPES)[number];
export type TypeSet = ReadonlySet<JsonType>;

export const ALL_TYPES: TypeSet = new Set(JSON_TYPES);

/** The types that the keywords `type`, `enum` and `const` of this schema alone leave. */
export function typesOf(schema: JsonObject): TypeSet {
  const named = namedTypes(schema["type"]);
  const values = valuesOf(schema);
  if (values === undefined) return named;
  return intersection(named, new Set(values.map(typeOf)));
}

function namedTypes(type: Json | undefined): TypeSet {
  if (type === undefined) return ALL_TYPES;
  const names = isArray(type) ? type : [type];
  const found = new Set<JsonType>();
  for (const name of names) {
    const known = JSON_TYPES.find((candidate) => candidate === name);
    if (known !== undefined) found.add(known);
    if (known === "number") found.add("integer");
  }
  return found;
}

/** The values that `enum` or `const` allow; undefined where there is neither. */
export function valuesOf(schema: JsonObject): readonly Json[] | undefined {
  const { enum: list, const: single } = schema;
  if (single !== undefined) return [single];
  return isArray(list) ? list : undefined;
}

function typeOf(value: Json): JsonType {
  if (value === null) return "null";
  if (isArray(value)) return "array";
  if (isObject(value)) return "object";
  const number = numberOf(value);
  if (number !== undefined) return integerOf(value) !== undefined || Number.isInteger(number) ? "integer" : "number";
  return typeof value === "boolean" ? "boolean" : "string";
}

export function intersection(a: TypeSet, b: TypeSet): TypeSet {
  return new Set([...a].filter((type) => b.has(type)));
}

export function hasAny(types: TypeSet, wanted: readonly JsonType[]): boolean {
  return wanted.some((type) => types.has(type));
}

/** For messages. A number that need not be whole is `number`, whole ones with it. */
export function typeNames(types: TypeSet): string {
  const names = [...types].filter((type) => type !== "integer" || !types.has("number"));
  return names.length === JSON_TYPES.length - 1 ? "anything" : names.join(" or ") || "nothing";
}
