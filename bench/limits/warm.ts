import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";

/**
 * Page cache that the machine has in hand. A virtual machine gives free memory back to its host, and a page that has to be
 * fetched from there costs up to ten times what another does. What helps is to go the way that the run will go: a file of as
 * many bytes is written and unlinked, again and again until that is as fast as it ever was here; its pages are then the
 * first ones that the kernel gives to the run. Anonymous memory, touched and freed, did not come back to the page cache that
 * surely, and more than the host leaves to the machine (1 GiB here) is taken away while it is touched.
 */

const BLOCK_BYTES = 1024 * 1024;
const PASSES_MAX = 6;
/** So many passes tell what fast is here. */
const FIRST_PASSES = 4;
/** A pass is fast when it reaches so much of the best that this process has seen. */
const FAST_SHARE = 0.8;

/** Bytes a second of the best pass so far. */
let best = 0;

/** One pass: its bytes a second. The file is unlinked first, so that nothing of it has to reach the disk. */
function pass(bytes: number, folder: string): number {
  const path = join(folder, `warm-${crypto.randomUUID()}`);
  const file = openSync(path, "w");
  unlinkSync(path);
  const block = new Uint8Array(BLOCK_BYTES).fill(1);
  const startMs = performance.now();
  try {
    for (let done = 0; done < bytes; done += BLOCK_BYTES) writeSync(file, block, 0, BLOCK_BYTES, done);
    return bytes / ((performance.now() - startMs) / 1e3);
  } finally {
    closeSync(file);
  }
}

/** Returns the last pass's share of the best one: 1 is as warm as it gets. */
export function warmPages(bytes: number, folder: string): number {
  const least = best === 0 ? FIRST_PASSES : 1;
  let rate = 0;
  for (let passes = 0; passes < PASSES_MAX && (passes < least || rate < best * FAST_SHARE); passes += 1) {
    rate = pass(bytes, folder);
    best = Math.max(best, rate);
  }
  return rate / best;
}
