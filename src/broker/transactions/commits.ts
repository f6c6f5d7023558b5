/**
 * The commits that this worker decides: check, one synced record, apply in that order, and forget once all is synced.
 * A commit that is decided is applied however often it takes; one that is not leaves nothing behind.
 */
import { MillraceError } from "../../errors/index.ts";
import type { Engine } from "../../log/engine.ts";
import type { Groups } from "../groups/groups.ts";
import type { Prepared } from "../groups/messages.ts";
import { OFFSETS_LOG_ID } from "../groups/offsets-store.ts";
import type { Spaces } from "../spaces.ts";
import { type Applier, isStorageFault, type Touched } from "./applier.ts";
import { Identities } from "./identities.ts";
import type { Commit, CommitAsk, Identity } from "./messages.ts";
import { Sealer } from "./seal.ts";
import { commitKey, type TransactionLog } from "./transaction-log.ts";

export interface CommitsParts {
  readonly engine: Engine;
  readonly spaces: Spaces;
  readonly groups: Groups;
  readonly log: TransactionLog;
  readonly applier: Applier;
}

/** Decided, and not wholly applied yet. */
interface Decided {
  readonly key: string;
  readonly commit: Commit;
  readonly done: PromiseWithResolvers<void>;
  isSynced: boolean;
}

const RETRY_MS = 200;
/** Commits are forgotten after so long, or so many of them or their bytes. */
const FORGET_MS = 500;
const FORGET_COUNT = 2_000;
const FORGET_BYTES = 64 * 1024 * 1024;

export class Commits {
  readonly #parts: CommitsParts;
  readonly #identities: Identities;
  /** In the order they were decided, and so they are applied: a later identity fences an earlier one. */
  readonly #decided: Decided[] = [];
  #applied: string[] = [];
  #appliedBytes = 0;
  #touched: Touched = new Map();
  #forgetting: Promise<void> = Promise.resolve();
  #forgetTimer: Timer | undefined;
  #retryTimer: Timer | undefined;
  #failure: unknown;
  #isClosed = false;

  constructor(parts: CommitsParts) {
    this.#parts = parts;
    this.#identities = new Identities(parts.engine);
  }

  /**
   * Commits. What was claimed for it is settled or given back, whatever comes.
   *
   * @param check runs last before the decision.
   * @throws why nothing was done; storage_failed where nobody can know before the next start.
   */
  async commit(ask: CommitAsk, check: () => void): Promise<void> {
    let prepared: Prepared[] = [];
    let commit: Commit;
    try {
      prepared = await this.#prepare(ask);
      if (this.#failure !== undefined) throw this.#failure;
      check();
      this.#checkPublishes(ask);
      commit = this.#decide(ask, prepared);
    } catch (error) {
      this.#giveBack(ask);
      throw error;
    }
    const decided: Decided = { key: commitKey(ask), commit, done: Promise.withResolvers(), isSynced: false };
    this.#decided.push(decided);
    // The record may or may not outlive a power cut: only the next start can tell, so nothing is given back.
    await this.#parts.log.sync().catch((error: unknown) => this.#fail(error));
    decided.isSynced = true;
    this.#pump();
    await decided.done.promise;
  }

  /** Holds the groups whose offsets are committed. */
  async #prepare({ namespace, txn, offsets }: CommitAsk): Promise<Prepared[]> {
    const { groups } = this.#parts;
    const asked = offsets.map((commit) => groups.prepare({ namespace, txn, ...commit }));
    const outcomes = await Promise.allSettled(asked);
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  }

  /** What is checked here cannot be refused when it is applied. */
  #checkPublishes({ namespace, topics, exchanges }: CommitAsk): void {
    const { engine, spaces } = this.#parts;
    for (const { topicId, partition } of topics) engine.partition(topicId, partition);
    if (exchanges.length === 0) return;
    const rows = exchanges.map(({ exchangeId, flags, batch }) => [exchangeId, flags, batch]);
    if (spaces.transact(namespace, ["check", rows]) === undefined) throw new MillraceError("exchange_not_found");
  }

  #decide(ask: CommitAsk, prepared: readonly Prepared[]): Commit {
    const identity = this.#identities.next();
    const commit = sealed(ask, identity, prepared);
    this.#parts.log.commit(commit);
    return commit;
  }

  #giveBack({ namespace, txn, acks, offsets }: CommitAsk): void {
    const { spaces, groups } = this.#parts;
    for (const { group } of offsets) groups.cancel({ namespace, group, txn });
    for (const { queueId, runs } of acks) spaces.transact(namespace, ["unclaim", queueId, runs]);
  }

  #fail(error: unknown): never {
    this.#failure = error;
    throw error;
  }

  /** Applies what is decided and synced, in order. */
  #pump(): void {
    for (let next = this.#decided[0]; next?.isSynced === true; next = this.#decided[0]) {
      try {
        this.#parts.applier.apply(next.commit, this.#touched);
      } catch {
        this.#retryTimer ??= setTimeout(() => {
          this.#retryTimer = undefined;
          this.#pump();
        }, RETRY_MS);
        return;
      }
      this.#decided.shift();
      void this.#finish(next);
    }
  }

  /** Commits the offsets, which need no order: a group lets one commit of a partition in at a time. */
  async #finish({ key, commit, done }: Decided): Promise<void> {
    const { namespace, txn } = commit;
    for (const { group, offsets } of commit.offsets) {
      const isDone = await this.#retried(() => this.#parts.groups.commitHeld({ namespace, group, txn, offsets }));
      // The broker stops, and applies it at its next start.
      if (!isDone) return;
      this.#touched.set(`${OFFSETS_LOG_ID} 0`, [OFFSETS_LOG_ID, 0]);
    }
    this.#applied.push(key);
    this.#appliedBytes += bytesOf(commit);
    this.#forgetSoon();
    done.resolve();
  }

  async #retried(run: () => Promise<void>): Promise<boolean> {
    while (!this.#isClosed) {
      try {
        await run();
        return true;
      } catch {
        await Bun.sleep(RETRY_MS);
      }
    }
    return false;
  }

  #forgetSoon(): void {
    if (this.#applied.length >= FORGET_COUNT || this.#appliedBytes >= FORGET_BYTES) void this.forget();
    else this.#forgetTimer ??= setTimeout(() => void this.forget(), FORGET_MS);
  }

  /** Takes over what the start has applied. */
  adopt(keys: readonly string[], touched: Touched): void {
    this.#applied.push(...keys);
    for (const [key, place] of touched) this.#touched.set(key, place);
    if (keys.length > 0) this.#forgetSoon();
  }

  /** Notes as applied what is applied, once it is synced. What fails stays, and is applied again at the next start. */
  forget(): Promise<void> {
    clearTimeout(this.#forgetTimer);
    this.#forgetTimer = undefined;
    const keys = this.#applied;
    const touched = this.#touched;
    if (keys.length === 0) return this.#forgetting;
    this.#applied = [];
    this.#appliedBytes = 0;
    this.#touched = new Map();
    this.#forgetting = this.#forgetting.then(() => this.#forget(keys, touched)).catch(() => undefined);
    return this.#forgetting;
  }

  async #forget(keys: readonly string[], touched: Touched): Promise<void> {
    const { engine, log } = this.#parts;
    await Promise.all([...touched.values()].map(([logId, partition]) => syncIfThere(engine, logId, partition)));
    log.forget(keys);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#forgetTimer);
    clearTimeout(this.#retryTimer);
  }
}

function sealed(ask: CommitAsk, identity: Identity, prepared: readonly Prepared[]): Commit {
  const sealer = new Sealer(identity);
  const { namespace, txn, topics, exchanges, acks } = ask;
  return {
    type: "commit",
    v: 1,
    namespace,
    txn,
    ...identity,
    topics: topics.map(({ topicId, partition, batch }) => {
      return [topicId, partition, sealer.seal(`${topicId} ${partition}`, batch)] as const;
    }),
    exchanges: exchanges.map(({ exchangeId, batch }) => [exchangeId, sealer.seal("journal", batch)] as const),
    acks: acks.map(({ queueId, runs }) => [queueId, runs] as const),
    offsets: prepared.map(({ group, offsets, logOffset }) => ({ group, offsets, logOffset })),
  };
}

function bytesOf({ topics, exchanges }: Commit): number {
  let bytes = 0;
  for (const [, , batch] of topics) bytes += batch.length;
  for (const [, batch] of exchanges) bytes += batch.length;
  return bytes;
}

/** A topic that was deleted meanwhile has nothing left to lose. */
async function syncIfThere(engine: Engine, logId: number, partition: number): Promise<void> {
  try {
    await engine.sync(logId, partition);
  } catch (error) {
    if (isStorageFault(error)) throw error;
  }
}
