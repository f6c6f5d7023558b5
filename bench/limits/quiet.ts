import { readFileSync } from "node:fs";

/** What else the machine does: measurements on a busy machine say little, and should say so. */

const TICKS_PER_S = 100;
const LOOK_MS = 100;
const WAIT_MS_MAX = 10_000;
/** Up to this part of the machine may be busy: kernel threads write back what an earlier run left. */
const BUSY_SHARE_MAX = 0.2;

interface Ticks {
  readonly busy: number;
  readonly all: number;
}

function ticks(): Ticks {
  const [, ...fields] = (readFileSync("/proc/stat", "latin1").split("\n")[0] ?? "").split(/\s+/);
  const values = fields.slice(0, 8).map(Number);
  const all = values.reduce((sum, value) => sum + value, 0);
  // Idle, and idle while the disk works.
  return { all, busy: all - (values[3] ?? 0) - (values[4] ?? 0) };
}

/** CPU seconds that the whole machine has spent, time that its host took away included. */
export function machineSeconds(): number {
  return ticks().busy / TICKS_PER_S;
}

/** Waits until the machine has little else to do, for some seconds at most. False: it is still busy. */
export async function quiet(): Promise<boolean> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endMs) {
    const before = ticks();
    await Bun.sleep(LOOK_MS);
    const after = ticks();
    if ((after.busy - before.busy) / (after.all - before.all) <= BUSY_SHARE_MAX) return true;
  }
  return false;
}
