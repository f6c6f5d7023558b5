import { writeFileSync } from "node:fs";
import { nowUs } from "./clock.ts";
import { Histogram } from "./histogram.ts";

/**
 * The schedule of an open loop: when each message is due, whatever became of those before. Timers of the event loop are a
 * millisecond late, so the process sleeps in the kernel until the next one is due, and gives the event loop a turn each
 * time. Nothing else should go on in it but what sends and hears of its acks.
 */

/** The longest sleep, in ms: acks that come in meanwhile wait so long to be seen. */
const SLEEP_MS_MAX = 0.2;
/** The kernel may wake a sleeper later than asked by this, in ns; by default it is 50,000. */
const TIMER_SLACK_NS = 1;

export interface Rate {
  /** Events per second, at the start. */
  readonly from: number;
  /** At the end; the rate grows or falls evenly. */
  readonly to: number;
  readonly durationMs: number;
}

/** Which event is due when, in µs since the start. */
export class Schedule {
  /** Events in all. */
  readonly total: number;
  private readonly from: number;
  /** How much the rate grows, per µs. */
  private readonly growth: number;

  constructor({ from, to, durationMs }: Rate) {
    const durationUs = durationMs * 1e3;
    this.from = from / 1e6;
    this.growth = (to - from) / 1e6 / durationUs;
    this.total = Math.round(((from + to) / 2e6) * durationUs);
  }

  /** When the event of this number (from 0 up) is due. */
  dueUs(index: number): number {
    const { from, growth } = this;
    if (Math.abs(growth) < 1e-18) return index / from;
    // The events until t are from·t + growth·t²/2. This form of the root has no difference of near equals.
    return (2 * index) / (from + Math.sqrt(Math.max(0, from * from + 2 * growth * index)));
  }

  /** How many events are due by then. */
  dueBy(elapsedUs: number): number {
    if (elapsedUs < 0) return 0;
    const { from, growth } = this;
    const end = growth < 0 ? Math.min(elapsedUs, -from / growth) : elapsedUs;
    let count = Math.min(this.total, Math.floor(from * end + (growth * end * end) / 2) + 1);
    // Rounding may be off by one; an event before its time would have a latency below nothing.
    while (count > 0 && this.dueUs(count - 1) > elapsedUs) count -= 1;
    return count;
  }
}

/** Events `first` to `first + count - 1` are due; `dueUs(n)` tells when on the shared clock. */
export type OnDue = (first: number, count: number) => void;

export class Pace {
  /** How late each event was handed to the sender, in µs: the error of the schedule itself. */
  readonly lateness: Histogram = new Histogram();
  readonly schedule: Schedule;
  /** On the shared clock. */
  readonly startUs: number;
  /** Events before this one are not counted in `lateness`. */
  private readonly warmUpCount: number;

  constructor(schedule: Schedule, startUs: number, warmUpUs: number = 0) {
    this.schedule = schedule;
    this.startUs = startUs;
    this.warmUpCount = warmUpUs > 0 ? schedule.dueBy(warmUpUs) : 0;
  }

  /** When the event is due, in µs on the shared clock. */
  dueUs(index: number): number {
    return this.startUs + this.schedule.dueUs(index);
  }

  /** Calls back whenever events are due, until all were or the signal ends it. */
  async run(onDue: OnDue, signal?: AbortSignal): Promise<void> {
    sharpenTimers();
    const cell = new Int32Array(new SharedArrayBuffer(4));
    const { schedule, startUs } = this;
    let done = 0;
    while (done < schedule.total && signal?.aborted !== true) {
      const now = nowUs();
      const due = schedule.dueBy(now - startUs);
      if (due > done) {
        for (let index = Math.max(done, this.warmUpCount); index < due; index += 1) {
          this.lateness.record(now - this.dueUs(index));
        }
        onDue(done, due - done);
        done = due;
      }
      await turn();
      const waitMs = (this.dueUs(done) - nowUs()) / 1e3;
      if (waitMs > 0) Atomics.wait(cell, 0, 0, Math.min(waitMs, SLEEP_MS_MAX));
    }
  }
}

/** One turn of the event loop, in which sockets are read and written. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Asks the kernel to wake this thread when it said, not up to 50 µs later. Works for the main thread of a process. */
export function sharpenTimers(): void {
  try {
    writeFileSync("/proc/self/timerslack_ns", String(TIMER_SLACK_NS));
  } catch {
    // A kernel without it is a little later, which the lateness shows.
  }
}
