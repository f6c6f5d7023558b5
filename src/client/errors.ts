import { type ErrorName, isMillraceError, MillraceError, toMillraceError } from "../errors/index.ts";
import { namedError } from "../protocol/index.ts";

/** Errors that a client throws: MillraceError with a code, and classes for those that callers tell apart. */

export { isMillraceError, MillraceError };

type Details = Record<string, unknown>;

/** A conditional publish found another offset than expected (offset_conflict, key_conflict). Nothing was stored. */
export class ConflictError extends MillraceError {}

/** The connection broke or could not be made; the client may be connecting again. */
export class ConnectionLostError extends MillraceError {}

/** The client, producer or consumer has been closed. */
export class ClosedError extends MillraceError {}

/** An AbortSignal ended the operation. */
export class CancelledError extends MillraceError {}

/** An answer did not come in time. */
export class TimeoutError extends MillraceError {}

/** Another instance took over: the producer id (producer_fenced) or the group instance (fenced_instance). */
export class FencedError extends MillraceError {}

type ErrorClass = new (name: ErrorName, message: string, options?: { details?: Details }) => MillraceError;

const CLASSES: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ["offset_conflict", ConflictError],
  ["key_conflict", ConflictError],
  ["connection_lost", ConnectionLostError],
  ["closed", ClosedError],
  ["cancelled", CancelledError],
  ["timeout", TimeoutError],
  ["producer_fenced", FencedError],
  ["fenced_instance", FencedError],
]);

/** The error of the catalogue with this name, as its class. */
export function clientError(name: ErrorName, message: string, details?: Details): MillraceError {
  const Class = CLASSES.get(name) ?? MillraceError;
  return new Class(name, message, details ? { details } : {});
}

/** The error that `[code, name, message, retryable, details]` of the wire describes. */
export function wireError(wire: readonly unknown[]): MillraceError {
  const { name, message, details } = namedError(wire);
  return clientError(name, message, details);
}

/** Anything thrown, as a MillraceError. */
export function asMillraceError(error: unknown): MillraceError {
  return toMillraceError(error);
}

/** The error for an aborted signal, with the signal's reason in its message. */
export function cancelled(signal: AbortSignal): MillraceError {
  const { reason } = signal;
  return clientError("cancelled", reason instanceof Error ? reason.message : String(reason));
}
