/** Errors as HTTP carries them: {"error": {"code", "name", "message", "action", "retryable"}}. */
import { type ErrorDetails, ERRORS, type ErrorName, MillraceError } from "../errors/index.ts";

/** What no answer with data is: a page, or something to keep. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
};

/** An error of the catalogue. */
export function errorResponse(error: MillraceError): Response {
  const { code, codeName, action, retryable, httpStatus, details } = error;
  const message = codeName === "internal" ? ERRORS.internal.message : error.message;
  return Response.json(
    { error: { code, name: codeName satisfies ErrorName, message, action, retryable } },
    { status: httpStatus, headers: { ...SAFE_HEADERS, ...headersOf(details) } },
  );
}

/** What an error says in headers too: how to log in, and when to come again. */
export function headersOf(details: ErrorDetails | undefined): Record<string, string> {
  const { challenge, retryAfterMs } = details ?? {};
  return {
    ...(typeof challenge === "string" ? { "www-authenticate": challenge } : {}),
    ...(typeof retryAfterMs === "number" ? { "retry-after": String(Math.ceil(retryAfterMs / 1000)) } : {}),
  };
}

/** What HTTP itself has a status for and the catalogue has no name. */
export function plainError(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Response {
  const body = { error: { code: status, name: "http", message } };
  return Response.json(body, { status, headers: { ...SAFE_HEADERS, ...headers } });
}
