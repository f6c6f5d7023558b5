import { type ErrorName, MillraceError } from "../errors/index.ts";

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
  details: Record<string, unknown> | null,
];

/** Anything that is not a MillraceError is a fault of ours: it goes out as `internal`, and its message stays inside. */
export function errorToWire(error: unknown): WireError {
  const known = error instanceof MillraceError ? error : fault("internal", "internal error");
  return [known.code, known.name, known.message, known.retryable, known.details ?? null];
}

/** The error that five values of the wire describe. */
export function errorFromWire(wire: readonly unknown[]): MillraceError {
  const [, name, message, , details] = wire;
  const known = typeof name === "string" ? (name as ErrorName) : "internal";
  return fault(known, String(message), (details as Record<string, unknown> | null) ?? undefined);
}
