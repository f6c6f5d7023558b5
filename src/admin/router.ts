/** Which route a method and a path take. */

/** What a route has to say of itself. Words of the path that are `*` or `{named}` are variable. */
export interface Routed {
  readonly method: string;
  readonly path: string;
}

interface Node<R> {
  readonly words: Map<string, Node<R>>;
  readonly routes: Map<string, R>;
}

const VARIABLE = "*";

/** Routes by the words of their paths. */
export class Router<R extends Routed> {
  readonly #root: Node<R> = { words: new Map(), routes: new Map() };

  constructor(routes: readonly R[]) {
    for (const route of routes) {
      let node = this.#root;
      for (const word of wordsOf(route.path)) {
        const key = word.startsWith("{") ? VARIABLE : word;
        const next = node.words.get(key) ?? { words: new Map(), routes: new Map() };
        node.words.set(key, next);
        node = next;
      }
      node.routes.set(route.method, route);
    }
  }

  /**
   * @param words of the path, decoded.
   * @returns the route and what stands for its variable words; the methods that the path takes where this one is not of
   *   them; undefined where there is nothing.
   */
  find(
    method: string,
    words: readonly string[],
  ): { route: R; variables: string[] } | { methods: string[] } | undefined {
    let node = this.#root;
    const variables: string[] = [];
    for (const word of words) {
      const fixed = word === VARIABLE ? undefined : node.words.get(word);
      const next = fixed ?? node.words.get(VARIABLE);
      if (next === undefined) return undefined;
      if (fixed === undefined) variables.push(word);
      node = next;
    }
    const route = node.routes.get(method);
    if (route !== undefined) return { route, variables };
    return node.routes.size === 0 ? undefined : { methods: [...node.routes.keys()] };
  }
}

export function wordsOf(path: string): string[] {
  return path.split("/").filter((word) => word !== "");
}

/** The variable words of a route's path by their names. */
export function namedWords(path: string, variables: readonly string[]): Record<string, string> {
  const names = wordsOf(path).filter((word) => word.startsWith("{"));
  return Object.fromEntries(names.map((name, index) => [name.slice(1, -1), variables[index] ?? ""]));
}
