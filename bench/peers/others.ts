import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** What other processes of the machine took while something was measured: a run beside a compiler says little. */

const TICKS_PER_S = 100;
const KERNEL_PARENT = 2;
const INIT = 1;
/** Above this share of all processors a run is taken again. */
export const OTHERS_PERCENT_MAX = 8;
const QUIET_WINDOW_MS = 500;
const QUIET_WAIT_MS = 20_000;

export interface ProcessTicks {
  readonly parent: number;
  /** User and system time, with that of children which have ended and were waited for. */
  readonly ticks: number;
}

export type Ticks = ReadonlyMap<number, ProcessTicks>;

/** The line of /proc/PID/stat. */
export function parseStat(pid: number, text: string): ProcessTicks {
  // The name in parentheses may hold anything, blanks too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [user, system, childUser, childSystem] = fields.slice(11, 15).map(Number) as [number, number, number, number];
  // Init inherits orphans, whose whole lives would count at their ends.
  const ofChildren = pid === INIT ? 0 : childUser + childSystem;
  return { parent: Number(fields[1]), ticks: user + system + ofChildren };
}

export function readTicks(): Ticks {
  const all = new Map<number, ProcessTicks>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!(pid > 0)) continue;
    try {
      all.set(pid, parseStat(pid, readFileSync(`/proc/${pid}/stat`, "latin1")));
    } catch {
      // It ended meanwhile; its parent has its time.
    }
  }
  return all;
}

function isOwn(all: Ticks, pid: number, own: number): boolean {
  for (let at = pid; at > INIT; at = all.get(at)?.parent ?? 0) if (at === own) return true;
  return false;
}

/** CPU seconds between two readings of processes that are neither of the tree below `own` nor the kernel's. */
export function othersSeconds(before: Ticks, after: Ticks, own: number): number {
  let ticks = 0;
  for (const [pid, process] of after) {
    const isKernel = process.parent === KERNEL_PARENT || pid === KERNEL_PARENT;
    if (isKernel || isOwn(after, pid, own)) continue;
    ticks += Math.max(0, process.ticks - (before.get(pid)?.ticks ?? 0));
  }
  return ticks / TICKS_PER_S;
}

/** Runs something. `percent` is the share of all processors that others took meanwhile. */
export async function besideOthers<T>(run: () => Promise<T>): Promise<{ result: T; percent: number }> {
  const before = readTicks();
  const startMs = performance.now();
  const result = await run();
  const seconds = (performance.now() - startMs) / 1e3;
  const percent = (othersSeconds(before, readTicks(), process.pid) / seconds / availableParallelism()) * 100;
  return { result, percent };
}

/** Waits until others are quiet, for a while at most. */
export async function untilQuiet(signal: AbortSignal): Promise<void> {
  for (const end = performance.now() + QUIET_WAIT_MS; performance.now() < end;) {
    signal.throwIfAborted();
    const { percent } = await besideOthers(() => Bun.sleep(QUIET_WINDOW_MS));
    if (percent <= OTHERS_PERCENT_MAX) return;
  }
}
