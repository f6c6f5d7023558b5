/** Reads the arguments of requests. Everything that does not fit ends as invalid_argument naming the field. */
import { MillraceError } from "../errors/index.ts";

export type Fields = Readonly<Record<string, unknown>>;

export function invalid(field: string, rule: string): MillraceError {
  return new MillraceError("invalid_argument", `${field} must be ${rule}`, { details: { field } });
}

/** The map that most requests carry. */
export function fieldsAt(args: readonly unknown[], index: number): Fields {
  const value = args[index];
  if (!isMap(value)) throw invalid(`argument ${index}`, "a map");
  return value;
}

export function isMap(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

export function asText(value: unknown, field: string): string {
  if (typeof value === "string") return value;
  throw invalid(field, "a string");
}

/** An integer of the range, both ends included. */
export function asInteger(value: unknown, field: string, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= min && number <= max) return number;
  throw invalid(field, `an integer from ${min} to ${max}`);
}

export function asBoolean(value: unknown, field: string): boolean {
  if (typeof value === "boolean") return value;
  throw invalid(field, "true or false");
}

/** @param lengthMax so that one request cannot ask for work without end. */
export function asList<T>(
  value: unknown,
  field: string,
  lengthMax: number,
  item: (value: unknown, field: string) => T,
): T[] {
  if (!Array.isArray(value) || value.length > lengthMax) throw invalid(field, `an array of at most ${lengthMax} items`);
  return value.map((entry, index) => item(entry, `${field}[${index}]`));
}

/** undefined for nil and for a field that is absent. */
export function optional<T>(value: unknown, field: string, read: (value: unknown, field: string) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value, field);
}

/** A number of 32 bits, such as a publisher's or a subscription's. */
export function asHandle(value: unknown, field: string): number {
  return asInteger(value, field, 0, 0xffffffff);
}

export function asPartition(value: unknown, field: string): number {
  return asInteger(value, field, 0, 0x7fffffff);
}
