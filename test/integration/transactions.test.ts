import { describe, expect, test } from "bun:test";
import type { Client, QueueMessage } from "../../src/client/index.ts";
import { Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { runCli } from "../cli/run-cli.ts";
import { batchOf, RawClient } from "./kit.ts";
import { all, dial, startBroker, take, temporaryFolder, until } from "./harness.ts";

/** Publishes, acks and offsets that happen together or not at all. */

async function errorOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return (error as { codeName?: string }).codeName ?? String(error);
  }
}

async function valuesOf(client: Client, topic: string): Promise<string[]> {
  const messages = await all(client.consume(topic, { from: "earliest", until: "end" }));
  return messages.map((message) => message.text() ?? "");
}

/** Takes one message of a queue and leaves it unsettled. */
async function takeOne(client: Client, queue: string): Promise<QueueMessage> {
  const [message] = await client.queue(queue).get(1, { waitMs: 5_000 });
  if (message === undefined) throw new Error(`the queue ${queue} has nothing`);
  return message;
}

async function counts(client: Client, queue: string): Promise<{ ready: number; inFlight: number; acked: number }> {
  const { ready = 0, inFlight = 0, acked = 0 } = (await client.queue(queue).describe()).counts;
  return { ready, inFlight, acked };
}

async function withQueue(broker: Broker): Promise<Client> {
  const client = await dial(broker);
  await client.topics.create("out", { partitions: 2 });
  await client.queue("in").declare();
  await client.queue("done").declare();
  return client;
}

describe("a transaction", () => {
  test("publishes to topics and queues, acks and commits offsets together", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    await client.queue("in").publish("a");
    const message = await takeOne(client, "in");
    const result = await client.transaction((tx) => {
      tx.send("out", { key: "k", value: "to a topic" });
      tx.publish("", "done", "to a queue");
      tx.ack(message);
      tx.commitOffsets("g", [{ topic: "out", partition: 1, offset: 0 }]);
      return 7;
    });
    expect(result).toBe(7);
    expect(message.isSettled).toBe(true);
    expect(await valuesOf(client, "out")).toEqual(["to a topic"]);
    expect((await takeOne(client, "done")).text()).toBe("to a queue");
    expect(await counts(client, "in")).toEqual({ ready: 0, inFlight: 0, acked: 1 });
    expect(await client.group("g").offsets()).toMatchObject([{ topic: "out", partition: 1, offset: 0 }]);
  });

  test("leaves nothing behind when its callback throws, and its messages can still be settled", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    await client.queue("in").publish("a");
    const message = await takeOne(client, "in");
    const failing = client.transaction((tx) => {
      tx.send("out", { value: "x" });
      tx.ack(message);
      throw new Error("no");
    });
    expect(await errorOf(failing)).toBe("Error: no");
    expect(await valuesOf(client, "out")).toEqual([]);
    expect(message.isSettled).toBe(false);
    message.ack();
    await until("the ack is counted", async () => (await counts(client, "in")).acked === 1);
  });

  test("keeps the order of what it publishes, over many batches", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    const values = Array.from({ length: 50 }, (_, n) => `${n} ${"x".repeat(100_000)}`);
    await client.transaction((tx) => {
      for (const value of values) tx.send("out", { value, partition: 1 });
      for (const value of values.slice(0, 20)) tx.publish("", "done", value);
    });
    expect((await valuesOf(client, "out")).map((value) => value.slice(0, 5))).toEqual(values.map((v) => v.slice(0, 5)));
    const got = await take(20, client.queue("done").consume());
    expect(got.map((message) => message.text()?.slice(0, 5))).toEqual(values.slice(0, 20).map((v) => v.slice(0, 5)));
  });

  test("is refused as a whole when one part is", async () => {
    await using broker = await startBroker({ messageBytesMax: 1000 });
    await using client = await withQueue(broker);
    await client.queue("small").declare({ lengthMax: 1, overflow: "reject" });
    await client.queue("small").publish("full");
    await client.queue("in").publish("a");
    const message = await takeOne(client, "in");
    const bad: [string, (tx: Parameters<Parameters<Client["transaction"]>[0]>[0]) => void][] = [
      ["message_too_large", (tx) => tx.send("out", { value: "x".repeat(2000) })],
      ["partition_not_found", (tx) => tx.send("out", { value: "x", partition: 9 })],
      ["topic_not_found", (tx) => tx.send("nowhere", { value: "x" })],
      ["exchange_not_found", (tx) => tx.publish("nowhere", "k", "x")],
      ["unroutable", (tx) => tx.publish("", "nobody", "x", { mandatory: true })],
      ["no_responder", (tx) => tx.publish("", "done", "x", { requireConsumer: true })],
      ["queue_full", (tx) => tx.publish("", "small", "x")],
      ["offset_out_of_range", (tx) => tx.commitOffsets("g", [{ topic: "out", partition: 0, offset: 99 }])],
    ];
    for (const [name, spoil] of bad) {
      const refused = client.transaction((tx) => {
        tx.send("out", { value: "never" });
        tx.publish("", "done", "never");
        tx.ack(message);
        spoil(tx);
      });
      expect(await errorOf(refused), name).toBe(name);
      expect(message.isSettled, name).toBe(false);
    }
    expect(await valuesOf(client, "out")).toEqual([]);
    expect(await counts(client, "done")).toEqual({ ready: 0, inFlight: 0, acked: 0 });
    expect(await counts(client, "in")).toEqual({ ready: 0, inFlight: 1, acked: 0 });
    // Nothing stands in the way of the next one: neither the claim of the message nor the hold of the group.
    await client.transaction((tx) => {
      tx.ack(message);
      tx.commitOffsets("g", [{ topic: "out", partition: 0, offset: 0 }]);
    });
    expect(await counts(client, "in")).toEqual({ ready: 0, inFlight: 0, acked: 1 });
  });

  test("does not ack what another consumer has meanwhile", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    await using other = await dial(broker);
    await client.queue("leased").declare({ leaseMs: 200 });
    await client.queue("leased").publish("a");
    const message = await takeOne(client, "leased");
    const again = await takeOne(other, "leased");
    expect(again.deliveries).toBe(1);
    const late = client.transaction((tx) => {
      tx.send("out", { value: "twice" });
      tx.ack(message);
    });
    expect(await errorOf(late)).toBe("unknown_delivery");
    await other.transaction((tx) => {
      tx.send("out", { value: "once" });
      tx.ack(again);
    });
    expect(await valuesOf(client, "out")).toEqual(["once"]);
    expect(await counts(client, "leased")).toMatchObject({ ready: 0, acked: 1 });
  });

  test("acks each delivery once, also with two at a time", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    await client.queue("in").publish("a");
    const message = await takeOne(client, "in");
    const outcomes = await Promise.all(
      ["x", "y", "z"].map((value) =>
        errorOf(
          client.transaction((tx) => {
            tx.publish("", "done", value);
            tx.ack(message);
          }),
        ),
      ),
    );
    expect(outcomes.toSorted()).toEqual(["none", "unknown_delivery", "unknown_delivery"]);
    expect((await counts(client, "done")).ready).toBe(1);
  });

  test("reaches what an exchange's bindings lead to, queues and topics", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    await client.exchange("fan").declare("fanout");
    await client.exchange("fan").bind({ queue: "done" });
    await client.exchange("fan").bind({ topic: "out" });
    await client.transaction((tx) => {
      for (const value of ["a", "b", "c"]) tx.publish("fan", "k", value);
    });
    expect(await valuesOf(client, "out")).toEqual(["a", "b", "c"]);
    expect((await counts(client, "done")).ready).toBe(3);
  });

  test("commits the offsets of a group's member, who has to be one", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    await client.topics.create("input");
    const inputs = client.producer("input");
    for (const value of ["a", "b", "c", "d"]) await inputs.send({ value });
    const relay = async (count: number): Promise<void> => {
      await using member = client.group("g").consume("input", { autoCommit: false });
      let left = count;
      for await (const message of member) {
        await client.transaction((tx) => {
          tx.publish("", "done", message.text());
          tx.commitOffsets(member, message);
        });
        left -= 1;
        if (left === 0) break;
      }
    };
    await relay(2);
    await relay(2);
    const done = await take(4, client.queue("done").consume());
    expect(done.map((message) => message.text())).toEqual(["a", "b", "c", "d"]);
    const gone = client.group("g").consume("input", { autoCommit: false });
    await until("it is a member", () => gone.assignment.length === 1);
    await gone.close();
    const late = client.transaction((tx) => {
      tx.publish("", "done", "zombie");
      tx.commitOffsets(gone, [{ topic: "input", partition: 0, offset: 1 }]);
    });
    expect(await errorOf(late)).toBe("member_unknown");
    expect((await client.queue("done").describe()).counts["enqueued"]).toBe(4);
    expect(await client.group("g").offsets()).toMatchObject([{ offset: 4 }]);
  });

  test("is seen by a consumer as a whole", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    await client.topics.create("one", { partitions: 1 });
    const size = 20;
    const rounds = 30;
    const consumer = client.consume("one", { from: "earliest" });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const message of consumer) {
        seen.push(message.text() ?? "");
        if (seen.length === size * rounds) return;
      }
    })();
    await Promise.all(
      Array.from({ length: rounds }, (_, round) =>
        client.transaction((tx) => {
          for (let n = 0; n < size; n += 1) tx.send("one", { value: `${round}` });
        }),
      ),
    );
    await reading;
    await consumer.close();
    // One batch a transaction: its records stand together.
    for (let at = 0; at < seen.length; at += size) expect(new Set(seen.slice(at, at + size)).size).toBe(1);
  });
});

describe("a transactional id", () => {
  test("belongs to who took it last: the one before is fenced and stays so", async () => {
    await using broker = await startBroker();
    await using first = await withQueue(broker);
    await using second = await dial(broker);
    const publish = (client: Client, value: string): Promise<void> =>
      client.transaction((tx) => tx.send("out", { value, partition: 0 }), { id: "worker-1" });
    await publish(first, "a");
    await publish(first, "b");
    await publish(second, "c");
    expect(await errorOf(publish(first, "zombie"))).toBe("producer_fenced");
    expect(await errorOf(publish(first, "zombie"))).toBe("producer_fenced");
    await publish(second, "d");
    await first.transactions.init("worker-1");
    await publish(first, "e");
    expect(await errorOf(publish(second, "zombie"))).toBe("producer_fenced");
    expect(await valuesOf(first, "out")).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("stays fenced over a restart", async () => {
    await using folder = await temporaryFolder();
    {
      await using broker = await startBroker({ dataDir: folder.path });
      using raw = await RawClient.connect(broker.port);
      expect(await raw.ok(Op.TXN_BEGIN, { txn: "a", id: "w" })).toEqual({ epoch: 0 });
      expect(await raw.ok(Op.TXN_BEGIN, { txn: "b", id: "w" })).toEqual({ epoch: 1 });
    }
    await using broker = await startBroker({ dataDir: folder.path });
    using raw = await RawClient.connect(broker.port);
    await raw.ok(Op.TXN_BEGIN, { txn: "c", id: "w", epoch: 0 });
    expect(await raw.refused(Op.TXN_COMMIT, { txn: "c", count: 0 })).toBe("producer_fenced");
    await raw.ok(Op.TXN_BEGIN, { txn: "d", id: "w", epoch: 1 });
    await raw.ok(Op.TXN_COMMIT, { txn: "d", count: 0 });
    expect(await raw.ok(Op.TXN_BEGIN, { txn: "e", id: "w" })).toEqual({ epoch: 2 });
  });
});

describe("an open transaction", () => {
  test("is rolled back when it is left open too long", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    using raw = await RawClient.connect(broker.port);
    await raw.ok(Op.TXN_BEGIN, { txn: "t", timeoutMs: 50 });
    await raw.ok(Op.TXN_ADD, { txn: "t", parts: [["topic", "out", 0, batchOf(["never"])]] });
    await until("it is rolled back", async () => (await client.transactions.list()).length === 0);
    expect(await raw.refused(Op.TXN_ADD, { txn: "t", parts: [] })).toBe("transaction_timeout");
    expect(await raw.refused(Op.TXN_COMMIT, { txn: "t", count: 1 })).toBe("transaction_timeout");
    expect(await valuesOf(client, "out")).toEqual([]);
    const slow = client.transaction(
      async (tx) => {
        tx.send("out", { value: "never" });
        await Bun.sleep(60);
      },
      { timeoutMs: 30 },
    );
    expect(await errorOf(slow)).toBe("transaction_timeout");
  });

  test("is listed, and rolled back by its client, its connection's end, or a part that is refused", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    const open = async (): Promise<string[]> => (await client.transactions.list()).map(({ txn }) => txn);
    using raw = await RawClient.connect(broker.port);
    using lost = await RawClient.connect(broker.port);
    const part = ["topic", "out", 0, batchOf(["never"])];
    for (const txn of ["a", "b"]) await raw.ok(Op.TXN_BEGIN, { txn });
    await lost.ok(Op.TXN_BEGIN, { txn: "c" });
    await lost.ok(Op.TXN_ADD, { txn: "c", parts: [part] });
    expect((await open()).toSorted()).toEqual(["a", "b", "c"]);
    const env = { MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` };
    const listed = await runCli(["transaction", "list", "--json"], { env });
    expect(JSON.parse(listed.out)).toMatchObject([{ txn: "a" }, { txn: "b" }, { txn: "c", parts: 1 }]);
    expect(await lost.refused(Op.TXN_ABORT, { txn: "a" })).toBe("transaction_not_found");
    await raw.ok(Op.TXN_ABORT, { txn: "a" });
    expect(await raw.refused(Op.TXN_ADD, { txn: "b", parts: [part, ["topic", "out", 7, batchOf(["x"])]] })).toBe(
      "partition_not_found",
    );
    expect(await raw.refused(Op.TXN_COMMIT, { txn: "b", count: 2 })).toBe("transaction_not_found");
    lost[Symbol.dispose]();
    await until("all are rolled back", async () => (await open()).length === 0);
    expect(await valuesOf(client, "out")).toEqual([]);
  });

  test("is not committed when a part of it did not arrive", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    using raw = await RawClient.connect(broker.port);
    await raw.ok(Op.TXN_BEGIN, { txn: "t" });
    await raw.ok(Op.TXN_ADD, { txn: "t", parts: [["topic", "out", 0, batchOf(["half"])]] });
    expect(await raw.refused(Op.TXN_COMMIT, { txn: "t", count: 2 })).toBe("invalid_argument");
    expect(await valuesOf(client, "out")).toEqual([]);
  });

  test("has limits", async () => {
    await using broker = await startBroker({
      transactionsOpenMax: 2,
      transactionBytesMax: 10_000,
      transactionsBytesMax: 15_000,
    });
    await using client = await withQueue(broker);
    using raw = await RawClient.connect(broker.port);
    const parts = (bytes: number): unknown[] => [["topic", "out", 0, batchOf(["x".repeat(bytes)])]];
    for (const txn of ["a", "b"]) await raw.ok(Op.TXN_BEGIN, { txn });
    expect(await raw.refused(Op.TXN_BEGIN, { txn: "c" })).toBe("limit_exceeded");
    expect(await raw.refused(Op.TXN_BEGIN, { txn: "a" })).toBe("invalid_argument");
    expect(await raw.refused(Op.TXN_ADD, { txn: "a", parts: parts(10_000) })).toBe("limit_exceeded");
    await raw.ok(Op.TXN_BEGIN, { txn: "d" });
    await raw.ok(Op.TXN_ADD, { txn: "b", parts: parts(9_000) });
    expect(await raw.refused(Op.TXN_ADD, { txn: "d", parts: parts(9_000) })).toBe("limit_exceeded");
    await raw.ok(Op.TXN_COMMIT, { txn: "b", count: 1 });
    expect(await valuesOf(client, "out")).toHaveLength(1);
  });

  test("tells what became of it on another connection", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    using raw = await RawClient.connect(broker.port);
    using other = await RawClient.connect(broker.port);
    await raw.ok(Op.TXN_BEGIN, { txn: "done" });
    await raw.ok(Op.TXN_COMMIT, { txn: "done", count: 1, parts: [["topic", "out", 0, batchOf(["a"])]] });
    await other.ok(Op.TXN_COMMIT, { txn: "done", count: 0 });
    // Who asks for one that is open takes it away: its own commit comes too late.
    await raw.ok(Op.TXN_BEGIN, { txn: "open" });
    expect(await other.refused(Op.TXN_COMMIT, { txn: "open", count: 0 })).toBe("transaction_not_found");
    expect(await raw.refused(Op.TXN_COMMIT, { txn: "open", count: 0 })).toBe("transaction_not_found");
    // A name that was used is not used again.
    await raw.ok(Op.TXN_BEGIN, { txn: "done" });
    const again = { txn: "done", count: 1, parts: [["topic", "out", 0, batchOf(["b"])]] };
    expect(await raw.refused(Op.TXN_COMMIT, again)).toBe("invalid_argument");
    expect(await valuesOf(client, "out")).toEqual(["a"]);
  });

  test("takes bad parts without harm", async () => {
    await using broker = await startBroker();
    await using client = await withQueue(broker);
    using raw = await RawClient.connect(broker.port);
    const damaged = batchOf(["a"]);
    damaged[68] = (damaged[68] ?? 0) ^ 1;
    const bad: unknown[] = [
      null,
      "topic",
      [],
      ["nothing"],
      ["topic", "out"],
      ["topic", "out", 0, "text"],
      ["topic", "out", 0, new Uint8Array(0)],
      ["topic", "out", 0, new Uint8Array(200)],
      ["topic", "out", 0, damaged],
      ["topic", "out", 0, Buffer.concat([batchOf(["a"]), batchOf(["b"])])],
      ["exchange", "", batchOf(["a"])],
      ["ack", 99, [1, 1]],
      ["ack", 1, [1]],
      ["ack", 1, [-1, 1]],
      ["offsets", null],
      ["offsets", { group: "", offsets: [["out", 0, 0]] }],
    ];
    for (const [n, part] of bad.entries()) {
      const txn = `bad-${n}`;
      await raw.ok(Op.TXN_BEGIN, { txn });
      await raw.refused(Op.TXN_COMMIT, { txn, count: 1, parts: [part] });
      expect(await raw.refused(Op.TXN_COMMIT, { txn, count: 1 })).toBe("transaction_not_found");
    }
    expect(await valuesOf(client, "out")).toEqual([]);
  });
});
