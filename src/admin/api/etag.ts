/**
 * Entity tags (RFC 9110, 8.8.3). The tag of an entity names its definition, not the live figures that its answer shows as
 * well: it changes when somebody changes the entity, and that is what If-Match is to notice.
 */
import { HttpFault } from "../http-fault.ts";

/** @param definition JSON values; the order of keys does not matter. */
export function etagOf(definition: unknown): string {
  return `"${Bun.hash(JSON.stringify(sorted(definition))).toString(36)}"`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}

/**
 * Heeds If-Match and If-None-Match.
 *
 * @param tag of the entity as it is; undefined where there is none.
 * @throws 412.
 */
export function checkConditions({ headers }: Request, tag: string | undefined): void {
  const match = headers.get("if-match");
  if (match !== null && !names(match, tag)) {
    throw new HttpFault(
      412,
      `the entity is not the one of If-Match any more${tag === undefined ? ": it is gone" : ""}`,
    );
  }
  const noneMatch = headers.get("if-none-match");
  if (noneMatch !== null && names(noneMatch, tag)) {
    throw new HttpFault(412, "there is an entity that If-None-Match names");
  }
}

export function isConditional({ headers }: Request): boolean {
  return headers.has("if-match") || headers.has("if-none-match");
}

/** Strong comparison: a weak tag names nothing. */
function names(list: string, tag: string | undefined): boolean {
  if (tag === undefined) return false;
  return list.trim() === "*" || list.split(",").some((each) => each.trim() === tag);
}
