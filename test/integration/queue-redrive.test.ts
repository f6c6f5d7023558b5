/** Redrives that edit messages on their way. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client, Queue, QueueConfig, QueueMessage } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, failureOf, startBroker, until } from "./harness.ts";

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

/** A queue of its own for each test. */
async function fresh(config: QueueConfig = {}, at: Client = client): Promise<Queue> {
  const queue = at.queue(`q${++made}`);
  await queue.declare(config);
  return queue;
}

const values = (count: number): string[] => Array.from({ length: count }, (_, index) => `m${index}`);

async function fill(queue: Queue, count: number): Promise<void> {
  await Promise.all(values(count).map((value) => queue.publish(value)));
}

async function ready(queue: Queue): Promise<number> {
  return (await queue.describe()).counts.ready ?? -1;
}

test("redrive with an edit brings new messages in place of the dead ones; a dry run shows them", async () => {
  const dead = await fresh({ dedupWindowMs: 60_000 });
  const queue = await fresh({ dedupWindowMs: 60_000, deadLetter: { exchange: "", routingKey: dead.name } });
  for (const value of ["1", "2", "3"]) {
    await queue.publish(value, { messageId: value, headers: { trace: "x", tenant: value === "3" ? "b" : "a" } });
  }
  const rejected = await queue.get(3);
  for (const message of rejected) message.reject();
  await until("dead letters", async () => (await ready(dead)) === 3);
  const options = {
    where: 'header("tenant") == "a"',
    edit: { key: "fixed", value: "better", headers: { trace: null, attempt: 2, big: 2 ** 40 } },
  } as const;
  const shown = await dead.redrive({ ...options, dryRun: true });
  expect([shown.matched, shown.moved]).toEqual([2, 0]);
  const headers = { tenant: "a", attempt: 2, big: 2 ** 40 };
  expect(shown.messages?.map((message) => [message.queues, message.headers])).toEqual([
    [[queue.name], headers],
    [[queue.name], headers],
  ]);
  expect(await dead.redrive(options)).toEqual({ matched: 2, moved: 2 });
  const [first, second] = (await queue.get(2)) as [QueueMessage, QueueMessage];
  for (const message of [first, second]) {
    expect([message.text(), message.routingKey, message.headers, message.deaths]).toEqual([
      "better",
      "fixed",
      headers,
      [],
    ]);
    expect(message.number).toBeGreaterThan((rejected[2] as QueueMessage).number);
    message.ack();
  }
  expect((await queue.describe()).counts).toMatchObject({ ready: 0, duplicates: 0 });
  expect(await ready(dead)).toBe(1);
  const wrong = dead.redrive({ edit: { body: "x" } as never });
  expect((await failureOf(wrong)).codeName).toBe("invalid_argument");
  const large = dead.redrive({ edit: { value: new Uint8Array(2 << 20) } });
  expect((await failureOf(large)).codeName).toBe("message_too_large");
});

test("redrive with an edit goes on past what one request stores", async () => {
  const dead = await fresh();
  const queue = await fresh({ deadLetter: { exchange: "", routingKey: dead.name } });
  await fill(queue, 30);
  for (const message of await queue.get(30)) message.reject();
  await until("dead letters", async () => (await ready(dead)) === 30);
  const value = new Uint8Array(500_000);
  expect(await dead.redrive({ edit: { value } })).toEqual({ matched: 30, moved: 30 });
  expect([await ready(dead), await ready(queue)]).toEqual([0, 30]);
});
