/**
 * Users, roles and permission rules. They are the broker's, not a namespace's.
 *
 *     130 USER_PUT          [130, corr, {name, password?: str, credentials?: [credential], roles?: [str], isEnabled?: bool}] -> {created: bool}
 *     131 USER_DELETE       [131, corr, {name}] -> {deleted: bool}; the rules about it go too
 *     132 USER_LIST         [132, corr, {}] -> {users: [{name, roles, isEnabled, mechanisms: [str], createdMs}]}
 *     133 ROLE_PUT          [133, corr, {name, description?: str}] -> {created: bool}
 *     134 ROLE_DELETE       [134, corr, {name}] -> {deleted: bool}; from its users too, and with the rules about it
 *     135 ROLE_LIST         [135, corr, {}] -> {roles: [{name, description, isBuiltIn: bool, createdMs}]}
 *     136 PERMISSION_PUT    [136, corr, rule] -> {id, created: bool}
 *     137 PERMISSION_DELETE [137, corr, {id}] -> {deleted: bool}
 *     138 PERMISSION_LIST   [138, corr, {principal?, role?}] -> {permissions: [rule]}; the one of principal and role that it is not about is nil
 *     139 PERMISSION_TEST   [139, corr, {principal, operation, resource: {kind, namespace?, name?}}] -> {allowed: bool, rule: str|nil}
 *
 *     rule       {id?, principal | role, effect?: "allow"|"deny", operations: ["configure"|"write"|"read"|"admin"],
 *                 resource: {kind, namespace?: pattern, name?, match?: "literal"|"prefix"|"pattern"}}
 *     credential {mechanism: "SCRAM-SHA-256"|"SCRAM-SHA-512", salt, iterations, storedKey, serverKey}    bytes in base64
 *
 * A client hashes a new password itself and sends credentials; `password` is for a browser's form, over TLS.
 */
import { Op } from "../protocol/index.ts";
import {
  BUILT_IN_ROLES,
  type Credential,
  type Need,
  needOf,
  newCredentials,
  type Operation as Permission,
  OPERATIONS,
  parseCredential,
  parseRule,
  type Resource,
  RESOURCE_KINDS,
  RIGHTS,
  type Rule,
} from "../security/index.ts";
import { SCRAM_MECHANISMS } from "../stdx/index.ts";
import { asBoolean, asList, asText, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { brokerResource } from "./resources.ts";

const ROLES_MAX = 100;
const PASSWORD_LENGTH_MAX = 1024;
const NAMESPACE_DEFAULT = "default";

function named(args: readonly unknown[]): string {
  return asText(fieldsAt(args, 0)["name"], "name");
}

interface UserPut {
  readonly name: string;
  readonly password: string | undefined;
  readonly credentials: readonly Credential[] | undefined;
  readonly roles: readonly string[] | undefined;
  readonly isEnabled: boolean | undefined;
}

function parseUser(args: readonly unknown[]): UserPut {
  const fields = fieldsAt(args, 0);
  const password = optional(fields["password"], "password", asText);
  if (password !== undefined && (password === "" || password.length > PASSWORD_LENGTH_MAX)) {
    throw invalid("password", `text of 1 to ${PASSWORD_LENGTH_MAX} characters`);
  }
  const credentials = optional(fields["credentials"], "credentials", asCredentials);
  if (password !== undefined && credentials !== undefined) throw invalid("password", "absent beside credentials");
  return {
    name: asText(fields["name"], "name"),
    password,
    credentials,
    roles: optional(fields["roles"], "roles", (value, field) => asList(value, field, ROLES_MAX, asText)),
    isEnabled: optional(fields["isEnabled"], "isEnabled", asBoolean),
  };
}

function asCredentials(value: unknown, field: string): Credential[] {
  const credentials = asList(value, field, SCRAM_MECHANISMS.length, parseCredential);
  const mechanisms = new Set(credentials.map(({ mechanism }) => mechanism));
  if (mechanisms.size === credentials.length) return credentials;
  throw invalid(field, "one for each mechanism at most");
}

/** What is said of a user, but its password. */
function aboutUser({ name, roles, isEnabled, password, credentials }: UserPut): string {
  const parts = [
    `user ${name}`,
    ...(roles === undefined ? [] : [`roles ${roles.join(" ") || "none"}`]),
    ...(isEnabled === undefined ? [] : [isEnabled ? "enabled" : "disabled"]),
    ...(password === undefined && credentials === undefined ? [] : ["another password"]),
  ];
  return parts.join(", ");
}

const userPut = define({
  op: Op.USER_PUT,
  permission: "access.change",
  parse: parseUser,
  resources: () => [brokerResource],
  about: aboutUser,
  async run({ services }, { password, ...user }) {
    const hashed =
      password === undefined
        ? user.credentials
        : await Promise.all(SCRAM_MECHANISMS.map((mechanism) => newCredentials(password, mechanism)));
    return { created: await services.access.putUser({ ...user, credentials: hashed }) };
  },
});

const userDelete = define({
  op: Op.USER_DELETE,
  permission: "access.change",
  parse: named,
  resources: () => [brokerResource],
  about: (name) => `user ${name}`,
  run: async ({ services }, name) => ({ deleted: await services.access.deleteUser(name) }),
});

const userList = define({
  op: Op.USER_LIST,
  permission: "access.list",
  parse: (args) => fieldsAt(args, 0),
  resources: () => [brokerResource],
  run: ({ services }) => ({ users: services.access.users() }),
});

const rolePut = define({
  op: Op.ROLE_PUT,
  permission: "access.change",
  parse(args) {
    const { description } = fieldsAt(args, 0) as { description?: unknown };
    return { name: named(args), description: optional(description, "description", asText) ?? "" };
  },
  resources: () => [brokerResource],
  about: ({ name }) => `role ${name}`,
  run: async ({ services }, { name, description }) => ({
    created: await services.access.putRole(name, description),
  }),
});

const roleDelete = define({
  op: Op.ROLE_DELETE,
  permission: "access.change",
  parse: named,
  resources: () => [brokerResource],
  about: (name) => `role ${name}`,
  run: async ({ services }, name) => ({ deleted: await services.access.deleteRole(name) }),
});

const roleList = define({
  op: Op.ROLE_LIST,
  permission: "access.list",
  parse: (args) => fieldsAt(args, 0),
  resources: () => [brokerResource],
  run: ({ services }) => ({
    roles: services.access.roles().map((role) => ({ ...role, isBuiltIn: BUILT_IN_ROLES.includes(role) })),
  }),
});

function aboutRule({ id, principal, role, effect, operations, resource }: Rule): string {
  const whom = principal === null ? `role ${role}` : `principal ${principal}`;
  const { kind, namespace, name, match } = resource;
  return `permission ${id}: ${effect} ${operations.join(" ")} for ${whom} on ${kind} ${match} "${name}" in ${namespace}`;
}

const permissionPut = define({
  op: Op.PERMISSION_PUT,
  permission: "access.change",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return parseRule(fields, optional(fields["id"], "id", asText) ?? crypto.randomUUID());
  },
  resources: () => [brokerResource],
  about: aboutRule,
  run: async ({ services }, rule) => ({ id: rule.id, created: await services.access.putRule(rule) }),
});

const permissionDelete = define({
  op: Op.PERMISSION_DELETE,
  permission: "access.change",
  parse: (args) => asText(fieldsAt(args, 0)["id"], "id"),
  resources: () => [brokerResource],
  about: (id) => `permission ${id}`,
  run: async ({ services }, id) => ({ deleted: await services.access.deleteRule(id) }),
});

const permissionList = define({
  op: Op.PERMISSION_LIST,
  permission: "access.list",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      principal: optional(fields["principal"], "principal", asText),
      role: optional(fields["role"], "role", asText),
    };
  },
  resources: () => [brokerResource],
  run({ services }, { principal, role }) {
    const isWanted = (rule: Rule): boolean =>
      (principal === undefined || rule.principal === principal) && (role === undefined || rule.role === role);
    return { permissions: services.access.rules().filter(isWanted) };
  },
});

/** A right, or an operation of the table of src/security, which takes one. */
function asNeed(value: unknown, field: string): Need {
  const right = RIGHTS.find((candidate) => candidate === value);
  if (right !== undefined) return right;
  const operation: Permission | undefined = OPERATIONS.find((candidate) => candidate === value);
  if (operation !== undefined) return needOf(operation);
  throw invalid(field, `one of ${RIGHTS.join(", ")}, or an operation such as topic.publish`);
}

function asResource(value: unknown, field: string): Resource {
  if (!isMap(value)) throw invalid(field, "a map of kind, namespace and name");
  const kind = RESOURCE_KINDS.find((candidate) => candidate === value["kind"]);
  if (kind === undefined) throw invalid(`${field}.kind`, `one of ${RESOURCE_KINDS.join(", ")}`);
  if (kind === "broker") return brokerResource;
  const namespace = optional(value["namespace"], `${field}.namespace`, asText) ?? NAMESPACE_DEFAULT;
  if (kind === "namespace") return { kind, namespace, name: "" };
  return { kind, namespace, name: optional(value["name"], `${field}.name`, asText) ?? "" };
}

const permissionTest = define({
  op: Op.PERMISSION_TEST,
  permission: "access.list",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      principal: asText(fields["principal"], "principal"),
      need: asNeed(fields["operation"], "operation"),
      resource: asResource(fields["resource"], "resource"),
    };
  },
  // Everybody may ask about itself.
  resources: ({ principal }, caller) => (principal === caller.principal.name ? [] : [brokerResource]),
  run({ services }, { principal, need, resource }) {
    const { isAllowed, by } = services.authorizer.explain(principal, need, resource);
    return { allowed: isAllowed, rule: (typeof by === "object" ? by.id : by) ?? null };
  },
});

export const accessOps: readonly AnyOperation[] = [
  userPut,
  userDelete,
  userList,
  rolePut,
  roleDelete,
  roleList,
  permissionPut,
  permissionDelete,
  permissionList,
  permissionTest,
];
