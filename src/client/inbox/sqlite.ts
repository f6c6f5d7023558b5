import { clientError } from "../errors.ts";
import { sleep } from "../timing.ts";
import { Inbox, type InboxOptions, type InboxStore, TABLE, tableNames } from "./inbox.ts";

/** An inbox in SQLite: bun:sqlite, node:sqlite or better-sqlite3. */

export interface SqliteStatement {
  get(...values: (string | number)[]): unknown;
  run(...values: (string | number)[]): unknown;
}

/** What the drivers have in common. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

export interface SqliteInboxOptions extends InboxOptions {
  /** How long a message waits for another process that writes; then it is retried as after any error. Default 5,000 ms. */
  lockWaitMs?: number;
}

const LOCK_WAIT_MS = 5_000;
const LOCK_RETRY_MS = 5;
const SQLITE_BUSY = 5;

/** Who waits for a connection, which has one transaction at a time: inboxes may share one. */
const turns = new WeakMap<object, Promise<unknown>>();

class SqliteStore<Database extends SqliteDatabase> implements InboxStore<Database> {
  private readonly database: Database;
  private readonly table: string;
  private readonly index: string;
  private readonly lockWaitMs: number;
  private insert: SqliteStatement | null = null;

  constructor(database: Database, options: SqliteInboxOptions) {
    const { table = TABLE, lockWaitMs = LOCK_WAIT_MS } = options;
    this.database = database;
    this.table = tableNames(table).table;
    this.index = tableNames(table).index;
    this.lockWaitMs = lockWaitMs;
  }

  prepare(): Promise<void> {
    const { table, index } = this;
    const schema = table.includes(".") ? `${table.split(".")[0]}.` : "";
    const name = table.split(".").at(-1);
    return this.transaction(() => {
      this.database.exec(
        `CREATE TABLE IF NOT EXISTS ${table} (scope TEXT NOT NULL, message_id TEXT NOT NULL, handled_ms INTEGER NOT NULL,
          PRIMARY KEY (scope, message_id)) WITHOUT ROWID`,
      );
      this.database.exec(`CREATE INDEX IF NOT EXISTS ${schema}${index} ON ${name} (handled_ms)`);
    });
  }

  once(scope: string, id: string, nowMs: number, effect: (database: Database) => unknown): Promise<boolean> {
    return this.transaction(async () => {
      this.insert ??= this.database.prepare(
        `INSERT INTO ${this.table} VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1 AS is_new`,
      );
      const isNew = Boolean(this.insert.get(scope, id, nowMs));
      if (isNew) await effect(this.database);
      return isNew;
    });
  }

  removeBefore(beforeMs: number, max: number): Promise<number> {
    return this.transaction(() => {
      const old = `SELECT scope, message_id FROM ${this.table} WHERE handled_ms < ? ORDER BY handled_ms LIMIT ?`;
      this.database.prepare(`DELETE FROM ${this.table} WHERE (scope, message_id) IN (${old})`).run(beforeMs, max);
      return Number((this.database.prepare("SELECT changes() AS removed").get() as { removed: number }).removed);
    });
  }

  /** Runs `body` in a transaction of its own, when those before it are over. */
  private transaction<T>(body: () => T | Promise<T>): Promise<T> {
    const turn = (turns.get(this.database) ?? Promise.resolve()).then(() => this.inTransaction(body));
    turns.set(
      this.database,
      turn.catch(() => undefined),
    );
    return turn;
  }

  private async inTransaction<T>(body: () => T | Promise<T>): Promise<T> {
    // Not deferred: a transaction that read first and cannot write then would have to begin anew.
    await this.whenFree("BEGIN IMMEDIATE");
    try {
      const result = await body();
      await this.whenFree("COMMIT");
      return result;
    } catch (error) {
      try {
        this.database.exec("ROLLBACK");
      } catch {
        // SQLite has rolled back by itself; the first error says why.
      }
      throw error;
    }
  }

  /** SQLite would block the whole thread while it waits, so it is asked again instead. */
  private async whenFree(sql: string): Promise<void> {
    const deadline = performance.now() + this.lockWaitMs;
    for (;;) {
      try {
        this.database.exec(sql);
        return;
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw error;
      }
      await sleep(LOCK_RETRY_MS);
    }
  }
}

/** Each driver says it in its own way. */
function isBusy(error: unknown): boolean {
  const { code, errno, errcode } = (error ?? {}) as { code?: unknown; errno?: unknown; errcode?: unknown };
  return String(code).startsWith("SQLITE_BUSY") || errno === SQLITE_BUSY || errcode === SQLITE_BUSY;
}

/**
 * An inbox in a SQLite database. The transaction that handlers get is the
 * database itself, so the connection should be the inbox's own: what others
 * write through it while a handler waits would belong to the transaction.
 *
 * Errors: invalid_argument.
 *
 * @example
 * const inbox = sqliteInbox(new Database("shop.sqlite"));
 * client.queue("orders").consume(inbox.once((message, database) => {
 *   database.query("insert into orders values (?)").run(message.text());
 * }));
 */
export function sqliteInbox<Database extends SqliteDatabase>(
  database: Database,
  options: SqliteInboxOptions = {},
): Inbox<Database> {
  if (typeof database?.exec !== "function" || typeof database.prepare !== "function") {
    throw clientError("invalid_argument", "sqliteInbox needs a database of bun:sqlite, node:sqlite or better-sqlite3");
  }
  return new Inbox(new SqliteStore(database, options), options);
}
