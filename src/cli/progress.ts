import type { Output } from "./output.ts";
import { groupDigits, roundBytes, roundMs } from "./units.ts";

/** A line on the terminal that shows how far long work is. It writes nothing where standard error is no terminal. */

const REDRAW_MS = 100;
/** Work shorter than this shows nothing. */
const PATIENCE_MS = 300;
const BAR_WIDTH = 24;
const CLEAR_LINE = "\r\x1b[2K";

export interface ProgressState {
  records: number;
  bytes: number;
  /** Whole of `done`, where it is known. */
  total: number | null;
  /** In the unit of `total`. */
  done: number;
}

export class Progress {
  private readonly output: Output;
  private readonly label: string;
  private readonly started = performance.now();
  private drawn = 0;
  private isShown = false;

  constructor(output: Output, label: string) {
    this.output = output;
    this.label = label;
  }

  /** Redraws when it is time. Call it once per chunk, not per record. */
  update(state: ProgressState): void {
    if (!this.output.isTerminal) return;
    const now = performance.now();
    if (now - this.started < PATIENCE_MS || now - this.drawn < REDRAW_MS) return;
    this.drawn = now;
    this.isShown = true;
    const line = progressLine(this.label, state, now - this.started).slice(0, this.output.columns - 1);
    this.output.write(CLEAR_LINE + line);
    void this.output.flush();
  }

  /** Removes the line. */
  end(): void {
    if (!this.isShown) return;
    this.isShown = false;
    this.output.write(CLEAR_LINE);
    void this.output.flush();
  }
}

export function progressLine(label: string, state: ProgressState, elapsedMs: number): string {
  const rate = (state.records / Math.max(1, elapsedMs)) * 1000;
  const counts = `${groupDigits(state.records)} records  ${roundBytes(state.bytes)}  ${groupDigits(Math.round(rate))}/s`;
  if (state.total === null || state.total <= 0) return `${label}  ${counts}  ${roundMs(elapsedMs)}`;
  const share = Math.min(1, state.done / state.total);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
  const leftMs = share > 0 ? (elapsedMs / share) * (1 - share) : 0;
  return `${label}  ${bar} ${Math.floor(share * 100)}%  ${counts}  ${roundMs(leftMs)} left`;
}
