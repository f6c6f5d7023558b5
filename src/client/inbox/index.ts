/** Handling a message effectively once, in a database's transaction; `millrace/client/inbox`. README.md shows how. */

export { Inbox, type InboxHandler, type InboxMessage, type InboxOptions } from "./inbox.ts";
export { postgresInbox, type PostgresSql, type PostgresTransaction } from "./postgres.ts";
export { type SqliteDatabase, sqliteInbox, type SqliteInboxOptions, type SqliteStatement } from "./sqlite.ts";
