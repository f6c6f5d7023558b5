import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";
import { clientError, isMillraceError, type MillraceError } from "./errors.ts";
import type { Session } from "./session.ts";
import { type Part, Transaction } from "./transaction.ts";

/** Runs transactions: holds the epochs of transactional ids, sends what was gathered, and finds out what became of a commit whose connection broke. */

export interface TransactionOptions {
  /** A transactional id: whoever uses it next, in another process, fences this one. */
  id?: string;
  /** How long it may take, the callback included. Default and most: the broker's transactionTimeoutMs, 60,000 ms. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** An open transaction as the broker lists it. */
export interface TransactionSummary {
  txn: string;
  id: string | null;
  ageMs: number;
  timeoutMs: number;
  bytes: number;
  parts: number;
}

/** Parts of one request are about so many bytes; a batch is never split. */
const REQUEST_BYTES = 1 << 20;
const PART_BYTES = 64;
const COMMIT_MS = 60_000;

export class Transactions {
  private readonly client: Client;
  /** Epochs of the ids that this client holds. */
  private readonly epochs = new Map<string, Promise<number>>();
  private readonly partitions = new Map<string, number>();

  constructor(client: Client) {
    this.client = client;
  }

  /** The open transactions of the namespace. */
  async list(signal?: AbortSignal): Promise<TransactionSummary[]> {
    const answer = await this.client.ask(Op.TXN_LIST, [{}], signal);
    return (answer as { transactions: TransactionSummary[] }).transactions;
  }

  /**
   * Takes a transactional id over without a transaction: an older holder is fenced, and nothing of it is under way
   * when this resolves. The first transaction does it too; a client that was fenced stays so until it calls this.
   */
  async init(id: string, signal?: AbortSignal): Promise<void> {
    this.epochs.delete(id);
    await this.hold(id, await this.client.session(signal), signal);
  }

  async run<T>(body: (transaction: Transaction) => T | Promise<T>, options: TransactionOptions): Promise<T> {
    const { timeoutMs, signal } = options;
    const startMs = performance.now();
    const transaction = new Transaction();
    try {
      const result = await body(transaction);
      transaction.end();
      const leftMs = timeoutMs === undefined ? undefined : Math.floor(timeoutMs - (performance.now() - startMs));
      if (leftMs !== undefined && leftMs <= 0) {
        throw clientError("transaction_timeout", `the transaction took longer than its ${timeoutMs} ms`);
      }
      signal?.throwIfAborted();
      await this.commit(transaction, options, leftMs);
      transaction.committed();
      return result;
    } finally {
      transaction.end();
    }
  }

  private async commit(transaction: Transaction, options: TransactionOptions, timeoutMs?: number): Promise<void> {
    const { id, signal } = options;
    for (const topic of transaction.topicNames) await this.learnPartitions(topic, signal);
    const parts = [...transaction.parts((topic) => this.partitions.get(topic) ?? 1)];
    if (parts.length === 0) return;
    const bound = transaction.session;
    const session = bound ?? (await this.client.session(signal));
    const epoch = id === undefined ? undefined : await this.hold(id, session, signal);
    const txn = `t-${crypto.randomUUID()}`;
    try {
      await send(session, { txn, id, epoch, timeoutMs }, parts, signal);
    } catch (error) {
      if (isMillraceError(error, "partition_not_found", "topic_not_found")) this.partitions.clear();
      if (!isMillraceError(error, "connection_lost", "timeout")) throw error;
      await this.resolve(txn, error, signal);
    }
  }

  /** After a lost connection: resolves when the transaction was committed. */
  private async resolve(txn: string, lost: MillraceError, signal?: AbortSignal): Promise<void> {
    for (;;) {
      let session: Session;
      try {
        session = await this.client.session(signal);
      } catch {
        throw clientError("connection_lost", `${lost.message}; whether the transaction was committed is not known`, {
          inDoubt: true,
        });
      }
      try {
        await session.request(Op.TXN_COMMIT, [{ txn, count: 0 }], COMMIT_MS, signal);
        return;
      } catch (error) {
        if (isMillraceError(error, "connection_lost", "timeout", "shutting_down")) continue;
        if (!isMillraceError(error, "transaction_not_found")) throw error;
        throw clientError("connection_lost", `${lost.message}; the transaction was rolled back`);
      }
    }
  }

  /** The epoch of an id; takes the id over when this client does not hold it. */
  private hold(id: string, session: Session, signal?: AbortSignal): Promise<number> {
    const known = this.epochs.get(id);
    if (known) return known;
    const taken = takeOver(id, session, signal);
    this.epochs.set(id, taken);
    taken.catch(() => {
      if (this.epochs.get(id) === taken) this.epochs.delete(id);
    });
    return taken;
  }

  private async learnPartitions(topic: string, signal?: AbortSignal): Promise<void> {
    if (this.partitions.has(topic)) return;
    const { partitions } = (await this.client.ask(Op.TOPIC_DESCRIBE, [{ name: topic }], signal)) as {
      partitions: number;
    };
    this.partitions.set(topic, partitions);
  }
}

/** Begins a transaction for the sake of its id's epoch, and leaves it. */
async function takeOver(id: string, session: Session, signal?: AbortSignal): Promise<number> {
  const txn = `t-${crypto.randomUUID()}`;
  const { epoch } = (await session.request(Op.TXN_BEGIN, [{ txn, id }], COMMIT_MS, signal)) as { epoch: number };
  await session.request(Op.TXN_ABORT, [{ txn }], COMMIT_MS, signal);
  return epoch;
}

interface Begin {
  readonly txn: string;
  readonly id: string | undefined;
  readonly epoch: number | undefined;
  readonly timeoutMs: number | undefined;
}

/** Everything in one flight: the commit counts the parts, so a request that is refused on the way commits nothing. Errors: the first refusal. */
async function send(session: Session, begin: Begin, parts: readonly Part[], signal?: AbortSignal): Promise<void> {
  const { txn } = begin;
  const requests: Promise<unknown>[] = [session.request(Op.TXN_BEGIN, [begin], COMMIT_MS, signal)];
  const chunks = chunksOf(parts);
  const last = chunks.pop() ?? [];
  for (const chunk of chunks) requests.push(session.request(Op.TXN_ADD, [{ txn, parts: chunk }], COMMIT_MS, signal));
  const commit = { txn, count: parts.length, parts: last };
  requests.push(session.request(Op.TXN_COMMIT, [commit], COMMIT_MS, signal));
  const outcomes = await Promise.allSettled(requests);
  const committed = outcomes.at(-1);
  if (committed?.status === "fulfilled") return;
  const refused = outcomes.find((outcome) => outcome.status === "rejected");
  throw refused?.reason;
}

function chunksOf(parts: readonly Part[]): Part[][] {
  const chunks: Part[][] = [];
  let bytes = REQUEST_BYTES;
  for (const part of parts) {
    const size = sizeOf(part);
    if (bytes + size > REQUEST_BYTES) {
      chunks.push([]);
      bytes = 0;
    }
    chunks.at(-1)?.push(part);
    bytes += size;
  }
  return chunks;
}

function sizeOf(part: Part): number {
  let bytes = PART_BYTES;
  for (const field of part) if (field instanceof Uint8Array) bytes += field.length;
  return bytes;
}
