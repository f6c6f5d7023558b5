import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";

/** The binary of `npm run build`, alone in a folder: no node_modules, no sources, and nothing of Bun's on the PATH. */

const root = join(import.meta.dir, "../..");
const threads = process.env.MILLRACE_TEST_THREADS ?? "1";
const BUILD_MS = 600_000;

const folder = mkdtempSync(join(tmpdir(), "millrace-binary-"));
const elsewhere = join(folder, "elsewhere");
const binary = join(folder, "millrace");

interface Served {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly port: number;
  readonly httpPort: number;
}

beforeAll(async () => {
  const build = Bun.spawn(["node", "test/tools/build.mjs", "binary"], { cwd: root, stdout: "pipe", stderr: "pipe" });
  const said = await new Response(build.stderr).text();
  if ((await build.exited) !== 0) throw new Error(`the build failed:\n${said}`);
  mkdirSync(elsewhere);
  copyFileSync(join(root, "dist/millrace"), binary);
}, BUILD_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(args: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const env = { PATH: "/nowhere", HOME: folder, TMPDIR: folder };
  return Bun.spawn([binary, ...args], { cwd: elsewhere, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

/** Starts `serve` on free ports and reads them from the log line that says it is ready. */
async function serve(): Promise<Served> {
  const child = start(["serve", "--port", "0", "--http-port", "0", "--threads", threads]);
  const { promise, resolve, reject } = Promise.withResolvers<Served>();
  void follow(child.stderr, (log) => {
    const line = log.split("\n").find((text) => text.includes('"serving"') && text.endsWith("}"));
    if (line !== undefined) resolve({ child, ...(JSON.parse(line) as { port: number; httpPort: number }) });
  }).then(async (log) => reject(new Error(`the binary ended with ${await child.exited}:\n${log}`)));
  return promise;
}

/** Reads to the end, whatever comes: a log that nobody reads any more would fail its writer. */
async function follow(stream: ReadableStream<Uint8Array>, onText: (textSoFar: string) => void): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    onText(text);
  }
  return text;
}

async function stop({ child }: Served): Promise<void> {
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
}

test("it serves from an empty folder, stores what is published, and reads it back after a restart", async () => {
  const first = await serve();
  expect((await fetch(`http://127.0.0.1:${first.httpPort}/health/ready`)).status).toBe(200);
  {
    await using client = await connect(`millrace://127.0.0.1:${first.port}`);
    await client.topics.create("binary", { partitions: 1 });
    await using producer = client.producer("binary", { acks: "synced" });
    for (let index = 0; index < 100; index++) await producer.send({ value: `value ${index}` });
  }
  await stop(first);
  expect(readdirSync(elsewhere)).toEqual(["millrace-data"]);

  const second = await serve();
  const values: string[] = [];
  {
    await using client = await connect(`millrace://127.0.0.1:${second.port}`);
    await using consumer = client.consume("binary", { from: "earliest", until: "end" });
    for await (const message of consumer) values.push(message.text() ?? "");
  }
  await stop(second);
  expect(values).toEqual(Array.from({ length: 100 }, (_, index) => `value ${index}`));
});

test("it is the command line too", async () => {
  const child = start(["config", "--json"]);
  const said = await new Response(child.stdout).text();
  expect([await child.exited, said.includes("frameBytesMax")]).toEqual([0, true]);
});

test("it puts load on a broker, with processes that are itself", async () => {
  const served = await serve();
  const url = `millrace://127.0.0.1:${served.port}`;
  const child = start([
    "bench",
    "--url",
    url,
    "--rate",
    "1000",
    "--duration",
    "300ms",
    "--warmup",
    "100ms",
    "--out",
    "o",
  ]);
  const [said, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect([await child.exited, errors]).toEqual([0, ""]);
  expect(said).toContain("sent 400, acknowledged 400, delivered 400: 0 lost, 0 duplicates");
  expect(readdirSync(join(elsewhere, "o"))).toContain("percentiles.svg");
  await stop(served);
});
