/** Users, roles and permission rules. */
import { HttpFault } from "../../http-fault.ts";
import { heedConditions, put, tagged } from "../entity.ts";
import { pageByName, pageOf, pageQuery } from "../page.ts";
import { type Ask, bodyOf, type Fields, flag, listOf, nullable, operation, ref, type Route, text } from "../route.ts";

const tag = "access";
const USER = "/users/{name}";
const ROLE = "/roles/{name}";
const PERMISSION = "/permissions/{id}";

const ruleBody = bodyOf(
  {
    principal: nullable(text),
    role: nullable(text),
    effect: { type: "string", enum: ["allow", "deny"], default: "allow" },
    operations: listOf({ type: "string", enum: ["configure", "write", "read", "admin"] }),
    resource: ref("PermissionResource"),
  },
  ["operations", "resource"],
);

/** What three lists have in common: their operation gives them whole. */
interface Listing {
  readonly op: string;
  /** Of the list in the operation's result. */
  readonly rows: string;
  readonly key: "name" | "id";
  readonly what: string;
}

const USERS: Listing = { op: "USER_LIST", rows: "users", key: "name", what: "user" };
const ROLES: Listing = { op: "ROLE_LIST", rows: "roles", key: "name", what: "role" };
const RULES: Listing = { op: "PERMISSION_LIST", rows: "permissions", key: "id", what: "rule" };

function rowsOf(result: Fields, { rows }: Listing): Fields[] {
  return result[rows] as Fields[];
}

async function lookedUp(ask: Ask, listing: Listing): Promise<Fields | undefined> {
  const rows = rowsOf(await ask.call(listing.op, {}), listing);
  return rows.find((row) => row[listing.key] === ask.path[listing.key]);
}

function missing({ what, key }: Listing, { path }: Ask): HttpFault {
  return new HttpFault(404, `there is no ${what} "${(path[key] ?? "").slice(0, 249)}"`);
}

function list(path: string, listing: Listing, summary: string, shape: string): Route {
  return operation({
    method: "GET",
    path,
    tag,
    summary,
    op: listing.op,
    query: pageQuery,
    answer: pageOf(ref(shape)),
    fields: () => ({}),
    shape: (result, ask) => pageByName(rowsOf(result, listing), (row) => String(row[listing.key]), ask),
  });
}

function show(path: string, listing: Listing, summary: string, shape: string): Route {
  return {
    method: "GET",
    path,
    tag,
    summary,
    ops: [listing.op],
    answer: ref(shape),
    isConditional: true,
    async run(ask) {
      const found = await lookedUp(ask, listing);
      if (found === undefined) throw missing(listing, ask);
      return tagged(found, found);
    },
  };
}

/** @param op that sets it; what it answers of it is as the list has it afterwards. */
function set(
  path: string,
  listing: Listing,
  given: Pick<Route, "summary" | "body"> & { op: string; shape: string },
): Route {
  const { op, shape, ...route } = given;
  return {
    ...route,
    method: "PUT",
    path,
    tag,
    ops: [listing.op, op],
    answer: ref(shape),
    alsoAnswers: { 201: "it is new" },
    isConditional: true,
    async run(ask) {
      await heedConditions(ask, () => lookedUp(ask, listing));
      const { created } = await ask.call(op, { ...ask.body, ...ask.path });
      const there = await lookedUp(ask, listing);
      if (there === undefined) throw missing(listing, ask);
      return put(ask, created === true, there);
    },
  };
}

function remove(path: string, listing: Listing, summary: string, op: string): Route {
  return {
    method: "DELETE",
    path,
    tag,
    summary,
    ops: [listing.op, op],
    isConditional: true,
    async run(ask) {
      await heedConditions(ask, () => lookedUp(ask, listing));
      const { deleted } = await ask.call(op, { ...ask.path });
      if (deleted !== true) throw missing(listing, ask);
    },
  };
}

export const accessRoutes: readonly Route[] = [
  list("/users", USERS, "Lists users", "User"),
  show(USER, USERS, "Shows a user", "User"),
  set(USER, USERS, {
    summary: "Makes a user, or changes its password, its roles and whether it may log in",
    op: "USER_PUT",
    body: bodyOf({ password: text, credentials: listOf(ref("Credential")), roles: listOf(text), isEnabled: flag }),
    shape: "User",
  }),
  remove(USER, USERS, "Takes a user away, and the rules about it", "USER_DELETE"),
  list("/roles", ROLES, "Lists roles, built-in ones too", "Role"),
  show(ROLE, ROLES, "Shows a role", "Role"),
  set(ROLE, ROLES, {
    summary: "Makes a role, or describes it anew",
    op: "ROLE_PUT",
    body: bodyOf({ description: text }),
    shape: "Role",
  }),
  remove(ROLE, ROLES, "Takes a role away, from its users too, and the rules about it", "ROLE_DELETE"),
  list("/permissions", RULES, "Lists permission rules", "Permission"),
  show(PERMISSION, RULES, "Shows a permission rule", "Permission"),
  set(PERMISSION, RULES, {
    summary: "Sets a permission rule",
    op: "PERMISSION_PUT",
    body: ruleBody,
    shape: "Permission",
  }),
  remove(PERMISSION, RULES, "Takes a permission rule away", "PERMISSION_DELETE"),
  operation({
    method: "POST",
    path: "/permissions/test",
    tag,
    summary: "Asks what would be decided for a principal, and by which rule",
    op: "PERMISSION_TEST",
    body: bodyOf({ principal: text, operation: text, resource: ref("PermissionQuestion") }, [
      "principal",
      "operation",
      "resource",
    ]),
    answer: ref("Verdict"),
  }),
];
