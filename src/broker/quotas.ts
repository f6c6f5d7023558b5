/**
 * Quotas: what a namespace, or a user, may have. The core holds senders back and counts connections and stored bytes;
 * here is who has which quota, and topics and queues are counted.
 */
import { MillraceError } from "../errors/index.ts";
import type { BucketQuota, Engine } from "../log/engine.ts";
import type { MetadataLog } from "./metadata-log.ts";
import type { MetadataState } from "./metadata-state.ts";
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

/** Limits of all that the owner has together; null is none. */
export interface QuotaLimits {
  readonly messagesPerSec: number | null;
  readonly bytesPerSec: number | null;
  readonly connectionsMax: number | null;
  /** Bytes of logs: a namespace's topics, journal and ack log; the topics that a user created. */
  readonly storageBytesMax: number | null;
  /** What the namespace holds, or what the user created. */
  readonly topicsMax: number | null;
  readonly queuesMax: number | null;
}

export interface Quota extends QuotaOwner, QuotaLimits {
  /** So much of a pause may be made up for at once. */
  readonly burstMs: number;
}

/** What an owner has of what its quota limits. */
export interface QuotaUse {
  readonly connections: number;
  readonly storageBytes: number;
  readonly topics: number;
  readonly queues: number;
}

export interface QuotaEvent {
  readonly type: "quota_changed";
  readonly owner: QuotaOwner;
  /** Undefined when it was taken away. */
  readonly quota: Quota | undefined;
}

export const BURST_MS_DEFAULT = 1000;
const KEY = /^quota (namespace|user) (\S+)$/;
const NOT_IN_KEYS = /[\s%]/gu;
const USER_LENGTH_MAX = 256;
export const QUOTA_LIMITS = [
  "messagesPerSec",
  "bytesPerSec",
  "connectionsMax",
  "storageBytesMax",
  "topicsMax",
  "queuesMax",
] as const satisfies readonly (keyof QuotaLimits)[];

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
    const owner = { kind: kind as QuotaKind, name: decodeURIComponent(name) };
    if (value === null) {
      if (!this.#quotas.delete(key)) return [];
      return [{ type: "quota_changed", owner, quota: undefined }];
    }
    // Records of before there were more limits than two name only those.
    const record = value as Partial<QuotaLimits> & { readonly burstMs: number };
    const limits = Object.fromEntries(QUOTA_LIMITS.map((limit) => [limit, record[limit] ?? null]));
    const quota = { ...owner, ...limits, burstMs: record.burstMs } as Quota;
    this.#quotas.set(key, quota);
    return [{ type: "quota_changed", owner, quota }];
  }
}

export class Quotas {
  readonly #engine: Engine;
  readonly #metadata: MetadataLog;
  readonly #limits: { readonly quotasMax: number };

  constructor(engine: Engine, metadata: MetadataLog, limits: { readonly quotasMax: number }) {
    this.#engine = engine;
    this.#metadata = metadata;
    this.#limits = limits;
  }

  /** Every quota, by kind and name, with what is used of it. */
  list(): (Quota & { readonly used: QuotaUse })[] {
    this.#metadata.catchUp();
    const { state } = this.#metadata;
    const all = state.quotas.all().toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    return all.map((quota) => ({ ...quota, used: this.#useOf(state, quota) }));
  }

  #useOf(state: MetadataState, owner: QuotaOwner): QuotaUse {
    return {
      connections: this.#engine.quotaConnections(keyOf(owner)),
      storageBytes: this.#engine.logBytes(logsOf(state, owner)),
      topics: countOf(state, owner, "topicsMax"),
      queues: countOf(state, owner, "queuesMax"),
    };
  }

  /**
   * Gives a namespace or a user its quota, instead of the one it had.
   *
   * @throws invalid_argument, limit_exceeded.
   */
  async put(quota: Quota): Promise<void> {
    const fault = ownerFault(quota);
    if (fault !== undefined) throw new MillraceError("invalid_argument", `name: ${fault}`);
    const { quotasMax } = this.#limits;
    await this.#change((state) => {
      if (state.find(quota) === undefined && state.size >= quotasMax) {
        throw new MillraceError("limit_exceeded", `the broker has its ${quotasMax} quotas (quotasMax)`, {
          details: { limit: "quotasMax" },
        });
      }
      return [{ key: keyOf(quota), value: { type: "quota", v: 1, ...quota } }];
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
    this.#engine.quotaSet(keyOf(owner), quota === undefined ? undefined : bucketOf(quota));
  }

  /**
   * Has a connection count for its namespace and its user.
   *
   * @param isNew false for one that was there already: it stays, whatever the quota says.
   * @throws quota_exceeded, for a new one.
   */
  attach(connection: number, owner: { namespace: string; user: string }, isNew: boolean): void {
    const { quotas } = this.#metadata.state;
    const limited = ownersOf(owner.namespace, owner.user).filter((each) => quotas.find(each) !== undefined);
    this.#engine.connectionQuotas(connection, limited.map(keyOf), isNew);
  }

  #change(decide: (state: QuotaState) => readonly MetadataChange[]): Promise<void> {
    return this.#metadata.change(({ quotas }) => decide(quotas));
  }
}

/** The name of an owner's bucket in the core, and of its record. */
export function keyOf({ kind, name }: QuotaOwner): string {
  return entityKey("quota", kind, name.replace(NOT_IN_KEYS, encodeURIComponent));
}

/** Users have names of all kinds (an e-mail address, the subject of a token), namespaces those of this broker. */
function ownerFault({ kind, name }: QuotaOwner): string | undefined {
  if (kind === "namespace") return nameFault(name);
  return name === "" || name.length > USER_LENGTH_MAX
    ? `a user's name has 1 to ${USER_LENGTH_MAX} characters`
    : undefined;
}

/** Whose quotas count for what a user does in a namespace. */
function ownersOf(namespace: string, user: string): QuotaOwner[] {
  return [
    { kind: "namespace", name: namespace },
    { kind: "user", name: user },
  ];
}

function bucketOf({ messagesPerSec, bytesPerSec, burstMs, connectionsMax }: Quota): BucketQuota {
  return {
    messagesPerSec: messagesPerSec ?? 0,
    bytesPerSec: bytesPerSec ?? 0,
    burstMs,
    connectionsMax: connectionsMax ?? 0,
  };
}

interface Owned {
  readonly namespace: string;
  readonly createdBy?: string;
}

function isOf({ kind, name }: QuotaOwner, { namespace, createdBy }: Owned): boolean {
  return kind === "namespace" ? namespace === name : createdBy === name;
}

function countOf(state: MetadataState, owner: QuotaOwner, limit: "topicsMax" | "queuesMax"): number {
  let count = 0;
  for (const each of limit === "topicsMax" ? state.topics() : state.routing.queues()) if (isOf(owner, each)) count += 1;
  return count;
}

/** The logs whose bytes an owner's quota limits. */
export function logsOf(state: MetadataState, owner: QuotaOwner): number[] {
  const ids: number[] = [];
  for (const topic of state.topics()) if (isOf(owner, topic)) ids.push(topic.id);
  const space = owner.kind === "namespace" ? state.routing.space(owner.name) : undefined;
  return space === undefined ? ids : [...ids, space.journalLogId, space.ackLogId];
}

/** There is room for one more topic or queue of this user in this namespace. @throws quota_exceeded. */
export function checkQuotas(
  state: MetadataState,
  limit: "topicsMax" | "queuesMax",
  { namespace, createdBy = "" }: Owned,
): void {
  for (const owner of ownersOf(namespace, createdBy)) {
    const max = state.quotas.find(owner)?.[limit] ?? null;
    if (max === null || countOf(state, owner, limit) < max) continue;
    const { kind, name } = owner;
    const what = `the ${kind} ${name} has its ${max} ${limit.replace("Max", "")} (the quota's ${limit})`;
    throw new MillraceError("quota_exceeded", what, { details: { limit, kind, name } });
  }
}
