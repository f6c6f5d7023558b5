/** Texts that peers send as names, passwords and tokens, before anything else looks at them. */
export const USER_LENGTH_MAX = 256;
export const PASSWORD_LENGTH_MAX = 1024;

/** Whether a value is a text that is neither empty nor longer than this. */
export function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= lengthMax;
}

/** Whether a text can be the name of a principal: something to print in one line of a log. */
export function isPrincipalName(value: unknown): value is string {
  return isText(value, USER_LENGTH_MAX) && !/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(value);
}
