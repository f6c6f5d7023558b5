/**
 * The connections of a worker that have not logged in. Whoever guesses passwords, or opens connections and leaves them, gets
 * a small share of the worker's time, and takes no place from those who log in.
 */
import type { Session } from "./session.ts";

/** So many refusals a second are answered at once, and so many more after a quiet time; the others wait. */
const REFUSALS_PER_S = 20;
const BURST_MS = 2_000;
/** The longest wait, short of what a handshake may take by default. */
const WAIT_MS_MAX = 4_000;
const COST_MS = 1_000 / REFUSALS_PER_S;

export class Handshakes {
  readonly #limits: { readonly handshakesMax: number };
  readonly #monotonicMs: () => number;
  /** In the order in which they connected. */
  readonly #open = new Set<Session>();
  /** Refusals up to then are paid for. */
  #paidMs = Number.NEGATIVE_INFINITY;

  constructor(limits: { readonly handshakesMax: number }, monotonicMs: () => number) {
    this.#limits = limits;
    this.#monotonicMs = monotonicMs;
  }

  /** A connection came. Where there are too many, the oldest goes: who means it has been done long ago. */
  begin(session: Session): void {
    const [oldest] = this.#open;
    if (oldest !== undefined && this.#open.size >= this.#limits.handshakesMax) {
      this.#open.delete(oldest);
      oldest.giveWay();
    }
    this.#open.add(session);
  }

  /** It has logged in, or gone. */
  end(session: Session): void {
    this.#open.delete(session);
  }

  /** How long the answer to a refused log-in waits, so that a flood of guesses is a trickle. */
  refusalWaitMs(): number {
    const nowMs = this.#monotonicMs();
    this.#paidMs = Math.min(Math.max(this.#paidMs, nowMs - BURST_MS) + COST_MS, nowMs + WAIT_MS_MAX);
    return Math.max(0, this.#paidMs - nowMs);
  }
}
