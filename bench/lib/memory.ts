import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A virtual machine hands memory that it never used to its host, and the first touch of such a page costs ten times what
 * later ones do. What a run is going to use is touched before, so that the run measures the program.
 */

const CHUNK_BYTES = 64 * 1024 * 1024;
const PAGE_BYTES = 4096;
const BLOCK_BYTES = 1024 * 1024;

/** The code of the process that touches anonymous memory: its end gives everything back, whatever the allocator keeps. */
const TOUCH = `
const left = Number(process.argv.at(-1));
const held = [];
for (let done = 0; done < left; done += ${CHUNK_BYTES}) {
  const chunk = new Uint8Array(Math.min(${CHUNK_BYTES}, left - done));
  for (let at = 0; at < chunk.length; at += ${PAGE_BYTES}) chunk[at] = 1;
  held.push(chunk);
}
process.exit(held.length > 0 ? 0 : 1);`;

/**
 * Faults in so much memory and gives it back at once. The kernel takes free pages as they come, for page cache and
 * processes alike, so what was touched serves both. Asks for no more than three quarters of what is available.
 *
 * @param bytes how much the run will use, page cache included
 * @param folder a folder of the disk that the run will use: a quarter of the bytes (at most 1 GiB) goes through its page cache
 */
export async function touchMemory(bytes: number, folder: string = tmpdir()): Promise<void> {
  const available = /MemAvailable:\s+(\d+) kB/.exec(await Bun.file("/proc/meminfo").text())?.[1];
  const most = available === undefined ? bytes : (Number(available) * 1024 * 3) / 4;
  const wanted = Math.floor(Math.min(bytes, most));
  if (wanted <= 0) return;
  const child = Bun.spawn([process.execPath, "-e", TOUCH, String(wanted)], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, BUN_BE_BUN: "1" },
  });
  if ((await child.exited) !== 0) throw new Error(`could not touch ${wanted} bytes of memory`);
  touchPageCache(Math.min(wanted / 4, 1024 ** 3), folder);
}

/** Writes a file that is unlinked first, so that its pages go back and nothing has to reach the disk. */
function touchPageCache(bytes: number, folder: string): void {
  const path = join(folder, `millrace-touch-${crypto.randomUUID()}`);
  const file = openSync(path, "w");
  unlinkSync(path);
  const block = new Uint8Array(BLOCK_BYTES).fill(1);
  try {
    for (let done = 0; done < bytes; done += BLOCK_BYTES) writeSync(file, block);
  } finally {
    closeSync(file);
  }
}
