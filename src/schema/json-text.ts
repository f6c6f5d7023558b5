/** Reading JSON that a peer wrote: bounded in depth, and with every number as it was written. */
import { invalidSchema } from "./faults.ts";

export const JSON_DEPTH_MAX = 256;

/** A number that JavaScript would change, such as 9223372036854775807 or 1.0; stringify writes it as it was. */
export interface RawNumber {
  readonly rawJSON: string;
}

export type Json = null | boolean | number | string | RawNumber | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

interface ExactJson {
  parse(text: string, reviver: (key: string, value: Json, context: { source?: string }) => Json): Json;
  rawJSON(text: string): RawNumber;
}
// Not in TypeScript's library yet.
const exact = JSON as unknown as ExactJson;

/** @throws schema_invalid for what is no JSON, or nested deeper than JSON_DEPTH_MAX. */
export function parseJson(text: string): Json {
  // A parser that recurses must not meet a nesting bomb.
  if (depthOf(text) > JSON_DEPTH_MAX) throw invalidSchema(`the JSON is nested deeper than ${JSON_DEPTH_MAX}`);
  try {
    return exact.parse(text, (_, value, { source }) =>
      typeof value === "number" && source !== undefined && String(value) !== source ? exact.rawJSON(source) : value,
    );
  } catch (error) {
    throw invalidSchema(`it is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Deepest nesting of brackets outside of strings. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (inString) {
      if (unit === 0x5c) at += 1;
      else if (unit === 0x22) inString = false;
    } else if (unit === 0x22) inString = true;
    else if (unit === 0x5b || unit === 0x7b) {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (unit === 0x5d || unit === 0x7d) depth -= 1;
  }
  return deepest;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isRawNumber(value);
}

export function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function isRawNumber(value: object): value is RawNumber {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}

/** The number, as near as JavaScript has it; undefined for anything else. */
export function numberOf(value: Json | undefined): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "object" && value !== null && isRawNumber(value) ? Number(value.rawJSON) : undefined;
}

/** The whole number exactly; undefined for anything else, 1.0 and 1e3 too, which Avro's libraries take for doubles. */
export function integerOf(value: Json | undefined): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value !== "object" || value === null || !isRawNumber(value)) return undefined;
  return /^-?\d+$/.test(value.rawJSON) ? BigInt(value.rawJSON) : undefined;
}

/** A path of a JSON pointer, one word longer. */
export function under(path: string, word: string | number): string {
  return `${path}/${String(word).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** The text with the keys of all objects in order. */
export function sortedJson(value: Json): string {
  if (isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const entries = Object.keys(value).sort();
  return `{${entries.map((key) => `${JSON.stringify(key)}:${sortedJson(value[key] ?? null)}`).join(",")}}`;
}
