import { expect, test } from "bun:test";
import { type Client, connect, type QueueConsumer, type QueueMessage } from "../../src/client/index.ts";
import { place, ServerProcess } from "./server-process.ts";

/**
 * The broker is killed again and again while messages are published to an exchange, and consumers ack, requeue and
 * reject them. Each message goes to a queue that is worked on and to one that nobody reads before the end; what is
 * rejected goes to a third. An acknowledged publish is in its queues, a settlement that was answered stands.
 */

const ROUNDS = process.env.MILLRACE_LONG ? 50 : 4;
const SEED = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);
const WORK_QUEUES = 3;
const IN_FLIGHT_MAX = 500;
const SETTLED_PER_ROUND = 1_500;
/** Small, so that kills meet snapshots being taken, and starts that begin with one. */
const FLAGS = ["--checkpoint-bytes", "64KiB"];
const REQUEUE_SHARE = 0.1;
const REJECT_SHARE = 0.05;

/** Park and Miller's generator: a round's delay must come back with the seed. */
function random(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

const next = random(SEED);

/** What the broker has said of each message, by its text. */
interface Books {
  sent: number;
  readonly published: Set<string>;
  readonly acked: Set<string>;
  readonly rejected: Set<string>;
  /** Delivered although it was settled before, and the settlement was answered. */
  readonly again: string[];
  readonly failures: unknown[];
  /** Settlements whose answer did not come: the broker may have carried them out. */
  unanswered: number;
}

async function declare(client: Client): Promise<void> {
  await client.exchange("events").declare("direct");
  await client.exchange("graves").declare("fanout");
  await client.queue("audit").declare();
  await client.queue("dead").declare();
  await client.queue("dead").bind("graves");
  for (let n = 0; n < WORK_QUEUES; n += 1) {
    await client.queue(`work${n}`).declare({ deadLetter: { exchange: "graves" } });
    await client.queue(`work${n}`).bind("events", { key: `k${n}` });
    await client.queue("audit").bind("events", { key: `k${n}` });
  }
}

async function publish(client: Client, books: Books, isOver: () => boolean): Promise<void> {
  const exchange = client.exchange("events");
  const open = new Set<Promise<unknown>>();
  while (!isOver()) {
    for (let n = 0; n < 50; n += 1) {
      const text = `m${books.sent++}`;
      const delivery = exchange
        .publish(`k${Math.floor(next() * WORK_QUEUES)}`, text)
        .then(() => books.published.add(text))
        .catch((error: unknown) => books.failures.push(error))
        .finally(() => open.delete(delivery));
      open.add(delivery);
    }
    while (open.size > IN_FLIGHT_MAX) await Promise.race(open);
    await Bun.sleep(0);
  }
  await Promise.all(open);
}

/** Settles a message in one of several ways; what the broker has answered goes into the books. */
async function settle(message: QueueMessage, books: Books, flush: () => Promise<void>): Promise<void> {
  const text = message.text() ?? "";
  if (books.acked.has(text) || books.rejected.has(text)) books.again.push(text);
  const choice = next();
  if (choice < REQUEUE_SHARE) {
    message.nack({ delayMs: 0 });
    return;
  }
  const isRejected = choice < REQUEUE_SHARE + REJECT_SHARE;
  if (isRejected) message.reject();
  else message.ack();
  await flush();
  (isRejected ? books.rejected : books.acked).add(text);
}

/** Reads a queue to its end. Returns how often each text came. */
async function drain(client: Client, name: string): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  for (;;) {
    const messages = await client.queue(name).get(1_000, { waitMs: 200 });
    if (messages.length === 0) return seen;
    for (const message of messages) {
      const text = message.text() ?? "";
      seen.set(text, (seen.get(text) ?? 0) + 1);
      message.ack();
    }
  }
}

async function check(client: Client, books: Books): Promise<void> {
  const left = new Map<string, number>();
  for (let n = 0; n < WORK_QUEUES; n += 1)
    for (const [text, count] of await drain(client, `work${n}`)) left.set(text, count);
  const dead = await drain(client, "dead");
  const audit = await drain(client, "audit");
  const missing = (from: (text: string) => boolean): string[] => [...books.published].filter((text) => !from(text));
  expect(books.again, "delivered again after an answered settlement").toEqual([]);
  expect(
    missing((text) => audit.has(text)),
    "acknowledged, and not in the queue that nobody read",
  ).toEqual([]);
  const isSomewhere = (text: string): boolean => books.acked.has(text) || dead.has(text) || left.has(text);
  // A settlement whose answer was lost may have been carried out; those messages are in nobody's books.
  const unaccounted = missing(isSomewhere);
  expect(unaccounted.length, `lost: ${unaccounted.slice(0, 5)}`).toBeLessThanOrEqual(books.unanswered);
  expect(
    [...books.acked].filter((text) => left.has(text) || dead.has(text)),
    "acked, and still there",
  ).toEqual([]);
  expect(
    [...books.rejected].filter((text) => !dead.has(text)),
    "rejected, and not among the dead",
  ).toEqual([]);
  expect(
    [...audit.values(), ...dead.values()].filter((count) => count > 1),
    "twice in a queue",
  ).toEqual([]);
}

test(
  `queues survive ${ROUNDS} kills (seed ${SEED})`,
  async () => {
    await using where = await place();
    const url = `millrace://127.0.0.1:${where.port}`;
    let server = await ServerProcess.start(where, FLAGS);
    await using client = await connect(url, { reconnect: { delayMinMs: 5, delayMaxMs: 50 } });
    await declare(client);
    const books = newBooks();
    let over = false;
    const consumers = Array.from({ length: WORK_QUEUES }, (_, n) => {
      const consumer: QueueConsumer = client.queue(`work${n}`).consume(
        (message) =>
          settle(message, books, () => consumer.flush()).catch(() => {
            books.unanswered += 1;
          }),
        { prefetch: 100, concurrency: 50, autoAck: false },
      );
      return consumer;
    });
    const running = publish(client, books, () => over);
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = books.acked.size;
      while (books.acked.size < before + SETTLED_PER_ROUND) {
        if (books.failures.length > 0) throw books.failures[0];
        await Bun.sleep(2);
      }
      await Bun.sleep(next() * 50);
      await server.kill();
      server = await ServerProcess.start(where, FLAGS);
    }
    over = true;
    await running;
    expect(books.failures).toEqual([]);
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await check(client, books);
    expect(await server.stop()).toBe(0);
  },
  ROUNDS * 15_000 + 60_000,
);

function newBooks(): Books {
  return {
    sent: 0,
    published: new Set(),
    acked: new Set(),
    rejected: new Set(),
    again: [],
    failures: [],
    unanswered: 0,
  };
}
