import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { until } from "../until.ts";
import { axeFaults, CHROMIUM, launch, overhang, PHONE, START_MS, Visit, WAIT_MS } from "./dashboard-kit.ts";
import { Busy } from "./dashboard-load.ts";

/** Every page of the dashboard, in Chromium, against a broker that is at work. */

/** Addresses with the heading that the page has and something that it shows. */
const PAGES: readonly (readonly [place: string, heading: string, shows: string | RegExp])[] = [
  ["", "Overview", /started .* ago/],
  ["topics", "Topics", "orders"],
  ["topics/default/orders", "orders", "billing"],
  ["groups", "Consumer groups", "billing"],
  ["groups/default/billing", "billing", "connected"],
  ["schemas", "Schemas", "prices-value"],
  ["schemas/default/prices-value", "prices-value", "Version 2, schema 2"],
  ["queues", "Queues", "waiting"],
  ["queues/default/waiting", "waiting", "order.paid"],
  ["exchanges", "Exchanges", "everybody"],
  ["exchanges/default/events", "events", "everybody"],
  ["messages?topic=orders", "Browse messages", "customer-1"],
  ["publish/exchange", "Publish a message", "Routing key"],
  ["explain?topic=orders&partition=1&offset=0", "Explain a message", "It was stored"],
  ["explain?queue=waiting&number=1", "Explain a message", "It was routed"],
  ["connections", "Connections", "millrace-js"],
  ["limits", "Namespaces and quotas", "tight"],
  ["access/users", "Access", "grace"],
  ["access/roles", "Access", "administrator"],
  ["access/permissions", "Access", "prices"],
  ["access/test", "Access", "Wants to"],
];

// `npm test` installs Chromium and names it; alone, this file runs where it is named.
describe.skipIf(CHROMIUM === undefined)("every page of the dashboard", () => {
  let busy: Busy;
  let browser: Browser;
  let visit: Visit;

  beforeAll(async () => {
    [busy, browser] = await Promise.all([Busy.start(), launch()]);
    visit = await Visit.open(browser, busy.broker.httpPort);
  }, START_MS);

  afterAll(async () => {
    await browser?.close();
    await busy?.[Symbol.asyncDispose]();
  });

  for (const [place, heading, shows] of PAGES) {
    test(`${place === "" ? "the overview" : place} shows what is there and can be used by everybody, in both themes`, async () => {
      await visit.go(place, heading);
      await visit.sees(shows);
      expect(await axeFaults(visit)).toEqual([]);
      await visit.shoot(`light ${place.replaceAll(/\W+/g, " ")}`);
      await visit.page.keyboard.press("t");
      await visit.page.waitForSelector(":root[data-theme=dark]");
      expect(await axeFaults(visit, ["color-contrast"])).toEqual([]);
      await visit.shoot(`dark ${place.replaceAll(/\W+/g, " ")}`);
      await visit.page.keyboard.press("t");
      await visit.page.waitForSelector(":root[data-theme=light]");
      expect(visit.faults).toEqual([]);
    });
  }

  test("fits a phone: nothing has to be scrolled sideways, and the navigation opens by a button", async () => {
    await using phone = await Visit.open(browser, busy.broker.httpPort, PHONE);
    for (const [place, heading, shows] of PAGES) {
      await phone.go(place, heading);
      await phone.sees(shows);
      await until(`${place} fits`, async () => (await overhang(phone)) === 0, WAIT_MS);
      await phone.shoot(`phone ${place.replaceAll(/\W+/g, " ")}`);
    }
    await phone.button("Navigation");
    await phone.shoot("phone navigation");
    expect(await axeFaults(phone)).toEqual([]);
    await phone.page.getByRole("link", { name: "Queues", exact: true }).click();
    await phone.heading("Queues");
    await phone.page.getByRole("link", { name: "Topics", exact: true }).waitFor({ state: "hidden" });
    expect(phone.faults).toEqual([]);
  });
});
