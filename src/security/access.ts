/** Users, roles and rules: requests checked, and changed over the metadata log. */
import { MillraceError } from "../errors/index.ts";
import {
  type AccessRecord,
  type AccessState,
  type Role,
  roleRecord,
  ruleRecord,
  type User,
  userRecord,
} from "./access-state.ts";
import { ADMINISTRATOR, checkId, MONITORING, type Rule } from "./rules.ts";
import type { Credential } from "./scram.ts";

/** What a change needs of the metadata log (src/broker), which this folder does not know. */
export interface AccessLog {
  catchUp(): void;
  /** Decides against the newest state; resolves when the records are synced and applied. */
  change(decide: () => readonly AccessRecord[]): Promise<void>;
}

export interface AccessLimits {
  readonly usersMax: number;
  readonly rolesMax: number;
  readonly permissionsMax: number;
}

/** What a request says of a user; what it leaves out stays as it is. */
export interface UserRequest {
  readonly name: string;
  readonly roles?: readonly string[] | undefined;
  readonly isEnabled?: boolean | undefined;
  readonly credentials?: readonly Credential[] | undefined;
}

/** A user as it is listed: how it may log in, and nothing of the passwords. */
export type UserSummary = Omit<User, "credentials"> & { readonly mechanisms: readonly string[] };

export const BUILT_IN_ROLES: readonly Role[] = [
  { name: ADMINISTRATOR, description: "May do everything.", createdMs: 0 },
  { name: MONITORING, description: "May describe and list everything, and read no message.", createdMs: 0 },
];

const ROLES_PER_USER_MAX = 100;
const DESCRIPTION_LENGTH_MAX = 1000;

export class Access {
  readonly state: AccessState;
  readonly #log: AccessLog;
  readonly #limits: AccessLimits;
  readonly #now: () => number;

  constructor(state: AccessState, options: { log: AccessLog; limits: AccessLimits; now: () => number }) {
    this.state = state;
    this.#log = options.log;
    this.#limits = options.limits;
    this.#now = options.now;
  }

  /** By name. */
  users(): UserSummary[] {
    this.#log.catchUp();
    return sorted(this.state.users.values(), ({ name }) => name).map(({ credentials, ...user }) => {
      return { ...user, mechanisms: credentials.map(({ mechanism }) => mechanism) };
    });
  }

  user(name: string): User | undefined {
    this.#log.catchUp();
    return this.state.users.get(name);
  }

  /**
   * Makes a user, or changes one.
   *
   * @returns whether it is new.
   * @throws invalid_argument, role_not_found, limit_exceeded.
   */
  async putUser(request: UserRequest): Promise<boolean> {
    const { name, roles, isEnabled, credentials } = request;
    checkId(name, "name");
    let isNew = false;
    await this.#log.change(() => {
      const existing = this.state.users.get(name);
      isNew = existing === undefined;
      if (isNew) checkRoom(this.state.users.size, "usersMax", this.#limits);
      const user: User = {
        name,
        roles: roles === undefined ? (existing?.roles ?? []) : this.#checkedRoles(roles),
        isEnabled: isEnabled ?? existing?.isEnabled ?? true,
        credentials: credentials ?? existing?.credentials ?? [],
        createdMs: existing?.createdMs ?? this.#now(),
      };
      return Bun.deepEquals(existing, user) ? [] : [userRecord(user)];
    });
    return isNew;
  }

  /** Takes a user away, and the rules about its name. @returns whether there was one. */
  async deleteUser(name: string): Promise<boolean> {
    let existed = false;
    await this.#log.change(() => {
      existed = this.state.users.has(name);
      if (!existed) return [];
      // A later user of the name must not come into the rights of this one.
      const rules = [...this.state.rules.values()].filter(({ principal }) => principal === name);
      return [{ key: `user ${name}`, value: null }, ...rules.map(ruleTombstone)];
    });
    return existed;
  }

  /** By name, the built-in ones first. */
  roles(): Role[] {
    this.#log.catchUp();
    return [...BUILT_IN_ROLES, ...sorted(this.state.roles.values(), ({ name }) => name)];
  }

  /** Makes a role, or describes it anew. @returns whether it is new. @throws invalid_argument, limit_exceeded. */
  async putRole(name: string, description: string): Promise<boolean> {
    checkId(name, "name");
    checkNotBuiltIn(name);
    if (description.length > DESCRIPTION_LENGTH_MAX) {
      throw invalid("description", `description must be at most ${DESCRIPTION_LENGTH_MAX} characters`);
    }
    let isNew = false;
    await this.#log.change(() => {
      const existing = this.state.roles.get(name);
      isNew = existing === undefined;
      if (isNew) checkRoom(this.state.roles.size, "rolesMax", this.#limits);
      if (existing?.description === description) return [];
      return [roleRecord({ name, description, createdMs: existing?.createdMs ?? this.#now() })];
    });
    return isNew;
  }

  /** Takes a role away, from its users too, and the rules about it. @returns whether there was one. */
  async deleteRole(name: string): Promise<boolean> {
    checkNotBuiltIn(name);
    let existed = false;
    await this.#log.change(() => {
      existed = this.state.roles.has(name);
      if (!existed) return [];
      const users = [...this.state.users.values()].filter(({ roles }) => roles.includes(name));
      const rules = [...this.state.rules.values()].filter(({ role }) => role === name);
      return [
        { key: `role ${name}`, value: null },
        ...users.map((user) => userRecord({ ...user, roles: user.roles.filter((role) => role !== name) })),
        ...rules.map(ruleTombstone),
      ];
    });
    return existed;
  }

  /** By id. */
  rules(): Rule[] {
    this.#log.catchUp();
    return sorted(this.state.rules.values(), ({ id }) => id);
  }

  /** Sets a rule, instead of one of its id. @returns whether it is new. @throws role_not_found, limit_exceeded. */
  async putRule(rule: Rule): Promise<boolean> {
    let isNew = false;
    await this.#log.change(() => {
      const existing = this.state.rules.get(rule.id);
      isNew = existing === undefined;
      if (isNew) checkRoom(this.state.rules.size, "permissionsMax", this.#limits);
      if (rule.role !== null) this.#checkedRoles([rule.role]);
      return Bun.deepEquals(existing, rule) ? [] : [ruleRecord(rule)];
    });
    return isNew;
  }

  /** @returns whether there was one. */
  async deleteRule(id: string): Promise<boolean> {
    let existed = false;
    await this.#log.change(() => {
      existed = this.state.rules.has(id);
      return existed ? [{ key: `permission ${id}`, value: null }] : [];
    });
    return existed;
  }

  #checkedRoles(roles: readonly string[]): string[] {
    if (roles.length > ROLES_PER_USER_MAX) {
      throw invalid("roles", `roles must be at most ${ROLES_PER_USER_MAX}`);
    }
    for (const role of roles) {
      if (isBuiltIn(role) || this.state.roles.has(role)) continue;
      throw new MillraceError("role_not_found", `there is no role "${role.slice(0, 249)}"`, { details: { role } });
    }
    return [...new Set(roles)].sort();
  }
}

function ruleTombstone({ id }: Rule): AccessRecord {
  return { key: `permission ${id}`, value: null };
}

function isBuiltIn(name: string): boolean {
  return BUILT_IN_ROLES.some((role) => role.name === name);
}

function checkNotBuiltIn(name: string): void {
  if (isBuiltIn(name)) throw invalid("name", `the role "${name}" is built in`);
}

function checkRoom(count: number, limit: keyof AccessLimits, limits: AccessLimits): void {
  const max = limits[limit];
  if (count < max) return;
  throw new MillraceError("limit_exceeded", `the broker has its ${max} ${limit.replace("Max", "")} (${limit})`, {
    details: { limit },
  });
}

function invalid(field: string, message: string): MillraceError {
  return new MillraceError("invalid_argument", message, { details: { field } });
}

function sorted<T>(things: Iterable<T>, nameOf: (thing: T) => string): T[] {
  return [...things].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}
