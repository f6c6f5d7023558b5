/** A request of the registry's HTTP interface, read and checked. */
import {
  checkSubject,
  CODE,
  DEFAULT_NAMESPACE,
  fault,
  normalizeSubject,
  qualify,
  type Reference,
  schemaTypeOf,
  splitSubject,
} from "../../schema/index.ts";
import type { SchemaRequest } from "../../broker/index.ts";
import { HttpFault } from "../http-fault.ts";

export type Fields = Readonly<Record<string, unknown>>;

const REFERENCES_MAX = 1000;
/** Attributes of Confluent's that mean something which this registry does not do. */
const NOT_THERE = ["metadata", "ruleSet", "schemaTagsToAdd", "schemaTagsToRemove", "propagateSchemaTags"];

/** What a route is given. */
export interface RegistryRequest {
  /** The variable words of the path, decoded. */
  readonly words: readonly string[];
  readonly query: URLSearchParams;
  /** The namespace that subjects belong to which do not name one: `default`, or that of `/contexts/.NAMESPACE`. */
  readonly namespace: string;
  /** The body's JSON object; empty where there is no body. */
  readonly body: Fields;
  /** Whether the sender may read a subject, by its global name. */
  readonly mayRead: (subject: string) => boolean;
}

export function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && value.toLowerCase() === "true";
}

/** The part of a list that `offset` and `limit` ask for; a limit of -1 or none is all. */
export function page<T>(items: readonly T[], query: URLSearchParams): readonly T[] {
  const offset = count(query, "offset", 0);
  const limit = count(query, "limit", -1);
  return items.slice(offset, limit < 0 ? undefined : offset + limit);
}

function count(query: URLSearchParams, name: string, standard: number): number {
  const text = query.get(name);
  if (text === null) return standard;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || (value < 0 && name === "offset")) {
    throw new HttpFault(400, `${name} must be a whole number`);
  }
  return value;
}

/** The global name of a subject in a path or a body. */
export function subjectNamed(text: string, namespace: string): string {
  const isQualified = text.startsWith(":.");
  const subject = isQualified ? normalizeSubject(text) : qualify(namespace, text);
  checkSubject(subject);
  return subject;
}

/** A subject, or `:.namespace:` for what holds for a namespace. */
export function scopeNamed(text: string, namespace: string): string {
  const { namespace: own, name } = splitSubject(text);
  if (name !== "") return subjectNamed(text, namespace);
  return own === DEFAULT_NAMESPACE ? "" : text;
}

export function versionNamed(text: string): number | "latest" {
  if (text === "latest" || text === "-1") return "latest";
  const version = /^\d+$/.test(text) ? Number(text) : 0;
  if (version >= 1 && version < 2 ** 31) return version;
  throw fault(
    "invalid_argument",
    CODE.invalidVersion,
    `The specified version '${text.slice(0, 40)}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"`,
  );
}

export function idNamed(text: string): number {
  const id = /^\d+$/.test(text) ? Number(text) : -1;
  if (id >= 0 && id <= 0xffffffff) return id;
  throw new HttpFault(404, "an id is a whole number");
}

/** The schema that a body brings for a subject. @throws schema_invalid, schema_unsupported. */
export function schemaOf({ body, query }: RegistryRequest, subject: string): SchemaRequest {
  const { schema, schemaType, references } = body;
  if (typeof schema !== "string" || schema.trim() === "") throw invalid("Empty schema: the body needs a text `schema`");
  const there = NOT_THERE.find((name) => isGiven(body[name]));
  if (there !== undefined) throw invalid(`this registry does not have "${there}"; leave it away`);
  const type = schemaTypeOf(schemaType === undefined || schemaType === null ? undefined : String(schemaType));
  const isListed = references === undefined || references === null || Array.isArray(references);
  if (!isListed || (references?.length ?? 0) > REFERENCES_MAX) {
    throw invalid(`references is an array of at most ${REFERENCES_MAX}`);
  }
  const normalize = query.has("normalize") ? flag(query, "normalize") : undefined;
  return { subject, schema, schemaType: type, references: (references ?? []).map(referenceOf), normalize };
}

function isGiven(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

function referenceOf(value: unknown): Reference {
  const { name, subject, version } = (value ?? {}) as Fields;
  const isVersion = Number.isSafeInteger(version) && ((version as number) >= 1 || version === -1);
  if (typeof name === "string" && typeof subject === "string" && isVersion) {
    return { name, subject, version: version as number };
  }
  throw invalid("a reference has a name, a subject and a version from 1 (or -1 for the latest)");
}

/** Id or version that a body gives, for the mode IMPORT. */
export function numberOf(body: Fields, name: "id" | "version"): number | undefined {
  const value = body[name];
  if (value === undefined || value === null || value === -1 || value === 0) return undefined;
  if (Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 2 ** 31) return value as number;
  throw fault("invalid_argument", CODE.invalidVersion, `${name} must be from 1 to 2^31-1`);
}

function invalid(message: string): Error {
  return fault("schema_invalid", CODE.invalidSchema, message);
}
