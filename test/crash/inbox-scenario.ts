import { expect } from "bun:test";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/index.ts";
import { openShop, type ShopKind } from "./inbox-shops.ts";
import { place, ServerProcess, type ServerPlace } from "./server-process.ts";

/**
 * Consumers die between the commit of their database and the ack, and so does
 * the broker. Each message is booked once all the same.
 */

const MESSAGES = 200;
const PROGRAM = join(import.meta.dir, "inbox-consumer.ts");
/** How many messages each consumer books before it dies. */
const DEATHS = [1, 7, 30];

async function publish(client: Client): Promise<void> {
  await client.queue("payments").declare();
  const sent = Array.from({ length: MESSAGES }, (_, index) =>
    client.queue("payments").publish(`p${index}`, index % 2 === 0 ? {} : { messageId: `id-${index}` }),
  );
  await Promise.all(sent);
}

async function bookAndDie(where: ServerPlace, kind: ShopKind, database: string, count: number): Promise<void> {
  const url = `millrace://127.0.0.1:${where.port}`;
  const child = Bun.spawn([process.execPath, PROGRAM, url, kind, database, String(count)], {
    stdout: "ignore",
    stderr: "pipe",
  });
  where.children.add(child);
  await child.exited;
  where.children.delete(child);
  expect(child.signalCode, await new Response(child.stderr).text()).toBe("SIGKILL");
}

/** Runs the scenario with a database of a kind. */
export async function bookedOnce(kind: ShopKind, database: string): Promise<void> {
  await using where = await place();
  let server = await ServerProcess.start(where);
  const url = `millrace://127.0.0.1:${where.port}`;
  await using client = await connect(url, { reconnect: { delayMinMs: 5, delayMaxMs: 50 } });
  await publish(client);
  for (const count of DEATHS) await bookAndDie(where, kind, database, count);

  const shop = await openShop(kind, database);
  try {
    const { values: before } = await shop.booked();
    expect(before.length).toBeGreaterThanOrEqual(DEATHS.reduce((sum, count) => sum + count));
    let kills = 2;
    let duplicates = 0;
    let restarted = Promise.resolve();
    const consumer = client.queue("payments").consume(
      async (message) => {
        const isNew = await shop.book(message);
        if (!isNew) duplicates++;
        // What was committed here is acked to a broker that is dead.
        if (isNew && kills > 0) {
          kills--;
          const dead = server.kill();
          restarted = dead.then(async () => void (server = await ServerProcess.start(where)));
          await restarted;
        }
      },
      { prefetch: 20 },
    );
    await untilEmpty(client, () => restarted);
    await consumer.close();
    const { values, total } = await shop.booked();
    expect(values.toSorted()).toEqual(Array.from({ length: MESSAGES }, (_, index) => `p${index}`).toSorted());
    expect(total).toBe(MESSAGES);
    expect(kills).toBe(0);
    // Each death left one committed and not acked, and so did each kill of the broker.
    expect(duplicates).toBeGreaterThanOrEqual(3);
  } finally {
    await shop.close();
  }
  expect(await server.stop()).toBe(0);
}

async function untilEmpty(client: Client, restarted: () => Promise<void>): Promise<void> {
  for (;;) {
    await restarted();
    const description = await client
      .queue("payments")
      .describe()
      .catch(() => null);
    const { ready = 1, inFlight = 1, delayed = 1 } = description?.counts ?? {};
    if (ready + inFlight + delayed === 0) return;
    await Bun.sleep(10);
  }
}
