/**
 * The rules about one subject, compiled: rules that name one thing are looked up, the others are asked one by one, and
 * what was decided is remembered. It decides what `decide` of rules.ts does.
 */
import { compilePattern } from "../stdx/index.ts";
import { type Need, type Right, RIGHTS } from "./operations.ts";
import {
  ADMINISTRATOR,
  isAbout,
  isInNamespace,
  INBOX_PREFIX,
  MONITORING,
  nameMatcher,
  type Resource,
  type Rule,
  type Subject,
} from "./rules.ts";

/** Decisions that are remembered for a subject; past them all are forgotten. */
const REMEMBERED_MAX = 4096;
const MATCH_SIGNS = { literal: "=", prefix: "^", pattern: "~" } as const;
const NAME_LENGTH_MAX = 249;
const WILDCARD = /[*#]/;

type Test = (resource: Resource) => boolean;

/** The things that rules of one effect name for one right. */
class Matcher {
  readonly #named = new Set<string>();
  readonly #tests: Test[] = [];

  add({ resource }: Rule): void {
    const { kind, namespace, name, match } = resource;
    if (match === "literal" && !WILDCARD.test(namespace)) {
      this.#named.add(keyOf("", kind, namespace, name));
      return;
    }
    const isNamed = nameMatcher(resource);
    const matchesNamespace = compilePattern(namespace);
    this.#tests.push((wanted) => {
      if (kind !== "*" && kind !== wanted.kind) return false;
      return isNamed(wanted.name) && (wanted.namespace === "" ? namespace === "#" : matchesNamespace(wanted.namespace));
    });
  }

  has(resource: Resource): boolean {
    const { kind, namespace, name } = resource;
    if (this.#named.has(keyOf("", kind, namespace, name)) || this.#named.has(keyOf("", "*", namespace, name)))
      return true;
    return this.#tests.some((test) => test(resource));
  }
}

export class Grants {
  readonly #allowed = new Map<Right, Matcher>(RIGHTS.map((right) => [right, new Matcher()]));
  readonly #denied = new Map<Right, Matcher>(RIGHTS.map((right) => [right, new Matcher()]));
  readonly #rules: readonly Rule[];
  readonly #isAdministrator: boolean;
  readonly #isMonitoring: boolean;
  readonly #remembered = new Map<string, boolean>();

  constructor(rules: Iterable<Rule>, subject: Subject) {
    this.#isAdministrator = subject.roles.includes(ADMINISTRATOR);
    this.#isMonitoring = subject.roles.includes(MONITORING);
    this.#rules = [...rules].filter((rule) => isAbout(rule, subject));
    for (const rule of this.#rules) {
      const matchers = rule.effect === "allow" ? this.#allowed : this.#denied;
      for (const right of rule.operations) matchers.get(right)?.add(rule);
    }
  }

  allows(need: Need, resource: Resource): boolean {
    if (this.#isAdministrator) return true;
    // A peer may ask about a name that none can be, as long as it likes.
    if (resource.name.length > NAME_LENGTH_MAX) return this.#decide(need, resource);
    const key = keyOf(need, resource.kind, resource.namespace, resource.name);
    const known = this.#remembered.get(key);
    if (known !== undefined) return known;
    const isAllowed = this.#decide(need, resource);
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(key, isAllowed);
    return isAllowed;
  }

  /** As `Authorizer.keysOf` says. Names of inboxes are always among them. */
  namesOf(kind: Resource["kind"], right: Right, namespace: string): readonly string[] | undefined {
    if (this.#isAdministrator) return undefined;
    const own = this.#rules.filter(({ operations, resource }) => {
      const isOfKind = resource.kind === kind || resource.kind === "*";
      return isOfKind && operations.includes(right) && isInNamespace(resource, namespace);
    });
    const isAll = ({ effect, resource: { name, match } }: Rule): boolean =>
      effect === "allow" && ((match === "prefix" && name === "") || (match === "pattern" && name === "#"));
    if (own.some(isAll) && own.every(({ effect }) => effect === "allow")) return undefined;
    return [`+^${INBOX_PREFIX}`, ...own.map(keyRule)];
  }

  #decide(need: Need, resource: Resource): boolean {
    if (need === "enter") {
      const isWay = ({ effect, resource: way }: Rule): boolean =>
        effect === "allow" && isInNamespace(way, resource.namespace);
      return this.#isMonitoring || this.#rules.some(isWay);
    }
    if (need !== "describe") return this.#has(need, resource);
    if (RIGHTS.some((right) => this.#has(right, resource))) return true;
    return this.#isMonitoring && this.#denied.get("read")?.has(resource) !== true;
  }

  #has(right: Right, resource: Resource): boolean {
    return this.#allowed.get(right)?.has(resource) === true && this.#denied.get(right)?.has(resource) !== true;
  }
}

function keyRule({ effect, resource: { name, match } }: Rule): string {
  const sign = effect === "allow" ? "+" : "-";
  return `${sign}${MATCH_SIGNS[match]}${name}`;
}

/** The length keeps namespace and name apart, whatever a peer puts into them. */
function keyOf(what: string, kind: string, namespace: string, name: string): string {
  return `${what} ${kind} ${namespace.length} ${namespace}${name}`;
}
