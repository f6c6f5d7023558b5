import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { CancelledError, type Client, connect, ConnectionLostError, isMillraceError } from "../../src/client/index.ts";
import { encodeFrame, Op } from "../../src/protocol/index.ts";
import { FakeBroker } from "./fake-broker.ts";
import { until } from "../until.ts";

let broker: FakeBroker;
let client: Client;

beforeEach(async () => {
  broker = new FakeBroker();
  client = await connect(broker.url, { reconnect: { delayMinMs: 5, delayMaxMs: 20 } });
});

afterEach(async () => {
  await client.close().catch(() => undefined);
  broker.stop();
});

async function publish(count: number, from = 0): Promise<void> {
  const producer = client.producer("topic", { batchBytes: 512 });
  const sends = Array.from({ length: count }, (_, index) =>
    producer.send({ key: `k${index}`, value: `v-${from + index}`, partition: index % 4 }),
  );
  await Promise.all(sends);
  await producer.close();
}

/** Breaks every connection, and waits until the client has noticed; it may be connected again by then. */
async function breakConnections(): Promise<void> {
  let isNoticed = false;
  client.onStateChange = (state) => {
    if (state === "reconnecting") isNoticed = true;
  };
  broker.breakConnections();
  await until("the broken connection", () => isNoticed);
}

describe("a consumer", () => {
  test("reads a topic to its end, each message once and in order", async () => {
    await publish(200);
    const seen: string[] = [];
    for await (const message of client.consume("topic", { from: "earliest", until: "end" })) {
      expect(broker.partitions[message.partition]?.[message.offset]?.value).toBe(message.text() as string);
      expect(message.topic).toBe("topic");
      seen.push(message.text() as string);
    }
    expect(seen.length).toBe(200);
    expect(new Set(seen).size).toBe(200);
  });

  test("yields arrays of at most maxPollRecords", async () => {
    await publish(100);
    let count = 0;
    for await (const messages of client
      .consume("topic", { from: "earliest", until: "end", maxPollRecords: 7 })
      .batches()) {
      expect(messages.length).toBeLessThanOrEqual(7);
      count += messages.length;
    }
    expect(count).toBe(100);
  });

  test("goes on at the next offset after broken connections", async () => {
    await publish(40);
    const consumer = client.consume("topic", { from: "earliest" });
    const seen: string[] = [];
    for await (const message of consumer) {
      seen.push(message.text() as string);
      if (seen.length === 10 || seen.length === 60) {
        await breakConnections();
      }
      if (seen.length === 30) await publish(40, 40);
      if (seen.length === 80) break;
    }
    expect(new Set(seen).size).toBe(80);
    expect(broker.connections).toBeGreaterThan(2);
  });

  test("gives credit back as it reads, in halves of the window", async () => {
    await publish(400);
    const consumer = client.consume("topic", { from: "earliest", until: "end", creditBytes: 2048 });
    for await (const _ of consumer) void _;
    expect(broker.flows.length).toBeGreaterThan(0);
    for (const bytes of broker.flows) expect(bytes).toBeGreaterThanOrEqual(1024);
  });

  test("ends after maxRecords, on break, on close and on abort", async () => {
    await publish(50);
    let count = 0;
    for await (const _ of client.consume("topic", { from: "earliest", maxRecords: 9 })) count++;
    expect(count).toBe(9);

    const closing = client.consume("topic", { from: "latest" });
    const parked = closing.next();
    await closing.close();
    expect((await parked).done).toBe(true);

    const controller = new AbortController();
    const waiting = client.consume("topic", { from: "latest", signal: controller.signal }).next();
    controller.abort(new Error("enough"));
    const error = await waiting.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(CancelledError);
    expect((error as Error).message).toBe("enough");
  });

  test("throws when its source ends with an error", async () => {
    const consumer = client.consume("topic", { from: "latest" });
    const waiting = consumer.next();
    await until("the subscription", () => broker.ops.includes(Op.SUBSCRIBE));
    broker.broadcast(encodeFrame(Op.SOURCE_END, consumer.number, 0, 5, 105, "the topic was deleted"));
    const error = await waiting.catch((caught: unknown) => caught);
    expect(isMillraceError(error, "topic_deleted")).toBe(true);
  });
});

describe("a member of a group", () => {
  test("commits what it has done, by itself and on close", async () => {
    await publish(20);
    const consumer = client.group("g").consume("topic", { autoCommitMs: 5 });
    let count = 0;
    for await (const _ of consumer) {
      count++;
      if (count === 10) await until("a commit", () => broker.commits.length > 0);
      if (count === 20) break;
    }
    const last = broker.commits.at(-1) as { group: string; member: string; offsets: [string, number, number, null][] };
    expect(last.group).toBe("g");
    expect(last.member).toBe("m-1");
    const committed = new Map<number, number>();
    for (const { offsets } of broker.commits as (typeof last)[]) {
      for (const [, partition, offset] of offsets) committed.set(partition, offset);
    }
    const total = [...committed.values()].reduce((sum, offset) => sum + offset, 0);
    // The message in hand at the break was not confirmed by asking for another.
    expect(total).toBe(19);
  });

  test("commits one message with metadata", async () => {
    await publish(4);
    const consumer = client.group("g").consume("topic", { autoCommit: false });
    for await (const message of consumer) {
      await consumer.commit(message, { metadata: "note" });
      expect((broker.commits.at(-1) as { offsets: unknown }).offsets).toEqual([
        ["topic", message.partition, message.offset + 1, "note"],
      ]);
      break;
    }
  });

  test("finishes, commits and releases what is revoked", async () => {
    await publish(40);
    const events: string[] = [];
    const consumer = client.group("g").consume("topic", {
      onAssigned: (partitions) => void events.push(`+${partitions.map(({ partition }) => partition).join()}`),
      onRevoked: (partitions) => void events.push(`-${partitions.map(({ partition }) => partition).join()}`),
    });
    const seen: number[] = [];
    for await (const message of consumer) {
      seen.push(message.partition);
      if (seen.length === 3) {
        broker.broadcast(encodeFrame(Op.ASSIGNMENT, consumer.number, 2, [], [0, 1]));
        await until("the second generation", () => consumer.generation === 2);
        expect(events).toEqual(["+0,1,2,3"]);
      }
      if (seen.length === 4) await until("the release", () => broker.ops.includes(Op.RELEASE));
      if (seen.length === 20) break;
    }
    expect(events).toEqual(["+0,1,2,3", "-0,1"]);
    expect(seen.slice(3).every((partition) => partition >= 2)).toBe(true);
    const offsets = (broker.commits[0] as { offsets: [string, number, number][] }).offsets;
    expect(offsets).toEqual([["topic", 0, 3, null] as never]);
  });

  test("joins again with its member id after a broken connection", async () => {
    await publish(8);
    const consumer = client.group("g").consume("topic");
    await consumer.next();
    broker.breakConnections();
    await until("the second subscription", () => broker.ops.filter((op) => op === Op.SUBSCRIBE).length === 2);
    expect(consumer.member).toBe("m-1");
    await consumer.close();
  });
});

describe("a client", () => {
  test("notices a peer that has fallen silent, and connects again", async () => {
    await client.close();
    broker.heartbeatMs = 40;
    // The next connection may be made while the peer is silent yet: it gives that up, too.
    client = await connect(broker.url, { reconnect: { delayMinMs: 5, delayMaxMs: 10 }, connectTimeoutMs: 500 });
    const states: string[] = [];
    client.onStateChange = (state) => states.push(state);
    broker.isSilent = true;
    await until("the broken connection", () => states.includes("reconnecting"));
    broker.isSilent = false;
    await until("the connection", () => client.state === "connected");
  });

  test("fails requests in flight with connection_lost when the connection breaks", async () => {
    broker.isSilent = true;
    const request = client.topics.describe("t").catch((caught: unknown) => caught);
    await until("the look for partitions", () => broker.ops.includes(Op.TOPIC_DESCRIBE));
    broker.isSilent = false;
    broker.breakConnections();
    const error = await request;
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect((error as ConnectionLostError).retryable).toBe(true);
  });

  test("says in one line where it could not connect", async () => {
    const { url } = broker;
    broker.stop();
    const error = await connect(url).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect((error as Error).message).toContain("cannot connect to 127.0.0.1:");
    const bad = await connect("http://x").catch((caught: unknown) => caught);
    expect(isMillraceError(bad, "invalid_argument")).toBe(true);
  });

  test("gives up a request when its signal aborts or its time is over", async () => {
    broker.isSilent = true;
    const error = await client.topics.describe("t", AbortSignal.timeout(5)).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(CancelledError);
  });
});
