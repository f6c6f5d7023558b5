/** Decides whether a principal may do something, by the rules as they are now. */
import { MillraceError } from "../errors/index.ts";
import type { AccessState } from "./access-state.ts";
import { type Act, audited } from "./acts.ts";
import type { Audit } from "./audit.ts";
import { Grants } from "./grants.ts";
import { isAct, type Need, needOf, type Operation } from "./operations.ts";
import type { Principal } from "./principal.ts";
import { decide, type Resource, type Subject, type Verdict } from "./rules.ts";

export interface AuthorizerOptions {
  readonly state: AccessState;
  /** Nobody has to prove who it is, and everybody may do everything. */
  readonly isOpen: boolean;
  readonly audit: Audit;
  /** Applies changes of users and rules that other workers have made. */
  readonly catchUp: () => void;
}

/** Subjects whose compiled rules are kept, least recently used first out. */
const SUBJECTS_MAX = 1024;

/** Whom rules are about; or who needs none: `everything`, `namespace` (all within the own one), `nothing`. */
type Standing = Subject | "everything" | "namespace" | "nothing";

export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #grants = new Map<string, Grants>();
  #version = -1;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /** @throws unauthorized; it stands in the audit log then. */
  authorize(principal: Principal, operation: Operation, resource: Resource): void {
    // A change that was answered holds for every request behind it, on whichever worker it comes in.
    if (principal.kind !== "anonymous") this.#options.catchUp();
    if (this.isAllowed(principal, operation, resource)) return;
    this.#options.audit.refused(principal, operation, resource);
    throw refusal(principal, operation, resource);
  }

  /** Runs what was allowed; of an administrative act the audit log hears what became of it. */
  audited(principal: Principal, act: Act, run: () => unknown): unknown {
    return isAct(act.operation) ? audited(this.#options.audit, principal, act, run) : run();
  }

  /** `authorize` as a question, which no audit log hears of. */
  isAllowed(principal: Principal, operation: Operation, resource: Resource): boolean {
    return this.allows(principal, needOf(operation), resource);
  }

  allows(principal: Principal, need: Need, resource: Resource): boolean {
    const standing = this.#standingOf(principal);
    if (standing === "everything") return true;
    if (standing === "nothing") return false;
    if (standing === "namespace") return resource.namespace === principal.namespace && resource.namespace !== "";
    return this.#grantsOf(standing).allows(need, resource);
  }

  /** Whether the principal is still there: its user was not taken away or disabled. */
  isKnown(principal: Principal): boolean {
    return this.#standingOf(principal) !== "nothing";
  }

  /**
   * The names of queues that a principal may publish to in a namespace, for the core, which compares them with the keys of
   * messages for the default exchange; undefined where it may publish to all of them.
   *
   * @returns texts of an effect, a match and a name: `+` or `-`, then `=` literal, `^` prefix or `~` pattern.
   */
  keysOf(principal: Principal, namespace: string): readonly string[] | undefined {
    if (principal.kind !== "anonymous") this.#options.catchUp();
    const standing = this.#standingOf(principal);
    if (standing === "everything") return undefined;
    if (standing === "nothing") return [];
    if (standing === "namespace") return namespace === principal.namespace ? undefined : [];
    return this.#grantsOf(standing).namesOf("queue", "write", namespace);
  }

  /** What would be decided for a user, and by which rule. */
  explain(name: string, operation: Need, resource: Resource): Verdict {
    const { users, rules } = this.#options.state;
    const user = users.get(name);
    if (user?.isEnabled === false) return { isAllowed: false, by: undefined };
    return decide(rules.values(), { name, roles: user?.roles ?? [] }, operation, resource);
  }

  #standingOf({ kind, name, roles }: Principal): Standing {
    if (kind === "anonymous") return this.#options.isOpen ? "everything" : "nothing";
    if (kind === "internal") return "namespace";
    const user = this.#options.state.users.get(name);
    if (user?.isEnabled === false) return "nothing";
    if (kind === "token") return { name, roles };
    if (user !== undefined) return user;
    return kind === "certificate" ? { name, roles: [] } : "nothing";
  }

  #grantsOf(subject: Subject): Grants {
    const { state } = this.#options;
    if (this.#version !== state.version) {
      this.#grants.clear();
      this.#version = state.version;
    }
    const key = [subject.name, ...subject.roles].join("\n");
    const known = this.#grants.get(key);
    const grants = known ?? new Grants(state.rules.values(), subject);
    this.#grants.delete(key);
    this.#grants.set(key, grants);
    if (this.#grants.size > SUBJECTS_MAX) this.#grants.delete(this.#grants.keys().next().value ?? "");
    return grants;
  }
}

function refusal(principal: Principal, operation: Operation, { kind, namespace, name }: Resource): MillraceError {
  const thing = name === "" ? kind : `${kind} "${name.slice(0, 249)}"`;
  const need = needOf(operation);
  const right = need === "enter" || need === "describe" ? "any right" : `the right to ${need}`;
  return new MillraceError("unauthorized", `"${principal.name}" lacks ${right} on the ${thing} (${operation})`, {
    details: { operation, kind, namespace, name: name.slice(0, 249) },
  });
}
