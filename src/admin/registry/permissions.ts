/** What a request of the registry touches, and whether its sender may do that. */
import { qualify, splitSubject } from "../../schema/index.ts";
import type { Authorizer, Principal, Resource } from "../../security/index.ts";
import { type Fields, scopeNamed, subjectNamed } from "./request.ts";
import type { Route } from "./route.ts";

export interface Asked {
  readonly route: Route;
  /** The variable words of the path. */
  readonly words: readonly string[];
  readonly namespace: string;
}

/** The decisions about one request. */
export class Permissions {
  readonly #authorizer: Authorizer;
  readonly #principal: Principal;

  constructor(authorizer: Authorizer, principal: Principal) {
    this.#authorizer = authorizer;
    this.#principal = principal;
  }

  /** @returns what the request is about. @throws unauthorized. */
  need({ route, words, namespace }: Asked): Resource {
    const { permission, touches } = route;
    if (touches === undefined) return this.#ask(permission, inNamespace(namespace));
    const [word] = words;
    if (touches === "subject") return this.#ask(permission, subjectResource(subjectNamed(word ?? "", namespace)));
    const scope = scopeOf(word, namespace);
    const { namespace: own, name } = splitSubject(scope);
    // What holds for a whole namespace is no secret in it.
    if (permission === "schema.read" && name === "") return this.#ask("schema.list", inNamespace(own));
    return this.#ask(permission, subjectResource(scope));
  }

  /** What a schema refers to becomes part of it. @throws unauthorized. */
  needReferences({ references }: Fields, namespace: string): void {
    if (!Array.isArray(references)) return;
    for (const reference of references as unknown[]) {
      const { subject } = (reference ?? {}) as { subject?: unknown };
      if (typeof subject === "string") this.#ask("schema.read", subjectResource(qualified(subject, namespace)));
    }
  }

  /** @param subject by its global name. */
  mayRead(subject: string): boolean {
    return this.#authorizer.isAllowed(this.#principal, "schema.read", subjectResource(subject));
  }

  #ask(permission: Route["permission"], resource: Resource): Resource {
    this.#authorizer.authorize(this.#principal, permission, resource);
    return resource;
  }
}

function scopeOf(word: string | undefined, namespace: string): string {
  return word === undefined ? scopeNamed(`:.${namespace}:`, namespace) : scopeNamed(word, namespace);
}

function qualified(subject: string, namespace: string): string {
  return subject.startsWith(":.") ? subject : qualify(namespace, subject);
}

function inNamespace(namespace: string): Resource {
  return { kind: "namespace", namespace, name: "" };
}

/** The settings of all subjects are of no namespace. */
function subjectResource(subject: string): Resource {
  if (subject === "") return { kind: "subject", namespace: "", name: "" };
  return { kind: "subject", ...splitSubject(subject) };
}
