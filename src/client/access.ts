import { Op } from "../protocol/index.ts";
import { hashPassword, SCRAM_MECHANISMS } from "../stdx/scram.ts";
import type { Client } from "./client.ts";

/** Users, roles and permission rules of the broker. */

export interface UserRequest {
  name: string;
  /** A new password. It is hashed here: the broker never sees it, and cannot tell it to anybody. */
  password?: string;
  /** All roles that the user has from now on. Errors: role_not_found. */
  roles?: string[];
  /** False: it may not log in, and what it has open ends. */
  isEnabled?: boolean;
}

export interface User {
  name: string;
  roles: string[];
  isEnabled: boolean;
  /** How it can log in by password. */
  mechanisms: string[];
  createdMs: number;
}

export interface Role {
  name: string;
  description: string;
  /** `administrator` may do everything, `monitoring` may describe and list everything. */
  isBuiltIn: boolean;
  createdMs: number;
}

export type PermissionOperation = "configure" | "write" | "read" | "admin";
export type PermissionKind =
  "broker" | "namespace" | "topic" | "queue" | "exchange" | "group" | "subject" | "transform" | "*";

export interface PermissionResource {
  kind: PermissionKind;
  /** A name or a pattern; `#` is all. Default "default". */
  namespace?: string;
  /** Default "", which with `prefix` is all names. */
  name?: string;
  /** Default "literal". */
  match?: "literal" | "prefix" | "pattern";
}

/** For one principal or one role. Denying wins; what nothing allows is refused. */
export interface PermissionRequest {
  /** Default: a new one. A rule of this id is replaced. */
  id?: string;
  /** The name of a user, of a certificate or in a token; `*` is everybody. */
  principal?: string;
  role?: string;
  /** Default "allow". */
  effect?: "allow" | "deny";
  operations: PermissionOperation[];
  resource: PermissionResource;
}

export interface Permission {
  id: string;
  /** Null for a rule about a role, and the other way round. */
  principal: string | null;
  role: string | null;
  effect: "allow" | "deny";
  operations: PermissionOperation[];
  resource: Required<PermissionResource>;
}

export interface PermissionQuestion {
  principal: string;
  /** A right, or an operation such as `topic.publish`. */
  operation: string;
  resource: { kind: Exclude<PermissionKind, "*">; namespace?: string; name?: string };
}

export interface PermissionVerdict {
  allowed: boolean;
  /** Id of the rule that decided, or the built-in role; null where nothing allows. */
  rule: string | null;
}

export class Users {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** Makes a user, or changes what is given of one. Returns whether it is new. */
  async put({ password, ...user }: UserRequest, signal?: AbortSignal): Promise<boolean> {
    const hashed = password === undefined ? {} : { credentials: await credentialsOf(password) };
    const answer = await this.client.ask(Op.USER_PUT, [{ ...user, ...hashed }], signal);
    return (answer as { created: boolean }).created;
  }

  /** Takes a user away, and the rules about it; what it has open ends. Returns whether there was one. */
  async delete(name: string, signal?: AbortSignal): Promise<boolean> {
    return ((await this.client.ask(Op.USER_DELETE, [{ name }], signal)) as { deleted: boolean }).deleted;
  }

  async list(signal?: AbortSignal): Promise<User[]> {
    return ((await this.client.ask(Op.USER_LIST, [{}], signal)) as { users: User[] }).users;
  }
}

function credentialsOf(password: string): Promise<object[]> {
  return Promise.all(SCRAM_MECHANISMS.map((mechanism) => hashPassword(mechanism, password)));
}

export class Roles {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** Makes a role, or describes it anew. Returns whether it is new. */
  async put(name: string, description: string = "", signal?: AbortSignal): Promise<boolean> {
    const answer = await this.client.ask(Op.ROLE_PUT, [{ name, description }], signal);
    return (answer as { created: boolean }).created;
  }

  /** Takes a role away, from its users too, and the rules about it. Returns whether there was one. */
  async delete(name: string, signal?: AbortSignal): Promise<boolean> {
    return ((await this.client.ask(Op.ROLE_DELETE, [{ name }], signal)) as { deleted: boolean }).deleted;
  }

  async list(signal?: AbortSignal): Promise<Role[]> {
    return ((await this.client.ask(Op.ROLE_LIST, [{}], signal)) as { roles: Role[] }).roles;
  }
}

export class Permissions {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** Sets a rule; it holds for what is open, too. Returns its id. Errors: invalid_argument, role_not_found. */
  async put(rule: PermissionRequest, signal?: AbortSignal): Promise<string> {
    return ((await this.client.ask(Op.PERMISSION_PUT, [rule], signal)) as { id: string }).id;
  }

  /** Returns whether there was one. */
  async delete(id: string, signal?: AbortSignal): Promise<boolean> {
    return ((await this.client.ask(Op.PERMISSION_DELETE, [{ id }], signal)) as { deleted: boolean }).deleted;
  }

  async list(of: { principal?: string; role?: string } = {}, signal?: AbortSignal): Promise<Permission[]> {
    const answer = await this.client.ask(Op.PERMISSION_LIST, [of], signal);
    return (answer as { permissions: Permission[] }).permissions;
  }

  /** What would be decided, and by which rule. Everybody may ask about itself. */
  async test(question: PermissionQuestion, signal?: AbortSignal): Promise<PermissionVerdict> {
    return (await this.client.ask(Op.PERMISSION_TEST, [question], signal)) as PermissionVerdict;
  }
}
