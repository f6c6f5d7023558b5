import { touchMemory } from "../lib/memory.ts";

/**
 * Memory that the machine has in hand. A virtual machine gives free memory back to its host within seconds, and a page that
 * has to be fetched from there costs up to ten times what another does. So right before each run, of the bare programs and
 * of the broker alike, a process of its own touches anonymous memory and ends. Writing and unlinking a file as long as the
 * run's does less: page cache comes in large folios, and which free memory those are made of differs from run to run.
 */

/** What is touched for a burst: what it uses itself is the smaller part of what the kernel may give it. */
const WARM_BYTES_MAX = 3_000_000_000;
/** Small runs need less than that. */
const BYTES_TOUCHED_PER_BYTE = 4;

export function warmPages(bytes: number): void {
  touchMemory(Math.min(WARM_BYTES_MAX, bytes * BYTES_TOUCHED_PER_BYTE));
}
