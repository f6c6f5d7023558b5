/**
 * Slows down who guesses passwords: after a few failures for a user from an address, each further one doubles the time
 * in which nobody from there may try that user again. It never locks a user out everywhere, which would be an attack too.
 *
 * Each worker thread counts for itself, so a guesser has that many times as many tries.
 */
import { MillraceError } from "../errors/index.ts";

/** So many failures cost nothing: people mistype. */
export const FAILURES_FREE = 3;
const DELAY_MS_MIN = 1000;
const DELAY_MS_MAX = 60_000;
/** Failures are forgotten when there was none for so long. */
const FORGET_MS = 10 * 60_000;
export const ENTRIES_MAX = 10_000;

interface Entry {
  failures: number;
  lastMs: number;
}

export class Attempts {
  readonly #entries = new Map<string, Entry>();
  readonly #nowMs: () => number;

  /** @param nowMs a clock that never goes back. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @throws limit_exceeded while it is too early for another attempt. */
  check(user: string, address: string): void {
    const entry = this.#entries.get(this.#keyOf(user, address));
    if (entry === undefined || entry.failures < FAILURES_FREE) return;
    const waitMs = entry.lastMs + delayMs(entry.failures) - this.#nowMs();
    if (waitMs <= 0) return;
    const seconds = Math.ceil(waitMs / 1000);
    throw new MillraceError("limit_exceeded", `too many failed log-ins: try again in ${seconds} s`, {
      details: { retryAfterMs: Math.ceil(waitMs) },
    });
  }

  failed(user: string, address: string): void {
    const key = this.#keyOf(user, address);
    const entry = this.#entries.get(key) ?? { failures: 0, lastMs: 0 };
    const isForgotten = this.#nowMs() - entry.lastMs > FORGET_MS;
    entry.failures = isForgotten ? 1 : entry.failures + 1;
    entry.lastMs = this.#nowMs();
    // The map keeps the order in which entries were last written to.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > ENTRIES_MAX) this.#dropOldest();
  }

  succeeded(user: string, address: string): void {
    this.#entries.delete(this.#keyOf(user, address));
  }

  /**
   * A full table counts users it does not know yet by their address alone: names that somebody makes up must not push out
   * what is counted of those that exist.
   */
  #keyOf(user: string, address: string): string {
    const key = `${network(address)} ${user}`;
    if (this.#entries.size < ENTRIES_MAX || this.#entries.has(key)) return key;
    this.#dropForgotten();
    return this.#entries.size < ENTRIES_MAX ? key : network(address);
  }

  #dropForgotten(): void {
    const nowMs = this.#nowMs();
    for (const [key, { lastMs }] of this.#entries) {
      if (nowMs - lastMs <= FORGET_MS) return;
      this.#entries.delete(key);
    }
  }

  #dropOldest(): void {
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}

function delayMs(failures: number): number {
  return Math.min(DELAY_MS_MAX, DELAY_MS_MIN * 2 ** (failures - FAILURES_FREE));
}

/** One subscriber usually has a whole /64 of IPv6 addresses, and must not have as many tries. */
function network(address: string): string {
  if (!address.includes(":") || address.startsWith("::ffff:")) return address;
  const [head = "", tail = ""] = address.split("::");
  const left = head.split(":").filter((group) => group !== "");
  const right = address.includes("::") ? tail.split(":").filter((group) => group !== "") : [];
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  return [...left, ...(address.includes("::") ? zeros : []), ...right].slice(0, 4).join(":");
}
