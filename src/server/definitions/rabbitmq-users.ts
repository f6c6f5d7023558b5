/** Tags and permissions of RabbitMQ's users as roles and rules of ours. */
import type { Fields } from "./shape.ts";

const ROLES: Readonly<Record<string, string>> = { administrator: "administrator", monitoring: "monitoring" };
const RIGHTS = ["configure", "write", "read"] as const;
/** What a pattern over names may be, where it stands for all, for one, or for those with a beginning. */
const ALL = /^\^?\.\*\$?$/;
const NONE = /^(\^\$)?$/;
const ONE = /^\^([\w:/-]|\\\.)+\$$/;
const PREFIX = /^\^([\w:/-]|\\\.)+(\.\*\$?)?$/;

export function rolesOf(tags: unknown): { roles: string[]; unknown: string[] } {
  const list = (Array.isArray(tags) ? tags : String(tags ?? "").split(",")).map(String).filter((tag) => tag !== "");
  const isKnown = (tag: string): boolean => Object.hasOwn(ROLES, tag);
  return { roles: list.filter(isKnown).map((tag) => ROLES[tag] ?? ""), unknown: list.filter((tag) => !isKnown(tag)) };
}

/** Rules about queues and exchanges, which is what such a permission is about. */
export function permissionsOf(fields: Fields, namespace: unknown): { rules: Fields[]; notes: string[] } {
  const user = String(fields["user"]);
  const rules: Fields[] = [];
  const notes: string[] = [];
  for (const right of RIGHTS) {
    const pattern = String(fields[right] ?? "");
    if (NONE.test(pattern)) continue;
    const names = namesOf(pattern);
    if (names === undefined) {
      notes.push(
        `${right} of ${user} by the pattern ${JSON.stringify(pattern)} is not taken over: write a rule for it`,
      );
      continue;
    }
    for (const kind of ["queue", "exchange"]) {
      rules.push({
        id: `rabbitmq.${String(namespace)}.${user}.${right}.${kind}`,
        principal: user,
        effect: "allow",
        operations: [right],
        resource: { kind, namespace, ...names },
      });
    }
  }
  return { rules, notes };
}

function namesOf(pattern: string): { name: string; match: string } | undefined {
  if (ALL.test(pattern)) return { name: "", match: "prefix" };
  const name = pattern.replace(/^\^/, "").replace(/\$$/, "").replace(/\.\*$/, "").replaceAll("\\.", ".");
  if (ONE.test(pattern)) return { name, match: "literal" };
  return PREFIX.test(pattern) ? { name, match: "prefix" } : undefined;
}
