/**
 * A worker's share of the transactional ids: who holds them, what was committed. Transactions without an id are owned by
 * the worker of their session.
 */
import { MillraceError } from "../../errors/index.ts";
import type { Commits } from "./commits.ts";
import type { BeginAsk, CommitAsk, Outcome, TransactionName } from "./messages.ts";
import { commitKey, idKey, type Replayed, type TransactionLog } from "./transaction-log.ts";

/** Outcomes that a worker can still tell, for clients whose connection broke while they committed. */
const REMEMBERED_MAX = 20_000;

export interface OwnerParts {
  readonly commits: Commits;
  readonly log: TransactionLog;
  readonly limits: { readonly transactionalIdsMax: number };
}

export class Owner {
  readonly #parts: OwnerParts;
  /** Newest epochs, least recently used first. */
  readonly #epochs = new Map<string, number>();
  /** Committed, oldest first. */
  readonly #committed = new Set<string>();
  /** Commits under way by transaction, and the key of the id it is of. */
  readonly #running = new Map<string, { readonly id: string | null; readonly done: Promise<void> }>();

  /** @param owns which ids, by their keys, are this worker's. */
  constructor(parts: OwnerParts, replayed: Replayed, owns: (key: string) => boolean) {
    this.#parts = parts;
    for (const [key, epoch] of replayed.ids) if (owns(key)) this.#epochs.set(key, epoch);
    for (const key of replayed.decided.slice(-REMEMBERED_MAX)) this.#committed.add(key);
  }

  /**
   * Takes an id over: whoever held it is fenced, and what it was committing is over when this resolves.
   *
   * @returns the epoch that the new holder has.
   */
  async begin({ namespace, id }: BeginAsk): Promise<{ epoch: number }> {
    const key = idKey(namespace, id);
    const epoch = (this.#epochs.get(key) ?? -1) + 1;
    this.#use(key, epoch);
    this.#parts.log.id(key, epoch);
    const before = [...this.#running.values()].filter((running) => running.id === key);
    await this.#parts.log.sync();
    await Promise.allSettled(before.map(({ done }) => done));
    this.#forgetIds();
    return { epoch };
  }

  /** Commits a transaction, or resolves as it did when it was committed before. @throws why nothing was done. */
  async commit(ask: CommitAsk): Promise<void> {
    const key = commitKey(ask);
    const id = ask.id === null ? null : idKey(ask.namespace, ask.id);
    const isTaken = this.#running.has(key) || this.#committed.has(key);
    const work = this.#parts.commits.commit(ask, () => {
      if (isTaken) {
        throw new MillraceError("invalid_argument", `the name ${ask.txn} was used by another transaction`);
      }
      if (id !== null) this.#checkEpoch(id, ask);
    });
    const done = work.then(() => this.#remember(key));
    if (!isTaken) this.#running.set(key, { id, done });
    try {
      await done;
    } finally {
      if (!isTaken) this.#running.delete(key);
    }
  }

  /** What became of a transaction that is not open: waits for a commit that is under way. */
  async outcome(name: TransactionName): Promise<Outcome> {
    const key = commitKey(name);
    await this.#running.get(key)?.done.catch(() => undefined);
    return this.#committed.has(key) ? "committed" : "unknown";
  }

  #checkEpoch(key: string, { id, epoch }: CommitAsk): void {
    const newest = this.#epochs.get(key);
    if (newest !== undefined && newest === epoch) {
      this.#use(key, newest);
      return;
    }
    throw new MillraceError("producer_fenced", `the transactional id "${id}" has a newer holder`, {
      details: { epoch: newest ?? null },
    });
  }

  #use(key: string, epoch: number): void {
    this.#epochs.delete(key);
    this.#epochs.set(key, epoch);
  }

  #remember(key: string): void {
    this.#committed.add(key);
    const [oldest] = this.#committed;
    if (this.#committed.size > REMEMBERED_MAX && oldest !== undefined) this.#committed.delete(oldest);
  }

  #forgetIds(): void {
    const { log, limits } = this.#parts;
    const [oldest] = this.#epochs.keys();
    if (this.#epochs.size <= limits.transactionalIdsMax || oldest === undefined) return;
    this.#epochs.delete(oldest);
    log.forget([oldest]);
  }
}
