/** Quotas: how fast a namespace, or a user, may publish. The core holds senders back; here is who has which rate. */
import { MillraceError } from "../errors/index.ts";
import type { Engine, Rate } from "../log/engine.ts";
import type { MetadataLog } from "./metadata-log.ts";
import { entityKey, nameFault } from "./names.ts";
import type { StoredRecord } from "./record-batch.ts";
import type { MetadataChange } from "./routing-state.ts";

export const QUOTA_KINDS = ["namespace", "user"] as const;
export type QuotaKind = (typeof QUOTA_KINDS)[number];

/** Whose quota it is. */
export interface QuotaOwner {
  readonly kind: QuotaKind;
  readonly name: string;
}

/** Limits of all connections of the owner together; null is none. */
export interface Quota extends QuotaOwner {
  readonly messagesPerSec: number | null;
  readonly bytesPerSec: number | null;
  /** So much of a pause may be made up for at once. */
  readonly burstMs: number;
}

export interface QuotaEvent {
  readonly type: "quota_changed";
  readonly owner: QuotaOwner;
  /** Undefined when it was taken away. */
  readonly quota: Quota | undefined;
}

export const BURST_MS_DEFAULT = 1000;
const KEY = /^quota (namespace|user) (\S+)$/;
const NO_RATE: Rate = { messagesPerSec: 0, bytesPerSec: 0, burstMs: 0 };

/** The quotas that the metadata log describes. */
export class QuotaState {
  readonly #quotas = new Map<string, Quota>();

  get size(): number {
    return this.#quotas.size;
  }

  find(owner: QuotaOwner): Quota | undefined {
    return this.#quotas.get(keyOf(owner));
  }

  all(): Quota[] {
    return [...this.#quotas.values()];
  }

  /** @returns undefined for a record that is no quota's. */
  apply({ key, value }: StoredRecord): QuotaEvent[] | undefined {
    const [, kind, name] = KEY.exec(key) ?? [];
    if (kind === undefined || name === undefined) return undefined;
    const owner = { kind: kind as QuotaKind, name };
    if (value === null) {
      if (!this.#quotas.delete(key)) return [];
      return [{ type: "quota_changed", owner, quota: undefined }];
    }
    const { messagesPerSec, bytesPerSec, burstMs } = value as Quota;
    const quota: Quota = { ...owner, messagesPerSec, bytesPerSec, burstMs };
    this.#quotas.set(key, quota);
    return [{ type: "quota_changed", owner, quota }];
  }
}

export class Quotas {
  readonly #engine: Engine;
  readonly #metadata: MetadataLog;
  readonly #quotasMax: number;

  constructor(engine: Engine, metadata: MetadataLog, limits: { readonly quotasMax: number }) {
    this.#engine = engine;
    this.#metadata = metadata;
    this.#quotasMax = limits.quotasMax;
  }

  /** Every quota, by kind and name. */
  list(): Quota[] {
    this.#metadata.catchUp();
    const all = this.#metadata.state.quotas.all();
    return all.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  /**
   * Gives a namespace or a user its quota, instead of the one it had.
   *
   * @throws invalid_argument, limit_exceeded.
   */
  async put(quota: Quota): Promise<void> {
    const fault = nameFault(quota.name);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `name: ${fault}`);
    const { kind, name, messagesPerSec, bytesPerSec, burstMs } = quota;
    await this.#change((state) => {
      if (state.find(quota) === undefined && state.size >= this.#quotasMax) {
        throw new MillraceError("limit_exceeded", `the broker has its ${this.#quotasMax} quotas (quotasMax)`, {
          details: { limit: "quotasMax" },
        });
      }
      const value = { type: "quota", v: 1, kind, name, messagesPerSec, bytesPerSec, burstMs };
      return [{ key: keyOf(quota), value }];
    });
  }

  /** Takes a quota away. @returns whether there was one. */
  async delete(owner: QuotaOwner): Promise<boolean> {
    let existed = false;
    await this.#change((state) => {
      existed = state.find(owner) !== undefined;
      return existed ? [{ key: keyOf(owner), value: null }] : [];
    });
    return existed;
  }

  /** Tells the core of a quota. Every worker does, and the core is shared: the last of equal words changes nothing. */
  apply({ owner, quota }: QuotaEvent): void {
    this.#engine.rateSet(keyOf(owner), quota === undefined ? NO_RATE : rateOf(quota));
  }

  /** Has a connection count for its namespace and its user. */
  attach(connection: number, namespace: string, user: string): void {
    const { quotas } = this.#metadata.state;
    const owners = [
      { kind: "namespace", name: namespace },
      { kind: "user", name: user },
    ] as const;
    const limited = owners.filter((owner) => quotas.find(owner) !== undefined);
    this.#engine.connectionRates(connection, limited.map(keyOf));
  }

  #change(decide: (state: QuotaState) => readonly MetadataChange[]): Promise<void> {
    return this.#metadata.change(({ quotas }) => decide(quotas));
  }
}

function keyOf({ kind, name }: QuotaOwner): string {
  return entityKey("quota", kind, name);
}

function rateOf({ messagesPerSec, bytesPerSec, burstMs }: Quota): Rate {
  return { messagesPerSec: messagesPerSec ?? 0, bytesPerSec: bytesPerSec ?? 0, burstMs };
}
