import { clientError } from "../errors.ts";
import { Inbox, type InboxOptions, type InboxStore, TABLE, tableNames } from "./inbox.ts";

/** An inbox in PostgreSQL, through Bun's SQL client or one like it (postgres.js). */

/** A transaction as the inbox uses it. */
export interface PostgresTransaction {
  unsafe(sql: string, values?: (string | number)[]): PromiseLike<unknown>;
}

/** A pool of connections. */
export interface PostgresSql<Transaction extends PostgresTransaction> {
  /** Runs `body` in a transaction on a connection of its own: commits when it resolves, rolls back when it rejects. */
  begin(options: string, body: (transaction: Transaction) => Promise<unknown>): Promise<unknown>;
}

/** Two that make a table at once would meet in the catalogue, `if not exists` or not. */
const CREATE_LOCK = 7_400_001;
/** Taking an id in waits for another transaction that has it, and then has to see it. */
const ISOLATION = "isolation level read committed";

class PostgresStore<Transaction extends PostgresTransaction> implements InboxStore<Transaction> {
  private readonly sql: PostgresSql<Transaction>;
  private readonly table: string;
  private readonly index: string;

  constructor(sql: PostgresSql<Transaction>, table: string) {
    this.sql = sql;
    const names = tableNames(table);
    this.table = names.table;
    this.index = names.index;
  }

  async prepare(): Promise<void> {
    const { table, index } = this;
    await this.sql.begin(ISOLATION, async (transaction) => {
      const [found] = await rows<{ name: string | null }>(transaction, "SELECT to_regclass($1)::text AS name", [table]);
      if (found?.name) return;
      await transaction.unsafe(`SELECT pg_advisory_xact_lock(${CREATE_LOCK})`);
      await transaction.unsafe(
        `CREATE TABLE IF NOT EXISTS ${table} (scope text NOT NULL, message_id text NOT NULL, handled_ms bigint NOT NULL,
          PRIMARY KEY (scope, message_id))`,
      );
      await transaction.unsafe(`CREATE INDEX IF NOT EXISTS ${index} ON ${table} (handled_ms)`);
    });
  }

  async once(scope: string, id: string, nowMs: number, effect: (sql: Transaction) => unknown): Promise<boolean> {
    // Where another delivery of the message is being handled, the insert waits for what becomes of it.
    const insert = `INSERT INTO ${this.table} VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1 AS is_new`;
    let isNew = false;
    await this.sql.begin(ISOLATION, async (transaction) => {
      isNew = (await rows(transaction, insert, [scope, id, nowMs])).length > 0;
      if (isNew) await effect(transaction);
    });
    return isNew;
  }

  async removeBefore(beforeMs: number, max: number): Promise<number> {
    // Processes that clean at once take different ids.
    const old = `SELECT scope, message_id FROM ${this.table} WHERE handled_ms < $1 ORDER BY handled_ms LIMIT $2
      FOR UPDATE SKIP LOCKED`;
    const remove = `DELETE FROM ${this.table} WHERE (scope, message_id) IN (${old}) RETURNING 1 AS removed`;
    let removed = 0;
    await this.sql.begin(ISOLATION, async (transaction) => {
      removed = (await rows(transaction, remove, [beforeMs, max])).length;
    });
    return removed;
  }
}

async function rows<Row = unknown>(
  transaction: PostgresTransaction,
  sql: string,
  values: (string | number)[],
): Promise<Row[]> {
  return (await transaction.unsafe(sql, values)) as Row[];
}

/**
 * An inbox in PostgreSQL. Each message is handled on a connection of the pool,
 * in a transaction that the handler gets.
 *
 * Errors: invalid_argument.
 *
 * @example
 * const inbox = postgresInbox(new SQL("postgres://localhost/shop"));
 * client.queue("orders").consume(inbox.once(async (message, sql) => {
 *   await sql`insert into orders values (${message.text()})`;
 * }), { prefetch: 20, concurrency: 10 });
 */
export function postgresInbox<Transaction extends PostgresTransaction>(
  sql: PostgresSql<Transaction>,
  options: InboxOptions = {},
): Inbox<Transaction> {
  if (typeof sql?.begin !== "function") {
    throw clientError("invalid_argument", "postgresInbox needs Bun's SQL client, or one with its `begin` and `unsafe`");
  }
  return new Inbox(new PostgresStore(sql, options.table ?? TABLE), options);
}
