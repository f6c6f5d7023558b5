/** What a file of definitions holds, and reading its fields. */
import { MillraceError } from "../../errors/index.ts";
import type { Path } from "./json-text.ts";

export type Fields = Readonly<Record<string, unknown>>;

export const FORMAT = 1;

/** Lists of a file, in the order in which they are imported: what a thing names stands before it. */
export const SECTIONS = [
  "namespaces",
  "roles",
  "users",
  "permissions",
  "schemaSettings",
  "schemas",
  "topics",
  "exchanges",
  "queues",
  "bindings",
  "schedules",
  "transforms",
  "quotas",
] as const;
export type Section = (typeof SECTIONS)[number];

/** One thing of a file, with the place that is named where it is wrong. */
export interface Item {
  readonly fields: Fields;
  readonly path: Path;
}

export type Plan = { readonly [S in Section]: readonly Item[] };

/** A thing that the file has and the broker does not take over, in words. */
export interface Note {
  readonly path: Path;
  readonly text: string;
}

/** What is wrong with an item: told with its place by whoever imports. */
export class ItemFault extends Error {
  readonly path: Path;

  constructor(path: Path, what: string) {
    super(what);
    this.path = path;
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function textOf(fields: Fields, name: string, fallback?: string): string {
  const value = fields[name] ?? fallback;
  if (typeof value === "string") return value;
  throw new MillraceError("invalid_argument", `${name} must be a string`);
}

export function fieldsOf(fields: Fields, name: string): Fields {
  const value = fields[name] ?? {};
  if (isFields(value)) return value;
  throw new MillraceError("invalid_argument", `${name} must be an object`);
}

export function listOf(value: unknown, path: Path): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as unknown[];
  throw new ItemFault(path, "it must be an array");
}

/** The items of a list. @throws ItemFault for what is no object. */
export function itemsOf(value: unknown, path: Path): Item[] {
  return listOf(value, path).map((fields, at) => {
    if (isFields(fields)) return { fields, path: [...path, at] };
    throw new ItemFault([...path, at], "it must be an object");
  });
}

/** @throws invalid_argument naming a field that nobody knows: a word that is mistyped must not be passed over. */
export function checkKnown(fields: Fields, known: readonly string[]): void {
  const unknown = Object.keys(fields).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new MillraceError("invalid_argument", `${JSON.stringify(unknown)} is no field of it`);
}

/** The plan of a file of our own. @throws ItemFault. */
export function planOf(file: Fields): Plan {
  if (typeof file["format"] !== "number" || file["format"] > FORMAT) {
    throw new ItemFault(["format"], `format must be a number up to ${FORMAT}`);
  }
  const known: readonly string[] = ["format", "millrace", "exportedAt", ...SECTIONS];
  for (const name of Object.keys(file)) {
    if (!known.includes(name)) throw new ItemFault([name], `${JSON.stringify(name)} is no list of definitions`);
  }
  const plan = SECTIONS.map((section) => [section, itemsOf(file[section], [section])] as const);
  return Object.fromEntries(plan) as unknown as Plan;
}

/** Bytes in JSON: text where they are UTF-8, else base64. */
export function contentOf(value: Uint8Array | string | null): unknown {
  if (value === null || typeof value === "string") return value;
  const text = Buffer.from(value).toString("utf8");
  return Buffer.from(text, "utf8").equals(value) ? text : { base64: Buffer.from(value).toString("base64") };
}

export function bytesOf(value: unknown, name: string): Uint8Array | string | null {
  if (value === undefined || value === null || typeof value === "string") return value ?? null;
  const base64 = isFields(value) ? value["base64"] : undefined;
  if (typeof base64 === "string") return Buffer.from(base64, "base64");
  throw new MillraceError("invalid_argument", `${name} must be a string, {base64} or null`);
}
