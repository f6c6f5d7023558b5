import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Broker } from "../../src/server/index.ts";
import { temporaryFolder, until } from "../integration/harness.ts";
import { EXPECTED } from "./client-script.ts";

/** The client where it is not Bun: bundled, against a whole broker. */

const SCRIPT = join(import.meta.dir, "client-script.ts");
const CHROMIUM = process.env["MILLRACE_TEST_CHROMIUM"];
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let broker: Broker;

beforeAll(async () => {
  folder = await temporaryFolder();
});

afterAll(async () => {
  await folder[Symbol.asyncDispose]();
});

async function bundle(target: "node" | "browser"): Promise<string> {
  const outdir = join(folder.path, target);
  const built = await Bun.build({ entrypoints: [SCRIPT], target, outdir, naming: "client.mjs" });
  expect(built.success).toBe(true);
  return join(outdir, "client.mjs");
}

async function withBroker<T>(run: () => Promise<T>): Promise<T> {
  broker = await Broker.start({ port: 0, httpPort: 0, storage: "memory" });
  await using _ = broker;
  return await run();
}

test("in Node, over TCP", async () => {
  const path = await bundle("node");
  const main = join(folder.path, "node", "main.mjs");
  await Bun.write(
    main,
    `import { exercise } from ${JSON.stringify(path)};
     console.log(JSON.stringify(await exercise(process.argv[2])));`,
  );
  await withBroker(async () => {
    const node = Bun.spawn(["node", main, `millrace://127.0.0.1:${broker.port}`], { stdout: "pipe", stderr: "pipe" });
    const [output, errors] = await Promise.all([new Response(node.stdout).text(), new Response(node.stderr).text()]);
    expect(errors).toBe("");
    expect(JSON.parse(output)).toEqual(EXPECTED);
    expect(await node.exited).toBe(0);
  });
});

const PAGE = `<!doctype html><script type="module">
const report = (result) => fetch("/result", { method: "POST", body: JSON.stringify(result) });
try {
  const { exercise } = await import("/client.mjs");
  await report(await exercise(new URLSearchParams(location.search).get("broker")));
} catch (error) {
  await report({ error: String(error?.stack ?? error) });
}
</script>`;

/** Serves the page with its script, and keeps the result that the page reports. */
function servePage(script: string): { port: number; result: () => unknown } & Disposable {
  let result: unknown;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/": new Response(PAGE, { headers: { "content-type": "text/html" } }),
      "/client.mjs": () => new Response(Bun.file(script), { headers: { "content-type": "text/javascript" } }),
      "/result": {
        POST: async (request) => {
          result = await request.json();
          return new Response("ok");
        },
      },
    },
  });
  return { port: server.port ?? 0, result: () => result, [Symbol.dispose]: () => void server.stop(true) };
}

// `npm test` installs Chromium and names it; alone, this file runs where it is named.
if (CHROMIUM !== undefined) {
  test("in Chromium, over WebSocket", async () => {
    const path = await bundle("browser");
    await withBroker(async () => {
      using page = servePage(path);
      const url = `http://127.0.0.1:${page.port}/?broker=${encodeURIComponent(`ws://127.0.0.1:${broker.httpPort}/ws`)}`;
      const profile = `--user-data-dir=${join(folder.path, "profile")}`;
      const browser = Bun.spawn([CHROMIUM, ...FLAGS, profile, "--remote-debugging-port=0", url], {
        stdout: "ignore",
        stderr: "ignore",
      });
      try {
        await until("the page reports", () => page.result() !== undefined, 60_000);
        expect(page.result()).toEqual(EXPECTED);
      } finally {
        browser.kill();
        await browser.exited;
      }
    });
  });
}
