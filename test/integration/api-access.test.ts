/** The REST interface where people log in: users, roles and permissions over it, and what they change of it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Broker } from "../../src/server/index.ts";
import { Api, errorOf } from "./api-kit.ts";
import { startBroker, temporaryFolder } from "./harness.ts";

const PASSWORD = "correct horse battery";
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let broker: Broker;
let admin: Api;

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

function as(user: string): Promise<Api> {
  return Api.open(broker.httpPort, basic(user, `${user}'s own password`));
}

beforeAll(async () => {
  folder = await temporaryFolder();
  const adminPasswordFile = join(folder.path, "password");
  await writeFile(adminPasswordFile, `${PASSWORD}\n`);
  broker = await startBroker({ authentication: "required", adminPasswordFile });
  admin = await Api.open(broker.httpPort, basic("admin", PASSWORD));
});
afterAll(async () => {
  await broker?.stop();
  await folder?.[Symbol.asyncDispose]();
});

async function makeUser(name: string, roles: string[] = []): Promise<void> {
  const made = await admin.ask("PUT", `/users/${name}`, { password: `${name}'s own password`, roles });
  expect([made.status, made.body]).toMatchObject([201, { name, roles, isEnabled: true }]);
  expect(JSON.stringify(made.body)).not.toContain("password");
}

test("nobody does anything without logging in, and is told how to", async () => {
  for (const path of ["/topics", "/overview", "/events", "/users", "/openapi.json"]) {
    const response = await fetch(`${admin.base}${path}`);
    expect([path, response.status, response.headers.get("www-authenticate")]).toEqual([
      path,
      401,
      expect.stringContaining("Basic"),
    ]);
  }
});

test("a role has rights in one namespace, and its user has them there and nowhere else", async () => {
  expect((await admin.ask("PUT", "/roles/seller", { description: "sells" })).status).toBe(201);
  await makeUser("sam", ["seller"]);
  const rule = {
    role: "seller",
    operations: ["configure", "write", "read"],
    resource: { kind: "topic", namespace: "shop", name: "o", match: "prefix" },
  };
  const made = await admin.ask("PUT", "/permissions/sellers", rule);
  expect([made.status, made.body]).toMatchObject([
    201,
    { id: "sellers", principal: null, role: "seller", effect: "allow" },
  ]);
  await admin.ask("PUT", "/topics/shop/secret", {});
  const sam = await as("sam");
  expect((await sam.ask("PUT", "/topics/shop/orders", {})).status).toBe(201);
  expect((await sam.ask("POST", "/topics/shop/orders/messages", { value: "one" })).status).toBe(201);
  expect((await sam.shown("/topics/shop/orders/messages")).items).toMatchObject([{ value: { text: "one" } }]);
  expect((await sam.shown("/topics?namespace=shop")).items.map(({ name }) => name)).toEqual(["orders"]);
  for (const [method, path, body] of [
    ["GET", "/topics/shop/secret"],
    ["DELETE", "/topics/shop/secret"],
    ["GET", "/topics/shop/secret/messages?partition=0"],
    ["PUT", "/topics/shop/prices", {}],
    ["PUT", "/topics/default/orders", {}],
    ["GET", "/topics"],
    ["PUT", "/queues/shop/orders", {}],
    ["GET", "/users"],
    ["PUT", "/users/sam", { roles: ["administrator"] }],
    ["PUT", "/permissions/mine", rule],
    ["GET", "/overview"],
    ["GET", "/connections"],
    ["PATCH", "/config", { topicsMax: 1 }],
  ] as const) {
    expect([method, path, errorOf(await sam.ask(method, path, body))]).toEqual([method, path, [403, "unauthorized"]]);
  }
});

test("a rule that is taken away, and a user who is locked, count at once", async () => {
  await makeUser("tom");
  const rule = {
    principal: "tom",
    operations: ["read"],
    resource: { kind: "topic", namespace: "default", name: "t1" },
  };
  expect((await admin.ask("PUT", "/permissions/toms", rule)).status).toBe(201);
  await admin.ask("PUT", "/topics/default/t1", {});
  const tom = await as("tom");
  expect((await tom.ask("GET", "/topics/default/t1")).status).toBe(200);
  expect(errorOf(await tom.ask("POST", "/topics/default/t1/messages", { value: "x" }))).toEqual([403, "unauthorized"]);
  const question = { principal: "tom", operation: "topic.consume", resource: { kind: "topic", name: "t1" } };
  expect((await admin.ask("POST", "/permissions/test", question)).body).toEqual({ allowed: true, rule: "toms" });
  expect((await admin.ask("DELETE", "/permissions/toms")).status).toBe(204);
  expect((await admin.ask("DELETE", "/permissions/toms")).status).toBe(404);
  expect((await admin.ask("POST", "/permissions/test", question)).body).toEqual({ allowed: false, rule: null });
  expect(errorOf(await tom.ask("GET", "/topics/default/t1"))).toEqual([403, "unauthorized"]);
  const locked = await admin.ask("PUT", "/users/tom", { isEnabled: false });
  expect([locked.status, locked.body]).toMatchObject([200, { isEnabled: false }]);
  expect((await fetch(`${tom.base}/topics`, { headers: tom.headers })).status).toBe(401);
});

test("users, roles and rules have tags, and are listed in pages", async () => {
  await makeUser("una");
  const { headers } = await admin.ask("GET", "/users/una");
  const tag = headers.get("etag") ?? "";
  expect((await admin.ask("PUT", "/users/una", {}, { "if-none-match": "*" })).status).toBe(412);
  expect((await admin.ask("PUT", "/users/una", { roles: ["monitoring"] }, { "if-match": tag })).status).toBe(200);
  expect((await admin.ask("DELETE", "/users/una", undefined, { "if-match": tag })).status).toBe(412);
  const una = await as("una");
  expect((await una.ask("GET", "/overview")).status).toBe(200);
  expect(errorOf(await una.ask("PUT", "/topics/default/una", {}))).toEqual([403, "unauthorized"]);
  const first = await admin.shown("/users?limit=1");
  expect(first.items).toMatchObject([{ name: "admin", roles: ["administrator"] }]);
  expect((await admin.shown(`/users?limit=1&after=${first.next}`)).items).toHaveLength(1);
  expect((await admin.shown("/roles")).items).toContainEqual(
    expect.objectContaining({ name: "administrator", isBuiltIn: true }),
  );
  expect((await admin.ask("DELETE", "/users/una")).status).toBe(204);
  expect((await admin.ask("GET", "/users/una")).status).toBe(404);
});
