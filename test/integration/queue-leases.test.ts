/** `autoRenew` over real sockets: whose leases a consumer renews, and for how long. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client, Queue, QueueMessage } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, startBroker, until } from "./harness.ts";

/** Warned soon and ended late: the tests need not wait long, and a busy machine has time to renew. */
const LEASE = { leaseMs: 2_000, leaseWarningMs: 1_800 };

let broker: Broker;
let client: Client;
let made = 0;

beforeAll(async () => {
  broker = await startBroker();
  client = await dial(broker);
});

afterAll(async () => {
  await client.close();
  await broker.stop();
});

async function fresh(): Promise<Queue> {
  const queue = client.queue(`q${++made}`);
  await queue.declare(LEASE);
  return queue;
}

async function fill(queue: Queue, values: readonly string[]): Promise<void> {
  for (const value of values) await queue.publish(value);
}

/** Counts the warnings of each tag, so that a test can wait for leases that would have ended unless renewed. */
function countWarnings(): { of(tag: number): number; onLeaseWarning(warning: { tag: number }): void } {
  const counts = new Map<number, number>();
  const of = (tag: number): number => counts.get(tag) ?? 0;
  return { of, onLeaseWarning: ({ tag }) => void counts.set(tag, of(tag) + 1) };
}

test("autoRenew keeps what a handler holds and what waits behind it; nothing is handled by two", async () => {
  const queue = await fresh();
  const warnings = countWarnings();
  const errors: unknown[] = [];
  const handled: string[][] = [[], []];
  const tags: number[] = [];
  const keep = async (message: QueueMessage): Promise<void> => {
    handled[0]?.push(message.text() as string);
    tags.push(message.tag);
    // Warned three times is renewed twice. The first message waits for the others', whose turn has not come.
    const first = tags[0] as number;
    const watched = message.tag === first ? [first, first + 1, first + 2] : [message.tag];
    await until("three warnings of each", () => watched.every((tag) => warnings.of(tag) >= 3));
  };
  const options = { autoRenew: true, onError: (error: unknown) => errors.push(error) };
  const keeper = queue.consume(keep, { prefetch: 3, onLeaseWarning: warnings.onLeaseWarning, ...options });
  await fill(queue, ["m0", "m1", "m2"]);
  await until("the first", () => tags.length === 1);
  const other = queue.consume((message) => void handled[1]?.push(message.text() as string), options);
  await until("all are done", () => tags.length === 3);
  await keeper.close();
  await other.close();
  expect(handled).toEqual([["m0", "m1", "m2"], []]);
  expect(errors).toEqual([]);
  expect((await queue.describe()).counts).toMatchObject({ acked: 3, redelivered: 0 });
});

test("autoRenew keeps a message that waits while the one before it is flushed after its ack", async () => {
  const queue = await fresh();
  const warnings = countWarnings();
  const handled: string[] = [];
  await fill(queue, ["m0", "m1"]);
  const consumer = queue.consume(
    async (message) => {
      handled.push(message.text() as string);
      message.ack();
      // As on a slow disk: the second message comes with the ack of the first, whose handler still runs.
      const next = message.tag + 1;
      if (handled.length === 1) await until("warnings of the next", () => warnings.of(next) >= 3);
      await consumer.flush();
    },
    { prefetch: 1, autoRenew: true, onLeaseWarning: warnings.onLeaseWarning },
  );
  await until("both are done", async () => (await queue.describe()).counts.acked === 2);
  await consumer.close();
  expect(handled).toEqual(["m0", "m1"]);
  expect((await queue.describe()).counts.redelivered).toBe(0);
});

test("autoRenew keeps the message of an iteration and those that wait, and no longer than the next is asked for", async () => {
  const queue = await fresh();
  const warnings = countWarnings();
  await fill(queue, ["m0", "m1"]);
  const consumer = queue.consume({ prefetch: 2, autoRenew: true, autoAck: false, ...warnings });
  const first = (await consumer.next()).value as QueueMessage;
  await until("three warnings", () => warnings.of(first.tag) >= 3 && warnings.of(first.tag + 1) >= 3);
  expect((await consumer.next()).value?.text()).toBe("m1");
  const again = await queue.get(1, { waitMs: 5_000 });
  expect(again.map((message) => [message.text(), message.deliveries])).toEqual([["m0", 1]]);
  await consumer.close();
});

test("a handler of a lost connection ends, and the message that came under its tag since is still renewed", async () => {
  const queue = await fresh();
  const warnings = countWarnings();
  await using worker = await dial(broker, { clientName: "worker", reconnect: { delayMinMs: 1, delayMaxMs: 5 } });
  const begun: QueueMessage[] = [];
  const first = Promise.withResolvers<void>();
  let ended = 0;
  const consumer = worker.queue(queue.name).consume(
    async (message) => {
      begun.push(message);
      if (begun.length === 1) await first.promise;
      else await until("three warnings", () => ended === 1 && warnings.of(message.tag) >= 3);
      ended += 1;
    },
    { prefetch: 2, concurrency: 2, autoRenew: true, onLeaseWarning: warnings.onLeaseWarning },
  );
  await fill(queue, ["m0"]);
  await until("the first", () => begun.length === 1);
  const { id = "" } = (await client.connections.list()).find((connection) => connection.client === "worker") ?? {};
  expect(await client.connections.close(id, "a test")).toBe(true);
  await until("it comes again", () => begun.length === 2);
  expect(begun[1]?.tag).toBe(begun[0]?.tag as number);
  first.resolve();
  await until("it is done", async () => (await queue.describe()).counts.acked === 1);
  await consumer.close();
  expect(begun).toHaveLength(2);
});
