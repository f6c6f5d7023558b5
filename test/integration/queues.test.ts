/** Queues over real sockets: delivery, settlement, the failure path, and what requests are refused. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Client, Queue, QueueConfig, QueueMessage } from "../../src/client/index.ts";
import { Op, Outcome } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, failureOf, RawConnection, startBroker, temporaryFolder, until } from "./harness.ts";

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

describe("delivery", () => {
  test("of every message once, in order, with key, headers, time and number", async () => {
    const queue = await fresh();
    const { offset } = await queue.publish("first", { headers: { tenant: "a", n: 5 } });
    await queue.publish("second");
    const [first, second] = (await queue.get(5)) as [QueueMessage, QueueMessage];
    expect([first.text(), second.text()]).toEqual(["first", "second"]);
    expect(first.headers).toEqual({ tenant: "a", n: 5 });
    expect([first.routingKey, first.number, first.deliveries]).toEqual([queue.name, offset as number, 0]);
    expect(Math.abs(first.timestamp - Date.now())).toBeLessThan(60_000);
    first.ack();
    second.ack();
    await until("nothing is left", async () => (await queue.describe()).counts.inFlight === 0);
    expect(await ready(queue)).toBe(0);
  });

  test("to competing consumers, each by its window, and every message to one of them", async () => {
    const queue = await fresh();
    const seen: string[] = [];
    const counts = [0, 0, 0];
    const consumers = counts.map((_, index) =>
      queue.consume(
        async (message) => {
          counts[index] = (counts[index] as number) + 1;
          seen.push(message.text() as string);
          await Bun.sleep(1);
        },
        { prefetch: 2 },
      ),
    );
    await fill(queue, 60);
    await until("all are done", () => seen.length === 60);
    expect(seen.toSorted()).toEqual(values(60).toSorted());
    for (const count of counts) expect(count).toBeGreaterThan(5);
    await Promise.all(consumers.map((consumer) => consumer.close()));
  });

  test("never passes the window of unsettled messages, also when it changes", async () => {
    const queue = await fresh();
    await fill(queue, 20);
    const held: QueueMessage[] = [];
    const consumer = queue.consume((message) => void held.push(message), {
      prefetch: 3,
      autoAck: false,
      concurrency: 99,
    });
    await until("three", () => held.length === 3);
    await Bun.sleep(20);
    expect(held).toHaveLength(3);
    consumer.setPrefetch(5);
    await until("five", () => held.length === 5);
    held[0]?.ack();
    await until("six", () => held.length === 6);
    await Bun.sleep(20);
    expect(held).toHaveLength(6);
    await consumer.close();
    await until("the rest is back", async () => (await ready(queue)) === 19);
  });

  test("by views, at speed, through one connection for publishing and one for consuming", async () => {
    const queue = await fresh();
    await using other = await dial(broker);
    const count = 20_000;
    let seen = 0;
    const reading = (async () => {
      for await (const view of other.queue(queue.name).consume({ prefetch: 2_000 }).views()) {
        seen += view.length;
        if (seen < count) continue;
        view.ack();
        return;
      }
    })();
    const exchange = client.exchange("");
    const body = new Uint8Array(100);
    for (let index = 0; index < count; index++) if (!exchange.append(queue.name, body)) await exchange.ready();
    await exchange.flush();
    await reading;
    expect(seen).toBe(count);
    await until("all are acked", async () => (await queue.describe()).counts.acked === count);
  });

  test("goes on after a lost connection: what was not acked comes again and says so", async () => {
    const queue = await fresh();
    const lost = await dial(broker, { reconnect: { enabled: false } });
    await fill(queue, 3);
    const held = await lost.queue(queue.name).get(3);
    held[0]?.ack();
    await until("the ack is in", async () => (await queue.describe()).counts.acked === 1);
    // A connection that breaks says no goodbye.
    await lost.close();
    await until("they are back", async () => (await ready(queue)) === 2);
    const again = await queue.get(5);
    expect(again.map((message) => [message.text(), message.deliveries])).toEqual([
      ["m1", 1],
      ["m2", 1],
    ]);
    for (const message of again) message.ack();
  });
});

describe("settling", () => {
  test("by nack brings a message back, with its deliveries counted", async () => {
    const queue = await fresh();
    await queue.publish("again");
    const seen: number[] = [];
    const consumer = queue.consume((message) => {
      seen.push(message.deliveries);
      if (seen.length < 3) message.nack({ delayMs: 0 });
    });
    await until("the third delivery", () => seen.length === 3);
    expect(seen).toEqual([0, 1, 2]);
    await consumer.close();
  });

  test("by retry waits as the queue's policy says, by the error's class", async () => {
    const queue = await fresh({
      retry: { kind: "fixed", delayMs: 30, classes: { slow: { kind: "fixed", delayMs: 150 } } },
    });
    await queue.publish("x");
    const times: number[] = [];
    const consumer = queue.consume(() => {
      times.push(performance.now());
      if (times.length === 1) throw new Error("usual");
      if (times.length === 2) throw Object.assign(new Error("slow"), { errorClass: "slow" });
    });
    await until("three deliveries", () => times.length === 3);
    const [first = 0, second = 0, third = 0] = times;
    expect(second - first).toBeGreaterThanOrEqual(25);
    expect(second - first).toBeLessThan(140);
    expect(third - second).toBeGreaterThanOrEqual(140);
    await consumer.close();
  });

  test("too often dead-letters a message, with queue, reason and count", async () => {
    const dead = await fresh();
    const queue = await fresh({ deliveryLimit: 2, deadLetter: { exchange: "", routingKey: dead.name } });
    await queue.publish("poison", { headers: { a: 1 } });
    let deliveries = 0;
    const consumer = queue.consume((message) => {
      deliveries++;
      message.nack({ delayMs: 0 });
    });
    const [message] = (await dead.get(1, { waitMs: 5_000 })) as [QueueMessage];
    expect(message.text()).toBe("poison");
    expect(message.headers).toEqual({ a: 1 });
    expect(message.deaths[0]).toMatchObject({ queue: queue.name, count: 1 });
    expect(deliveries).toBe(2);
    message.ack();
    await consumer.close();
  });

  test("by reject dead-letters at once, or drops where nothing takes dead letters", async () => {
    const dead = await fresh();
    const queue = await fresh({ deadLetter: { exchange: "", routingKey: dead.name } });
    const plain = await fresh();
    await queue.publish("no");
    await plain.publish("gone");
    for (const message of [...(await queue.get()), ...(await plain.get())]) message.reject();
    const [letter] = (await dead.get(1, { waitMs: 5_000 })) as [QueueMessage];
    expect(letter.deaths[0]).toMatchObject({ queue: queue.name, reason: "rejected" });
    letter.ack();
    await until("it is dropped", async () => {
      const { ready: left, inFlight } = (await plain.describe()).counts;
      return left === 0 && inFlight === 0;
    });
  });

  test("by defer puts a message aside until it is taken by its number", async () => {
    const queue = await fresh();
    await fill(queue, 2);
    const [first, second] = (await queue.get(2)) as [QueueMessage, QueueMessage];
    first.defer();
    second.ack();
    await until("it is deferred", async () => (await queue.describe()).counts.deferred === 1);
    expect(await queue.get(5)).toEqual([]);
    const seen: string[] = [];
    const consumer = queue.consume((message) => void seen.push(message.text() as string));
    await until("the subscription", () => consumer.isSubscribed);
    expect(await queue.take(consumer, [first.number])).toBe(1);
    await until("it comes", () => seen.length === 1);
    expect(seen).toEqual(["m0"]);
    await consumer.close();
  });
});

describe("time", () => {
  test("a lease that runs out gives that message to another, a renewed one does not, and a late ack is refused", async () => {
    const queue = await fresh({ leaseMs: 150, leaseWarningMs: 100 });
    await fill(queue, 2);
    const warned: number[] = [];
    const errors: unknown[] = [];
    const held: QueueMessage[] = [];
    const holder = queue.consume((message) => void held.push(message), {
      autoAck: false,
      concurrency: 9,
      prefetch: 2,
      onLeaseWarning: ({ tag }) => {
        warned.push(tag);
        held.find((message) => message.tag === tag && message.text() === "m1")?.renew();
      },
      onError: (error) => errors.push(error),
    });
    await until("both", () => held.length === 2);
    holder.setPrefetch(1);
    const again = await queue.get(1, { waitMs: 5_000 });
    expect(again.map((message) => [message.text(), message.deliveries])).toEqual([["m0", 1]]);
    again[0]?.ack();
    expect(warned.length).toBeGreaterThanOrEqual(2);
    held[0]?.ack();
    await until("the refusal", () => errors.length === 1);
    expect(errors[0]).toMatchObject({ codeName: "unknown_delivery" });
    held[1]?.ack();
    await holder.close();
    expect(await ready(queue)).toBe(0);
  });

  test("a delayed message comes when it is due, is listed until then, and can be cancelled", async () => {
    const queue = await fresh();
    const startMs = Date.now();
    await queue.publish("later", { delayMs: 100 });
    await queue.publish("never", { deliverAt: new Date(Date.now() + 60_000) });
    expect(await queue.get(5)).toEqual([]);
    const scheduled = await queue.scheduled();
    expect(scheduled).toHaveLength(2);
    expect(await queue.cancel([(scheduled[1] as { number: number }).number, 999_999])).toBe(1);
    const [message] = (await queue.get(1, { waitMs: 5_000 })) as [QueueMessage];
    expect(message.text()).toBe("later");
    expect(Date.now() - startMs).toBeGreaterThanOrEqual(99);
    message.ack();
    expect(await queue.scheduled()).toEqual([]);
  });

  test("a message that nobody takes in time is dead-lettered as expired", async () => {
    const dead = await fresh();
    const queue = await fresh({ messageTtlMs: 60_000, deadLetter: { exchange: "", routingKey: dead.name } });
    await queue.publish("short", { ttlMs: 50 });
    const [message] = (await dead.get(1, { waitMs: 5_000 })) as [QueueMessage];
    expect(message.deaths[0]).toMatchObject({ queue: queue.name, reason: "expired" });
    message.ack();
  });
});

describe("configuration", () => {
  test("priorities come first, equal ones in order", async () => {
    const queue = await fresh({ priorityMax: 9 });
    for (const [value, priority] of [
      ["low", 1],
      ["high", 9],
      ["mid", 5],
      ["high2", 9],
    ] as const)
      await queue.publish(value, { priority });
    const messages = await queue.get(9);
    expect(messages.map((message) => message.text())).toEqual(["high", "high2", "mid", "low"]);
    for (const message of messages) message.ack();
  });

  test("an ordered queue has one unsettled message of each group at most", async () => {
    const queue = await fresh({ ordered: true });
    for (const [value, group] of [
      ["a1", "a"],
      ["a2", "a"],
      ["b1", "b"],
    ] as const)
      await queue.publish(value, { group });
    const first = await queue.get(9);
    expect(first.map((message) => message.text()).toSorted()).toEqual(["a1", "b1"]);
    for (const message of first) message.ack();
    const second = await queue.get(9, { waitMs: 5_000 });
    expect(second.map((message) => message.text())).toEqual(["a2"]);
    for (const message of second) message.ack();
  });

  test("past its length a queue drops its head, or refuses", async () => {
    const drops = await fresh({ lengthMax: 3 });
    await fill(drops, 5);
    expect((await drops.get(9)).map((message) => message.text())).toEqual(["m2", "m3", "m4"]);
    const refuses = await fresh({ lengthMax: 2, overflow: "reject" });
    await fill(refuses, 2);
    expect((await failureOf(refuses.publish("x"))).codeName).toBe("queue_full");
    for (const message of await refuses.get()) message.ack();
    await until("there is room", async () => ((await refuses.describe()).counts.ready ?? 9) < 2);
    await refuses.publish("fits");
  });

  test("duplicates by message id are dropped within the window", async () => {
    const queue = await fresh({ dedupWindowMs: 60_000 });
    for (const messageId of ["1", "2", "1", "1", "3"]) await queue.publish(`m${messageId}`, { messageId });
    expect((await queue.get(9)).map((message) => message.text())).toEqual(["m1", "m2", "m3"]);
  });

  test("with a single active consumer the next takes over when it goes", async () => {
    const queue = await fresh({ singleActive: true });
    const active: string[] = [];
    const seen: string[] = [];
    const consume = (name: string): ReturnType<Queue["consume"]> =>
      queue.consume(() => void seen.push(name), { onActive: (isActive) => active.push(`${name} ${isActive}`) });
    const first = consume("first");
    await until("the first", () => first.isSubscribed);
    const second = consume("second");
    await until("the second", () => second.isSubscribed);
    await fill(queue, 4);
    await until("all", () => seen.length === 4);
    expect(seen).toEqual(["first", "first", "first", "first"]);
    await first.close();
    await queue.publish("next");
    await until("the next", () => seen.length === 5);
    expect(seen.at(-1)).toBe("second");
    await until("the event", () => active.includes("second true"));
    await second.close();
  });
});

describe("upkeep", () => {
  test("peek shows without taking, purge drops", async () => {
    const queue = await fresh();
    await fill(queue, 5);
    const shown = await queue.peek(3);
    expect(shown.map(({ value }) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value))).toEqual(
      values(3),
    );
    const from = (shown[1] as { number: number }).number;
    expect((await queue.peek(1, { from }))[0]?.number).toBe(from);
    expect(await ready(queue)).toBe(5);
    expect(await queue.purge()).toBe(5);
    expect(await queue.get(1)).toEqual([]);
  });

  test("redrive brings dead letters back where they came from; a dry run only counts", async () => {
    const dead = await fresh();
    const queue = await fresh({ deadLetter: { exchange: "", routingKey: dead.name } });
    await fill(queue, 4);
    for (const message of await queue.get(4)) message.reject();
    await until("dead letters", async () => (await ready(dead)) === 4);
    expect(await dead.redrive({ dryRun: true })).toMatchObject({ matched: 4, moved: 0 });
    expect(await dead.redrive({ max: 1 })).toMatchObject({ moved: 1 });
    const startMs = performance.now();
    expect(await dead.redrive({ ratePerSec: 10 })).toMatchObject({ moved: 3 });
    expect(performance.now() - startMs).toBeGreaterThan(180);
    await until("they are back", async () => (await ready(queue)) === 4);
    expect(await ready(dead)).toBe(0);
  });

  test("an exclusive queue is one connection's, and goes with it; an auto-delete one with its last consumer", async () => {
    const other = await dial(broker);
    const mine = await fresh({ exclusive: true }, other);
    const shared = await fresh({ autoDelete: true });
    // One after the other: a refusal that comes before anybody waits for it would count as unhandled.
    const declared = await failureOf(client.queue(mine.name).declare({ exclusive: true }));
    const taken = await failureOf(client.queue(mine.name).get());
    expect([declared.codeName, taken.codeName]).toEqual(["queue_exclusive", "queue_exclusive"]);
    await client.queue(mine.name).publish("anybody may publish");
    expect((await mine.get(1, { waitMs: 1_000 }))[0]?.text()).toBe("anybody may publish");
    const consumer = other.queue(shared.name).consume(() => undefined);
    await until("the consumer", () => consumer.isSubscribed);
    await other.close();
    await until("both are gone", async () => {
      const names = (await client.queues.list()).map(({ name }) => name);
      return !names.includes(mine.name) && !names.includes(shared.name);
    });
  });

  test("a queue that nobody uses expires", async () => {
    const queue = await fresh({ expiresMs: 300 });
    const consumer = queue.consume(() => undefined);
    await Bun.sleep(700);
    await queue.describe();
    await consumer.close();
    await until("it is gone", async () => !(await client.queues.list()).some(({ name }) => name === queue.name));
  });

  test("deleting a queue ends its consumers and takes its bindings along", async () => {
    const queue = await fresh();
    await client.exchange("del").declare("fanout");
    await queue.bind("del");
    const consumer = queue.consume(() => undefined);
    await until("the subscription", () => consumer.isSubscribed);
    await queue.delete();
    expect((await failureOf(consumer.done)).codeName).toBe("queue_deleted");
    expect(await client.exchange("del").bindings()).toEqual([]);
  });

  test("lists page through, by pattern", async () => {
    for (const name of ["list.a", "list.b", "list.c"]) await client.queue(name).declare();
    expect((await client.queues.list({ pattern: "list.*" })).map(({ name }) => name)).toEqual([
      "list.a",
      "list.b",
      "list.c",
    ]);
    using raw = await RawConnection.open(broker.port);
    await raw.hello();
    const page = (await raw.ask(Op.QUEUE_LIST, { pattern: "list.*", limit: 2 })) as { queues: unknown[]; next: string };
    expect([page.queues.length, page.next]).toEqual([2, "list.b"]);
  });
});

describe("a restart", () => {
  test("keeps durable queues with what was not acked, and nothing of transient ones", async () => {
    await using folder = await temporaryFolder();
    const options = { dataDir: folder.path };
    let broker = await startBroker(options);
    let client = await dial(broker);
    await client.exchange("e").declare("topic");
    const queue = client.queue("kept");
    await queue.declare({ lengthMax: 1_000 });
    await queue.bind("e", { key: "a.#" });
    await client.queue("gone").declare({ durable: false });
    await client.queue("gone").bind("e", { key: "#" });
    for (const value of values(10)) await client.exchange("e").publish("a.b", value);
    const taken = await queue.get(4);
    for (const message of taken.slice(0, 2)) message.ack();
    await until("the acks", async () => (await queue.describe()).counts.acked === 2);
    await client.close();
    await broker.stop();
    broker = await startBroker(options);
    client = await dial(broker);
    expect((await client.queues.list()).map(({ name }) => name)).toEqual(["kept"]);
    expect(await client.exchange("e").bindings()).toEqual([{ exchange: "e", queue: "kept", key: "a.#" }]);
    const again = await client.queue("kept").get(20);
    expect(again.map((message) => message.text())).toEqual(values(10).slice(2));
    expect(again[0]?.number).toBe(taken[2]?.number as number);
    for (const message of again) message.ack();
    await client.exchange("e").publish("a.c", "new");
    expect((await client.queue("kept").get(1, { waitMs: 1_000 }))[0]?.text()).toBe("new");
    await client.close();
    await broker.stop();
  });
});

describe("bad input", () => {
  test("names what is wrong, and the session lives", async () => {
    using raw = await RawConnection.open(broker.port);
    await raw.hello();
    const queue = await fresh({ lengthMax: 5 });
    const refused = (op: number, ...args: unknown[]): Promise<string> =>
      raw.ask(op, ...args).then(
        () => "taken",
        (error: Error) => error.message,
      );
    expect(await refused(Op.SUBSCRIBE, 1, { queue: "missing", prefetch: 1 })).toContain("queue_not_found");
    for (const prefetch of [0, -1, 65_536, 2 ** 33, 1.5, "5", null]) {
      expect(await refused(Op.SUBSCRIBE, 1, { queue: queue.name, prefetch })).toContain("invalid_argument: prefetch");
    }
    expect(await refused(Op.SUBSCRIBE, 1, { queue: queue.name, topic: "t", prefetch: 1 })).toContain(
      "invalid_argument",
    );
    expect(await refused(Op.QUEUE_DECLARE, { name: queue.name, config: {} })).toContain(
      'argument_mismatch: the queue "' + queue.name + '" was declared with lengthMax 5, not nothing',
    );
    expect(await refused(Op.QUEUE_DECLARE, { name: "__x" })).toContain("invalid_topic_name");
    expect(await refused(Op.QUEUE_DECLARE, { name: "x", config: { lengthMx: 1 } })).toContain(
      "invalid_config: lengthMx",
    );
    const never = { release: { window: { from: "10:00", to: "10:00" } } };
    expect(await refused(Op.QUEUE_DECLARE, { name: "x", config: never })).toContain("schedule_never");
    const loop = { deadLetter: { exchange: "", routingKey: "x" } };
    expect(await refused(Op.QUEUE_DECLARE, { name: "x", config: loop })).toContain("dead_letter_loop");
    expect(await refused(Op.QUEUE_GET, 1, { name: queue.name, max: 0 })).toContain("invalid_argument: max");
    expect(await refused(Op.QUEUE_TAKE, { name: queue.name, sub: 9, numbers: [1] })).toContain(
      "subscription_not_found",
    );
    expect(await refused(Op.QUEUE_PURGE, { name: "missing" })).toContain("queue_not_found");
    expect(await refused(Op.QUEUE_DESCRIBE, { name: queue.name })).toBe("taken");
  });

  test("a second ack, an ack of nothing, and an ack from another session are typed errors", async () => {
    const queue = await fresh();
    await fill(queue, 2);
    using raw = await RawConnection.open(broker.port);
    await raw.hello();
    await raw.ask(Op.SUBSCRIBE, 7, { queue: queue.name, prefetch: 2 });
    const delivery = await raw.frame("messages", ({ op }) => op === Op.MESSAGES);
    const tag = delivery.args[1] as number;
    using stranger = await RawConnection.open(broker.port);
    await stranger.hello();
    await stranger.ask(Op.SUBSCRIBE, 7, { queue: queue.name, prefetch: 2 });
    expect(await settle(stranger, 7, [tag, 1])).toContain("unknown_delivery");
    expect(await settle(stranger, 99, [tag, 1])).toMatch(/subscription_not_found|unknown_delivery/);
    expect(await settle(raw, 7, [tag, 1])).toBe("ok");
    expect(await settle(raw, 7, [tag, 1])).toContain("unknown_delivery");
    expect(await settle(raw, 7, [12_345, 2])).toContain("unknown_delivery");
    raw.sendFrame(Op.SETTLE, 7, null, Outcome.ACK, null, [tag, 1]);
    const failed = await raw.frame("SETTLE_FAILED", ({ op }) => op === Op.SETTLE_FAILED);
    expect(failed.args.slice(0, 6)).toEqual([7, Outcome.ACK, tag, 1, 183, "unknown_delivery"]);
    expect(await raw.ask(Op.QUEUE_DESCRIBE, { name: queue.name })).toMatchObject({ counts: { acked: 1 } });
  });
});

let settles = 1_000_000;

/** "ok", or name and message of the error that answers a SETTLE. */
async function settle(raw: RawConnection, sub: number, ranges: number[]): Promise<string> {
  const correlation = ++settles;
  raw.sendFrame(Op.SETTLE, sub, correlation, Outcome.ACK, null, ranges);
  const isAnswer = ({ op, args }: { op: number; args: unknown[] }): boolean =>
    (op === Op.OK || op === Op.ERROR) && args[0] === correlation;
  const { op, args } = await raw.frame("the answer to a SETTLE", isAnswer);
  return op === Op.OK ? "ok" : `${String(args[2])}: ${String(args[3])}`;
}
