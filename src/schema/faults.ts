/**
 * Errors of the registry. Their details carry `registryCode`, the number by which clients of Confluent's interface know
 * them, where it says more than the catalogue's name.
 */
import { type ErrorName, MillraceError } from "../errors/index.ts";

export const CODE = {
  subjectNotFound: 40401,
  versionNotFound: 40402,
  schemaNotFound: 40403,
  subjectSoftDeleted: 40404,
  subjectNotSoftDeleted: 40405,
  versionSoftDeleted: 40406,
  versionNotSoftDeleted: 40407,
  configNotFound: 40408,
  modeNotFound: 40409,
  incompatible: 409,
  invalidSchema: 42201,
  invalidVersion: 42202,
  invalidCompatibility: 42203,
  invalidMode: 42204,
  notPermitted: 42205,
  referenceExists: 42206,
  idMismatch: 42207,
  invalidSubject: 42208,
  schemaTooLarge: 42209,
} as const;

const SHOWN_CHARACTERS = 200;

export function fault(
  name: ErrorName,
  registryCode: number,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): MillraceError {
  return new MillraceError(name, message, { details: { registryCode, ...details } });
}

/** A text of a peer, short enough for a message. */
export function shown(text: unknown): string {
  const plain = String(text);
  return plain.length > SHOWN_CHARACTERS ? `${plain.slice(0, SHOWN_CHARACTERS)}…` : plain;
}

/** @param path where in the schema, as a JSON pointer; empty for the schema as a whole. */
export function invalidSchema(message: string, path = ""): MillraceError {
  const at = path === "" ? "" : ` at ${shown(path)}`;
  return fault("schema_invalid", CODE.invalidSchema, `Invalid schema${at}: ${message}`, { path });
}

export function unsupported(message: string): MillraceError {
  return fault("schema_unsupported", CODE.invalidSchema, message);
}

export function subjectNotFound(subject: string): MillraceError {
  return fault("subject_not_found", CODE.subjectNotFound, `Subject '${shown(subject)}' not found.`, { subject });
}

export function versionNotFound(version: number | "latest"): MillraceError {
  return fault("version_not_found", CODE.versionNotFound, `Version ${version} not found.`, { version });
}

export function schemaNotFound(id?: number): MillraceError {
  const what = id === undefined ? "Schema not found" : `Schema ${id} not found`;
  return fault("schema_not_found", CODE.schemaNotFound, what, id === undefined ? {} : { id });
}
