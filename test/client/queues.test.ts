import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Client, connect, isMillraceError, type QueueMessage } from "../../src/client/index.ts";
import { messageHeaders } from "../../src/client/queue-options.ts";
import { Settler } from "../../src/client/settler.ts";
import { encodeFrame, Op, Outcome, readSettle } from "../../src/protocol/index.ts";
import { MillraceError } from "../../src/errors/index.ts";
import { FakeQueueBroker } from "./fake-queue-broker.ts";
import { until } from "../until.ts";

let broker: FakeQueueBroker;
let client: Client;

beforeEach(async () => {
  broker = new FakeQueueBroker();
  client = await connect(broker.url, { reconnect: { delayMinMs: 1, delayMaxMs: 5 } });
  await client.queue("q").declare();
});

afterEach(async () => {
  await client.close();
  broker.stop();
});

const values = (count: number): string[] => Array.from({ length: count }, (_, index) => `m${index}`);

describe("a handler", () => {
  test("gets every message, and they are acked in ranges", async () => {
    broker.put("q", values(50));
    const seen: string[] = [];
    const consumer = client.queue("q").consume((message) => void seen.push(message.text() as string), { prefetch: 50 });
    await until("acks", () => broker.acked.length === 50);
    expect(seen).toEqual(values(50));
    expect(broker.settles.map(({ ranges }) => ranges)).toEqual([[1, 50]]);
    await consumer.close();
    await consumer.done;
  });

  test("runs as often side by side as it may, and what finishes out of order is acked all the same", async () => {
    broker.put("q", values(20));
    let running = 0;
    let most = 0;
    const consumer = client.queue("q").consume(
      async (message) => {
        most = Math.max(most, ++running);
        await Bun.sleep(message.tag % 3);
        running--;
      },
      { concurrency: 4, prefetch: 10 },
    );
    await until("acks", () => broker.acked.length === 20);
    expect(most).toBe(4);
    expect(broker.acked.toSorted()).toEqual(values(20).toSorted());
    await consumer.close();
  });

  test("that throws has the message come again, by its error's class", async () => {
    broker.put("q", ["a"]);
    const seen: number[] = [];
    const errors: unknown[] = [];
    client.queue("q").consume(
      (message) => {
        seen.push(message.deliveries);
        if (seen.length < 3) throw Object.assign(new TypeError("no"), seen.length === 1 ? {} : { errorClass: "late" });
      },
      { onError: (error) => errors.push(error) },
    );
    await until("the ack", () => broker.acked.length === 1);
    expect(seen).toEqual([0, 1, 2]);
    expect(errors).toHaveLength(2);
    expect(broker.settles.map(({ outcome, argument }) => [outcome, argument])).toEqual([
      [Outcome.RETRY, "TypeError"],
      [Outcome.RETRY, "late"],
      [Outcome.ACK, null],
    ]);
  });

  test("settles for itself, once: a second time is an error that names the delivery", async () => {
    broker.put("q", ["ack", "nack", "delay", "class", "drop", "reject", "defer", "release"]);
    const failures: unknown[] = [];
    client.queue("q").consume((message) => {
      if (broker.settles.length > 0) return;
      const settle: { [value: string]: () => void } = {
        ack: () => message.ack(),
        nack: () => message.nack({ delayMs: 0 }),
        delay: () => message.nack({ delayMs: 500 }),
        class: () => message.nack({ errorClass: "x" }),
        drop: () => message.nack({ requeue: false }),
        reject: () => message.reject(),
        defer: () => message.defer(),
        release: () => message.release(),
      };
      settle[message.text() as string]?.();
      try {
        message.ack();
      } catch (error) {
        failures.push(error);
      }
    });
    await until("settlements", () => broker.settles.length >= 7);
    expect(broker.rejected).toEqual(["drop", "reject"]);
    const said = broker.settles.map(({ outcome, argument, ranges }) => [outcome, argument, ranges]);
    expect(said).toContainEqual([Outcome.RETRY, 500, [3, 1]]);
    expect(said).toContainEqual([Outcome.RETRY, "x", [4, 1]]);
    expect(said).toContainEqual([Outcome.REJECT, null, [5, 2]]);
    expect(failures.every((error) => isMillraceError(error, "unknown_delivery"))).toBe(true);
    expect(failures).toHaveLength(8);
  });

  test("is waited for when the consumer closes, and what it did not get goes back", async () => {
    broker.put("q", values(10));
    const gate = Promise.withResolvers<void>();
    let started = 0;
    const consumer = client.queue("q").consume(
      async () => {
        started++;
        await gate.promise;
      },
      { concurrency: 2, prefetch: 10 },
    );
    await until("handlers", () => started === 2);
    const closed = consumer.close();
    await Bun.sleep(10);
    expect(broker.acked).toEqual([]);
    gate.resolve();
    await closed;
    expect(broker.acked).toEqual(["m0", "m1"]);
    expect(started).toBe(2);
    expect(broker.queues.get("q")?.map(({ value, deliveries }) => [value, deliveries])).toEqual(
      values(10)
        .slice(2)
        .map((value) => [value, 0]),
    );
  });

  test("ends with what the broker refuses the queue with", async () => {
    const consumer = client.queue("missing").consume(() => undefined);
    await expect(consumer.done).rejects.toMatchObject({ codeName: "queue_not_found" });
    const running = client.queue("q").consume(() => undefined);
    await until("the subscription", () => running.isSubscribed);
    const { code, message } = new MillraceError("queue_deleted", "gone");
    broker.broadcast(encodeFrame(Op.QUEUE_EVENT, running.number, "ended", { code, message }));
    await expect(running.done).rejects.toMatchObject({ codeName: "queue_deleted" });
  });
});

describe("a lost connection", () => {
  test("gives what was not acked again, and acks of before are refused", async () => {
    broker.put("q", values(4));
    const held: QueueMessage[] = [];
    const again: [string, number][] = [];
    const late: unknown[] = [];
    client.queue("q").consume(
      (message) => {
        if (held.length < 4) held.push(message);
        else {
          again.push([message.text() as string, message.deliveries]);
          message.ack();
        }
      },
      { autoAck: false, onError: (error) => late.push(error) },
    );
    await until("messages", () => held.length === 4);
    broker.breakConnections();
    await until("them again", () => broker.acked.length === 4);
    expect(again).toEqual(values(4).map((value) => [value, 1]));
    for (const message of held) {
      expect(() => message.ack()).toThrow(expect.objectContaining({ codeName: "unknown_delivery" }));
    }
    expect(late).toEqual([]);
  });

  test("while handlers run makes their acks late, which is told and harms nothing", async () => {
    broker.put("q", ["a"]);
    const gate = Promise.withResolvers<void>();
    const late: unknown[] = [];
    let calls = 0;
    client.queue("q").consume(
      async () => {
        if (++calls === 1) await gate.promise;
      },
      { onError: (error) => late.push(error) },
    );
    await until("the handler", () => calls === 1);
    broker.breakConnections();
    await Bun.sleep(20);
    gate.resolve();
    await until("the ack of the second delivery", () => broker.acked.length === 1);
    expect(late).toHaveLength(1);
    expect(isMillraceError(late[0], "unknown_delivery")).toBe(true);
  });
});

describe("iteration", () => {
  test("acks a message when the next is asked for, and gives the last back on break", async () => {
    broker.put("q", values(3));
    for await (const message of client.queue("q").consume({ prefetch: 3 })) {
      if (message.text() === "m2") break;
    }
    expect(broker.acked).toEqual(["m0", "m1"]);
    expect(broker.queues.get("q")?.map(({ value, deliveries }) => [value, deliveries])).toEqual([["m2", 0]]);
  });

  test("by views reads without objects and acks whole views", async () => {
    broker.put("q", values(100));
    const seen: string[] = [];
    for await (const view of client.queue("q").consume({ prefetch: 40 }).views()) {
      for (let index = 0; index < view.length; index++) seen.push(view.textAt(index) as string);
      if (seen.length === 100) {
        view.ack();
        break;
      }
    }
    expect(seen).toEqual(values(100));
    expect(broker.acked).toEqual(values(100));
    expect(broker.settles.length).toBeLessThan(10);
  });

  test("by views settles ranges, each once", async () => {
    broker.put("q", values(6));
    for await (const view of client.queue("q").consume({ prefetch: 6 }).views()) {
      view.ack(0, 2);
      view.reject(2, 3);
      view.release(5, 1);
      expect(() => view.ack(0, 1)).toThrow(expect.objectContaining({ codeName: "unknown_delivery" }));
      expect(() => view.ack(5, 2)).toThrow(RangeError);
      break;
    }
    expect(broker.acked).toEqual(["m0", "m1"]);
    expect(broker.rejected).toEqual(["m2", "m3", "m4"]);
  });

  test("ends with the signal", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error("enough")), 10);
    const read = async (): Promise<void> => {
      for await (const _ of client.queue("q").consume({ signal: stop.signal }));
    };
    await expect(read()).rejects.toMatchObject({ codeName: "cancelled" });
  });
});

describe("get", () => {
  test("brings what is there, at most so many, and is over when all is settled", async () => {
    broker.put("q", values(5));
    const messages = await client.queue("q").get(3);
    expect(messages.map((message) => message.text())).toEqual(["m0", "m1", "m2"]);
    for (const message of messages) message.ack();
    await until("the end", () => broker.consumers.length === 0);
    expect(broker.acked).toEqual(["m0", "m1", "m2"]);
    expect(broker.queues.get("q")?.map(({ value }) => value)).toEqual(["m3", "m4"]);
    expect(await client.queue("q").get(9)).toHaveLength(2);
  });

  test("waits for the first, for enough, or for the time", async () => {
    expect(await client.queue("q").get(5)).toEqual([]);
    expect(await client.queue("q").get(5, { waitMs: 20 })).toEqual([]);
    setTimeout(() => broker.put("q", ["a"]), 10);
    setTimeout(() => broker.put("q", ["b"]), 40);
    const both = await client.queue("q").get(5, { waitMs: 5_000, min: 2 });
    expect(both.map((message) => message.text())).toEqual(["a", "b"]);
    await expect(client.queue("missing").get()).rejects.toMatchObject({ codeName: "queue_not_found" });
  });
});

describe("publishing", () => {
  test("goes out with its properties as headers", async () => {
    const options = { headers: { tenant: "a" }, priority: 3, ttlMs: 5, messageId: "id", group: "g", mandatory: true };
    await client.queue("q").publish("v", options);
    expect(broker.queues.get("q")?.[0]?.headers).toEqual({
      tenant: "a",
      "x-priority": 3,
      "x-ttl-ms": 5,
      "x-message-id": "id",
      "x-group": "g",
    });
    expect(messageHeaders({})).toBe(null);
    expect(messageHeaders({ deliverAt: new Date(5) })).toEqual({ "x-deliver-at-ms": 5 });
    expect(() => messageHeaders({ priority: 32 })).toThrow(expect.objectContaining({ codeName: "invalid_argument" }));
    expect(() => messageHeaders({ delayMs: -1 })).toThrow(expect.objectContaining({ codeName: "invalid_argument" }));
    expect(() => messageHeaders({ delayMs: 1, deliverAt: 5 })).toThrow();
  });

  test("of many at once fails only for those that were not routed, and only where that was asked for", async () => {
    const exchange = client.exchange("");
    const routed = exchange.publish("q", "1", { mandatory: true });
    const lost = exchange.publish("nowhere", "2", { mandatory: true });
    const quiet = exchange.publish("nowhere", "3");
    const failed = lost.then(() => undefined);
    await expect(failed).rejects.toMatchObject({ codeName: "unroutable" });
    expect((await routed).level).toBe("written");
    expect((await quiet).level).toBe("written");
    expect(broker.queues.get("q")?.map(({ value }) => value)).toEqual(["1"]);
  });

  test("appends without objects, and flush waits for the answers", async () => {
    const exchange = client.exchange("");
    for (let index = 0; index < 1_000; index++) {
      if (!exchange.append("q", `m${index}`)) await exchange.ready();
    }
    await exchange.flush();
    expect(broker.queues.get("q")?.map(({ value }) => value)).toEqual(values(1_000));
  });
});

describe("requests", () => {
  test("are answered, each with its own answer", async () => {
    const responder = client.reply("double", (message) => String(Number(message.text()) * 2), { concurrency: 4 });
    await until("the responder", () => responder.isSubscribed);
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => (await client.request("double", String(index))).text()),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, (_, index) => String(2 * index)));
  });

  test("without a responder fail at once", async () => {
    const startMs = performance.now();
    await expect(client.request("nobody", "?")).rejects.toMatchObject({ codeName: "no_responder" });
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });

  test("hear what the responder throws", async () => {
    const responder = client.reply("fails", (message) => {
      if (message.text() === "known") throw new MillraceError("limit_exceeded", "too much");
      throw new Error("broken");
    });
    await until("the responder", () => responder.isSubscribed);
    const known = client.request("fails", "known");
    await expect(known).rejects.toMatchObject({ codeName: "limit_exceeded", message: "too much" });
    const other = client.request("fails", "other");
    await expect(other).rejects.toMatchObject({ codeName: "request_failed", message: "broken" });
  });

  test("end by timeout, by signal, and with the connection", async () => {
    client.reply("slow", async () => {
      await Bun.sleep(200);
      return "late";
    });
    await until("the responder", () => broker.consumers.some(({ queue }) => queue === "slow"));
    await expect(client.request("slow", "?", { timeoutMs: 20 })).rejects.toMatchObject({ codeName: "timeout" });
    const signal = AbortSignal.timeout(20);
    await expect(client.request("slow", "?", { signal })).rejects.toMatchObject({ codeName: "cancelled" });
    const lost = client.request("slow", "?");
    setTimeout(() => broker.breakConnections(), 20);
    await expect(lost).rejects.toMatchObject({ codeName: "connection_lost" });
  });

  test("to many gather as many answers as are wanted, or those that came in time", async () => {
    const first = client.reply("a", () => "from a");
    await until("the responder", () => first.isSubscribed);
    const replies = await client.request("a", "?", { replies: 2, timeoutMs: 50 });
    expect(replies.map((reply) => reply.text())).toEqual(["from a"]);
  });
});

describe("settlements of a turn", () => {
  const read = (frames: Uint8Array[]): unknown[] =>
    frames.map((frame) => {
      const { outcome, correlation, ranges } = readSettle(frame, 5, frame.length);
      return [outcome, correlation, ranges];
    });

  test("join where they touch, whatever their order", () => {
    const settler = new Settler(7);
    for (const tag of [5, 3, 4, 9, 1, 2]) settler.add(Outcome.ACK, null, tag, 1);
    settler.add(Outcome.REJECT, null, 6, 2);
    expect(read(settler.take(null))).toEqual([
      [Outcome.REJECT, null, [6, 2]],
      [Outcome.ACK, null, [1, 5, 9, 1]],
    ]);
    expect(settler.isEmpty).toBe(true);
  });

  test("are answered for themselves: renewals of the same turn go before them, without an answer", () => {
    const settler = new Settler(7);
    settler.add(Outcome.REJECT, null, 1, 1);
    settler.add(Outcome.RENEW, null, 2, 1);
    expect(read(settler.take(3))).toEqual([
      [Outcome.RENEW, null, [2, 1]],
      [Outcome.REJECT, 3, [1, 1]],
    ]);
    settler.add(Outcome.RENEW, null, 2, 1);
    expect(read(settler.take(4))).toEqual([
      [Outcome.RENEW, null, [2, 1]],
      [Outcome.ACK, 4, []],
    ]);
  });

  test("fit into frames, of which the last is answered; with nothing to say there is one still", () => {
    const settler = new Settler(7);
    for (let tag = 0; tag < 10_000; tag++) settler.add(Outcome.ACK, null, 2 * tag, 1);
    const frames = settler.take(3).map((frame) => readSettle(frame, 5, frame.length));
    expect(frames.map(({ correlation }) => correlation)).toEqual([null, null, 3]);
    expect(frames.flatMap(({ ranges }) => ranges)).toHaveLength(20_000);
    expect(read(settler.take(4))).toEqual([[Outcome.ACK, 4, []]]);
    expect(settler.take(null)).toEqual([]);
  });
});
