import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { crc32 } from "../../src/protocol/index.ts";
import { place, ServerProcess } from "../crash/server-process.ts";
import { THREADS } from "./harness.ts";

/** Data directories that a broker must not open: it ends with one line that says why, and has touched nothing. */

const MAIN = join(import.meta.dir, "../../src/main.ts");
const FLAGS = ["--threads", String(THREADS)];

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-locks-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `millrace serve` on the directory to its end, which has to come by itself. */
async function serve(dataDir: string, asUser: readonly string[] = []): Promise<{ exit: number; err: string }> {
  const words = ["serve", "--port", "0", "--http-port", "0", "--data-dir", dataDir, ...FLAGS];
  const child = Bun.spawn([...asUser, process.execPath, MAIN, ...words], { stdout: "ignore", stderr: "pipe" });
  const err = await new Response(child.stderr).text();
  return { exit: await child.exited, err };
}

/** What stands in the directory, down to the last byte. */
function fingerprint(dataDir: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(dataDir, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(dataDir, name);
    hash.update(name);
    if (statSync(path).isFile()) hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}

/** A data directory that a broker has used and left clean. */
async function used(): Promise<string> {
  const dataDir = join(folder, "data");
  await using where = await place();
  const server = await ServerProcess.start({ ...where, dataDir }, FLAGS);
  await using client = await connect(`millrace://127.0.0.1:${where.port}`);
  await client.topics.create("t");
  await client.producer("t").send({ value: "kept" });
  await client.close();
  expect(await server.stop()).toBe(0);
  return dataDir;
}

function writeFormat(dataDir: string, version: number): void {
  const bytes = Buffer.alloc(6);
  bytes[0] = version;
  bytes[1] = 0xce;
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 1)), 2);
  writeFileSync(join(dataDir, "format"), bytes);
}

test("a directory in use is refused, by name, in one line, and free again when its broker is killed", async () => {
  await using where = await place();
  const server = await ServerProcess.start(where, FLAGS);
  const { exit, err } = await serve(where.dataDir);
  expect(err).toMatch(/^error: data_dir_locked: [^\n]+ — [^\n]+\n$/);
  expect(err).toContain(where.dataDir);
  expect(exit).toBe(1);
  // The one that has it noticed nothing.
  await server.ready();
  await server.kill();
  const next = await ServerProcess.start(where, FLAGS);
  expect(await next.stop()).toBe(0);
});

test("of ten brokers that start on one directory at a time, one serves", async () => {
  await using where = await place();
  const words = ["serve", "--port", "0", "--http-port", "0", "--data-dir", where.dataDir, ...FLAGS];
  const children = Array.from({ length: 10 }, () =>
    Bun.spawn([process.execPath, MAIN, ...words], { stdout: "ignore", stderr: "ignore" }),
  );
  let ended = 0;
  const nine = new Promise<void>((resolve) => {
    for (const { exited } of children) void exited.then(() => (ended += 1) === 9 && resolve());
  });
  await nine;
  const alive = children.filter(({ exitCode }) => exitCode === null);
  expect(alive.length).toBe(1);
  for (const child of alive) child.kill("SIGTERM");
  const codes = await Promise.all(children.map(({ exited }) => exited));
  expect(codes.sort()).toEqual([0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
});

test("a directory of a newer format is refused and not touched; the right version opens it as it was", async () => {
  const dataDir = await used();
  writeFormat(dataDir, 2);
  const before = fingerprint(dataDir);
  const { exit, err } = await serve(dataDir);
  expect(err).toMatch(/^error: format_too_new: [^\n]*format 2[^\n]*\n$/);
  expect(exit).toBe(1);
  expect(fingerprint(dataDir)).toBe(before);
  writeFormat(dataDir, 1);
  await using where = await place();
  const server = await ServerProcess.start({ ...where, dataDir }, FLAGS);
  {
    await using client = await connect(`millrace://127.0.0.1:${where.port}`);
    for await (const message of client.consume("t", { from: "earliest", until: "end" }))
      expect(message.text()).toBe("kept");
  }
  expect(await server.stop()).toBe(0);
});

test("a directory whose format cannot be read is refused and not touched", async () => {
  const dataDir = await used();
  writeFileSync(join(dataDir, "format"), "garbage\n");
  const before = fingerprint(dataDir);
  const { exit, err } = await serve(dataDir);
  expect(err).toMatch(/^error: bad_format: [^\n]+\n$/);
  expect(exit).toBe(1);
  expect(fingerprint(dataDir)).toBe(before);
});

test("a file where the directory should be is refused", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "mine");
  const { exit, err } = await serve(path);
  expect(err).toMatch(/^error: storage_failed: [^\n]+ Not a directory[^\n]+\n$/);
  expect(exit).toBe(1);
  expect(readFileSync(path, "utf8")).toBe("mine");
});

test("a directory that may not be read or written is refused", async () => {
  const dataDir = join(folder, "closed");
  mkdirSync(dataDir);
  chmodSync(folder, 0o755);
  chmodSync(dataDir, 0o500);
  // Root may read and write everything, so it becomes somebody else for this.
  const asUser = process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
  const { exit, err } = await serve(dataDir, asUser);
  expect(err).toMatch(/^error: storage_failed: [^\n]+ Permission denied[^\n]+\n$/);
  expect(exit).toBe(1);
});
