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
   *   them; undefined where there is nothing. A fixed word goes before a variable one, where both lead to the method.
   */
  find(
    method: string,
    words: readonly string[],
  ): { route: R; variables: string[] } | { methods: string[] } | undefined {
    const methods = new Set<string>();
    const found = this.#walk(this.#root, words, method, methods);
    if (found !== undefined) return found;
    return methods.size === 0 ? undefined : { methods: [...methods] };
  }

  #walk(
    node: Node<R>,
    [word, ...rest]: readonly string[],
    method: string,
    methods: Set<string>,
  ): { route: R; variables: string[] } | undefined {
    if (word === undefined) {
      for (const known of node.routes.keys()) methods.add(known);
      const route = node.routes.get(method);
      return route && { route, variables: [] };
    }
    const fixed = word === VARIABLE ? undefined : node.words.get(word);
    const direct = fixed && this.#walk(fixed, rest, method, methods);
    if (direct !== undefined) return direct;
    const variable = node.words.get(VARIABLE);
    const found = variable && this.#walk(variable, rest, method, methods);
    return found && { route: found.route, variables: [word, ...found.variables] };
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
