/**
 * What the dashboard holds instead of a password: a signed token in a cookie. Every worker thread can check it, because all
 * have the process's key; a restart of the broker ends all of them.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { isText } from "./text.ts";

export interface WebSession {
  readonly id: string;
  readonly user: string;
  /** Of the credential that the user logged in with: a changed password ends the session. */
  readonly print: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export const COOKIE = "millrace_session";
export const CSRF_HEADER = "x-millrace-csrf";
const LIFE_MS = 12 * 3600_000;
/** Logged-out sessions that would otherwise still be valid. */
export const REVOKED_MAX = 10_000;
const TOKEN_LENGTH_MAX = 2048;

export class WebSessions {
  readonly #key: Uint8Array;
  /** Ids, and when they would have expired. */
  readonly #revoked = new Map<string, number>();
  #validFromMs = 0;

  /** @param key secret of this process, the same on all its threads. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  open(user: string, print: string, nowMs: number): { token: string; session: WebSession } {
    const id = randomBytes(16).toString("base64url");
    const session = { id, user, print, issuedAtMs: nowMs, expiresAtMs: nowMs + LIFE_MS };
    const payload = Buffer.from(JSON.stringify(session)).toString("base64url");
    return { token: `${payload}.${this.#sign("session", payload)}`, session };
  }

  /** The session of a token that this process signed and that is still valid; undefined for any other text. */
  find(token: string, nowMs: number): WebSession | undefined {
    if (token.length > TOKEN_LENGTH_MAX) return undefined;
    const [payload = "", signature = ""] = token.split(".", 2);
    if (!isSame(signature, this.#sign("session", payload))) return undefined;
    const session = JSON.parse(Buffer.from(payload, "base64url").toString()) as WebSession;
    const isOver = session.expiresAtMs <= nowMs || session.issuedAtMs < this.#validFromMs;
    return isOver || this.#revoked.has(session.id) ? undefined : session;
  }

  /** What a request that changes something has to carry besides the cookie, which a foreign page cannot know. */
  csrfOf(session: WebSession): string {
    return this.#sign("csrf", session.id);
  }

  isCsrf(session: WebSession, value: string | null): boolean {
    return isText(value, TOKEN_LENGTH_MAX) && isSame(value, this.csrfOf(session));
  }

  /** Ends a session here; the other worker threads have to be told too. */
  revoke(id: string, expiresAtMs: number, nowMs: number): void {
    for (const [known, untilMs] of this.#revoked) if (untilMs <= nowMs) this.#revoked.delete(known);
    if (this.#revoked.size >= REVOKED_MAX) {
      // Forgetting one would let its cookie in again; asking everybody to log in once more would not.
      this.#revoked.clear();
      this.#validFromMs = nowMs + 1;
    }
    this.#revoked.set(id, expiresAtMs);
  }

  #sign(purpose: string, text: string): string {
    return createHmac("sha256", this.#key).update(`${purpose} ${text}`).digest("base64url");
  }
}

function isSame(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
