/** What the tests of the dashboard share: Chromium, steered by playwright, and the checks that every page has to pass. */
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

/** `npm test` installs Chromium and names it; a test file without it has nothing to run. */
export const CHROMIUM = process.env["MILLRACE_TEST_CHROMIUM"];
/** Pictures of the pages go there, for people to look at. */
const SHOTS = process.env["MILLRACE_TEST_SCREENSHOTS"];

/** Generous, because the machine may be busy with other tests. */
export const WAIT_MS = 60_000;
/** For brokers and Chromium to start. */
export const START_MS = 120_000;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"];

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 780 };

export function launch(): Promise<Browser> {
  const name = CHROMIUM ?? "chromium";
  return chromium.launch({ executablePath: Bun.which(name) ?? name, args: FLAGS });
}

/** A window of the dashboard that notes what must not happen in it. */
export class Visit implements AsyncDisposable {
  readonly page: Page;
  /** Errors of scripts, refusals of the security policy, and requests to anywhere but the broker. */
  readonly faults: string[] = [];
  readonly #context: BrowserContext;
  readonly #origin: string;

  private constructor(context: BrowserContext, page: Page, origin: string) {
    this.#context = context;
    this.page = page;
    this.#origin = origin;
    page.on("pageerror", ({ message }) => this.faults.push(message));
    page.on("console", (message) => {
      // That a request was refused is told on the page, where tests look for it.
      const isRefusal = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !isRefusal) this.faults.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${origin}/`)) this.faults.push(`asked for ${request.url()}`);
    });
  }

  static async open(browser: Browser, httpPort: number, viewport = DESKTOP): Promise<Visit> {
    const context = await browser.newContext({ viewport, colorScheme: "light", reducedMotion: "reduce" });
    context.setDefaultTimeout(WAIT_MS);
    return new Visit(context, await context.newPage(), `http://127.0.0.1:${httpPort}`);
  }

  /** Opens a page by its address behind the #, and waits until its heading and everything it asked for is there. */
  async go(place: string, heading?: string): Promise<void> {
    await this.page.goto(`${this.#origin}/#/${place}`);
    if (heading !== undefined) await this.heading(heading);
    await this.page.locator(".waiting").first().waitFor({ state: "detached" });
  }

  heading(name: string): Promise<void> {
    return this.page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
  }

  button(name: string): Promise<void> {
    return this.page.getByRole("button", { name, exact: true }).click();
  }

  async enter(fields: Readonly<Record<string, string>>): Promise<void> {
    for (const [label, text] of Object.entries(fields)) {
      await this.page.getByLabel(label, { exact: true }).fill(text);
    }
  }

  /** Waits for a text anywhere on the page. */
  sees(text: string | RegExp): Promise<void> {
    return this.page.getByText(text).first().waitFor();
  }

  async shoot(name: string): Promise<void> {
    if (SHOTS === undefined) return;
    await mkdir(SHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SHOTS, `${name}.png`) });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#context.close();
  }
}

const axeSource = createRequire(import.meta.url)("axe-core").source as string;

interface AxeResult {
  readonly violations: readonly { id: string; nodes: readonly { target: unknown; failureSummary?: string }[] }[];
}

/** What axe-core finds wrong on the page as it is. @param rules only these; default all of WCAG 2 A and AA and good practice. */
export async function axeFaults({ page }: Visit, rules?: readonly string[]): Promise<string[]> {
  const only = rules === undefined ? {} : { runOnly: { type: "rule", values: rules } };
  // Without this it also writes down whatever is right, in every detail.
  const options = { ...only, resultTypes: ["violations"] };
  await page.evaluate(`globalThis.axe ?? (() => { ${axeSource} })()`);
  const { violations } = await page.evaluate<AxeResult>(`axe.run(document, ${JSON.stringify(options)})`);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary = "" }) => `${id}: ${String(target)} ${failureSummary}`),
  );
}

/** How far the page is wider than the window, in pixels: 0 where nobody has to scroll sideways. */
export function overhang({ page }: Visit): Promise<number> {
  return page.evaluate<number>(
    "Math.max(0, ...['html', 'main'].map((name) => document.querySelector(name)).map((each) => each.scrollWidth - each.clientWidth))",
  );
}
