import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { place, ServerProcess } from "./server-process.ts";

/**
 * The broker is killed while it makes a backup, on its own file system and to another one. What is called a backup then is
 * whole, what is not says so, the data directory is as it was, and the next backup is made.
 */

const ROUNDS = process.env.MILLRACE_LONG ? 40 : 2;
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);
const RECORDS = 400;
const KILL_AFTER_MS_MAX = 40;

/** Park and Miller's generator: a round's delay must come back with the seed. */
function random(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

for (const [where, parent] of [
  ["beside the data", tmpdir()],
  ["on another file system", "/dev/shm"],
] as const) {
  test(`a kill during a backup ${where} leaves a whole backup or none`, async () => {
    console.log(`MILLRACE_SEED=${SEED}`);
    const draw = random(SEED);
    await using at = await place();
    const backupDir = await mkdtemp(join(parent, "millrace-backups-"));
    try {
      const flags = ["--backup-dir", backupDir, "--segment-bytes", "64KiB"];
      const url = `millrace://127.0.0.1:${at.port}`;
      for (let round = 0; round < ROUNDS; round += 1) {
        const server = await ServerProcess.start(at, flags);
        await using client = await connect(url, { reconnect: { attemptsMax: 1 } });
        await client.topics.create("t", { partitions: 4, ifNotExists: true });
        const producer = client.producer("t");
        const value = new Uint8Array(4000);
        await Promise.all(Array.from({ length: RECORDS }, (_, n) => producer.send({ key: `${n}`, value })));
        await client.backups.begin(`round-${round}`);
        await Bun.sleep(draw() * KILL_AFTER_MS_MAX);
        await server.kill();
      }
      const server = await ServerProcess.start(at, flags);
      await using client = await connect(url);
      expect(await readdir(at.dataDir)).not.toContain("backup.tmp");
      const run = await client.backups.run({ name: "last" });
      expect(run).toMatchObject({ state: "done", error: null });
      const { backups, unfinished } = await client.backups.status();
      expect(
        [...backups.map(({ name }) => name), ...unfinished.map((name) => name.replace(".partial", ""))].sort(),
      ).toEqual((await readdir(backupDir)).map((name) => name.replace(".partial", "")).sort());
      for (const { folder } of backups) {
        const { exit, err } = await runCli(["backup", "verify", folder]);
        expect({ folder, exit, err }).toEqual({ folder, exit: 0, err: "" });
      }
      const { offsets } = await client.topics.describe("t");
      expect(offsets.reduce((sum, { nextOffset }) => sum + nextOffset, 0)).toBe(ROUNDS * RECORDS);
      expect(await server.stop()).toBe(0);
    } finally {
      await rm(backupDir, { recursive: true, force: true });
    }
  }, 240_000);
}
