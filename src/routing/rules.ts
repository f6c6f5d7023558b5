/** Rules for the values of a configuration map: each key with its kind and range, and errors that name the key. */
import { MillraceError } from "../errors/index.ts";

export type Rule =
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  | { readonly kind: "number"; readonly min: number; readonly max: number }
  | { readonly kind: "boolean" }
  | { readonly kind: "choice"; readonly values: readonly string[] }
  | { readonly kind: "text"; readonly bytesMax: number }
  | { readonly kind: "map"; readonly read: (value: Fields, key: string) => unknown };

export type Fields = Readonly<Record<string, unknown>>;

export const integer = (min: number, max: number): Rule => ({ kind: "integer", min, max });
export const boolean: Rule = { kind: "boolean" };

/**
 * The values of a map, checked. Keys that are nil are left out.
 *
 * @param path stands before the keys in messages, as "retry." does.
 * @throws invalid_config naming the key.
 */
export function readFields(input: Fields, rules: Readonly<Record<string, Rule>>, path = ""): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(input)) {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule === undefined) {
      throw invalidConfig(path + key, `is not known; there are ${Object.keys(rules).join(", ")}`);
    }
    if (value === null || value === undefined) continue;
    out[key] = readValue(rule, value, path + key);
  }
  return out;
}

function readValue(rule: Rule, value: unknown, key: string): unknown {
  switch (rule.kind) {
    case "boolean":
      if (typeof value === "boolean") return value;
      throw invalidConfig(key, "must be true or false");
    case "choice":
      if (typeof value === "string" && rule.values.includes(value)) return value;
      throw invalidConfig(key, `must be one of ${rule.values.join(", ")}`);
    case "text":
      if (typeof value === "string" && Buffer.byteLength(value) <= rule.bytesMax) return value;
      throw invalidConfig(key, `must be text of at most ${rule.bytesMax} bytes`);
    case "map":
      if (isFields(value)) return rule.read(value, key);
      throw invalidConfig(key, "must be a map");
    case "integer":
      if (typeof value === "number" && Number.isSafeInteger(value) && value >= rule.min && value <= rule.max)
        return value;
      throw invalidConfig(key, `must be an integer from ${rule.min} to ${rule.max}`);
    case "number":
      if (typeof value === "number" && value >= rule.min && value <= rule.max) return value;
      throw invalidConfig(key, `must be a number from ${rule.min} to ${rule.max}`);
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

export function invalidConfig(key: string, why: string): MillraceError {
  return new MillraceError("invalid_config", `${key} ${why}`, { details: { key } });
}

/** The first key, in the order of `keys`, whose values differ; undefined where none does. */
export function differingKey(a: Fields, b: Fields): string | undefined {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) if (canonical(a[key]) !== canonical(b[key])) return key;
  return undefined;
}

/** Text that is equal for equal values, whatever the order of a map's keys. */
export function canonical(value: unknown): string {
  if (value === undefined) return "null";
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isFields(value)) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${canonical(entry)}`).join(",")}}`;
}

/** The error of a declaration that differs from the one before. */
export function mismatch(what: string, argument: string, before: unknown, now: unknown): MillraceError {
  const text = (value: unknown): string => (value === undefined || value === null ? "nothing" : canonical(value));
  return new MillraceError(
    "argument_mismatch",
    `${what} was declared with ${argument} ${text(before)}, not ${text(now)}`,
    { details: { argument } },
  );
}
