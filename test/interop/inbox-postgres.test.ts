import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type QueueMessage } from "../../src/client/index.ts";
import { postgresInbox } from "../../src/client/inbox/index.ts";
import { FakeQueueBroker } from "../client/fake-queue-broker.ts";
import { bookedOnce } from "../crash/inbox-scenario.ts";
import { type Postgres, startPostgres } from "./postgres.ts";
import { until } from "../until.ts";

/** An inbox in a real PostgreSQL. */

let postgres: Postgres;

beforeAll(async () => {
  postgres = await startPostgres();
}, 180_000);

afterAll(() => postgres[Symbol.asyncDispose]());

/** A broker with messages in a queue, and a client of it. */
async function messagesIn(count: number): Promise<{ broker: FakeQueueBroker } & AsyncDisposable & { url: string }> {
  const broker = new FakeQueueBroker();
  broker.put(
    "q",
    Array.from({ length: count }, (_, index) => `m${index}`),
  );
  return { broker, url: broker.url, [Symbol.asyncDispose]: () => Promise.resolve(broker.stop()) };
}

describe("an inbox in PostgreSQL", () => {
  test("books a message once, though consumers and the broker die before its ack", async () => {
    await bookedOnce("postgres", postgres.path);
  }, 120_000);

  test("handles side by side, each message in a transaction of its own", async () => {
    await using source = await messagesIn(40);
    await using client = await connect(source.url);
    const sql = postgres.connect();
    await sql`create table side (value text)`;
    // Processes that start at once make the table once.
    const inboxes = Array.from({ length: 4 }, () => postgresInbox(sql, { table: "public.side_inbox" }));
    await Promise.all(inboxes.map((inbox) => inbox.prepare()));
    const [inbox] = inboxes as [(typeof inboxes)[0]];
    let running = 0;
    let most = 0;
    const failed = new Set<string>();
    client.queue("q").consume(
      inbox.once(async (message, transaction) => {
        const text = message.text() as string;
        most = Math.max(most, ++running);
        try {
          await transaction`insert into side values (${text})`;
          if (!failed.has(text)) {
            failed.add(text);
            throw new Error("the first time never works");
          }
        } finally {
          running--;
        }
      }),
      { prefetch: 40, concurrency: 8, onThrow: "requeue" },
    );
    await until("acks", () => source.broker.acked.length === 40);
    expect(most).toBeGreaterThan(1);
    const rows = (await sql`select value from side`) as unknown[];
    expect(rows).toHaveLength(40);
    expect(inbox).toMatchObject({ handled: 40, duplicates: 0 });
  });

  test("has a second delivery wait for what becomes of the first", async () => {
    await using source = await messagesIn(1);
    await using client = await connect(source.url);
    const [message] = (await client.queue("q").get()) as [QueueMessage];
    const inbox = postgresInbox(postgres.connect(), { table: "twice" });
    const gate = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    let calls = 0;
    const handle = inbox.once(async () => {
      started.resolve();
      await gate.promise;
      if (++calls === 1) throw new Error("the first delivery fails");
    });
    const first = handle(message).catch(String);
    await started.promise;
    const second = handle(message);
    const third = handle(message);
    gate.resolve();
    expect(await first).toContain("the first delivery fails");
    expect([await second, await third].toSorted()).toEqual([false, true]);
    expect(calls).toBe(2);
  });

  test("keeps its table bounded, while others clean it too", async () => {
    const sql = postgres.connect();
    const inboxes = [1, 2, 3].map(() => postgresInbox(sql, { table: "old_ids", keepMs: 1_000, now: () => 10_000 }));
    await inboxes[0]?.prepare();
    await sql`insert into old_ids select 'q', 'n:' || n, case when n < 2400 then 8999 else 9000 end
      from generate_series(0, 2499) as n`;
    const removed = await Promise.all(inboxes.map((inbox) => inbox.clean()));
    expect(removed.reduce((sum, count) => sum + count)).toBe(2_400);
    const [left] = (await sql`select count(*)::int as count from old_ids`) as { count: number }[];
    expect(left?.count).toBe(100);
  });

  test("refuses names that are no tables", () => {
    const sql = postgres.connect();
    const invalid = expect.objectContaining({ codeName: "invalid_argument" });
    expect(() => postgresInbox(sql, { table: "x; drop table y" })).toThrow(invalid);
    expect(() => postgresInbox({} as never)).toThrow(invalid);
  });
});
