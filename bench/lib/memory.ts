import { readFileSync } from "node:fs";

/**
 * A virtual machine gives memory that is free back to its host within seconds, and the first touch of such a page costs
 * several times what later ones do. What a run is going to use is touched right before it, so that the run measures the
 * program.
 */

const CHUNK_BYTES = 64 * 1024 * 1024;
const PAGE_BYTES = 4096;

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

/** What is asked for, but no more than three quarters of what is available. */
function wantedOf(bytes: number): number {
  const available = /MemAvailable:\s+(\d+) kB/.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
  const most = available === undefined ? bytes : (Number(available) * 1024 * 3) / 4;
  return Math.floor(Math.min(bytes, most));
}

/**
 * Faults in so much memory, page by page, in a process that ends then, and waits for it. The kernel takes free pages as they
 * come, for page cache and processes alike, so what was touched serves both. Files that are written and unlinked do not do:
 * what the kernel made in large folios it gives out again in others.
 *
 * @param bytes how much the run will use, page cache included
 */
export function touchMemory(bytes: number): void {
  const wanted = wantedOf(bytes);
  if (wanted <= 0) return;
  const { exitCode } = Bun.spawnSync([process.execPath, "-e", TOUCH, String(wanted)], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, BUN_BE_BUN: "1" },
  });
  if (exitCode !== 0) throw new Error(`could not touch ${wanted} bytes of memory`);
}
