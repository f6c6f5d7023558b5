import { MillraceError } from "../../errors/index.ts";

/** What is wrong with one message: the transform goes on without it. */
export function failed(reason: string, details: Readonly<Record<string, unknown>> = {}): MillraceError {
  return new MillraceError("transform_failed", reason, { details });
}

/** What is wrong with a definition. `field` is a path such as `steps[2].map.rename`. */
export function invalid(field: string, rule: string): MillraceError {
  return new MillraceError("invalid_argument", `${field} must be ${rule}`, { details: { field } });
}

/** The text of anything thrown, in one line and not without end. */
export function reasonOf(error: unknown, lengthMax: number = 1000): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/\s*\n\s*/g, " ").slice(0, lengthMax);
}
