import { cancelled, clientError } from "./errors.ts";

/** Timers that do not keep a process alive by themselves, and waiting that a signal ends. */

interface MaybeTimer {
  unref?: () => void;
}

type Timer = ReturnType<typeof setTimeout>;

function release(timer: Timer): Timer {
  (timer as unknown as MaybeTimer).unref?.();
  return timer;
}

/** setInterval that does not keep the process alive: the socket does that. */
export function every(intervalMs: number, run: () => void): Timer {
  return release(setInterval(run, intervalMs) as unknown as Timer);
}

/** Runs after the current turn of the loop. */
export function soon(run: () => void): void {
  const immediate = (globalThis as { setImmediate?: (run: () => void) => void }).setImmediate;
  if (immediate) immediate(run);
  else setTimeout(run, 0);
}

/** Resolves after `ms`. Errors: cancelled. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(cancelled(signal));
      return;
    }
    const abort = (): void => {
      clearTimeout(timer);
      reject(cancelled(signal as AbortSignal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Settles as the promise does, or with `cancelled` when the signal aborts first. */
export function withSignal<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  if (signal.aborted) return Promise.reject(cancelled(signal));
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(cancelled(signal));
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Settles as the promise does, or with `timeout` when that takes longer. */
export async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  const patience = new AbortController();
  const late = sleep(timeoutMs, patience.signal).then(() => {
    throw clientError("timeout", `no answer in ${timeoutMs} ms`);
  });
  // The loser of the race has nobody to tell.
  late.catch(() => undefined);
  return Promise.race([promise, late]).finally(() => patience.abort());
}

/** The wait before attempt `attempt` (from 0): doubling from `minMs` to `maxMs`, of which the upper half is random, so that clients of one broker do not return in step. */
export function backoffMs(attempt: number, minMs: number, maxMs: number): number {
  const full = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 20));
  return full / 2 + Math.random() * (full / 2);
}

/** How often one reading of the clock is used, less one. */
const USES_MASK = 15;

/** The time of day for those who ask very often: asking costs as much as encoding a record, so one reading serves sixteen times, until `expire`. */
export class CoarseClock {
  private ms = 0;
  private uses = 0;

  now(): number {
    return (this.uses++ & USES_MASK) === 0 ? this.read() : this.ms;
  }

  /** The time as it is; `now` goes on from it, so that the times of both do not cross. */
  read(): number {
    this.ms = Date.now();
    return this.ms;
  }

  /** The next `now` reads the clock. */
  expire(): void {
    this.uses = 0;
  }
}
