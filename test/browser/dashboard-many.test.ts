import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { type Client, connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";
import { CHROMIUM, launch, START_MS, Visit } from "./dashboard-kit.ts";

/** Lists with a thousand rows. */

const COUNT = 1000;
/** Rows in sight and some around them; not all. */
const DRAWN_MAX = 150;

/** Runs in the page. */
const pressAtOnce = (key: string, times: number): string => `
  for (let press = 0; press < ${times}; press++) {
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "${key}", bubbles: true, cancelable: true }));
  }`;

describe.skipIf(CHROMIUM === undefined)(`with ${COUNT} topics and ${COUNT} queues`, () => {
  let broker: Broker;
  let client: Client;
  let browser: Browser;

  beforeAll(async () => {
    [broker, browser] = await Promise.all([
      Broker.start({ storage: "memory", port: 0, httpPort: 0, registryPort: 0 }),
      launch(),
    ]);
    client = await connect(`millrace://127.0.0.1:${broker.port}`);
    const names = Array.from({ length: COUNT }, (_, index) => `n${String(index).padStart(4, "0")}`);
    // One kind after the other: so many requests may be under way at once.
    await Promise.all(names.map((name) => client.topics.create(name)));
    await Promise.all(names.map((name) => client.queue(name).declare()));
  }, START_MS);

  afterAll(async () => {
    await client?.close();
    await browser?.close();
    await broker?.stop();
  });

  for (const [place, heading] of [
    ["topics", "Topics"],
    ["queues", "Queues"],
  ] as const) {
    test(`the list of ${place} draws what is in sight, and every row can be reached`, async () => {
      await using visit = await Visit.open(browser, broker.httpPort);
      const { page } = visit;
      const row = (name: string) => page.getByRole("link", { name, exact: true });
      await visit.go(place, heading);
      await page.locator(".count", { hasText: "1,000" }).waitFor();
      expect(await page.locator("tr[data-index]").count()).toBeLessThan(DRAWN_MAX);
      await row("n0000").waitFor();
      await page.evaluate("document.querySelector('.table-box').scrollTo(0, 1e6)");
      await row("n0999").waitFor();
      expect(await row("n0000").count()).toBe(0);
      expect(await page.locator("tr[data-index]").count()).toBeLessThan(DRAWN_MAX);
      // Down from the last row that is drawn, to one that was not.
      await page.evaluate("document.querySelector('.table-box').scrollTo(0, 0)");
      await row("n0000").focus();
      for (let step = 0; step < DRAWN_MAX; step++) await page.keyboard.press("ArrowDown");
      await page.locator("a:focus", { hasText: `n0${DRAWN_MAX}` }).waitFor();
      // Keys may come faster than rows are drawn.
      await page.evaluate(pressAtOnce("ArrowDown", 2 * DRAWN_MAX));
      await page.locator("a:focus", { hasText: `n0${3 * DRAWN_MAX}` }).waitFor();
      await page.evaluate(pressAtOnce("ArrowUp", COUNT));
      await page.locator("a:focus", { hasText: "n0000" }).waitFor();
      // The other end comes first when the order is turned around.
      await visit.button("Name");
      await visit.button("Name");
      await row("n0999").waitFor();
      await page.getByRole("searchbox").fill("77");
      await page.locator(".count", { hasText: /of 1,000/ }).waitFor();
      await row("n0977").click();
      await visit.heading("n0977");
      expect(visit.faults).toEqual([]);
    });
  }
});
