/**
 * Checks passwords without letting anybody make the broker hash all day: one hash at a time on each worker thread, off its
 * loop, with a bounded line of those that wait, in which one address has a few places only; and what was right a moment ago
 * is not hashed again.
 */
import { createHmac } from "node:crypto";
import { MillraceError } from "../errors/index.ts";
import { type Salter, saltInPool } from "./salt.ts";
import { type Credential, isPassword } from "./scram.ts";

/** Some seconds of hashing; who comes then is told to come back. */
const WAITING_MAX = 256;
/** After a wrong password nothing is hashed for so many times as long: guesses get a fifth of a processor at most. */
const REST_TIMES = 4;
/** Where a hash took longer than that is worth, it waited for a processor. */
const REST_MS_MAX = 100;
/** So that a flood from one address leaves places for others. */
const WAITING_PER_ADDRESS_MAX = 32;
/** Passwords that were right, as keyed hashes, for HTTP clients that send one with each request. */
const REMEMBERED_MAX = 1024;
const REMEMBERED_MS = 5 * 60_000;

/** A password that somebody claims to be a user's. */
export interface Claim {
  readonly user: string;
  readonly password: string;
  readonly address: string;
}

export class Passwords {
  readonly #key: Uint8Array;
  readonly #nowMs: () => number;
  readonly #salter: Salter;
  /** When each is forgotten. */
  readonly #right = new Map<string, number>();
  #waiting = 0;
  readonly #waitingOf = new Map<string, number>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param key secret of this process. @param nowMs a clock that never goes back. */
  constructor(key: Uint8Array, nowMs: () => number, salter: Salter = saltInPool) {
    this.#key = key;
    this.#nowMs = nowMs;
    this.#salter = salter;
  }

  /**
   * Whether the password is the one of this credential. A changed password has another credential, so that nothing
   * remembered about the old one counts.
   *
   * @param before runs when it is this check's turn, right before the work; it may throw.
   * @throws limit_exceeded when too many wait; what `before` throws.
   */
  async isRight(claim: Claim, credential: Credential, before: () => void): Promise<boolean> {
    const { user, password, address } = claim;
    const print = this.#print(user, password, credential);
    if (this.#isRemembered(print)) return true;
    this.#wait(address, 1);
    let restMs = 0;
    const mine = this.#last.then(async () => {
      if (this.#isRemembered(print)) return true;
      before();
      const startMs = this.#nowMs();
      const isRight = await isPassword(password, credential, this.#salter);
      if (isRight) this.#remember(print);
      else restMs = Math.min(REST_TIMES * (this.#nowMs() - startMs), REST_MS_MAX);
      return isRight;
    });
    const rest = (): Promise<unknown> => (restMs > 0 ? Bun.sleep(restMs) : Promise.resolve());
    this.#last = mine.then(rest, rest);
    try {
      return await mine;
    } finally {
      this.#wait(address, -1);
    }
  }

  /** Takes a place in the line, or gives it back. @throws limit_exceeded where none is left. */
  #wait(address: string, step: 1 | -1): void {
    const ofAddress = this.#waitingOf.get(address) ?? 0;
    if (step === 1 && (this.#waiting >= WAITING_MAX || ofAddress >= WAITING_PER_ADDRESS_MAX)) {
      throw new MillraceError("limit_exceeded", "too many log-ins wait for their turn already: try again soon");
    }
    this.#waiting += step;
    if (ofAddress + step === 0) this.#waitingOf.delete(address);
    else this.#waitingOf.set(address, ofAddress + step);
  }

  #print(user: string, password: string, { storedKey }: Credential): string {
    // Lengths first, so that no two pairs look alike.
    const text = `${user.length}:${user}${password.length}:${password}${storedKey}`;
    return createHmac("sha256", this.#key).update(text).digest("base64");
  }

  #isRemembered(print: string): boolean {
    return (this.#right.get(print) ?? 0) > this.#nowMs();
  }

  #remember(print: string): void {
    this.#right.delete(print);
    this.#right.set(print, this.#nowMs() + REMEMBERED_MS);
    if (this.#right.size <= REMEMBERED_MAX) return;
    const [oldest] = this.#right.keys();
    if (oldest !== undefined) this.#right.delete(oldest);
  }
}
