/**
 * Patterns of names: words split at "." and "/", `*` stands for exactly one word, `#` for any number of words (also none).
 *
 * A set of patterns is a trie that is walked as a nondeterministic automaton: one set of states for each word of the name.
 * Cost is bounded by (words of the name) × (nodes of the trie), whatever the pattern, so a hostile `#.#.#.#` costs no more
 * than any other. (AMQP 0-9-1 §3.1.3.3 gives the meaning of the two wildcards.)
 */

const SEPARATORS = /[./]/;
/** Far above any real name; it bounds the trie a single client can build. */
const WORDS_MAX = 64;

/** Words of a name or pattern. */
export function splitWords(name: string): string[] {
  return name.split(SEPARATORS);
}

/** Why `pattern` cannot be used, or undefined when it can. */
export function patternFault(pattern: string): string | undefined {
  if (pattern.length === 0 || pattern.length > 249) return "a pattern has 1 to 249 bytes";
  if (!/^[A-Za-z0-9._/:*#-]+$/.test(pattern)) return "a pattern holds only [A-Za-z0-9._/:-], * and #";
  const words = splitWords(pattern);
  if (words.length > WORDS_MAX) return `a pattern has at most ${WORDS_MAX} words`;
  for (const word of words) {
    if (word.length === 0) return "a pattern has no empty words";
    if (word.length > 1 && /[*#]/.test(word)) return `* and # stand for whole words, not for a part of "${word}"`;
  }
  return undefined;
}

class TrieNode<T> {
  readonly children = new Map<string, TrieNode<T>>();
  readonly values = new Set<T>();
  /** A `#` node stays active whatever word comes. */
  readonly loops: boolean;

  constructor(loops: boolean) {
    this.loops = loops;
  }

  get unused(): boolean {
    return this.values.size === 0 && this.children.size === 0;
  }
}

/** A set of (pattern, value) pairs, asked for the values whose pattern matches a name. */
export class PatternSet<T> {
  readonly #root = new TrieNode<T>(false);

  add(pattern: string, value: T): void {
    let node = this.#root;
    for (const word of splitWords(pattern)) {
      let child = node.children.get(word);
      if (child === undefined) {
        child = new TrieNode<T>(word === "#");
        node.children.set(word, child);
      }
      node = child;
    }
    node.values.add(value);
  }

  /** True when the pair was there. Nodes that no pattern uses any more are dropped. */
  delete(pattern: string, value: T): boolean {
    const words = splitWords(pattern);
    const path: TrieNode<T>[] = [this.#root];
    for (const word of words) {
      const child = path[path.length - 1]?.children.get(word);
      if (child === undefined) return false;
      path.push(child);
    }
    const found = path[path.length - 1]?.values.delete(value) ?? false;
    for (let depth = words.length; depth > 0; depth -= 1) {
      const node = path[depth];
      const word = words[depth - 1];
      if (node === undefined || word === undefined || !node.unused) break;
      path[depth - 1]?.children.delete(word);
    }
    return found;
  }

  /** Values of all patterns that match `name`. */
  match(name: string): Set<T> {
    let states = new Set<TrieNode<T>>();
    enter(states, this.#root);
    for (const word of splitWords(name)) {
      const next = new Set<TrieNode<T>>();
      for (const state of states) {
        if (state.loops) enter(next, state);
        const exact = state.children.get(word);
        // A name never holds a wildcard, but a caller may hand in any string.
        if (exact !== undefined && word !== "*" && word !== "#") enter(next, exact);
        const any = state.children.get("*");
        if (any !== undefined) enter(next, any);
      }
      states = next;
    }
    const matched = new Set<T>();
    for (const state of states) {
      for (const value of state.values) matched.add(value);
    }
    return matched;
  }
}

/** Adds a state and the `#` below it, which matches no words at all as well. */
function enter<T>(states: Set<TrieNode<T>>, node: TrieNode<T>): void {
  if (states.has(node)) return;
  states.add(node);
  const rest = node.children.get("#");
  if (rest !== undefined) enter(states, rest);
}

/** A matcher of one pattern. */
export function compilePattern(pattern: string): (name: string) => boolean {
  const set = new PatternSet<true>();
  set.add(pattern, true);
  return (name) => set.match(name).size > 0;
}
