/** Which state of a definition somebody means: it changes with every change, and is another when a name is used again. */
import { MillraceError } from "../errors/index.ts";

/** @param definition as the metadata log has it. */
export function revisionOf(definition: object): string {
  return Bun.hash(JSON.stringify(definition)).toString(36);
}

/** @param wanted absent where any will do. @throws revision_conflict. */
export function checkRevision(wanted: string | undefined, definition: object, what: string): void {
  if (wanted === undefined || wanted === revisionOf(definition)) return;
  throw new MillraceError("revision_conflict", `${what} has been changed since`);
}
