import { clientError } from "../errors.ts";
import type { QueueMessage } from "../queue-message.ts";

/**
 * An inbox remembers which messages were handled, in the same transaction as
 * what handling them did: a redelivery finds its id there and does nothing.
 */

export interface InboxOptions {
  /** The table of ids, `name` or `schema.name`. Default "millrace_inbox". */
  table?: string;
  /** How long an id is kept; a redelivery after it is handled again. Default 7 days. */
  keepMs?: number;
  /** Whose inbox it is: the same message id counts once for each. Default: the queue's name. */
  scope?: string;
  /** False where migrations make the table. Default true. */
  createTable?: boolean;
  /** Hears of messages that were handled before. */
  onDuplicate?: (message: QueueMessage) => void;
  /** Hears why old ids could not be removed; it is tried again. */
  onError?: (error: unknown) => void;
  /** Milliseconds since 1970. Default `Date.now`. */
  now?: () => number;
}

/** What a handler gets: the message without the ways to settle it, which the inbox does when the transaction stands. */
export type InboxMessage = Omit<QueueMessage, "ack" | "nack" | "reject" | "release" | "defer">;

export type InboxHandler<Transaction> = (message: InboxMessage, transaction: Transaction) => unknown;

/** What the inbox needs of a database. */
export interface InboxStore<Transaction> {
  /** Makes the table where it is not there. */
  prepare(): Promise<void>;
  /** In one transaction: takes the id in, and runs `effect` where it is new. Returns whether it was. */
  once(scope: string, id: string, nowMs: number, effect: (transaction: Transaction) => unknown): Promise<boolean>;
  /** Removes up to `max` ids that are older. Returns how many. */
  removeBefore(beforeMs: number, max: number): Promise<number>;
}

export const TABLE = "millrace_inbox";
const KEEP_MS = 7 * 24 * 60 * 60 * 1_000;
/** Old ids are removed as often, or ten times in `keepMs` where that is more. */
const CLEAN_EVERY_MS_MAX = 60_000;
const CLEANS_PER_KEEP = 10;
/** Ids that one statement removes: handlers on other connections do not wait for long. */
const REMOVED_AT_ONCE_MAX = 1_000;
const ID_LENGTH_MAX = 1_000;

export class Inbox<Transaction> {
  /** Messages whose handler ran and whose transaction stands. */
  handled: number = 0;
  /** Redeliveries that were acked without running the handler. */
  duplicates: number = 0;
  private readonly store: InboxStore<Transaction>;
  private readonly options: InboxOptions;
  private readonly keepMs: number;
  private readonly now: () => number;
  private prepared: Promise<void> | null = null;
  private cleaning: Promise<number> | null = null;
  private cleanedMs: number;

  constructor(store: InboxStore<Transaction>, options: InboxOptions) {
    const { keepMs = KEEP_MS, now = Date.now } = options;
    if (!(keepMs > 0)) throw clientError("invalid_argument", "keepMs must be more than 0", { field: "keepMs" });
    this.store = store;
    this.options = options;
    this.keepMs = keepMs;
    this.now = now;
    this.cleanedMs = 0;
  }

  /**
   * A handler for `consume` whose effect in the database happens once for each
   * message. The message is acked when the transaction stands; what the handler
   * throws rolls it back, and the message comes again.
   *
   * @returns what resolves to false for a message that was handled before
   *
   * @example
   * client.queue("orders").consume(inbox.once(async (message, sql) => {
   *   await sql`insert into orders ${sql(message.json())}`;
   * }), { prefetch: 10 });
   */
  once(handler: InboxHandler<Transaction>): (message: QueueMessage) => Promise<boolean> {
    return (message) => this.handle(handler, message);
  }

  private async handle(handler: InboxHandler<Transaction>, message: QueueMessage): Promise<boolean> {
    await this.prepare();
    const nowMs = this.now();
    const scope = this.options.scope ?? message.queue;
    const isNew = await this.store.once(scope, idOf(message), nowMs, async (transaction) => {
      await handler(message, transaction);
      // An ack that is out before the transaction stands could lose the message; one refused must not leave an effect.
      if (message.isSettled) throw clientError("invalid_argument", "a handler of an inbox must not settle its message");
    });
    if (isNew) {
      this.handled++;
    } else {
      this.duplicates++;
      this.options.onDuplicate?.(message);
    }
    ackIfOpen(message);
    if (nowMs - this.cleanedMs >= this.cleanEveryMs) this.cleanSoon(nowMs);
    return isNew;
  }

  /** Makes the table where it is not there; the first message does it otherwise. Errors: the database's. */
  prepare(): Promise<void> {
    if (this.options.createTable === false) return Promise.resolve();
    this.prepared ??= this.store.prepare().catch((error: unknown) => {
      this.prepared = null;
      throw error;
    });
    return this.prepared;
  }

  private get cleanEveryMs(): number {
    return Math.min(CLEAN_EVERY_MS_MAX, this.keepMs / CLEANS_PER_KEEP);
  }

  private cleanSoon(nowMs: number): void {
    if (this.cleaning) return;
    this.cleanedMs = nowMs;
    this.clean().catch((error: unknown) => this.options.onError?.(error));
  }

  /** Removes ids that are older than `keepMs`; messages that are handled see to it otherwise. Returns how many. */
  clean(): Promise<number> {
    this.cleaning ??= this.removeOld().finally(() => {
      this.cleaning = null;
    });
    return this.cleaning;
  }

  private async removeOld(): Promise<number> {
    await this.prepare();
    const beforeMs = this.now() - this.keepMs;
    let removed = 0;
    for (;;) {
      const some = await this.store.removeBefore(beforeMs, REMOVED_AT_ONCE_MAX);
      removed += some;
      if (some < REMOVED_AT_ONCE_MAX) return removed;
    }
  }
}

/** A message's number begins anew with a transient queue after a restart, and its time tells those apart. */
function idOf(message: QueueMessage): string {
  const given = message.headers["x-message-id"];
  if (given === undefined || given === null) return `n:${message.number}:${message.timestamp}`;
  const id = `m:${given}`;
  if (id.length <= ID_LENGTH_MAX) return id;
  throw clientError("invalid_argument", `a message id has at most ${ID_LENGTH_MAX} characters`);
}

/** Where the connection is gone the message comes again, and is known then. */
function ackIfOpen(message: QueueMessage): void {
  try {
    if (!message.isSettled) message.ack();
  } catch {
    // unknown_delivery, for which the inbox is there.
  }
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A table's name, quoted; and one for its index. Errors: invalid_argument. */
export function tableNames(table: string): { table: string; index: string } {
  const parts = table.split(".");
  if (parts.length > 2 || !parts.every((part) => NAME.test(part))) {
    throw clientError("invalid_argument", `"${table}" is no name of a table`, { field: "table" });
  }
  return { table: parts.map((part) => `"${part}"`).join("."), index: `"${parts.at(-1)}_handled_ms"` };
}
