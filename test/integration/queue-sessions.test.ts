/** Sessions of ordered queues over sockets: their states, alone and with acks. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client, QueueMessage } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, failureOf, startBroker, temporaryFolder, until } from "./harness.ts";

let broker: Broker;
let client: Client;

beforeAll(async () => {
  broker = await startBroker();
  client = await dial(broker);
});

afterAll(async () => {
  await client.close();
  await broker.stop();
});

const text = (state: Uint8Array | null): string | null => (state === null ? null : new TextDecoder().decode(state));

test("a consumer goes on where the one before it stopped, by the state that came with its ack", async () => {
  const queue = client.queue("carts");
  await queue.declare({ ordered: true });
  const orders = [
    ["ann", "1"],
    ["bob", "10"],
    ["ann", "2"],
    ["bob", "20"],
    ["ann", "3"],
  ] as const;
  for (const [group, value] of orders) await queue.publish(value, { group });
  const handle = async (message: QueueMessage): Promise<void> => {
    const before = text(await queue.session(message.headers["x-group"] as string).state());
    message.ack({ state: `${Number(before ?? "0") + Number(message.text())}` });
  };
  const consumers = [1, 2].map(() => queue.consume(handle, { prefetch: 5, concurrency: 5 }));
  await until("all are acked", async () => (await queue.describe()).counts.acked === orders.length);
  expect(text(await queue.session("ann").state())).toBe("6");
  expect(text(await queue.session("bob").state())).toBe("30");
  await Promise.all(consumers.map((consumer) => consumer.close()));
});

test("states are set and removed, are bounded, and belong to ordered queues", async () => {
  const queue = client.queue("bounded");
  await queue.declare({ ordered: true, sessionStatesMax: 1, sessionStateBytesMax: 4 });
  const session = queue.session("a.b/c d");
  expect(await session.state()).toBeNull();
  await session.setState(new Uint8Array([0, 255]));
  expect([...((await session.state()) ?? [])]).toEqual([0, 255]);
  expect((await failureOf(session.setState("12345"))).codeName).toBe("limit_exceeded");
  expect((await failureOf(queue.session("other").setState("1"))).codeName).toBe("limit_exceeded");
  await session.setState(null);
  expect(await session.state()).toBeNull();
  await queue.session("other").setState("");
  expect(await queue.session("other").state()).toHaveLength(0);
  await client.queue("plain").declare();
  expect((await failureOf(client.queue("plain").session("a").setState("1"))).codeName).toBe("invalid_argument");
  expect((await failureOf(client.queue("none").session("a").state())).codeName).toBe("queue_not_found");
});

test("a state that is refused leaves its message unsettled, and the consumer hears of it", async () => {
  const queue = client.queue("refusing");
  await queue.declare({ ordered: true, sessionStateBytesMax: 4 });
  await queue.publish("x", { group: "a" });
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const consumer = queue.consume((message) => message.ack({ state: "too large" }), { onError });
  await until("the refusal", () => errors.length > 0);
  expect(errors[0]).toMatchObject({ codeName: "limit_exceeded" });
  expect((await queue.describe()).counts).toMatchObject({ acked: 0, inFlight: 1 });
  await consumer.close();
});

test("a state survives a restart", async () => {
  await using folder = await temporaryFolder();
  {
    await using first = await startBroker({ dataDir: folder.path });
    await using before = await dial(first);
    await before.queue("kept").declare({ ordered: true });
    await before.queue("kept").session("a").setState("here");
  }
  await using second = await startBroker({ dataDir: folder.path });
  await using after = await dial(second);
  expect(text(await after.queue("kept").session("a").state())).toBe("here");
});

test("a session stays with its consumer, and goes to another when that is gone", async () => {
  const queue = client.queue("locked");
  await queue.declare({ ordered: true, sessionLockMs: 60_000 });
  const SESSIONS = ["ann", "bob", "cid", "dora"];
  const handled: { by: number; session: string; value: string }[] = [];
  const consume = (by: number, prefetch = 2) =>
    queue.consume(
      (message) => {
        handled.push({ by, session: message.headers["x-group"] as string, value: message.text() ?? "" });
      },
      { prefetch },
    );
  const consumers = [consume(0), consume(1)];
  await until("both consume", async () => (await queue.describe()).counts.consumers === 2);
  const publishRound = async (value: string): Promise<void> => {
    for (const session of SESSIONS) await queue.publish(value, { group: session });
  };
  const holders = (value: string) =>
    Object.fromEntries(handled.filter((each) => each.value === value).map(({ session, by }) => [session, by]));
  for (let round = 0; round < 20; round += 1) {
    await publishRound(`${round}`);
    await until("the round is handled", () => handled.length === SESSIONS.length * (round + 1));
  }
  const first = holders("0");
  expect(Object.values(first).toSorted()).toEqual([0, 0, 1, 1]);
  for (let round = 1; round < 20; round += 1) expect(holders(`${round}`)).toEqual(first);
  // All sessions are taken; a new one waits until a consumer with room comes.
  await queue.publish("new", { group: "eve" });
  await consumers[0]?.close();
  await publishRound("last");
  await until("the sessions that were left", async () => (await queue.describe()).counts.ready === 3);
  for (const [session, by] of Object.entries(first)) expect(holders("last")[session]).toBe(by === 1 ? 1 : undefined);
  const third = consume(2, 3);
  await until("everything", async () => (await queue.describe()).counts.acked === SESSIONS.length * 21 + 1);
  expect(holders("new")["eve"]).toBe(2);
  await Promise.all([third.close(), consumers[1]?.close()]);
});

test("a session whose message is given back, or whose time is over, goes to another", async () => {
  const queue = client.queue("given-back");
  await queue.declare({ ordered: true, sessionLockMs: 50 });
  const seen: { by: number; value: string }[] = [];
  const consumers = [0, 1].map((by) =>
    queue.consume(
      (message) => {
        seen.push({ by, value: message.text() ?? "" });
        if (seen.length === 1) message.nack({ requeue: true });
      },
      { prefetch: 1 },
    ),
  );
  await until("both consume", async () => (await queue.describe()).counts.consumers === 2);
  await queue.publish("a", { group: "s" });
  await until("it was given back and acked", async () => (await queue.describe()).counts.acked === 1);
  expect(seen.map(({ value }) => value)).toEqual(["a", "a"]);
  expect(seen[1]?.by).not.toBe(seen[0]?.by);
  // Of two consumers with room for one session each, one has this; a session more, and then another, need the other's time to end.
  for (const group of ["t", "u", "v"]) await queue.publish(group, { group });
  await until("the sessions that waited", async () => (await queue.describe()).counts.acked === 4);
  await Promise.all(consumers.map((consumer) => consumer.close()));
});
