import { type ErrorName, errorName, isErrorName, MillraceError } from "../errors/index.ts";

/** Errors of the codec, and how errors travel in ERROR, NACK and GOODBYE frames. */

/** A MillraceError of the catalogue, to throw. */
export function fault(name: ErrorName, message: string, details?: Record<string, unknown>): MillraceError {
  return new MillraceError(name, message, details ? { details } : {});
}

/** An error's five values as ERROR and NACK carry them. */
export type WireError = [
  code: number,
  name: string,
  message: string,
  retryable: boolean,
  details: Readonly<Record<string, unknown>> | null,
];

/** Anything that is not a MillraceError is a fault of ours: it goes out as `internal`, and its message stays inside. */
export function errorToWire(error: unknown): WireError {
  const known = error instanceof MillraceError ? error : fault("internal", "internal error");
  return [known.code, known.codeName, known.message, known.retryable, known.details ?? null];
}

/** What five values of the wire say: the name of this version's catalogue, found by the code where it can be. */
export function namedError(wire: readonly unknown[]): { name: ErrorName; message: string; details: Details } {
  const [code, name, message, , details] = wire;
  const known = errorName(Number(code)) ?? (isErrorName(String(name)) ? (name as ErrorName) : "internal");
  return { name: known, message: String(message), details: (details as Details) ?? undefined };
}

type Details = Record<string, unknown> | undefined;

/** The error that five values of the wire describe. A code that this version does not know becomes `internal`. */
export function errorFromWire(wire: readonly unknown[]): MillraceError {
  const { name, message, details } = namedError(wire);
  return fault(name, message, details);
}
