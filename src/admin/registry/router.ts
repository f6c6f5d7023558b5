/** Which route a request takes. */
import type { Schemas } from "../../broker/index.ts";
import type { Operation } from "../../security/index.ts";
import type { RegistryRequest } from "./request.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** A text that goes out as it is; everything else goes out as JSON. */
export class Plain {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export interface Route {
  readonly method: Method;
  /** Words of the path; `*` is a variable one. */
  readonly path: string;
  readonly permission: Operation;
  run(schemas: Schemas, request: RegistryRequest): unknown;
}

interface Node {
  readonly words: Map<string, Node>;
  readonly routes: Map<string, Route>;
}

/** Routes by the words of their paths. */
export class Router {
  readonly #root: Node = { words: new Map(), routes: new Map() };

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      let node = this.#root;
      for (const word of wordsOf(route.path)) {
        const next = node.words.get(word) ?? { words: new Map(), routes: new Map() };
        node.words.set(word, next);
        node = next;
      }
      node.routes.set(route.method, route);
    }
  }

  /**
   * @param words of the path, decoded.
   * @returns the route and what stands for its `*`; the methods that the path takes where this one is not of them;
   *   undefined where there is nothing.
   */
  find(
    method: string,
    words: readonly string[],
  ): { route: Route; variables: string[] } | { methods: string[] } | undefined {
    let node = this.#root;
    const variables: string[] = [];
    for (const word of words) {
      const fixed = word === "*" ? undefined : node.words.get(word);
      const next = fixed ?? node.words.get("*");
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
