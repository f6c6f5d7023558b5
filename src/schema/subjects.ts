/**
 * Names of subjects. They are global: the subject `name` of a namespace other than `default` is `:.namespace:name`, which
 * Confluent calls a name in a context.
 */
import { CODE, fault, shown } from "./faults.ts";
import type { SubjectStrategy } from "./types.ts";

export const DEFAULT_NAMESPACE = "default";
export const SUBJECT_BYTES_MAX = 1024;
/** Where the settings of all subjects are kept. */
export const GLOBAL = "";

const QUALIFIED = /^:\.([^:]*):([^]*)$/;
const CONTROL = /\p{Cc}/u;
const RESERVED = ["__GLOBAL", "__EMPTY"];

/** The global name of a namespace's subject. */
export function qualify(namespace: string, subject: string): string {
  return namespace === DEFAULT_NAMESPACE ? subject : `:.${namespace}:${subject}`;
}

/** `default` or the namespace that a global name begins with, and the rest of it. */
export function splitSubject(subject: string): { readonly namespace: string; readonly name: string } {
  const [, context, name = ""] = QUALIFIED.exec(subject) ?? [];
  if (context === undefined) return { namespace: DEFAULT_NAMESPACE, name: subject };
  return { namespace: context === "" ? DEFAULT_NAMESPACE : context, name };
}

/** The one way in which a subject's global name is written: `:.:name` is `name`. */
export function normalizeSubject(subject: string): string {
  const { namespace, name } = splitSubject(subject);
  return qualify(namespace, name);
}

/** Where the settings of a namespace are kept; those of `default` are those of all. */
export function namespaceScope(namespace: string): string {
  return namespace === DEFAULT_NAMESPACE ? GLOBAL : `:.${namespace}:`;
}

/** Where a subject's settings are looked for, the narrowest first. */
export function scopesOf(subject: string): readonly string[] {
  const { namespace } = splitSubject(subject);
  return [...new Set([subject, namespaceScope(namespace), GLOBAL])];
}

/** @throws invalid_argument when a subject cannot have this name. */
export function checkSubject(subject: string): void {
  const { name } = splitSubject(subject);
  const why = subjectFault(subject, name);
  if (why === undefined) return;
  throw fault(
    "invalid_argument",
    CODE.invalidSubject,
    `The specified subject '${shown(subject)}' is not a valid: ${why}`,
  );
}

function subjectFault(subject: string, name: string): string | undefined {
  if (name === "") return "a subject has a name";
  if (!subject.isWellFormed()) return "it is not Unicode";
  if (Buffer.byteLength(subject) > SUBJECT_BYTES_MAX) return `it has more than ${SUBJECT_BYTES_MAX} bytes`;
  if (CONTROL.test(subject)) return "it holds control characters";
  if (RESERVED.includes(name)) return "the registry uses this name itself";
  return undefined;
}

/**
 * The subject that values of a topic or queue belong to.
 *
 * @param fullName of the record; what has none belongs to no subject where the strategy asks for one.
 */
export function subjectFor(
  strategy: SubjectStrategy,
  { namespace, name, fullName }: { namespace: string; name: string; fullName: string | null },
): string | undefined {
  if (strategy === "topic") return qualify(namespace, `${name}-value`);
  if (fullName === null) return undefined;
  return qualify(namespace, strategy === "record" ? fullName : `${name}-${fullName}`);
}
