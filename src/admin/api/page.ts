/** Lists in pages: what a route says of them, and the page of a list that its operation gives as a whole. */
import { MillraceError } from "../../errors/index.ts";
import { compilePattern, patternFault } from "../../stdx/index.ts";
import { type Ask, type Fields, listOf, object, type Shape, text } from "./route.ts";

export const PAGE_DEFAULT = 100;
export const PAGE_MAX = 1000;

/** The query of every list. */
export const pageQuery: Readonly<Record<string, Shape>> = {
  limit: { type: "integer", minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT },
  after: { type: "string", description: "`next` of the page before" },
};

/** The query of lists within a namespace, which can be narrowed by a pattern over names. */
export const namedPageQuery: Readonly<Record<string, Shape>> = {
  namespace: { type: "string", default: "default", pattern: "^[A-Za-z0-9._/:-]+$", maxLength: 249 },
  pattern: {
    type: "string",
    minLength: 1,
    maxLength: 249,
    description: "`*` is one word of the name, `#` any number; words are split at `.` and `/`",
  },
  ...pageQuery,
};

/** `next` is there when there is more. */
export function pageOf(items: Shape): Shape {
  return object({ items: listOf(items), next: text }, ["next"]);
}

export interface Page {
  readonly items: readonly unknown[];
  readonly next?: string;
}

export function page(items: readonly unknown[], next: unknown): Page {
  return next === null || next === undefined ? { items } : { items, next: String(next) };
}

/** `limit` and `after` for an operation that pages by itself. */
export function pageFields({ query }: Ask): Fields {
  return { ...query, namespace: undefined, limit: query["limit"] ?? PAGE_DEFAULT };
}

/** The page of a list in the order of its names. @throws invalid_argument (pattern). */
export function pageByName(rows: readonly Fields[], nameOf: (row: Fields) => string, { query }: Ask): Page {
  const { pattern, after } = query;
  const limit = Number(query["limit"] ?? PAGE_DEFAULT);
  const matches = typeof pattern === "string" ? matcher(pattern) : () => true;
  const found = rows
    .map((row) => ({ name: nameOf(row), row }))
    .filter(({ name }) => (typeof after !== "string" || name > after) && matches(name))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const shown = found.slice(0, limit);
  return page(
    shown.map(({ row }) => row),
    found.length > limit ? shown.at(-1)?.name : null,
  );
}

function matcher(pattern: string): (name: string) => boolean {
  const fault = patternFault(pattern);
  if (fault !== undefined) throw new MillraceError("invalid_argument", `pattern: ${fault}`);
  return compilePattern(pattern);
}
