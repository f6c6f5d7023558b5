/**
 * Transactions as sessions see them: gathered in memory on the session's worker, within limits, and handed to their
 * owner as a whole to be committed. Nothing of one is anywhere else before its commit, so rolling back is forgetting.
 */
import { isMillraceError, MillraceError } from "../../errors/index.ts";
import type { Mailroom } from "../mailroom.ts";
import { hashName, nameFault } from "../names.ts";
import type { Spaces } from "../spaces.ts";
import type {
  BeginAsk,
  ClaimedAck,
  CommitAsk,
  ExchangePublish,
  OffsetsCommit,
  OpenTransaction,
  Outcome,
  TopicPublish,
  TransactionName,
} from "./messages.ts";
import type { Owner } from "./owner.ts";
import { commitKey, idKey } from "./transaction-log.ts";

export interface TransactionLimits {
  readonly transactionsOpenMax: number;
  readonly transactionBytesMax: number;
  readonly transactionsBytesMax: number;
  readonly transactionTimeoutMs: number;
}

/** Deliveries of a subscription that are to be acked: `[first tag, count, ...]`. */
export interface AckPart {
  readonly queueId: number;
  readonly connectionId: number;
  readonly sub: number;
  readonly ranges: readonly number[];
}

/** What one request adds. */
export interface Parts {
  readonly topics: readonly TopicPublish[];
  readonly exchanges: readonly ExchangePublish[];
  readonly acks: readonly AckPart[];
  readonly offsets: readonly OffsetsCommit[];
  readonly bytes: number;
}

export interface BeginRequest extends TransactionName {
  readonly session: number;
  readonly id: string | null;
  /** null takes the id over. */
  readonly epoch: number | null;
  readonly timeoutMs: number | null;
}

interface Open extends BeginRequest {
  epoch: number | null;
  readonly begunMs: number;
  /** By the clock that all workers have. */
  readonly begunAtMs: number;
  readonly limitMs: number;
  readonly topics: TopicPublish[];
  readonly exchanges: ExchangePublish[];
  readonly acks: AckPart[];
  readonly offsets: OffsetsCommit[];
  bytes: number;
}

export interface TransactionsParts {
  readonly mailroom: Mailroom;
  readonly spaces: Spaces;
  readonly owner: Owner;
  readonly limits: TransactionLimits;
  readonly monotonicMs: () => number;
  /** The broker's clock, the same for all workers. */
  readonly nowMs: () => number;
}

/** What a worker tells of an open transaction. */
type Listed = Omit<OpenTransaction, "ageMs"> & Pick<Open, "begunAtMs">;

const TXN_BYTES_MAX = 64;
/** Bookkeeping of a part, so that many small ones count too. */
const PART_BYTES = 64;
const TIMED_OUT_MAX = 1_000;

export class Transactions {
  readonly #parts: TransactionsParts;
  readonly #open = new Map<string, Open>();
  /** Rolled back because of their age, so that their clients hear why. */
  readonly #timedOut = new Set<string>();
  /** Commits under way, of this worker's sessions. */
  readonly #committing = new Map<string, Promise<void>>();
  #bytes = 0;

  constructor(parts: TransactionsParts) {
    this.#parts = parts;
    const { mailroom, owner } = parts;
    mailroom.onRequest("transaction.begin", (ask: BeginAsk) => owner.begin(ask));
    mailroom.onRequest("transaction.commit", (ask: CommitAsk) => owner.commit(ask));
    mailroom.onRequest("transaction.outcome", (name: TransactionName) => this.#outcome(name));
    mailroom.onRequest("transaction.list", (namespace: string) => this.#list(namespace));
  }

  /** @returns the epoch of the id that the transaction goes by. @throws limit_exceeded, invalid_argument. */
  async begin(request: BeginRequest): Promise<{ epoch: number | null }> {
    const { namespace, id } = request;
    const key = this.#checkNew(request);
    const { transactionTimeoutMs } = this.#parts.limits;
    const limitMs = Math.min(request.timeoutMs ?? transactionTimeoutMs, transactionTimeoutMs);
    const begunMs = this.#parts.monotonicMs();
    const open: Open = {
      ...request,
      begunMs,
      begunAtMs: this.#parts.nowMs(),
      limitMs,
      topics: [],
      exchanges: [],
      acks: [],
      offsets: [],
      bytes: PART_BYTES,
    };
    this.#open.set(key, open);
    this.#bytes += PART_BYTES;
    if (id === null || request.epoch !== null) return { epoch: request.epoch };
    try {
      const { epoch } = await this.#ask<{ epoch: number }>(this.#ownerOf(namespace, id), "transaction.begin", {
        namespace,
        id,
      });
      open.epoch = epoch;
      return { epoch };
    } catch (error) {
      this.#drop(key);
      throw error;
    }
  }

  #checkNew({ txn, namespace, id }: BeginRequest): string {
    const { transactionsOpenMax } = this.#parts.limits;
    const fault = nameFault(txn) ?? (id === null ? undefined : nameFault(id));
    if (fault !== undefined) throw new MillraceError("invalid_argument", `txn and id: ${fault}`);
    if (txn.length > TXN_BYTES_MAX)
      throw new MillraceError("invalid_argument", `txn has at most ${TXN_BYTES_MAX} bytes`);
    const key = commitKey({ namespace, txn });
    if (this.#open.has(key)) throw new MillraceError("invalid_argument", `the transaction ${txn} is open already`);
    if (this.#open.size >= transactionsOpenMax) {
      throw new MillraceError("limit_exceeded", `${transactionsOpenMax} transactions are open (transactionsOpenMax)`);
    }
    return key;
  }

  /** @throws transaction_not_found, transaction_timeout; limit_exceeded, which rolls it back. */
  add(session: number, name: TransactionName, parts: Parts): void {
    const open = this.#require(session, name);
    const bytes = parts.bytes + partsOf(parts) * PART_BYTES;
    open.bytes += bytes;
    this.#bytes += bytes;
    const { transactionBytesMax, transactionsBytesMax } = this.#parts.limits;
    if (open.bytes > transactionBytesMax || this.#bytes > transactionsBytesMax) {
      this.#drop(commitKey(name));
      const [what, limit] =
        open.bytes > transactionBytesMax
          ? [`transactionBytesMax`, transactionBytesMax]
          : ["transactionsBytesMax", transactionsBytesMax];
      throw new MillraceError("limit_exceeded", `the transaction was rolled back: ${what} is ${limit}`, {
        details: { limit: what },
      });
    }
    open.topics.push(...parts.topics);
    open.exchanges.push(...parts.exchanges);
    open.acks.push(...parts.acks);
    open.offsets.push(...parts.offsets);
  }

  isOpen(session: number, name: TransactionName): boolean {
    return this.#open.get(commitKey(name))?.session === session;
  }

  /**
   * Commits. Resolves when all of it is stored and can be seen.
   *
   * @param count how many parts the client has added: one of them may have been refused while this was on its way.
   * @throws transaction_not_found, transaction_timeout, producer_fenced, unknown_delivery, and what its parts are refused
   *   with; then nothing of it was done.
   */
  async commit(session: number, name: TransactionName, count: number): Promise<void> {
    const open = this.#require(session, name);
    const key = commitKey(name);
    this.#drop(key);
    if (partsOf(open) !== count) {
      const came = `${partsOf(open)} parts came of the ${count} that the commit counts`;
      throw new MillraceError("invalid_argument", `count: ${came}, and the transaction was rolled back`);
    }
    const done = this.#commit(open);
    this.#committing.set(key, done);
    try {
      await done;
    } finally {
      this.#committing.delete(key);
    }
  }

  async #commit({ namespace, txn, id, epoch, topics, exchanges, acks, offsets }: Open): Promise<void> {
    const commits = merged(offsets);
    const claimed = this.#claim(namespace, acks);
    const ask: CommitAsk = { namespace, txn, id, epoch, topics, exchanges, acks: claimed, offsets: commits };
    const owner = id === null ? this.#parts.mailroom.worker : this.#ownerOf(namespace, id);
    // From here on the owner settles what is claimed, or gives it back.
    await this.#ask(owner, "transaction.commit", ask);
  }

  /** Sets aside what is to be acked: nobody else can have it until the transaction is over. */
  #claim(namespace: string, acks: readonly AckPart[]): ClaimedAck[] {
    const { spaces } = this.#parts;
    const claimed: ClaimedAck[] = [];
    try {
      for (const { queueId, connectionId, sub, ranges } of acks) {
        const runs = spaces.transact(namespace, ["claim", queueId, connectionId, sub, ranges]) as number[];
        claimed.push({ queueId, runs });
      }
    } catch (error) {
      for (const { queueId, runs } of claimed) spaces.transact(namespace, ["unclaim", queueId, runs]);
      throw error;
    }
    return claimed;
  }

  /** What became of a transaction that is not open on this session; one that is open elsewhere is rolled back. */
  async outcome(name: TransactionName): Promise<Outcome> {
    if (this.#timedOut.has(commitKey(name))) throw timedOut(name.txn);
    const answers = await this.#parts.mailroom.requestAll<Outcome>("transaction.outcome", name);
    return answers.includes("committed") ? "committed" : "unknown";
  }

  async #outcome(name: TransactionName): Promise<Outcome> {
    const key = commitKey(name);
    // Whoever asks will not commit it any more, and its COMMIT may still be on the way of a connection that broke.
    this.#drop(key);
    const isCommitted = await this.#committing.get(key)?.then(
      () => true,
      () => false,
    );
    return isCommitted === true ? "committed" : this.#parts.owner.outcome(name);
  }

  /** Rolls back. @throws transaction_not_found, transaction_timeout. */
  abort(session: number, name: TransactionName): void {
    this.#require(session, name);
    this.#drop(commitKey(name));
  }

  /** Rolls back what the session has left open. */
  sessionClosed(session: number): void {
    for (const [key, open] of this.#open) if (open.session === session) this.#drop(key);
  }

  /** Rolls back what was left open too long. */
  tick(nowMs: number): void {
    for (const [key, { begunMs, limitMs }] of this.#open) {
      if (nowMs - begunMs < limitMs) continue;
      this.#drop(key);
      this.#timedOut.add(key);
      const [oldest] = this.#timedOut;
      if (this.#timedOut.size > TIMED_OUT_MAX && oldest !== undefined) this.#timedOut.delete(oldest);
    }
  }

  /** Open transactions of a namespace, oldest first. */
  async list(namespace: string): Promise<OpenTransaction[]> {
    const all = await this.#parts.mailroom.requestAll<Listed[]>("transaction.list", namespace);
    const nowMs = this.#parts.nowMs();
    // Workers answer at different times, so they tell when each began, not its age. Those that began in the same
    // millisecond are in the order of their names, so that the list stays the same.
    const sorted = all.flat().sort((a, b) => a.begunAtMs - b.begunAtMs || (a.txn < b.txn ? -1 : 1));
    return sorted.map(({ begunAtMs, ...listed }) => ({ ...listed, ageMs: Math.max(0, nowMs - begunAtMs) }));
  }

  #list(namespace: string): Listed[] {
    const own = [...this.#open.values()].filter((open) => open.namespace === namespace);
    return own.map((open) => ({
      txn: open.txn,
      id: open.id,
      begunAtMs: open.begunAtMs,
      timeoutMs: open.limitMs,
      bytes: open.bytes,
      parts: partsOf(open),
    }));
  }

  #require(session: number, name: TransactionName): Open {
    const key = commitKey(name);
    const open = this.#open.get(key);
    if (open?.session === session) return open;
    if (this.#timedOut.has(key)) throw timedOut(name.txn);
    throw notFound(name.txn);
  }

  #drop(key: string): void {
    this.#bytes -= this.#open.get(key)?.bytes ?? 0;
    this.#open.delete(key);
  }

  #ownerOf(namespace: string, id: string): number {
    return hashName(idKey(namespace, id)) % this.#parts.mailroom.workers;
  }

  async #ask<T>(worker: number, name: string, payload: unknown): Promise<T> {
    try {
      return await this.#parts.mailroom.request<T>(worker, name, payload);
    } catch (error) {
      // A worker that is too busy to answer may still do it: the client has to ask again what became of it.
      if (isMillraceError(error, "timeout")) throw new MillraceError("timeout", "the transaction's owner is busy");
      throw error;
    }
  }
}

function partsOf({ topics, exchanges, acks, offsets }: Omit<Parts, "bytes">): number {
  return topics.length + exchanges.length + acks.length + offsets.length;
}

/** The requests for one group as one: a group is asked once. */
function merged(offsets: readonly OffsetsCommit[]): OffsetsCommit[] {
  const byGroup = new Map<string, OffsetsCommit>();
  for (const commit of offsets) {
    const { group, member, generation } = commit;
    const before = byGroup.get(group);
    if (before !== undefined && (before.member !== member || before.generation !== generation)) {
      throw new MillraceError("invalid_argument", `offsets: the group "${group}" is named as two members`);
    }
    const rows = new Map(before?.offsets.map((row) => [`${row[0]} ${row[1]}`, row]));
    for (const row of commit.offsets) rows.set(`${row[0]} ${row[1]}`, row);
    byGroup.set(group, { ...commit, offsets: [...rows.values()] });
  }
  return [...byGroup.values()];
}

export function notFound(txn: string): MillraceError {
  return new MillraceError(
    "transaction_not_found",
    `there is no transaction ${txn} here: it was rolled back or never begun`,
  );
}

function timedOut(txn: string): MillraceError {
  return new MillraceError("transaction_timeout", `the transaction ${txn} was left open too long and rolled back`);
}
