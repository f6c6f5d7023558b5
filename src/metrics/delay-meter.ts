/** How late this worker's event loop runs its timers: what a connection waits behind others' work. */

const INTERVAL_MS = 100;
const SAMPLES_MAX = 600;

export interface DelaySummary {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class DelayMeter {
  readonly #samples: number[] = [];
  readonly #timer: Timer;
  #next = 0;

  /** Keeps the samples of the last minute. */
  constructor() {
    let expectedMs = performance.now() + INTERVAL_MS;
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.#samples[this.#next] = Math.max(0, nowMs - expectedMs);
      this.#next = (this.#next + 1) % SAMPLES_MAX;
      expectedMs = nowMs + INTERVAL_MS;
    }, INTERVAL_MS);
    this.#timer.unref();
  }

  summary(): DelaySummary {
    const sorted = [...this.#samples].sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: sorted.at(-1) ?? 0 };
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
