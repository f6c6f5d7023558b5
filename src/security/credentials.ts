/** Credentials that a request or a file brings: hashed by whoever knows the password. */
import { MillraceError } from "../errors/index.ts";
import {
  decodeBase64,
  SCRAM_ITERATIONS_MAX,
  SCRAM_ITERATIONS_MIN,
  SCRAM_MECHANISMS,
  ScramError,
  type ScramMechanism,
} from "../stdx/index.ts";
import type { Credential } from "./scram.ts";

const SALT_BYTES = { min: 8, max: 256 } as const;
const KEY_BYTES: Readonly<Record<ScramMechanism, number>> = { "SCRAM-SHA-256": 32, "SCRAM-SHA-512": 64 };

/** @throws invalid_argument, which names the field and nothing of its value. */
export function parseCredential(value: unknown, field: string): Credential {
  const given = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const mechanism = SCRAM_MECHANISMS.find((candidate) => candidate === given["mechanism"]);
  if (mechanism === undefined) throw fault(`${field}.mechanism`, `one of ${SCRAM_MECHANISMS.join(", ")}`);
  const iterations = given["iterations"];
  const isCount = typeof iterations === "number" && Number.isSafeInteger(iterations);
  if (!isCount || iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX) {
    throw fault(`${field}.iterations`, `a number from ${SCRAM_ITERATIONS_MIN} to ${SCRAM_ITERATIONS_MAX}`);
  }
  const keyBytes = { min: KEY_BYTES[mechanism], max: KEY_BYTES[mechanism] };
  return {
    mechanism,
    salt: base64Of(given["salt"], `${field}.salt`, SALT_BYTES),
    iterations,
    storedKey: base64Of(given["storedKey"], `${field}.storedKey`, keyBytes),
    serverKey: base64Of(given["serverKey"], `${field}.serverKey`, keyBytes),
  };
}

function base64Of(value: unknown, field: string, { min, max }: { min: number; max: number }): string {
  const bytes = typeof value === "string" ? lengthOf(value) : -1;
  if (bytes >= min && bytes <= max) return value as string;
  throw fault(field, `base64 of ${min === max ? min : `${min} to ${max}`} bytes`);
}

/** Bytes of base64; -1 for what is none. */
function lengthOf(text: string): number {
  try {
    return decodeBase64(text).length;
  } catch (error) {
    if (error instanceof ScramError) return -1;
    throw error;
  }
}

function fault(field: string, rule: string): MillraceError {
  return new MillraceError("invalid_argument", `${field} must be ${rule}`, { details: { field } });
}
