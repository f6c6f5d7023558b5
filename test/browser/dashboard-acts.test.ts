import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { connect } from "../../src/client/index.ts";
import { until } from "../until.ts";
import { axeFaults, CHROMIUM, launch, START_MS, Visit, WAIT_MS } from "./dashboard-kit.ts";
import { Busy } from "./dashboard-load.ts";

/** What can be done by the dashboard, in Chromium, and what the broker has to say about it. */

describe.skipIf(CHROMIUM === undefined)("by the dashboard", () => {
  let busy: Busy;
  let browser: Browser;
  let visit: Visit;

  beforeAll(async () => {
    [busy, browser] = await Promise.all([Busy.start(), launch()]);
  }, START_MS);

  afterAll(async () => {
    await browser?.close();
    await busy?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    visit = await Visit.open(browser, busy.broker.httpPort);
  });

  afterEach(async () => {
    expect(visit.faults).toEqual([]);
    await visit[Symbol.asyncDispose]();
  });

  test("a topic is made, gets a message, shows it decoded, and goes when its name is typed", async () => {
    const { page } = visit;
    await visit.go("topics", "Topics");
    await visit.button("New topic");
    await visit.enter({ Name: "a/b c.d", Partitions: "3" });
    await visit.button("Create");
    // Names with slashes and spaces are refused by the broker, and the dialog says so.
    await page.getByRole("alert").waitFor();
    await visit.enter({ Name: "made" });
    await visit.button("Create");
    await visit.heading("made");
    expect((await busy.client.topics.describe("made")).partitions).toBe(3);

    await page.getByRole("link", { name: "Publish", exact: true }).first().click();
    await visit.go("publish/topic?name=made", "Publish a message");
    await visit.enter({ Key: "k1", Value: '{"text": "<b>not bold</b>"}', Headers: '{"source": "page"}' });
    await page.getByLabel("Value is").selectOption("json");
    await visit.button("Publish");
    await visit.sees(/It is record 0 of partition/);

    await visit.go("messages?topic=made&key=k1", "Browse messages");
    await visit.button("0");
    await visit.sees('"text": "<b>not bold</b>"');
    await visit.sees('"source": "page"');
    await visit.shoot("message");
    expect(await axeFaults(visit)).toEqual([]);

    await visit.go("messages?topic=made&as=binary&from=earliest", "Browse messages");
    await visit.sees("26 bytes");
    expect(await page.getByLabel("Read values as").inputValue()).toBe("binary");
    expect(await page.getByLabel("Order").inputValue()).toBe("earliest");

    await visit.go("topics/default/made", "made");
    await visit.button("Delete");
    await visit.enter({ "Type made to go on": "mad" });
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("alert").waitFor();
    await visit.enter({ "Type made to go on": "made" });
    await dialog.getByRole("button", { name: "Delete", exact: true }).click();
    await visit.heading("Topics");
    expect((await busy.client.topics.list()).map(({ name }) => name)).not.toContain("made");
  });

  test("settings change, and a change that somebody else made meanwhile is not overwritten", async () => {
    const { page } = visit;
    await visit.go("topics/default/orders", "orders");
    await visit.button("Change");
    const text = page.getByLabel("Settings as JSON");
    const settings = JSON.parse(await text.inputValue()) as Record<string, unknown>;
    await busy.client.topics.alter("orders", { segmentMs: 1_000_000 });
    await text.fill(JSON.stringify({ ...settings, messageBytesMax: 12_345 }));
    const submit = page.getByRole("dialog").getByRole("button", { name: "Change", exact: true });
    await submit.click();
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    // What is shown comes with its tag each second; the dialog takes the one that it opens with.
    await visit.sees("1000000");
    await visit.button("Change");
    await text.fill(JSON.stringify({ ...settings, segmentMs: 1_000_000, messageBytesMax: 12_345 }));
    await submit.click();
    await visit.sees("The settings are changed");
    expect((await busy.client.topics.describe("orders")).config.messageBytesMax).toBe(12_345);
  });

  test("messages of a queue are shown without being taken, tried for a redrive, moved, and purged", async () => {
    const { client } = busy;
    const { page } = visit;
    await client.queue("failed").declare({ deadLetter: { exchange: "", routingKey: "failed.dead" } });
    await client.queue("failed.dead").declare();
    for (const id of [1, 2, 3]) await client.queue("failed").publish(JSON.stringify({ id }), { headers: { id } });
    const rejecter = client.queue("failed").consume((message) => message.reject(), { autoAck: false });
    const ready = async (name: string) => (await client.queue(name).describe()).counts.ready;
    await until("all are dead", async () => (await ready("failed.dead")) === 3, WAIT_MS);
    await rejecter.close();

    await visit.go("queues/default/failed.dead", "failed.dead");
    await visit.sees('{"id":3}');
    expect(await ready("failed.dead")).toBe(3);
    await visit.button("Redrive");
    await visit.enter({ "Only where": 'header("id") > 1' });
    await visit.button("Show what would move");
    await visit.sees(/2 messages would move/);
    await visit.shoot("redrive");
    expect(await axeFaults(visit)).toEqual([]);
    // What was shown is no longer what would move, and Enter only shows.
    await visit.enter({ "At most": "10" });
    await page.locator("button:disabled", { hasText: "Move them" }).waitFor();
    await page.keyboard.press("Enter");
    await visit.sees(/2 messages would move/);
    expect(await ready("failed.dead")).toBe(3);
    await visit.button("Move them");
    await visit.sees("2 messages moved");
    expect([await ready("failed"), await ready("failed.dead")]).toEqual([2, 1]);

    await visit.button("Purge");
    await page.getByRole("dialog").getByRole("button", { name: "Purge", exact: true }).click();
    await visit.sees("1 message dropped");
    expect(await ready("failed.dead")).toBe(0);
  });

  test("an exchange is bound, and shows where a message would go without publishing it", async () => {
    const { page } = visit;
    await busy.client.exchange("mail").declare("topic");
    await visit.go("exchanges/default/mail", "mail");
    await visit.sees("Nothing is bound to it yet.");
    await visit.button("Bind");
    await page.getByLabel("Name", { exact: true }).fill("dead");
    await page.getByRole("dialog").getByLabel("Routing key").fill("mail.*.bounced");
    await page.getByRole("dialog").getByRole("button", { name: "Bind", exact: true }).click();
    await page.locator(".picture a.queue", { hasText: "dead" }).waitFor();

    await visit.enter({ "Routing key": "mail.de.bounced" });
    await visit.button("Show");
    await visit.sees(/It would go to 1 place/);
    await page.locator(".picture .queue.reached").waitFor();
    await visit.shoot("trace");
    await visit.enter({ "Routing key": "other" });
    await visit.button("Show");
    await visit.sees(/No binding takes it/);
    expect((await busy.client.queue("dead").describe()).counts.ready).toBe(0);

    await visit.button("Unbind dead");
    await page.getByRole("dialog").getByRole("button", { name: "Unbind", exact: true }).click();
    await visit.sees("Nothing is bound to it yet.");
  });

  test("versions of a schema stand side by side, and a schema is checked before it is registered", async () => {
    const { page } = visit;
    await visit.go("schemas/default/prices-value", "prices-value");
    await visit.sees(/^\+ .*"venue"/m);
    const schema = page.getByRole("textbox", { name: "Schema" });
    const fields = [
      { name: "symbol", type: "string" },
      { name: "venue", type: "string", default: "" },
    ];
    const next = (more: object): string => JSON.stringify({ type: "record", name: "Price", fields: [...fields, more] });
    await schema.fill(next({ name: "size", type: "int" }));
    await visit.button("Check");
    await page.locator(".note.bad", { hasText: "size" }).waitFor();
    await schema.fill(next({ name: "size", type: "int", default: 0 }));
    await visit.button("Check");
    await visit.sees(/^It could/);
    await visit.button("Register it");
    await visit.sees("Version 3, schema 3");
  });

  test("a connection is closed, and its client makes another", async () => {
    const { page } = visit;
    await using other = await connect(`millrace://127.0.0.1:${busy.broker.port}`, { clientName: "closable" });
    await visit.go("connections", "Connections");
    await page.getByPlaceholder("Filter by name").fill("closable");
    await page.getByRole("button", { name: /^Close closable/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Close it" }).click();
    await visit.sees("The connection is closed");
    const isBack = (): Promise<boolean> =>
      other.topics.list().then(
        () => true,
        () => false,
      );
    await until("its client has connected again", isBack, WAIT_MS);
  });

  test("a namespace is made and gets a quota, which holds", async () => {
    const { page } = visit;
    const dialog = page.getByRole("dialog");
    await visit.go("limits", "Namespaces and quotas");
    await visit.button("New namespace");
    await dialog.getByLabel("Name", { exact: true }).fill("team");
    await dialog.getByRole("button", { name: "Create" }).click();
    await page.getByRole("button", { name: "Delete team" }).waitFor();
    await visit.button("New quota");
    await visit.enter({ Named: "team", Topics: "1" });
    await dialog.getByRole("button", { name: "Set", exact: true }).click();
    await visit.sees("0 of 1");
    await using client = await connect(`millrace://127.0.0.1:${busy.broker.port}`, { namespace: "team" });
    await client.topics.create("first");
    const refusal = await client.topics.create("second").catch((error: Error) => error.message);
    expect(refusal).toContain("topicsMax");
    await visit.sees("1 of 1");
  });

  test("a user, a role and a rule are made, and the broker says what the user may", async () => {
    const { page } = visit;
    const dialog = page.getByRole("dialog");
    const save = () => dialog.getByRole("button", { name: "Save", exact: true }).click();
    await visit.go("access/roles", "Access");
    await visit.button("New role");
    await dialog.getByLabel("Name", { exact: true }).fill("readers");
    await dialog.getByRole("button", { name: "Create" }).click();
    await visit.sees("readers");

    await visit.go("access/users", "Access");
    await visit.button("New user");
    await dialog.getByLabel("Name", { exact: true }).fill("ada");
    await dialog.getByLabel("Password", { exact: true }).fill("a long enough password");
    await dialog.getByLabel("Roles", { exact: true }).fill("readers");
    await save();
    await visit.sees("may log in");

    await visit.go("access/permissions", "Access");
    await visit.button("New rule");
    await visit.enter({ "Name of the rule": "readers-read", Named: "readers", Name: "orders" });
    await page.getByRole("combobox", { name: "On", exact: true }).selectOption("topic");
    await page.getByLabel("Whose name").selectOption("literal");
    await save();
    await visit.sees("readers-read");

    await visit.go("access/test", "Access");
    await visit.enter({ "User or principal": "ada", Named: "orders" });
    await visit.button("Ask");
    await visit.sees("Yes, by readers-read.");
    await page.getByLabel("Wants to").selectOption("write");
    await visit.button("Ask");
    await visit.sees("No: nothing allows it.");

    await visit.go("access/users", "Access");
    await visit.button("Delete ada");
    await visit.enter({ "Type ada to go on": "ada" });
    await dialog.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("button", { name: "Delete ada" }).waitFor({ state: "detached" });
  });

  test("the keyboard is enough: pages by two keys, the filter, rows by arrows, the list of shortcuts", async () => {
    const { page } = visit;
    const { keyboard } = page;
    await visit.go("", "Overview");
    await keyboard.press("g");
    await keyboard.press("t");
    await visit.heading("Topics");
    await visit.sees("orders");
    await keyboard.press("/");
    await keyboard.type("pri");
    await visit.sees("1 of 2");
    await page.getByRole("searchbox").fill("");
    await page.getByRole("link", { name: "orders", exact: true }).focus();
    await keyboard.press("ArrowDown");
    await page.locator("a:focus", { hasText: "prices" }).waitFor();
    await visit.shoot("focus");
    await keyboard.press("Enter");
    await visit.heading("prices");
    await keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    await visit.shoot("shortcuts");
    expect(await axeFaults(visit)).toEqual([]);
    await keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.goBack();
    await visit.heading("Topics");
  });

  test("figures move while it is open, and say so when the broker is gone", async () => {
    await using own = await Busy.start();
    await using window = await Visit.open(browser, own.broker.httpPort);
    await window.go("", "Overview");
    await window.page.locator(".state", { hasText: "Live" }).waitFor();
    await window.page.locator(".chart", { hasText: /Messages.*in [1-9]/ }).waitFor();
    await own[Symbol.asyncDispose]();
    await window.page.locator(".state.bad").waitFor();
  });
});
