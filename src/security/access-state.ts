/** The users, roles and permission rules that the metadata log describes: a pure machine that applies records in order. */
import type { Rule } from "./rules.ts";
import type { Credential } from "./scram.ts";

export interface User {
  readonly name: string;
  readonly roles: readonly string[];
  readonly isEnabled: boolean;
  /** How the user may log in by password: at most one for each mechanism; none for one who comes by certificate. */
  readonly credentials: readonly Credential[];
  readonly createdMs: number;
}

export interface Role {
  readonly name: string;
  readonly description: string;
  readonly createdMs: number;
}

/** A record of the metadata log, as it is written and read; null takes away what the key names. */
export interface AccessRecord {
  readonly key: string;
  readonly value: unknown;
}

const KEY = /^(user|role|permission) (\S+)$/;

export class AccessState {
  readonly #users = new Map<string, User>();
  readonly #roles = new Map<string, Role>();
  readonly #rules = new Map<string, Rule>();
  #version = 0;

  /** Rises with every change. */
  get version(): number {
    return this.#version;
  }

  get users(): ReadonlyMap<string, User> {
    return this.#users;
  }

  /** Without the built-in ones. */
  get roles(): ReadonlyMap<string, Role> {
    return this.#roles;
  }

  /** By id. */
  get rules(): ReadonlyMap<string, Rule> {
    return this.#rules;
  }

  /** Applies a record; false for one that is about something else. */
  apply({ key, value }: AccessRecord): boolean {
    const [, kind, name] = KEY.exec(key) ?? [];
    if (kind === undefined || name === undefined) return false;
    if (kind === "user") set(this.#users, name, value as User | null);
    else if (kind === "role") set(this.#roles, name, value as Role | null);
    else set(this.#rules, name, value as Rule | null);
    this.#version += 1;
    return true;
  }
}

/** What a record says without its type and the version of its form. */
function set<T extends object>(map: Map<string, T>, name: string, value: T | null): void {
  if (value === null) {
    map.delete(name);
    return;
  }
  const { type: _type, v: _v, ...thing } = value as T & { type?: unknown; v?: unknown };
  map.set(name, thing as unknown as T);
}

export function userRecord(user: User): AccessRecord {
  return { key: `user ${user.name}`, value: { type: "user", v: 1, ...user } };
}

export function roleRecord(role: Role): AccessRecord {
  return { key: `role ${role.name}`, value: { type: "role", v: 1, ...role } };
}

export function ruleRecord(rule: Rule): AccessRecord {
  return { key: `permission ${rule.id}`, value: { type: "permission", v: 1, ...rule } };
}
