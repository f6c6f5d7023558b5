/**
 * Permission rules, and what they mean: `decide` reads all rules one by one. It is the meaning that the compiled decisions
 * of grants.ts are held against, and what explains a decision.
 */
import { MillraceError } from "../errors/index.ts";
import { compilePattern, patternFault } from "../stdx/index.ts";
import { type Need, type Right, RIGHTS } from "./operations.ts";

export const RESOURCE_KINDS = [
  "broker",
  "namespace",
  "topic",
  "queue",
  "exchange",
  "group",
  "subject",
  "transform",
] as const;
export type ResourceKind = (typeof RESOURCE_KINDS)[number];

/** What an operation touches. */
export interface Resource {
  readonly kind: ResourceKind;
  /** Empty for the broker. */
  readonly namespace: string;
  /** Empty for the broker and for a namespace as a whole; of exchanges, it is the default one. */
  readonly name: string;
}

export const MATCHES = ["literal", "prefix", "pattern"] as const;
export type Match = (typeof MATCHES)[number];

/** Which things a rule is about. */
export interface ResourceRule {
  readonly kind: ResourceKind | "*";
  /** A pattern; `#` is all of them, and with them the broker. */
  readonly namespace: string;
  readonly name: string;
  readonly match: Match;
}

export interface Rule {
  readonly id: string;
  /** Whom it is about: a principal's name, `*` for everybody; or a role. The other is null. */
  readonly principal: string | null;
  readonly role: string | null;
  readonly effect: "allow" | "deny";
  readonly operations: readonly Right[];
  readonly resource: ResourceRule;
}

/** All rights, and above all rules, so that no rule can lock everybody out. */
export const ADMINISTRATOR = "administrator";
/** May describe and list everything, and read no message. */
export const MONITORING = "monitoring";

/**
 * Queues for answers begin with this: who makes one takes it for its connection alone, and who knows its name, which is
 * random, may answer there.
 */
export const INBOX_PREFIX = "_inbox.";

/** Whom a decision is about. */
export interface Subject {
  readonly name: string;
  readonly roles: readonly string[];
}

export interface Verdict {
  readonly isAllowed: boolean;
  /** What decided: a rule, a built-in role; nothing where nothing allows. */
  readonly by: Rule | typeof ADMINISTRATOR | typeof MONITORING | undefined;
}

const EVERYBODY = "*";
const ALL_NAMESPACES = "#";
const TEXT_BYTES_MAX = 249;
/** Control characters, which would forge lines of a log or a terminal. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const ID = /^[A-Za-z0-9._@/:+-]{1,249}$/;

export function decide(rules: Iterable<Rule>, subject: Subject, need: Need, resource: Resource): Verdict {
  if (subject.roles.includes(ADMINISTRATOR)) return { isAllowed: true, by: ADMINISTRATOR };
  const own = [...rules].filter((rule) => isAbout(rule, subject));
  if (need === "enter") return decideEnter(own, subject, resource);
  if (need !== "describe") return decideRight(own, need, resource);
  const verdicts = RIGHTS.map((right) => decideRight(own, right, resource));
  const allowed = verdicts.find(({ isAllowed }) => isAllowed);
  if (allowed !== undefined) return allowed;
  const read = decideRight(own, "read", resource);
  if (subject.roles.includes(MONITORING) && read.by === undefined) return { isAllowed: true, by: MONITORING };
  return read;
}

/** Denying wins; where nothing matches, nothing is allowed. */
function decideRight(own: readonly Rule[], right: Right, resource: Resource): Verdict {
  const matching = own.filter((rule) => rule.operations.includes(right) && matches(rule.resource, resource));
  const by = matching.find(({ effect }) => effect === "deny") ?? matching[0];
  return { isAllowed: by?.effect === "allow", by };
}

function decideEnter(own: readonly Rule[], subject: Subject, { namespace }: Resource): Verdict {
  const by = own.find(({ effect, resource }) => effect === "allow" && isInNamespace(resource, namespace));
  if (by !== undefined) return { isAllowed: true, by };
  if (subject.roles.includes(MONITORING)) return { isAllowed: true, by: MONITORING };
  return { isAllowed: false, by: undefined };
}

export function isAbout({ principal, role }: Rule, subject: Subject): boolean {
  if (role !== null) return subject.roles.includes(role);
  return principal === EVERYBODY || principal === subject.name;
}

export function isInNamespace({ namespace }: ResourceRule, wanted: string): boolean {
  return wanted === "" ? namespace === ALL_NAMESPACES : compilePattern(namespace)(wanted);
}

function matches(rule: ResourceRule, { kind, namespace, name }: Resource): boolean {
  if (rule.kind !== kind && rule.kind !== "*") return false;
  return isInNamespace(rule, namespace) && nameMatcher(rule)(name);
}

export function nameMatcher({ name, match }: ResourceRule): (name: string) => boolean {
  if (match === "literal") return (wanted) => wanted === name;
  if (match === "prefix") return (wanted) => wanted.startsWith(name);
  const matchesPattern = compilePattern(name);
  // No name is no word: only `#` stands for it.
  return (wanted) => (wanted === "" ? name === "#" : matchesPattern(wanted));
}

/** Checks a rule as a request or a file brings it. @throws invalid_argument. */
export function parseRule(value: Readonly<Record<string, unknown>>, id: string): Rule {
  checkId(id, "id");
  const principal = textOrNull(value, "principal");
  const role = textOrNull(value, "role");
  if ((principal === null) === (role === null)) throw fault("rule", 'for a "principal" or a "role", one of the two');
  if (principal !== null) checkPrincipal(principal);
  if (role !== null) checkRuledRole(role);
  const effect = oneOf(value["effect"] ?? "allow", ["allow", "deny"], "effect");
  return { id, principal, role, effect, operations: rightsOf(value["operations"]), resource: resourceOf(value) };
}

function rightsOf(value: unknown): Right[] {
  const given: unknown[] = Array.isArray(value) ? value : [];
  const rights = RIGHTS.filter((right) => given.includes(right));
  if (rights.length > 0 && rights.length === given.length) return rights;
  throw fault("operations", `a list of some of ${RIGHTS.join(", ")}, each once`);
}

function resourceOf(value: Readonly<Record<string, unknown>>): ResourceRule {
  const given = value["resource"];
  if (typeof given !== "object" || given === null) throw fault("resource", "a map of kind, namespace, name and match");
  const fields = given as Readonly<Record<string, unknown>>;
  const kind = oneOf(fields["kind"], [...RESOURCE_KINDS, "*"], "resource.kind");
  // These have no names, and the broker is in no namespace.
  if (kind === "broker") return { kind, namespace: ALL_NAMESPACES, name: "", match: "prefix" };
  const namespace = patternOf(fields["namespace"] ?? "default", "resource.namespace");
  if (kind === "namespace") return { kind, namespace, name: "", match: "prefix" };
  const match = oneOf(fields["match"] ?? "literal", MATCHES, "resource.match");
  const name = match === "pattern" ? patternOf(fields["name"], "resource.name") : fields["name"];
  if (typeof name !== "string" || Buffer.byteLength(name) > TEXT_BYTES_MAX || UNPRINTABLE.test(name)) {
    throw fault("resource.name", `text of at most ${TEXT_BYTES_MAX} bytes`);
  }
  return { kind, namespace, name, match };
}

function patternOf(value: unknown, field: string): string {
  const why = typeof value === "string" ? patternFault(value) : "it is no text";
  if (why === undefined) return value as string;
  throw fault(field, `a name or a pattern such as "orders.*" or "#": ${why}`);
}

function textOrNull(value: Readonly<Record<string, unknown>>, field: string): string | null {
  const text = value[field] ?? null;
  if (text === null || typeof text === "string") return text;
  throw fault(field, "text");
}

function oneOf<const T extends string>(value: unknown, choices: readonly T[], field: string): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw fault(field, `one of ${choices.join(", ")}`);
  return found;
}

/** Names of certificates and tokens are what their issuer made them, so only what would forge lines is refused. */
export function checkPrincipal(name: string): void {
  const isFit = name !== "" && Buffer.byteLength(name) <= TEXT_BYTES_MAX && !UNPRINTABLE.test(name);
  if (!isFit) throw fault("principal", `printable text of 1 to ${TEXT_BYTES_MAX} bytes`);
}

function checkRuledRole(role: string): void {
  checkId(role, "role");
  if (role === ADMINISTRATOR) throw fault("role", `another than ${ADMINISTRATOR}, which is above the rules`);
}

/** Names of users and roles, ids of rules. @throws invalid_argument. */
export function checkId(text: string, field: string): void {
  if (!ID.test(text)) throw fault(field, "1 to 249 of the characters A-Z a-z 0-9 . _ @ / : + -");
}

function fault(field: string, rule: string): MillraceError {
  return new MillraceError("invalid_argument", `${field} must be ${rule}`, { details: { field } });
}
