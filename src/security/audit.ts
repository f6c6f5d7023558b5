/**
 * The audit log: one line of JSON for each administrative act and for each refusal.
 *
 *     {"time", "event": "act"|"refused", "principal", "kind", "namespace", "operation", "resources": [...], "about"?, "outcome", "error"?}
 *
 * Refusals are held to a rate for each principal, so that nobody fills a disk by asking; the next line that is written
 * says how many were left out. Lines hold names and never values: no message, password or token.
 */
import { appendFileSync } from "node:fs";
import type { Logger } from "../stdx/index.ts";
import type { Refusal } from "./authenticator.ts";
import type { Operation } from "./operations.ts";
import type { Principal } from "./principal.ts";
import type { Resource } from "./rules.ts";

export interface Audit {
  /** Somebody could not log in. */
  logInRefused(refusal: Refusal): void;
  refused(principal: Principal, operation: Operation, resource: Resource): void;
  /** @param error by name, of an act that was allowed and failed. */
  acted(
    principal: Principal,
    act: {
      operation: Operation;
      resources: readonly Resource[];
      about?: string | undefined;
      error: string | undefined;
    },
  ): void;
}

export const noAudit: Audit = { logInRefused: () => undefined, refused: () => undefined, acted: () => undefined };

/** Refusals of a principal that are written at once, and then so many a second. */
const REFUSALS_BURST = 20;
const REFUSALS_PER_SEC = 1;
/** Principals whose refusals are counted; past them the longest silent is forgotten. */
const PRINCIPALS_MAX = 4096;
const NAME_LENGTH_MAX = 249;
const RESOURCES_MAX = 100;
const ABOUT_LENGTH_MAX = 1000;

interface Bucket {
  tokens: number;
  atMs: number;
  leftOut: number;
}

export interface AuditOptions {
  /** Takes whole lines; where there is none, lines go to the logger. */
  readonly file: string;
  readonly logger: Logger;
  readonly now: () => number;
}

export class AuditLog implements Audit {
  readonly #options: AuditOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  /** Held to a rate for each address, whatever names are tried from there. */
  logInRefused({ user = "", address, mechanism, reason }: Refusal): void {
    const leftOut = this.#take({ name: `address ${address}` });
    if (leftOut === undefined) return;
    const more = leftOut > 0 ? { leftOut } : {};
    const principal: Principal = { name: user.slice(0, NAME_LENGTH_MAX), kind: "anonymous", namespace: "", roles: [] };
    const outcome = { resources: [], outcome: "refused", error: "unauthenticated" };
    this.#write(principal, { event: "refused", operation: "connect", ...outcome, address, mechanism, reason, ...more });
  }

  refused(principal: Principal, operation: Operation, resource: Resource): void {
    const leftOut = this.#take(principal);
    if (leftOut === undefined) return;
    const more = leftOut > 0 ? { leftOut } : {};
    this.#write(principal, { event: "refused", operation, resources: [shown(resource)], outcome: "refused", ...more });
  }

  acted(principal: Principal, { operation, resources, about, error }: Parameters<Audit["acted"]>[1]): void {
    this.#write(principal, {
      event: "act",
      operation,
      resources: resources.slice(0, RESOURCES_MAX).map(shown),
      ...(about === undefined ? {} : { about: about.slice(0, ABOUT_LENGTH_MAX) }),
      ...(error === undefined ? { outcome: "done" } : { outcome: "failed", error }),
    });
  }

  /** How many were left out before this refusal; undefined where it is left out itself. */
  #take({ name }: Pick<Principal, "name">): number | undefined {
    const nowMs = this.#options.now();
    const bucket = this.#buckets.get(name) ?? { tokens: REFUSALS_BURST, atMs: nowMs, leftOut: 0 };
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    if (this.#buckets.size > PRINCIPALS_MAX) this.#buckets.delete(this.#buckets.keys().next().value ?? "");
    const earned = (Math.max(0, nowMs - bucket.atMs) / 1000) * REFUSALS_PER_SEC;
    bucket.tokens = Math.min(REFUSALS_BURST, bucket.tokens + earned);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) {
      bucket.leftOut += 1;
      return undefined;
    }
    bucket.tokens -= 1;
    const { leftOut } = bucket;
    bucket.leftOut = 0;
    return leftOut;
  }

  #write({ name, kind, namespace }: Principal, fields: Readonly<Record<string, unknown>>): void {
    const { file, logger, now } = this.#options;
    const line = { principal: name, kind, namespace, ...fields };
    if (file === "") {
      logger.always("audit", line);
      return;
    }
    try {
      // Opened for each line: acts are rare, and a file that was moved away is made again.
      appendFileSync(file, `${JSON.stringify({ time: new Date(now()).toISOString(), ...line })}\n`, { mode: 0o600 });
    } catch (error) {
      logger.error("the audit log could not be written", { error, audit: line });
    }
  }
}

function shown({ kind, namespace, name }: Resource): Resource {
  return { kind, namespace: namespace.slice(0, NAME_LENGTH_MAX), name: name.slice(0, NAME_LENGTH_MAX) };
}
