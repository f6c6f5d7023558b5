/** What routes of entities have in common: tags, conditions, and PUT that makes or finds the same. */
import { isMillraceError, MillraceError } from "../../errors/index.ts";
import { checkConditions, etagOf, isConditional } from "./etag.ts";
import { Answer, type Ask, type Fields } from "./route.ts";

/** @returns the definition of the entity as it is, or undefined where there is none. */
export type Lookup = (ask: Ask) => Promise<Fields | undefined>;

/** An entity with the tag of its definition. */
export function tagged(entity: Fields, definition: Fields): Answer {
  return new Answer(entity, { headers: { etag: tagOf(definition) } });
}

/** Where the broker numbers what changes, its own word counts. */
function tagOf(definition: Fields): string {
  const { revision } = definition;
  return typeof revision === "string" ? `"${revision}"` : etagOf(definition);
}

/** The one revision that If-Match names, for the operation to look at in the same step in which it changes something. */
export function wantedRevision({ request }: Ask): { revision?: string } {
  const [, revision] = /^\s*"([^",]+)"\s*$/.exec(request.headers.get("if-match") ?? "") ?? [];
  return revision === undefined ? {} : { revision };
}

/** Heeds If-Match and If-None-Match; to what is not there only PUT does anything. @throws 412. */
export async function heedConditions(ask: Ask, lookup: Lookup): Promise<void> {
  if (!isConditional(ask.request)) return;
  const definition = await lookup(ask);
  if (definition === undefined && ask.request.method !== "PUT") return;
  checkConditions(ask.request, definition === undefined ? undefined : tagOf(definition));
}

/** The answer to a PUT: 201 with the place of what is new, 200 for what was there. */
export function put(ask: Ask, isNew: boolean, definition: Fields): Answer {
  const headers: Record<string, string> = { etag: tagOf(definition) };
  if (isNew) headers["location"] = new URL(ask.request.url).pathname;
  return new Answer(definition, { status: isNew ? 201 : 200, headers });
}

/** What an operation gives of an entity, or undefined where it is not there. */
export async function ifThere<T>(run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (isMillraceError(error) && error.httpStatus === 404) return undefined;
    throw error;
  }
}

/**
 * PUT of something that is there makes nothing, so it has to be what was asked for.
 *
 * @throws argument_mismatch naming what differs.
 */
export function checkSame(what: string, wanted: Fields, there: Fields): void {
  const differing = Object.keys(wanted).filter((key) => etagOf(wanted[key] ?? null) !== etagOf(there[key] ?? null));
  if (differing.length === 0) return;
  throw new MillraceError(
    "argument_mismatch",
    `${what} is there with another ${differing.join(", ")}; PATCH changes it`,
  );
}
