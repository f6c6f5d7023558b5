/**
 * The topic exchange of the suite: bindings, a third of them exact, with `*` and with `#`, and routing keys that match one
 * to three of them, each of another queue.
 */

/** Queues that bindings of one kind lead to. */
export const QUEUES_PER_KIND = 33;
const KINDS = 3;

export interface Route {
  /** Index of the queue. */
  readonly queue: number;
  readonly pattern: string;
}

const wide = (number: number, digits: number): string => String(number).padStart(digits, "0");
const site = (group: number): string => `site${wide(group, 5)}`;

/** The keys of a group share its first two words; every other one ends in `s1`. */
function keyOf(group: number, index: number): string {
  return `${site(group)}.unit${wide(group, 5)}.n${wide(index, 4)}.s${index % 2}`;
}

/**
 * A group of keys has a `#` that matches all of them, a `*` that matches every other one, in the middle or at the front, and
 * an exact one. What is over of a third of the bindings is a group without keys.
 */
export function bindingsOf(count: number): Route[] {
  const routes: Route[] = [];
  for (let group = 0; routes.length < count; group += 1) {
    const column = group % QUEUES_PER_KIND;
    const row = Math.floor(group / QUEUES_PER_KIND) % QUEUES_PER_KIND;
    const star = group % 2 === 0 ? `${site(group)}.*.*.s1` : `*.unit${wide(group, 5)}.*.s1`;
    routes.push(
      { queue: column, pattern: `${site(group)}.#` },
      { queue: QUEUES_PER_KIND + row, pattern: star },
      { queue: 2 * QUEUES_PER_KIND + column, pattern: keyOf(group, 1) },
    );
  }
  return routes.slice(0, count);
}

export interface KeyPlan {
  readonly keys: readonly string[];
  /** How many queues all keys match together, each key once. */
  readonly matches: number;
}

/** Distinct keys, those of a group far from each other, so that neighbours go to other queues. */
export function keysOf(count: number, bindings: number): KeyPlan {
  const groups = Math.floor(bindings / KINDS);
  const keys: string[] = [];
  let matches = 0;
  for (let number = 0; number < count; number += 1) {
    const index = Math.floor(number / groups);
    keys.push(keyOf(number % groups, index));
    matches += 1 + (index % 2) + (index === 1 ? 1 : 0);
  }
  return { keys, matches };
}
