/** Users, roles and rules: what goes together, what is refused, and what a replay of the log gives. */
import { beforeEach, describe, expect, test } from "bun:test";
import { isMillraceError } from "../../src/errors/index.ts";
import {
  Access,
  type AccessRecord,
  AccessState,
  ADMINISTRATOR,
  Authorizer,
  noAudit,
  parseCredential,
  parseRule,
  type Principal,
  type Rule,
} from "../../src/security/index.ts";
import { hashPassword } from "../../src/stdx/scram.ts";

const NOW_MS = 1_700_000_000_000;
let records: AccessRecord[];
let state: AccessState;
let access: Access;
let authorizer: Authorizer;

beforeEach(() => {
  records = [];
  state = new AccessState();
  const change = (decide: () => readonly AccessRecord[]): Promise<void> => {
    for (const record of decide()) {
      // What is written and read again, as the log does.
      const stored = JSON.parse(JSON.stringify(record)) as AccessRecord;
      records.push(stored);
      expect(state.apply(stored)).toBe(true);
    }
    return Promise.resolve();
  };
  const log = { catchUp: () => undefined, change };
  const limits = { usersMax: 3, rolesMax: 2, permissionsMax: 3 };
  access = new Access(state, { log, limits, now: () => NOW_MS });
  authorizer = new Authorizer({ state, isOpen: false, audit: noAudit, catchUp: () => undefined });
});

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (isMillraceError(error)) return error.codeName;
    throw error;
  }
}

const ruleFor = (id: string, about: { principal: string } | { role: string }): Rule =>
  parseRule({ ...about, operations: ["read"], resource: { kind: "topic", name: "t" } }, id);

const mayRead = (name: string, kind: Principal["kind"] = "user", roles: readonly string[] = []): boolean =>
  authorizer.isAllowed({ name, kind, roles, namespace: "default" }, "topic.consume", {
    kind: "topic",
    namespace: "default",
    name: "t",
  });

describe("users", () => {
  test("keep what a request leaves out, and nothing is written that changes nothing", async () => {
    await access.putRole("readers", "");
    expect(await access.putUser({ name: "ann", roles: ["readers"] })).toBe(true);
    expect(await access.putUser({ name: "ann", isEnabled: false })).toBe(false);
    const { length } = records;
    expect(await access.putUser({ name: "ann", isEnabled: false })).toBe(false);
    expect(records).toHaveLength(length);
    expect(access.users()).toEqual([
      { name: "ann", roles: ["readers"], isEnabled: false, mechanisms: [], createdMs: NOW_MS },
    ]);
  });

  test("show nothing of their passwords", async () => {
    const credentials = [await hashPassword("SCRAM-SHA-256", "secret", 4096)];
    await access.putUser({ name: "ann", credentials });
    expect(JSON.stringify(access.users())).not.toContain(credentials[0]?.storedKey ?? "");
    expect(access.user("ann")?.credentials).toEqual(credentials);
  });

  test("that go take the rules about them along, so that a later one of the name starts anew", async () => {
    await access.putUser({ name: "ann" });
    await access.putRule(ruleFor("r", { principal: "ann" }));
    expect(mayRead("ann")).toBe(true);
    expect(await access.deleteUser("ann")).toBe(true);
    expect(mayRead("ann")).toBe(false);
    await access.putUser({ name: "ann" });
    expect(mayRead("ann")).toBe(false);
    expect(await access.deleteUser("nobody")).toBe(false);
  });

  test("that are disabled may do nothing, whichever way they come", async () => {
    await access.putRule(ruleFor("r", { principal: "ann" }));
    for (const kind of ["certificate", "token"] as const) expect(mayRead("ann", kind)).toBe(true);
    await access.putUser({ name: "ann", isEnabled: false });
    for (const kind of ["user", "certificate", "token"] as const) expect(mayRead("ann", kind)).toBe(false);
    await access.putUser({ name: "ann", isEnabled: true });
    expect(mayRead("ann")).toBe(true);
  });

  test("have limits, names that fit, and roles that are there", async () => {
    for (const name of ["a", "b", "c"]) await access.putUser({ name });
    expect(await refusal(access.putUser({ name: "d" }))).toBe("limit_exceeded");
    for (const name of ["", "a b", "a\nb", "x".repeat(250)])
      expect(await refusal(access.putUser({ name }))).toBe("invalid_argument");
    expect(await refusal(access.putUser({ name: "a", roles: ["nowhere"] }))).toBe("role_not_found");
    expect(await refusal(access.putUser({ name: "a", roles: [ADMINISTRATOR] }))).toBe("done");
  });
});

describe("roles", () => {
  test("that go leave their users and take their rules along", async () => {
    await access.putRole("readers", "those who read");
    await access.putUser({ name: "ann", roles: ["readers", ADMINISTRATOR] });
    await access.putUser({ name: "bob", roles: ["readers"] });
    await access.putRule(ruleFor("r", { role: "readers" }));
    expect(mayRead("bob")).toBe(true);
    expect(await access.deleteRole("readers")).toBe(true);
    expect(access.user("ann")?.roles).toEqual([ADMINISTRATOR]);
    expect(access.rules()).toEqual([]);
    expect(mayRead("bob")).toBe(false);
  });

  test("that are built in are listed, and are neither made nor taken away", async () => {
    expect(access.roles().map(({ name }) => name)).toEqual([ADMINISTRATOR, "monitoring"]);
    expect(await refusal(access.putRole(ADMINISTRATOR, ""))).toBe("invalid_argument");
    expect(await refusal(access.deleteRole("monitoring"))).toBe("invalid_argument");
  });

  test("of a token are its own, and those of a certificate are its user's", async () => {
    await access.putRole("readers", "");
    await access.putRule(ruleFor("r", { role: "readers" }));
    await access.putUser({ name: "ann", roles: ["readers"] });
    expect(mayRead("ann", "certificate")).toBe(true);
    expect(mayRead("ann", "token")).toBe(false);
    expect(mayRead("eve", "token", ["readers"])).toBe(true);
  });
});

test("rules have a limit, and those about roles need the role", async () => {
  for (const id of ["1", "2", "3"]) await access.putRule(ruleFor(id, { principal: "ann" }));
  expect(await refusal(access.putRule(ruleFor("4", { principal: "ann" })))).toBe("limit_exceeded");
  expect(await refusal(access.putRule(ruleFor("3", { principal: "bob" })))).toBe("done");
  expect(await refusal(access.putRule(ruleFor("3", { role: "nowhere" })))).toBe("role_not_found");
});

test("a replay of the records gives the same state", async () => {
  await access.putRole("readers", "");
  await access.putUser({ name: "ann", roles: ["readers"] });
  await access.putRule(ruleFor("r", { role: "readers" }));
  await access.deleteUser("ann");
  const replayed = new AccessState();
  for (const record of records) replayed.apply(record);
  expect([...replayed.users]).toEqual([...state.users]);
  expect([...replayed.roles]).toEqual([...state.roles]);
  expect([...replayed.rules]).toEqual([...state.rules]);
  expect(replayed.apply({ key: "topic default t", value: {} })).toBe(false);
});

test("the broker's own processes may do everything in their namespace, and nothing beyond", () => {
  const internal: Principal = { name: "transform", kind: "internal", roles: [], namespace: "shop" };
  const at = (namespace: string): boolean =>
    authorizer.isAllowed(internal, "topic.publish", { kind: "topic", namespace, name: "t" });
  expect([at("shop"), at("default")]).toEqual([true, false]);
  const broker = { kind: "broker", namespace: "", name: "" } as const;
  expect(authorizer.isAllowed({ ...internal, namespace: "" }, "access.change", broker)).toBe(false);
});

describe("credentials that a client hashed", () => {
  test("are taken as they are", async () => {
    const hashed = await hashPassword("SCRAM-SHA-512", "secret", 4096);
    expect(parseCredential({ ...hashed }, "c")).toEqual(hashed);
  });

  test.each([
    ["of another mechanism", { mechanism: "MD5" }],
    ["of too few rounds", { iterations: 1 }],
    ["of rounds without end", { iterations: 1e9 }],
    ["without a salt", { salt: "" }],
    ["with a key of another length", { storedKey: "AAAA" }],
    ["with a key that is no base64", { serverKey: "!" }],
    ["with a key that is no text", { storedKey: 7 }],
  ])("are refused %s, without their value in the message", async (_, change) => {
    const hashed = await hashPassword("SCRAM-SHA-256", "secret", 4096);
    try {
      parseCredential({ ...hashed, ...change }, "credentials[0]");
      throw new Error("it was taken");
    } catch (error) {
      expect(isMillraceError(error, "invalid_argument")).toBe(true);
      expect((error as Error).message).not.toContain(hashed.storedKey);
    }
  });
});
