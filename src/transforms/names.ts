import type { Source } from "../schema/transform/definition.ts";

/** Names of what a transform has in the broker. */

/** The group that reads a topic for it. */
export function groupOf(name: string): string {
  return `transform.${name}`;
}

/** The queue that it reads: its source, or the one of its own that is bound to an exchange. */
export function queueOf(name: string, from: Source): string {
  return "queue" in from ? String(from.queue) : `transform.${name}`;
}
