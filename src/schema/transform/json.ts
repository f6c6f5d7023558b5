import { failed, reasonOf } from "./fault.ts";

/** JSON in and out without quiet loss: an integer that a double cannot hold is refused, not rounded. */

/** Digits in a row that may be an integer past 2^53; nearly no text has them. */
const MANY_DIGITS = /\d{16}/;
const STRINGS = /"(?:[^"\\]|\\.)*"/g;
const INTEGERS = /(?<![\d.eE+-])-?\d+(?![\d.eE])/g;

/** @throws transform_failed: no JSON, or an integer in it that would be rounded. */
export function jsonOf(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    throw failed(`the value is no JSON: ${reasonOf(error, 200)}`);
  }
  if (MANY_DIGITS.test(text)) checkIntegers(text);
  return value;
}

function checkIntegers(text: string): void {
  for (const [digits] of text.replace(STRINGS, '""').matchAll(INTEGERS)) {
    if (digits.length < 16 || Number.isSafeInteger(Number(digits))) continue;
    throw failed(`the integer ${digits.slice(0, 40)} is past 2^53 and would be rounded: send it as text`);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
