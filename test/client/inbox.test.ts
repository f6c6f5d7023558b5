import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, connect, type QueueMessage } from "../../src/client/index.ts";
import { sqliteInbox, type SqliteInboxOptions } from "../../src/client/inbox/index.ts";
import { FakeQueueBroker } from "./fake-queue-broker.ts";
import { until } from "../until.ts";

/** An inbox in SQLite, against a broker that gives again what was not acked. */

let broker: FakeQueueBroker;
let client: Client;
let database: Database;

beforeEach(async () => {
  broker = new FakeQueueBroker();
  client = await connect(broker.url, { reconnect: { delayMinMs: 1, delayMaxMs: 5 } });
  await client.queue("q").declare();
  database = new Database(":memory:");
  database.run("create table effects (value text)");
});

afterEach(async () => {
  await client.close();
  broker.stop();
  database.close();
});

const values = (count: number): string[] => Array.from({ length: count }, (_, index) => `m${index}`);
const effects = (): string[] =>
  (database.query("select value from effects order by rowid").all() as { value: string }[]).map(({ value }) => value);
const ids = (table = "millrace_inbox"): string[] =>
  (database.query(`select message_id as id from ${table}`).all() as { id: string }[]).map(({ id }) => id);

function insert(message: { text(): string | null }, into: Database): void {
  into.query("insert into effects values (?)").run(message.text());
}

describe("an inbox", () => {
  test("has the effect of each message once, and acks it", async () => {
    const inbox = sqliteInbox(database);
    broker.put("q", values(20));
    client.queue("q").consume(inbox.once(insert), { prefetch: 5 });
    await until("acks", () => broker.acked.length === 20);
    expect(effects()).toEqual(values(20));
    expect(inbox).toMatchObject({ handled: 20, duplicates: 0 });
  });

  test("acks a redelivery without running the handler", async () => {
    const duplicates: (string | null)[] = [];
    const inbox = sqliteInbox(database, { onDuplicate: (message) => duplicates.push(message.text()) });
    broker.put("q", values(3));
    const handle = inbox.once(insert);
    let isFirst = true;
    client.queue("q").consume(
      async (message) => {
        await handle(message);
        if (!isFirst) return;
        // Between the commit and the frame with the ack, which goes out at the end of the turn.
        isFirst = false;
        broker.breakConnections();
      },
      { autoAck: false },
    );
    await until("acks", () => broker.acked.length === 3);
    expect(effects().toSorted()).toEqual(values(3));
    expect(duplicates).toContain("m0");
    expect(inbox).toMatchObject({ handled: 3, duplicates: duplicates.length });
  });

  test("rolls back what a handler did that throws, and the message is handled anew", async () => {
    const inbox = sqliteInbox(database);
    broker.put("q", ["a"]);
    const errors: unknown[] = [];
    client.queue("q").consume(
      inbox.once(async (message, transaction) => {
        insert(message, transaction);
        await Bun.sleep(1);
        if (message.deliveries < 2) throw new Error("not yet");
      }),
      { onError: (error) => errors.push(error) },
    );
    await until("the ack", () => broker.acked.length === 1);
    expect(effects()).toEqual(["a"]);
    expect(errors.map(String)).toEqual(["Error: not yet", "Error: not yet"]);
    expect(inbox).toMatchObject({ handled: 1, duplicates: 0 });
  });

  test("goes by the message id where there is one, whatever number the message has", async () => {
    const inbox = sqliteInbox(database);
    const consumer = client.queue("q").consume(inbox.once(insert));
    broker.put("q", ["first"], { "x-message-id": "order-1" });
    broker.put("q", ["again"], { "x-message-id": "order-1" });
    broker.put("q", ["other"], { "x-message-id": "order-2" });
    await until("acks", () => broker.acked.length === 3);
    expect(effects()).toEqual(["first", "other"]);
    expect(ids()).toEqual(["m:order-1", "m:order-2"]);
    await consumer.close();
  });

  test("is another one for each queue, unless they share a scope", async () => {
    const own = sqliteInbox(database);
    const shared = sqliteInbox(database, { scope: "both" });
    for (const [queue, inbox] of Object.entries({ a: own, b: own, c: shared, d: shared })) {
      await client.queue(queue).declare();
      broker.put(queue, ["x"], { "x-message-id": "same" });
      client.queue(queue).consume(inbox.once(insert));
    }
    await until("acks", () => broker.acked.length === 4);
    expect(own).toMatchObject({ handled: 2, duplicates: 0 });
    expect(shared).toMatchObject({ handled: 1, duplicates: 1 });
  });

  test("has one transaction at a time, however many handlers run side by side and inboxes share the connection", async () => {
    const first = sqliteInbox(database);
    const second = sqliteInbox(database, { table: "second", scope: "second" });
    let open = 0;
    const handler = async (message: { text(): string | null }, transaction: Database): Promise<void> => {
      expect(++open).toBe(1);
      insert(message, transaction);
      await Bun.sleep(1);
      open--;
      if (message.text() === "m3") throw new Error("rolled back, alone");
    };
    broker.put("q", values(10));
    await client.queue("r").declare();
    broker.put("r", values(10));
    const options = { concurrency: 5, onThrow: "reject" } as const;
    client.queue("q").consume(first.once(handler), options);
    client.queue("r").consume(second.once(handler), options);
    await until("the end", () => broker.acked.length === 18 && broker.rejected.length === 2);
    expect(effects().toSorted()).toEqual([...values(10), ...values(10)].filter((value) => value !== "m3").toSorted());
  });

  test("refuses handlers that settle, and names that are no tables", async () => {
    const inbox = sqliteInbox(database);
    broker.put("q", ["a"]);
    const errors: unknown[] = [];
    client.queue("q").consume(
      inbox.once((message, transaction) => {
        insert(message, transaction);
        (message as QueueMessage).reject();
      }),
      { onError: (error) => errors.push(error) },
    );
    await until("the error", () => errors.length > 0);
    expect(errors[0]).toMatchObject({ codeName: "invalid_argument" });
    expect(effects()).toEqual([]);
    const bad =
      (options: SqliteInboxOptions): (() => unknown) =>
      () =>
        sqliteInbox(database, options);
    for (const table of ["", "a.b.c", "x; drop table effects", 'a"b', "1a", "a."]) {
      expect(bad({ table })).toThrow(expect.objectContaining({ codeName: "invalid_argument" }));
    }
    expect(bad({ keepMs: 0 })).toThrow(expect.objectContaining({ codeName: "invalid_argument" }));
    expect(() => sqliteInbox({} as Database)).toThrow(expect.objectContaining({ codeName: "invalid_argument" }));
  });
});

describe("the table of an inbox", () => {
  test("is bounded: ids that are older than keepMs go as messages come", async () => {
    let nowMs = 1_000_000;
    const inbox = sqliteInbox(database, { keepMs: 1_000, now: () => nowMs, table: "main.seen" });
    let most = 0;
    client.queue("q").consume(
      inbox.once(() => {
        nowMs += 10;
        most = Math.max(most, ids("seen").length);
      }),
    );
    broker.put("q", values(1_000));
    await until("acks", () => broker.acked.length === 1_000);
    // What 1,000 ms brought, and what came until the next cleaning, a tenth of that later.
    expect(most).toBeLessThan(130);
    nowMs += 2_000;
    expect(await inbox.clean()).toBeGreaterThan(90);
    expect(ids("seen")).toEqual([]);
  });

  test("loses its old ids in portions, all of them", async () => {
    const inbox = sqliteInbox(database, { keepMs: 1_000, now: () => 10_000 });
    await inbox.prepare();
    const add = database.query("insert into millrace_inbox values ('q', ?, ?)");
    database.transaction(() => {
      for (let index = 0; index < 2_500; index++) add.run(`n:${index}`, index < 2_400 ? 8_999 : 9_000);
    })();
    expect(await inbox.clean()).toBe(2_400);
    expect(ids()).toHaveLength(100);
    expect(await inbox.clean()).toBe(0);
  });

  test("is the application's own where it says so", async () => {
    const inbox = sqliteInbox(database, { createTable: false, table: "mine" });
    broker.put("q", ["a"]);
    const errors: unknown[] = [];
    client.queue("q").consume(inbox.once(insert), { onError: (error) => errors.push(error) });
    await until("the error", () => errors.length > 0);
    expect(String(errors[0])).toContain("no such table");
    database.run(
      "create table mine (scope text, message_id text, handled_ms integer, primary key (scope, message_id))",
    );
    await until("the ack", () => broker.acked.length === 1);
    expect(effects()).toEqual(["a"]);
  });

  test("waits for another process that writes, and gives up after lockWaitMs", async () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-inbox-"));
    const path = join(folder, "shop.sqlite");
    const other = new Database(path);
    const file = new Database(path);
    try {
      file.run("create table effects (value text)");
      const patient = sqliteInbox(file);
      const hasty = sqliteInbox(file, { lockWaitMs: 20, table: "hasty", scope: "hasty" });
      await Promise.all([patient.prepare(), hasty.prepare()]);
      broker.put("q", ["a"]);
      const [message] = await client.queue("q").get();
      other.run("begin immediate");
      const refused = hasty.once(insert)(message as QueueMessage);
      await expect(refused).rejects.toThrow("database is locked");
      const handled = patient.once(insert)(message as QueueMessage);
      await Bun.sleep(20);
      expect(patient.handled).toBe(0);
      other.run("commit");
      expect(await handled).toBe(true);
      expect(await patient.once(insert)(message as QueueMessage)).toBe(false);
    } finally {
      other.close();
      file.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
