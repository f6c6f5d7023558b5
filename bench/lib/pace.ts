import { constants, setPriority } from "node:os";
import { monotonicOriginMs, nowUs } from "./clock.ts";
import { Histogram } from "./histogram.ts";

/**
 * The schedule of an open loop: when each message is due, whatever became of those before. Timers of the event loop are a
 * millisecond late, so a thread of its own sleeps in the kernel until the next message is due and wakes the event loop,
 * which meanwhile reads and writes as it does in any program. How late that is, is measured.
 */

export interface Rate {
  /** Events per second, at the start. */
  readonly from: number;
  /** At the end; the rate grows or falls evenly. */
  readonly to: number;
  readonly durationMs: number;
  /** So long before, the rate is `from`. */
  readonly warmUpMs?: number;
}

/**
 * When the event of this number is due, in µs since an evenly changing rate began; rates per µs, growth per µs². It uses
 * nothing from outside: the pacing thread gets its source text.
 */
function dueAfterUs(from: number, growth: number, index: number): number {
  if (Math.abs(growth) < 1e-18) return index / from;
  // The events until t are from·t + growth·t²/2. This form of the root has no difference of near equals.
  return (2 * index) / (from + Math.sqrt(Math.max(0, from * from + 2 * growth * index)));
}

/** Which event is due when, in µs since the start. */
export class Schedule {
  /** Events in all, and of them those of the warm-up. */
  readonly total: number;
  readonly warmUpTotal: number;
  readonly warmUpUs: number;
  readonly from: number;
  /** How much the rate grows, per µs. */
  readonly growth: number;

  constructor({ from, to, durationMs, warmUpMs = 0 }: Rate) {
    const durationUs = durationMs * 1e3;
    this.from = from / 1e6;
    this.growth = (to - from) / 1e6 / durationUs;
    this.warmUpUs = warmUpMs * 1e3;
    this.warmUpTotal = Math.round(this.from * this.warmUpUs);
    this.total = this.warmUpTotal + Math.round(((from + to) / 2e6) * durationUs);
  }

  /** When the event of this number (from 0 up) is due. */
  dueUs(index: number): number {
    const behind = index - this.warmUpTotal;
    return behind < 0 ? index / this.from : this.warmUpUs + dueAfterUs(this.from, this.growth, behind);
  }

  /** How many events are due by then. */
  dueBy(elapsedUs: number): number {
    if (elapsedUs < 0) return 0;
    const { from, growth, warmUpUs } = this;
    const warm = Math.min(this.warmUpTotal, Math.floor(from * elapsedUs) + 1);
    const behind = elapsedUs - warmUpUs;
    const end = growth < 0 ? Math.min(behind, -from / growth) : behind;
    const measured = behind < 0 ? 0 : Math.floor(from * end + (growth * end * end) / 2) + 1;
    let count = Math.min(this.total, warm + measured);
    // Rounding may be off by one; an event before its time would have a latency below nothing.
    while (count > 0 && this.dueUs(count - 1) > elapsedUs) count -= 1;
    while (count < this.total && this.dueUs(count) <= elapsedUs) count += 1;
    return count;
  }
}

/** Events `first` to `first + count - 1` are due; `dueUs(n)` tells when on the shared clock. */
export type OnDue = (first: number, count: number) => void;

/** What the thread is told. The two cells: wake-ups so far, and whether to end. */
interface Orders {
  readonly shared: SharedArrayBuffer;
  readonly startUs: number;
  readonly total: number;
  readonly warmUpTotal: number;
  readonly warmUpUs: number;
  readonly from: number;
  readonly growth: number;
}

/**
 * The thread. The kernel may wake a sleeper up to 50 µs later than asked unless the thread asks for less. Source text,
 * because a compiled binary has no file for it.
 */
const THREAD = `
const { dlopen } = require("bun:ffi");
const dueAfterUs = ${dueAfterUs.toString()};
const originMs = (${monotonicOriginMs.toString()})(dlopen);
try {
  const libc = dlopen("libc.so.6", { gettid: { args: [], returns: "i32" } });
  require("fs").writeFileSync("/proc/" + libc.symbols.gettid() + "/timerslack_ns", "1");
} catch {}
self.onmessage = ({ data: { shared, startUs, total, warmUpTotal, warmUpUs, from, growth } }) => {
  const cells = new Int32Array(shared);
  for (let index = 0; index < total; index += 1) {
    const behind = index - warmUpTotal;
    const dueUs = startUs + (behind < 0 ? index / from : warmUpUs + dueAfterUs(from, growth, behind));
    let waitMs = dueUs / 1e3 - originMs - performance.now();
    if (waitMs <= 0) continue;
    for (; waitMs > 0; waitMs = dueUs / 1e3 - originMs - performance.now()) {
      if (Atomics.wait(cells, 1, 0, Math.min(waitMs, 100)) === "not-equal") return;
    }
    Atomics.add(cells, 0, 1);
    Atomics.notify(cells, 0);
  }
  Atomics.add(cells, 0, 1);
  Atomics.notify(cells, 0);
};
self.postMessage("ready");
`;

/** Atomics.waitAsync, which the types of this language level do not know yet. */
type WaitAsync = (cells: Int32Array, index: number, value: number) => { async: boolean; value: unknown };
const { waitAsync } = Atomics as unknown as { waitAsync: WaitAsync };

export class Pace {
  /** How late each event was handed to the sender, in µs: the error of the schedule itself. The warm-up is left out. */
  readonly lateness: Histogram = new Histogram();
  readonly schedule: Schedule;
  /** On the shared clock. Where the thread is ready only later, the schedule begins then. */
  startUs: number;
  private done = 0;
  /** Events before this one are not counted in `lateness`. */
  private readonly firstCounted: number;

  /** @param warmUpUs so long after the start events are not counted in `lateness`; the schedule's warm-up never is */
  constructor(schedule: Schedule, startUs: number, warmUpUs: number = 0) {
    this.schedule = schedule;
    this.startUs = startUs;
    this.firstCounted = Math.max(schedule.warmUpTotal, warmUpUs > 0 ? schedule.dueBy(warmUpUs) : 0);
  }

  /** When the event is due, in µs on the shared clock. */
  dueUs(index: number): number {
    return this.startUs + this.schedule.dueUs(index);
  }

  /**
   * Calls back whenever events are due, until all were or the signal ends it.
   *
   * @param thread one that was started before; starting it here takes some 50 ms. It ends with the run
   */
  async run(onDue: OnDue, signal?: AbortSignal, thread: Promise<Worker> = startThread()): Promise<void> {
    const { schedule } = this;
    const cells = new Int32Array(new SharedArrayBuffer(8));
    const end = (): void => {
      Atomics.store(cells, 1, 1);
      Atomics.notify(cells, 1);
      Atomics.add(cells, 0, 1);
      Atomics.notify(cells, 0);
    };
    const worker = await thread;
    this.startUs = Math.max(this.startUs, nowUs());
    signal?.addEventListener("abort", end, { once: true });
    try {
      const { total, warmUpTotal, warmUpUs, from, growth } = schedule;
      const shared = cells.buffer as SharedArrayBuffer;
      const when = { startUs: this.startUs, total, warmUpTotal, warmUpUs, from, growth };
      worker.postMessage({ shared, ...when } satisfies Orders);
      while (this.done < total && signal?.aborted !== true) {
        const seen = Atomics.load(cells, 0);
        if (this.handOut(onDue)) continue;
        const waiting = waitAsync(cells, 0, seen);
        if (waiting.async) await waiting.value;
      }
    } finally {
      signal?.removeEventListener("abort", end);
      end();
      worker.terminate();
    }
  }

  /** Hands out what is due. False: nothing is. */
  private handOut(onDue: OnDue): boolean {
    const { schedule, done } = this;
    const now = nowUs();
    const due = schedule.dueBy(now - this.startUs);
    if (due <= done) return false;
    for (let index = Math.max(done, this.firstCounted); index < due; index += 1) {
      this.lateness.record(now - this.dueUs(index));
    }
    this.done = due;
    onDue(done, due - done);
    return true;
  }
}

/** A thread for a `run` that is to begin at once when it is called. */
export async function startThread(): Promise<Worker> {
  const url = URL.createObjectURL(new Blob([THREAD], { type: "application/javascript" }));
  const worker = new Worker(url);
  try {
    await new Promise<void>((resolve, reject) => {
      worker.onmessage = () => resolve();
      worker.onerror = (event) => reject(new Error(`the pacing thread: ${event.message}`));
    });
  } finally {
    URL.revokeObjectURL(url);
  }
  return worker;
}

/** One turn of the event loop, in which sockets are read and written. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/**
 * For a thread that takes turns without ever sleeping. The kernel likes to wake a server on the core of the thread that
 * wrote to it, and lets that thread finish its slice of some milliseconds first; a nice one makes way at once.
 */
export function makeWay(): void {
  setPriority(constants.priority.PRIORITY_LOW);
}
