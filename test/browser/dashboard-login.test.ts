import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";
import { temporaryFolder } from "../integration/harness.ts";
import { axeFaults, CHROMIUM, launch, START_MS, Visit } from "./dashboard-kit.ts";

/** The dashboard of a broker where everybody has to log in. */

const PASSWORD = "correct horse battery staple";

describe.skipIf(CHROMIUM === undefined)("a dashboard with log-in", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let broker: Broker;
  let browser: Browser;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const adminPasswordFile = join(folder.path, "password");
    await Bun.write(adminPasswordFile, PASSWORD);
    const settings = { port: 0, httpPort: 0, registryPort: 0, storage: "memory", authentication: "required" } as const;
    [broker, browser] = await Promise.all([Broker.start({ ...settings, adminPasswordFile }), launch()]);
  }, START_MS);

  afterAll(async () => {
    await browser?.close();
    await broker?.stop();
    await folder?.[Symbol.asyncDispose]();
  });

  test("shows nothing before the right password, changes things after it, and forgets at the log-out", async () => {
    await using visit = await Visit.open(browser, broker.httpPort);
    const { page } = visit;
    await visit.go("topics");
    await page.getByRole("button", { name: "Log in" }).waitFor();
    expect(await axeFaults(visit)).toEqual([]);
    await visit.shoot("login");
    await visit.enter({ User: "admin", Password: "wrong" });
    await visit.button("Log in");
    await page.getByRole("alert").waitFor();
    await visit.enter({ Password: PASSWORD });
    await visit.button("Log in");
    await visit.heading("Topics");
    await visit.sees("admin");
    await page.locator(".state", { hasText: "Live" }).waitFor();

    // A change carries the session's CSRF value; without it the broker refuses.
    await visit.button("New topic");
    await visit.enter({ Name: "behind" });
    await visit.button("Create");
    await visit.heading("behind");
    const status = "fetch('/api/v1/topics/default/forged', { method: 'PUT' }).then(({ status }) => status)";
    expect(await page.evaluate<number>(status)).toBe(403);
    expect(await page.evaluate<string>("document.cookie")).toBe("");

    // The session is the browser's, not the page's.
    await page.reload();
    await visit.heading("behind");
    await visit.button("Log out");
    await page.getByRole("button", { name: "Log in" }).waitFor();
    await page.reload();
    await page.getByRole("button", { name: "Log in" }).waitFor();
    expect(visit.faults).toEqual([]);
  });

  test("refuses what the one who logged in may not do, and shows the rest", async () => {
    const auth = { mechanism: "SCRAM-SHA-256", user: "admin", password: PASSWORD } as const;
    await using client = await connect(`millrace://127.0.0.1:${broker.port}`, { auth });
    await client.topics.create("secrets");
    await client.users.put({ name: "watcher", password: PASSWORD, roles: ["monitoring"] });
    await using visit = await Visit.open(browser, broker.httpPort);
    const { page } = visit;
    await visit.go("topics");
    await visit.enter({ User: "watcher", Password: PASSWORD });
    await visit.button("Log in");
    await visit.sees("secrets");
    await visit.go("messages?topic=secrets", "Browse messages");
    await page.getByRole("alert").filter({ hasText: "unauthorized" }).waitFor();
    await visit.go("topics/default/secrets", "secrets");
    await visit.button("Delete");
    await visit.enter({ "Type secrets to go on": "secrets" });
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("alert").filter({ hasText: "unauthorized" }).waitFor();
    expect((await client.topics.list()).map(({ name }) => name)).toContain("secrets");
    expect(visit.faults).toEqual([]);
  });
});
