import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Broker } from "../../src/server/index.ts";
import { commands, jsonLines, runCli } from "../cli/run-cli.ts";
import { dial, startBroker, temporaryFolder } from "./harness.ts";

/** The command line against a broker that asks who one is: users, roles, permissions. */

const PASSWORD = "correct horse battery";
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let broker: Broker;
let env: Record<string, string>;
let secret: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  secret = join(folder.path, "password");
  await writeFile(secret, `${PASSWORD}\n`);
  broker = await startBroker({ authentication: "required", adminPasswordFile: secret });
  env = {
    MILLRACE_URL: `millrace://127.0.0.1:${broker.port}`,
    MILLRACE_LOGIN: "admin",
    MILLRACE_LOGIN_PASSWORD_FILE: secret,
  };
});

afterAll(async () => {
  await broker?.stop();
  await folder?.[Symbol.asyncDispose]();
});

const { ok, refused } = commands(() => env);

type Wrong = readonly [exit: number, words: readonly string[], advice: string];

const WRONG_USERS: readonly Wrong[] = [
  [2, ["create", "bob"], "--new-password-file"],
  [2, ["set", "bob", "--enable", "--disable"], "opposites"],
  [2, ["set", "bob", "--role", "x", "--no-roles"], "opposites"],
  [4, ["set", "bob", "--role", "nowhere"], "role_not_found"],
  [2, ["set", "b b"], "invalid_argument"],
];

const WRONG_RULES: readonly Wrong[] = [
  [2, ["read", "topic", "a"], "--for-user or --for-role"],
  [2, ["fly", "topic", "a", "--for-user", "x"], "configure"],
  [2, ["read", "cloud", "a", "--for-user", "x"], "topic, queue"],
  [4, ["read", "topic", "--for-role", "nowhere"], "role_not_found"],
];

describe("users and roles", () => {
  test("are made, changed, listed and deleted, and no password is printed", async () => {
    expect(await ok("role", "put", "operators", "--description", "the team on call")).toBe(
      "created the role operators\n",
    );
    expect(await ok("user", "create", "alice", "--role", "operators", "--new-password-file", secret)).toBe(
      "created the user alice\n",
    );
    expect(await refused(1, "user", "create", "alice", "--no-new-password")).toContain("user_exists");
    const client = await dial(broker, { auth: { user: "alice", password: PASSWORD } }).catch((error: Error) => error);
    // She is known, and has no right yet.
    expect((client as Error).name).toBe("unauthorized");
    expect(await ok("user", "set", "alice", "--no-roles", "--disable")).toBe("changed the user alice\n");
    const text = await ok("user", "list");
    expect(text).toMatch(/^USER +ROLES +ENABLED +LOGS IN BY +CREATED\n/);
    expect(text).toMatch(/alice +- +no +password /);
    expect(text).not.toContain(PASSWORD);
    expect(jsonLines(await ok("user", "list", "--json"))[0]).toMatchObject([{ name: "admin" }, { name: "alice" }]);
    expect(await ok("role", "list")).toMatch(
      /administrator +yes .*\nmonitoring +yes .*\noperators +no +the team on call\n/,
    );
    expect(await ok("role", "delete", "operators")).toBe("deleted the role operators\n");
    expect(await ok("user", "delete", "alice")).toBe("deleted the user alice\n");
    expect(await refused(4, "user", "delete", "alice")).toContain("user_not_found");
    expect(await refused(4, "role", "delete", "operators")).toContain("role_not_found");
  });

  test("are refused where the command line is wrong, or no terminal is there to type at", async () => {
    await Promise.all(
      WRONG_USERS.map(async ([exit, words, advice]) => expect(await refused(exit, "user", ...words)).toContain(advice)),
    );
  });
});

describe("permissions", () => {
  test("are set, asked about, listed and deleted", async () => {
    await ok("user", "set", "carol");
    const allow = ["permission", "allow", "read,write", "topic", "orders.", "--prefix", "--for-user", "carol"];
    expect(await ok(...allow, "--id", "r1")).toBe("set the rule r1\n");
    expect(await ok("permission", "test", "carol", "write", "topic", "orders.eu")).toBe("allowed: by r1\n");
    await ok("permission", "deny", "write", "topic", "orders.*", "--pattern", "--for-user", "carol", "--id", "r2");
    const question = ["permission", "test", "carol", "topic.publish", "topic", "orders.eu"];
    expect(await runCli(question, { env })).toMatchObject({ exit: 1, out: "refused: by r2\n" });
    const everywhere = ["--of-namespace", "#", "--for-user", "carol", "--id", "r3"];
    await ok("permission", "allow", "admin", "*", ...everywhere);
    const text = await ok("permission", "list", "--for-user", "carol");
    expect(text).toMatch(/^ID +FOR +EFFECT +OPERATIONS +KIND +NAMESPACE +NAME\n/);
    expect(text).toMatch(/r1 +user carol +allow +write, read +topic +default +orders\.…\n/);
    expect(text).toMatch(/r2 +user carol +deny +write +topic +default +pattern orders\.\*\n/);
    expect(text).toMatch(/r3 +user carol +allow +admin +\* +# +all\n/);
    expect(await ok("permission", "delete", "r1")).toBe("deleted the rule r1\n");
    expect(await refused(4, "permission", "delete", "r1")).toContain("permission_not_found");
  });

  test("are refused where the command line is wrong", async () => {
    await Promise.all(
      WRONG_RULES.map(async ([exit, words, advice]) =>
        expect(await refused(exit, "permission", "allow", ...words)).toContain(advice),
      ),
    );
  });
});
