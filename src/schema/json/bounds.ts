/** Keywords of JSON Schema that bound a value by a number or a text: when one bound implies another. */
import { type Json, type JsonObject, numberOf } from "../json-text.ts";
import type { JsonType } from "./types.ts";

export interface Bound {
  readonly keyword: string;
  /** Types of values that the keyword says something about. */
  readonly types: readonly JsonType[];
  /** Whether everything that the writer's schema accepts keeps the reader's bound. */
  implied(bound: Json, writer: JsonObject, types: ReadonlySet<JsonType>): boolean;
}

const NUMBERS: readonly JsonType[] = ["integer", "number"];

function at(schema: JsonObject, keyword: string): number | undefined {
  return numberOf(schema[keyword]);
}

/** One of the writer's keywords is as near or nearer than the reader's bound. */
function upper(keyword: string, types: readonly JsonType[], strict?: string): Bound {
  return {
    keyword,
    types,
    implied(bound, writer) {
      const limit = numberOf(bound) ?? Number.NaN;
      return (
        (at(writer, keyword) ?? Infinity) <= limit ||
        (strict !== undefined && (at(writer, strict) ?? Infinity) <= limit)
      );
    },
  };
}

function lower(keyword: string, types: readonly JsonType[], strict?: string): Bound {
  return {
    keyword,
    types,
    implied(bound, writer) {
      const limit = numberOf(bound) ?? Number.NaN;
      const none = -Infinity;
      return (at(writer, keyword) ?? none) >= limit || (strict !== undefined && (at(writer, strict) ?? none) >= limit);
    },
  };
}

function strictUpper(keyword: string, loose: string): Bound {
  return {
    keyword,
    types: NUMBERS,
    implied(bound, writer) {
      const limit = numberOf(bound) ?? Number.NaN;
      return (at(writer, keyword) ?? Infinity) <= limit || (at(writer, loose) ?? Infinity) < limit;
    },
  };
}

function strictLower(keyword: string, loose: string): Bound {
  return {
    keyword,
    types: NUMBERS,
    implied(bound, writer) {
      const limit = numberOf(bound) ?? Number.NaN;
      return (at(writer, keyword) ?? -Infinity) >= limit || (at(writer, loose) ?? -Infinity) > limit;
    },
  };
}

const multipleOf: Bound = {
  keyword: "multipleOf",
  types: NUMBERS,
  implied(bound, writer, types) {
    const step = numberOf(bound) ?? Number.NaN;
    if (step === 1 && !types.has("number")) return true;
    const own = at(writer, "multipleOf");
    if (own === undefined) return false;
    return own === step || (Number.isSafeInteger(own) && Number.isSafeInteger(step) && own % step === 0);
  },
};

const pattern: Bound = {
  keyword: "pattern",
  types: ["string"],
  implied: (bound, writer) => writer["pattern"] === bound,
};

const uniqueItems: Bound = {
  keyword: "uniqueItems",
  types: ["array"],
  implied: (bound, writer) => bound !== true || writer["uniqueItems"] === true,
};

export const BOUNDS: readonly Bound[] = [
  upper("maximum", NUMBERS, "exclusiveMaximum"),
  lower("minimum", NUMBERS, "exclusiveMinimum"),
  strictUpper("exclusiveMaximum", "maximum"),
  strictLower("exclusiveMinimum", "minimum"),
  multipleOf,
  upper("maxLength", ["string"]),
  lower("minLength", ["string"]),
  pattern,
  upper("maxItems", ["array"]),
  lower("minItems", ["array"]),
  uniqueItems,
  upper("maxProperties", ["object"]),
  lower("minProperties", ["object"]),
];
