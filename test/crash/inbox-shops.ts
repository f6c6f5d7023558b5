import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { QueueMessage } from "../../src/client/index.ts";
import { postgresInbox, sqliteInbox } from "../../src/client/inbox/index.ts";
import { connectTo } from "../interop/postgres.ts";

/** An application with a database of either kind: what a message does there, and what came of it. */

export type ShopKind = "sqlite" | "postgres";

export interface Shop {
  /** A handler through an inbox that books a message once. */
  readonly book: (message: QueueMessage) => Promise<boolean>;
  /** Bookings by message, and what they add up to. */
  booked(): Promise<{ values: string[]; total: number }>;
  close(): Promise<void>;
}

const TABLES = [
  "create table if not exists bookings (value text)",
  "create table if not exists account (total integer)",
];

/** @param place the folder of the SQLite file, or of PostgreSQL's socket */
export async function openShop(kind: ShopKind, place: string): Promise<Shop> {
  return kind === "sqlite" ? sqliteShop(place) : await postgresShop(place);
}

function sqliteShop(place: string): Shop {
  const database = new Database(join(place, "shop.sqlite"));
  database.run("pragma journal_mode = wal");
  database.run("pragma busy_timeout = 1000");
  for (const table of TABLES) database.run(table);
  database.run("insert into account select 0 where not exists (select 1 from account)");
  const inbox = sqliteInbox(database);
  return {
    book: inbox.once((message, transaction) => {
      transaction.query("insert into bookings values (?)").run(message.text());
      transaction.query("update account set total = total + 1").run();
    }),
    booked: () => {
      const rows = database.query("select value from bookings").all() as { value: string }[];
      const { total } = database.query("select total from account").get() as { total: number };
      return Promise.resolve({ values: rows.map(({ value }) => value), total });
    },
    close: () => Promise.resolve(database.close()),
  };
}

async function postgresShop(place: string): Promise<Shop> {
  const sql = connectTo(place);
  for (const table of TABLES) await sql.unsafe(table);
  await sql`insert into account select 0 where not exists (select 1 from account)`;
  const inbox = postgresInbox(sql);
  return {
    book: inbox.once(async (message, transaction) => {
      await transaction`insert into bookings values (${message.text()})`;
      await transaction`update account set total = total + 1`;
    }),
    booked: async () => {
      const rows = (await sql`select value from bookings`) as { value: string }[];
      const [account] = (await sql`select total from account`) as { total: number }[];
      return { values: rows.map(({ value }) => value), total: account?.total ?? 0 };
    },
    close: () => sql.close({ timeout: 0 }),
  };
}
