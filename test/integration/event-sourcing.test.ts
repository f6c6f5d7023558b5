import { describe, expect, test } from "bun:test";
import { type Client, ConflictError, type Message, type Producer, type SendOptions } from "../../src/client/index.ts";
import { SPARSE } from "../../src/protocol/index.ts";
import { all, dial, startBroker, take, temporaryFolder, textOf, until } from "./harness.ts";
import { random, SEED } from "./kit.ts";

const IS_LONG = process.env["MILLRACE_LONG"] !== undefined;

function read(client: Client, topic: string): Promise<Message[]> {
  return all(client.consume(topic, { from: "earliest", until: "end" }));
}

describe("conditional publishes", () => {
  /** What sending a record came to: its offset, or the conflict. */
  async function outcome(
    producer: Producer,
    key: string,
    value: string | null,
    options: SendOptions,
  ): Promise<number | ConflictError> {
    try {
      const { offset } = await producer.send({ partition: 0, key, value }, options);
      return offset ?? -1;
    } catch (error) {
      if (error instanceof ConflictError) return error;
      throw error;
    }
  }

  for (const mode of ["batch", "single"] as const) {
    test(`in ${mode} mode: a condition that holds stores, another is a conflict that tells what there is`, async () => {
      await using broker = await startBroker();
      await using client = await dial(broker);
      await client.topics.create("t");
      const producer = client.producer("t", { mode });
      const conflict = async (key: string, options: SendOptions): Promise<unknown[]> => {
        const failure = await outcome(producer, key, "no", options);
        if (!(failure instanceof ConflictError)) throw new Error(`it was stored at ${failure}`);
        expect(failure.retryable).toBe(false);
        return [failure.codeName, failure.details?.["offset"] ?? null];
      };
      expect(await outcome(producer, "a", "1", { expectNextOffset: 0 })).toBe(0);
      expect(await conflict("a", { expectNextOffset: 0 })).toEqual(["offset_conflict", 1]);
      expect(await conflict("a", { expectNextOffset: 2 })).toEqual(["offset_conflict", 1]);
      expect(await outcome(producer, "b", "1", { expectKeyOffset: null })).toBe(1);
      expect(await conflict("b", { expectKeyOffset: null })).toEqual(["key_conflict", 1]);
      expect(await conflict("b", { expectKeyOffset: 0 })).toEqual(["key_conflict", 1]);
      expect(await conflict("c", { expectKeyOffset: 0 })).toEqual(["key_conflict", null]);
      expect(await outcome(producer, "a", "2", { expectKeyOffset: 0 })).toBe(2);
      expect(await conflict("a", { expectKeyOffset: 0 })).toEqual(["key_conflict", 2]);
      // A tombstone ends the key: it may begin anew, and its own offset holds as well.
      expect(await outcome(producer, "a", null, { expectKeyOffset: 2 })).toBe(3);
      expect(await outcome(producer, "a", "3", { expectKeyOffset: null })).toBe(4);
      // What follows a conflict goes on, with and without conditions.
      expect(await producer.send({ partition: 0, value: "plain" })).toMatchObject({ offset: 5 });
      const values = (await read(client, "t")).map(({ value }) => value && textOf(value));
      expect(values).toEqual(["1", "1", "2", null, "3", "plain"]);
    });
  }

  for (const idempotent of [true, false]) {
    test(`concurrent writers, ${idempotent ? "idempotent" : "not idempotent"}: exactly one wins each round (seed ${SEED})`, async () => {
      await using folder = await temporaryFolder();
      await using broker = await startBroker({ dataDir: folder.path });
      await using reader = await dial(broker);
      await reader.topics.create("t", { partitions: 2 });
      const clients = await Promise.all([1, 2, 3, 4, 5].map(() => dial(broker)));
      const producers = clients.map((client, index) => {
        return client.producer("t", { idempotent, mode: index % 2 === 0 ? "batch" : "single" });
      });
      const draw = random(SEED);
      const lastOf = new Map<string, number>();
      const written: string[] = [];
      for (let round = 0; round < (IS_LONG ? 2000 : 100); round += 1) {
        const key = `account ${Math.floor(draw() * 3)}`;
        const byKey = draw() < 0.7;
        const condition: SendOptions = byKey
          ? { expectKeyOffset: lastOf.get(key) ?? null }
          : { expectNextOffset: written.length };
        const attempts = producers.map((producer, index) => outcome(producer, key, `${round} by ${index}`, condition));
        const outcomes = await Promise.all(attempts);
        const winners = outcomes.flatMap((result, index) => (result instanceof ConflictError ? [] : [index]));
        expect(winners).toHaveLength(1);
        expect(outcomes[winners[0] ?? 0]).toBe(written.length);
        for (const result of outcomes) {
          if (!(result instanceof ConflictError)) continue;
          expect(result.codeName).toBe(byKey ? "key_conflict" : "offset_conflict");
          expect(result.details?.["offset"]).toBe(byKey ? written.length : written.length + 1);
        }
        lastOf.set(key, written.length);
        written.push(`${round} by ${winners[0]}`);
      }
      expect((await read(reader, "t")).map(({ value }) => textOf(value))).toEqual(written);
      await Promise.all(clients.map((client) => client.close()));
    });
  }

  test("writers that read, decide and try again lose no update", async () => {
    await using broker = await startBroker();
    await using reader = await dial(broker);
    await reader.topics.create("counter");
    const clients = await Promise.all([1, 2, 3].map(() => dial(broker)));
    const increments = 30;
    const count = async (client: Client): Promise<void> => {
      const producer = client.producer("counter");
      for (let done = 0; done < increments;) {
        const [end] = await client.topics.offsets("counter", "latest");
        const last = end?.offset ?? 0;
        const [message] = last === 0 ? [] : await take(1, client.consume("counter", { from: { offset: last - 1 } }));
        const next = 1 + Number(message?.text() ?? "0");
        const condition = { expectKeyOffset: last === 0 ? null : last - 1 };
        if (typeof (await outcome(producer, "n", String(next), condition)) === "number") done += 1;
      }
    };
    await Promise.all(clients.map(count));
    const values = (await read(reader, "counter")).map(({ value }) => Number(textOf(value)));
    expect(values).toEqual(Array.from({ length: 3 * increments }, (_, index) => index + 1));
    await Promise.all(clients.map((client) => client.close()));
  });

  test("conditions hold over a restart of the broker", async () => {
    await using folder = await temporaryFolder();
    {
      await using broker = await startBroker({ dataDir: folder.path });
      await using client = await dial(broker);
      await client.topics.create("t");
      const producer = client.producer("t");
      for (let index = 0; index < 20; index += 1)
        await producer.send({ partition: 0, key: `k${index % 5}`, value: "x" });
    }
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await dial(broker);
    const producer = client.producer("t");
    expect(await outcome(producer, "k3", "y", { expectKeyOffset: null })).toMatchObject({ codeName: "key_conflict" });
    expect(await outcome(producer, "k3", "y", { expectKeyOffset: 18 })).toBe(20);
    expect(await outcome(producer, "new", "y", { expectKeyOffset: null })).toBe(21);
    expect(await outcome(producer, "new", "y", { expectNextOffset: 22 })).toBe(22);
  });
});

test("a reader that falls off a topic in memory goes on at what is left, and is told how much it missed", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("m", { storage: "memory", memoryBytesMax: 1 << 20, segmentBytes: 1 << 17 });
  const producer = client.producer("m", { batchBytes: 20_000 });
  const publish = (count: number): Promise<unknown> =>
    Promise.all(Array.from({ length: count }, () => producer.send({ value: "x".repeat(1000) })));
  await publish(100);
  const consumer = client.consume("m", { from: "earliest", creditBytes: 50_000 });
  let expected = 0;
  let missed = 0;
  for await (const { offset } of consumer) {
    expect(offset).toBeGreaterThanOrEqual(expected);
    missed += offset - expected;
    expected = offset + 1;
    // The reader stands still here while ten times what the topic holds goes by.
    if (offset === 10) for (let round = 0; round < 10; round += 1) await publish(1000);
    if (offset === 10_099) break;
  }
  expect(missed).toBeGreaterThan(5000);
  expect(consumer.dropped).toBe(missed);
});

describe("a compacted topic", () => {
  const KEYS = 50;
  const SETTINGS = { compact: true, segmentBytes: 64 * 1024, segmentMs: 60_000 } as const;

  /** Publishes `rounds` versions of every key. Returns how many records the topic has then. */
  async function versions(client: Client, first: number, rounds: number, mode: "batch" | "single"): Promise<number> {
    const producer = client.producer("state", { batchBytes: 4000, mode });
    for (let round = first; round < first + rounds; round += 1) {
      for (let key = 0; key < KEYS; key += 1) {
        void producer.send({ partition: 0, key: `k${key}`, value: `${round} ${"x".repeat(200)}` });
      }
      await producer.flush();
    }
    await producer.close();
    return (await client.topics.offsets("state", "latest"))[0]?.offset ?? 0;
  }

  for (const mode of ["batch", "single"] as const) {
    test(`published in ${mode} mode: the last value of each key stays at its offset, tombstones hide and then go`, async () => {
      await using folder = await temporaryFolder();
      const startMs = Date.now();
      await using broker = await startBroker({ dataDir: folder.path, retentionCheckMs: 20, manualClockMs: startMs });
      await using client = await dial(broker);
      await client.topics.create("state", { ...SETTINGS, tombstoneRetentionMs: 3_600_000 });
      await versions(client, 0, 10, mode);
      const tomb = await client.producer("state").send({ partition: 0, key: "k7", value: null, timestamp: startMs });
      // More versions of the others, so that what came before is compacted.
      const producer = client.producer("state", { batchBytes: 4000 });
      for (let round = 10; round < 60; round += 1) {
        for (let key = 10; key < KEYS; key += 1) {
          void producer.send({ partition: 0, key: `k${key}`, value: `${round} ${"x".repeat(200)}` });
        }
        await producer.flush();
      }
      const total = (await client.topics.offsets("state", "latest"))[0]?.offset ?? 0;
      const messages = await until("old versions are gone", async () => {
        const left = await read(client, "state");
        return left.length < total / 2 && left.filter(({ key }) => textOf(key) === "k7").length === 1 && left;
      });
      expect(messages.some(({ batch }) => (batch.attributes & SPARSE) !== 0)).toBe(true);
      const offsets = messages.map(({ offset }) => offset);
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      const last = new Map(messages.map((message) => [textOf(message.key), message]));
      for (let key = 0; key < 10; key += 1) {
        if (key === 7) continue;
        expect(last.get(`k${key}`)).toMatchObject({ offset: 9 * KEYS + key });
        expect(last.get(`k${key}`)?.text()).toStartWith("9 ");
      }
      for (let key = 10; key < KEYS; key += 1) expect(last.get(`k${key}`)?.text()).toStartWith("59 ");
      expect(last.get("k7")).toMatchObject({ offset: tomb.offset ?? -1, value: null });
      // Reading may begin at an offset whose record is gone.
      const removed = Array.from({ length: total }, (_, offset) => offset).find((offset) => !offsets.includes(offset));
      const [next] = await take(1, client.consume("state", { from: { offset: removed ?? 0 } }));
      expect(next?.offset).toBeGreaterThan(removed ?? 0);
      broker.setClock(startMs + 2 * 3_600_000);
      await versions(client, 60, 30, mode);
      await until("the tombstone is gone", async () => {
        const left = await read(client, "state");
        return !left.some(({ key, value }) => textOf(key) === "k7" && value === null);
      });
    });
  }

  test("keeps its keys over a restart, refuses records without one, and stays conditional", async () => {
    await using folder = await temporaryFolder();
    const settings = { dataDir: folder.path, retentionCheckMs: 20 };
    let before: [string, string, number][] = [];
    const lastOf = (messages: Message[]): [string, string, number][] =>
      [
        ...new Map(
          messages.map(({ key, value, offset }) => [textOf(key), [textOf(key), textOf(value), offset] as const]),
        ).values(),
      ] as [string, string, number][];
    {
      await using broker = await startBroker(settings);
      await using client = await dial(broker);
      await client.topics.create("state", SETTINGS);
      const total = await versions(client, 0, 40, "batch");
      await until("old versions are gone", async () => (await read(client, "state")).length < total / 2);
      before = lastOf(await read(client, "state"));
    }
    await using broker = await startBroker(settings);
    await using client = await dial(broker);
    expect(lastOf(await read(client, "state")).sort()).toEqual(before.sort());
    const producer = client.producer("state");
    const [key, , offset] = before[3] ?? ["", "", 0];
    const refused = await producer.send({ partition: 0, value: "no key" }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ codeName: "bad_record" });
    const conflict = await producer
      .send({ partition: 0, key, value: "x" }, { expectKeyOffset: null })
      .catch((error: unknown) => error);
    expect(conflict).toMatchObject({ codeName: "key_conflict", details: { offset } });
    const stored = await producer.send({ partition: 0, key, value: "x" }, { expectKeyOffset: offset });
    expect(stored.offset).toBe(40 * KEYS);
  });
});

test(`a topic of zstd batches: read from any offset and any time, over segments and a restart, and compacted (seed ${SEED})`, async () => {
  await using folder = await temporaryFolder();
  const settings = { dataDir: folder.path, retentionCheckMs: 20 };
  const count = 5000;
  const draw = random(SEED);
  {
    await using broker = await startBroker(settings);
    await using client = await dial(broker);
    await client.topics.create("z", { segmentBytes: 64 * 1024 });
    const producer = client.producer("z", { compression: "zstd", batchBytes: 16_384 });
    for (let index = 0; index < count; index += 1) {
      if (index % 100 === 0) await producer.ready();
      const value = `{"index":${index},"text":"${"the same words ".repeat(10)}${draw()}${draw()}"}`;
      void producer.send({ key: `k${index % 20}`, value, timestamp: 1_000_000 + index });
    }
    await producer.close();
    const [described] = (await client.topics.describe("z")).offsets;
    // It is stored as it came: compressed.
    expect(described?.bytes).toBeLessThan(count * 100);
    expect(described?.nextOffset).toBe(count);
    expect(described?.segments).toBeGreaterThanOrEqual(3);
  }
  await using broker = await startBroker(settings);
  await using client = await dial(broker);
  const messages = await read(client, "z");
  expect(messages.map(({ offset }) => offset)).toEqual(Array.from({ length: count }, (_, index) => index));
  for (const message of messages) expect(message.json()).toMatchObject({ index: message.offset });
  for (const offset of [0, 1, 777, count - 1]) {
    expect((await take(1, client.consume("z", { from: { offset } })))[0]?.offset).toBe(offset);
    const from = { timestamp: 1_000_000 + offset };
    expect((await take(1, client.consume("z", { from })))[0]?.offset).toBe(offset);
  }
  await client.topics.alter("z", { compact: true });
  await until("it is compacted", async () => {
    const left = await read(client, "z");
    const last = new Map(left.map((message) => [textOf(message.key), message.json<{ index: number }>().index]));
    expect([...last.values()].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, index) => count - 20 + index),
    );
    return left.length < count / 2;
  });
});

test("timestamp type append: the broker's time counts, in both modes and in searches", async () => {
  const startMs = 1_800_000_000_000;
  await using broker = await startBroker({ manualClockMs: startMs });
  await using client = await dial(broker);
  await client.topics.create("t", { timestampType: "append" });
  const producers = [client.producer("t"), client.producer("t", { mode: "single" })];
  for (let round = 0; round < 4; round += 1) {
    broker.setClock(startMs + round * 1000);
    await producers[round % 2]?.send({ partition: 0, value: String(round), timestamp: 5 });
  }
  const messages = await read(client, "t");
  expect(messages.map(({ timestamp }) => timestamp - startMs)).toEqual([0, 1000, 2000, 3000]);
  expect(messages.map(({ timestampType }) => timestampType)).toEqual(["append", "append", "append", "append"]);
  const found = await client.topics.offsets("t", { timestamp: startMs + 1500 });
  expect(found).toMatchObject([{ partition: 0, offset: 2, timestamp: startMs + 2000 }]);
});
