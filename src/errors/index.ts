/**
 * The one catalogue of errors: codes, HTTP statuses, whether a retry helps, and what to do.
 * It runs in browsers too, so it imports nothing but the generated table.
 */
import { ERRORS } from "./codes.generated.ts";

export { ERRORS };

/** A name of the catalogue, such as `disk_full`. */
export type ErrorName = keyof typeof ERRORS;

/** One entry of the catalogue. `message` may hold {names}, which an error's details fill. */
export interface ErrorEntry {
  readonly code: number;
  readonly http: number;
  readonly retryable: boolean;
  readonly message: string;
  readonly action: string;
}

export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface MillraceErrorOptions {
  /** Values behind the message, for programs: msgpack types only, because they travel in frames. */
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

const TABLE: Readonly<Record<string, ErrorEntry>> = ERRORS;
const NAMES = Object.keys(ERRORS) as ErrorName[];
const NAME_OF_CODE: ReadonlyMap<number, ErrorName> = new Map(NAMES.map((name) => [ERRORS[name].code, name]));

/** The catalogue's name of a code; undefined when this version does not know the code. */
export function errorName(code: number): ErrorName | undefined {
  return NAME_OF_CODE.get(code);
}

/** Whether a text is a name of the catalogue. */
export function isErrorName(name: string): name is ErrorName {
  return Object.hasOwn(ERRORS, name);
}

/** The catalogue's message of an error, its {names} filled from details. */
export function errorMessage(name: ErrorName, details: ErrorDetails = {}): string {
  return ERRORS[name].message.replace(/\{(\w+)\}/g, (_, key: string) => (key in details ? String(details[key]) : key));
}

/**
 * Every error that Millrace throws or sends. Match on `codeName` (or `code`): both are stable, messages are not.
 *
 * @example
 * catch (error) {
 *   if (isMillraceError(error, "disk_full", "not_ready")) await retryLater();
 * }
 */
export class MillraceError extends Error {
  /** The catalogue's name, such as `disk_full`. Also the Error's `name`, so that a printed stack begins with it. */
  readonly codeName: ErrorName;
  readonly code: number;
  /** Whether the same operation may succeed when it is tried again unchanged. */
  readonly retryable: boolean;
  readonly details?: ErrorDetails;

  /** Without a message, the catalogue's own is used, filled from the details. */
  constructor(name: ErrorName, message?: string, options: MillraceErrorOptions = {}) {
    const { details, cause } = options;
    // A newer peer may send a name that this version's catalogue does not have; it is kept, as an internal error.
    const { code, retryable } = TABLE[name] ?? ERRORS.internal;
    super(message ?? errorMessage(name, details), cause === undefined ? undefined : { cause });
    this.name = name;
    this.codeName = name;
    this.code = code;
    this.retryable = retryable;
    if (details !== undefined) this.details = details;
  }

  /** What whoever sees the error can do about it. */
  get action(): string {
    return (TABLE[this.codeName] ?? ERRORS.internal).action;
  }

  /** The status with which HTTP answers carry the error. */
  get httpStatus(): number {
    return (TABLE[this.codeName] ?? ERRORS.internal).http;
  }
}

/** The error with this code, as the core names it. A code that this version does not know becomes `internal`. */
export function errorOf(code: number, message?: string, details?: ErrorDetails): MillraceError {
  return new MillraceError(errorName(code) ?? "internal", message, details === undefined ? {} : { details });
}

/** Whether something thrown is a MillraceError, of one of the names when any are given. */
export function isMillraceError(error: unknown, ...names: ErrorName[]): error is MillraceError {
  return error instanceof MillraceError && (names.length === 0 || names.includes(error.codeName));
}

/** Anything thrown, as a MillraceError: what is not one is a fault of ours, `internal`, with the original as its cause. */
export function toMillraceError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new MillraceError("internal", message, { cause: error });
}
