import type { Browser, Page } from "playwright-core";
import { connect } from "../../src/client/index.ts";
import type { OperateMeasure } from "./house.ts";

/** The dashboard in Chromium: what it loads, and how long until a page with everything in it answers. */

const KB = 1e3;
/** Requests of the set-up that are under way at once. */
const AT_ONCE = 500;
const POLL_MS = 10;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

/** Addresses, and what is drawn when the page has all that it shows. */
const LOOKS = [
  { place: "", drawn: ".stat" },
  { place: "topics", drawn: "tr[data-index] a" },
  { place: "queues", drawn: "tr[data-index] a" },
] as const;

interface Look {
  readonly interactiveMs: number;
  /** Bodies of the page and its files as they came over the wire. */
  readonly bytes: number;
}

/** Chromium's own clock from the beginning of the navigation: the frame with what is awaited is drawn, and nothing else runs. */
function noteWhenDrawn(selector: string): string {
  return `new MutationObserver((_, observer) => {
    if (document.querySelector(${JSON.stringify(selector)}) === null) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => { globalThis.drawnAtMs = performance.now(); }));
  }).observe(document, { childList: true, subtree: true });`;
}

/** One look by a browser that has nothing of the dashboard in its cache. */
async function lookAt(browser: Browser, origin: string, { place, drawn }: (typeof LOOKS)[number]): Promise<Look> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    await page.addInitScript({ content: noteWhenDrawn(drawn) });
    const bytes = bytesOfFiles(page, origin);
    await page.goto(`${origin}/#/${place}`);
    let drawnAtMs: number | null = null;
    while (drawnAtMs === null) {
      drawnAtMs = await page.evaluate<number | null>("globalThis.drawnAtMs ?? null");
      if (drawnAtMs === null) await Bun.sleep(POLL_MS);
    }
    return { interactiveMs: drawnAtMs, bytes: await bytes() };
  } finally {
    await context.close();
  }
}

function bytesOfFiles(page: Page, origin: string): () => Promise<number> {
  const sizes: Promise<number>[] = [];
  page.on("requestfinished", (request) => {
    const { pathname } = new URL(request.url());
    const isFile = request.url().startsWith(origin) && (pathname === "/" || pathname.startsWith("/assets/"));
    if (isFile) sizes.push(request.sizes().then(({ responseBodySize }) => responseBodySize));
  });
  return async () => (await Promise.all(sizes)).reduce((all, size) => all + size, 0);
}

async function declareMany(url: string, count: number): Promise<void> {
  await using client = await connect(url);
  const names = Array.from({ length: count }, (_, index) => `name-${String(index).padStart(5, "0")}`);
  for (let at = 0; at < count; at += AT_ONCE) {
    const some = names.slice(at, at + AT_ONCE);
    await Promise.all(some.map((name) => client.topics.create(name)));
    await Promise.all(some.map((name) => client.queue(name).declare()));
  }
}

async function launch(): Promise<Browser> {
  const { installChromium } = await import("../../test/tools/setup.mjs");
  const { chromium } = await import("playwright-core");
  const name = await installChromium();
  return chromium.launch({ executablePath: Bun.which(name) ?? name, args: FLAGS });
}

export const DASHBOARD: OperateMeasure = {
  title: "the dashboard in Chromium",
  figures: [
    {
      name: "dashboard_kb",
      unit: "KB",
      goal: { atMost: 150 },
      note: "the page and its files, compressed, as the browser got them",
    },
    {
      name: "dashboard_interactive_s",
      unit: "s",
      goal: { atMost: 1 },
      note: "nothing in the browser's cache; the slowest of overview, topics and queues",
    },
  ],
  async prepare(stage) {
    return async () => {
      const broker = await stage.broker();
      await declareMany(broker.url, stage.sizes.dashboardNames);
      const browser = await launch();
      try {
        const origin = `http://127.0.0.1:${broker.httpPort}`;
        const looks: Look[] = [];
        const work = async (): Promise<void> => {
          for (const look of LOOKS) looks.push(await lookAt(browser, origin, look));
        };
        await stage.run("dashboard: three first looks", { server: broker, load: [], touchBytes: 0 }, work);
        stage.add("dashboard_kb", Math.max(...looks.map(({ bytes }) => bytes)) / KB);
        stage.add("dashboard_interactive_s", Math.max(...looks.map(({ interactiveMs }) => interactiveMs)) / 1e3);
      } finally {
        await browser.close();
      }
      await stage.clear();
    };
  },
};
