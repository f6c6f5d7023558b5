/** How errors look in the registry's HTTP interface: `{"error_code", "message"}`, as Confluent's clients expect. */
import { ERRORS, type ErrorName, MillraceError, toMillraceError } from "../../errors/index.ts";
import { CODE } from "../../schema/index.ts";
import { headersOf } from "../answers.ts";
import { HttpFault } from "../http-fault.ts";

export const CONTENT_TYPE = "application/vnd.schemaregistry.v1+json";

/** What the interface says where an error brings no number of its own. */
const CODES: Partial<Readonly<Record<ErrorName, number>>> = {
  subject_not_found: CODE.subjectNotFound,
  version_not_found: CODE.versionNotFound,
  schema_not_found: CODE.schemaNotFound,
  schema_incompatible: CODE.incompatible,
  schema_invalid: CODE.invalidSchema,
  schema_unsupported: CODE.invalidSchema,
  schema_in_use: CODE.referenceExists,
  schema_mode: CODE.notPermitted,
};
const STORE_ERROR = 50001;

export function faultResponse(error: unknown): Response {
  if (error instanceof HttpFault) return answer(error.status, error.status, error.message);
  const fault = toMillraceError(error);
  const given = fault.details?.["registryCode"];
  const code = typeof given === "number" ? given : (CODES[fault.codeName] ?? codeOf(fault));
  const message = fault.codeName === "internal" ? ERRORS.internal.message : fault.message;
  return answer(statusOf(code), code, message, headersOf(fault.details));
}

function codeOf({ httpStatus }: MillraceError): number {
  return httpStatus === 500 ? STORE_ERROR : httpStatus;
}

/** Codes of more than three digits begin with their status. */
function statusOf(code: number): number {
  return code >= 1000 ? Math.floor(code / 100) : code;
}

function answer(status: number, code: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json(
    { error_code: code, message },
    { status, headers: { ...headers, "content-type": CONTENT_TYPE } },
  );
}
