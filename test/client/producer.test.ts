import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  BatchEncoder,
  type Client,
  ConflictError,
  connect,
  ConnectionLostError,
  isMillraceError,
  type PublishResult,
} from "../../src/client/index.ts";
import { FakeBroker } from "./fake-broker.ts";

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

/** Values by partition must be in the order they were sent, each once. */
function expectOnceInOrder(count: number): void {
  expect(broker.values().length).toBe(count);
  expect(new Set(broker.values()).size).toBe(count);
  for (const log of broker.partitions) {
    const numbers = log.map(({ value }) => Number(value.split("-")[1]));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }
}

describe("a producer", () => {
  for (const mode of ["batch", "single"] as const) {
    test(`in ${mode} mode answers each record with its partition, offset and level`, async () => {
      const producer = client.producer("topic", { mode, acks: "synced" });
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, index) => producer.send({ key: `k${index % 7}`, value: `v-${index}` })),
      );
      for (const [index, { partition, offset, level }] of results.entries()) {
        expect(level).toBe("synced");
        expect(broker.partitions[partition]?.[offset as number]?.value).toBe(`v-${index}`);
      }
      await producer.close();
    });

    test(`in ${mode} mode neither loses nor doubles nor reorders over broken connections`, async () => {
      const producer = client.producer("topic", { mode, batchBytes: 512, inFlightMax: 3 });
      let calls = 0;
      broker.fault = () => {
        calls++;
        // A break takes the answers on their way with it, so endless breaks would be endless work.
        if (broker.connections > 12) return null;
        if (calls % 17 === 5) return "store-and-drop";
        return calls % 13 === 7 ? "drop" : null;
      };
      const sends: Promise<PublishResult>[] = [];
      for (let index = 0; index < 600; index++) {
        sends.push(producer.send({ key: `k${index % 11}`, value: `v-${index}` }));
        if (index % 100 === 0) await Bun.sleep(1);
      }
      await Promise.all(sends);
      expectOnceInOrder(600);
      expect(broker.connections).toBeGreaterThan(2);
    });

    test(`in ${mode} mode tries again, in order, what the broker refused for now`, async () => {
      const producer = client.producer("topic", { mode, batchBytes: 512 });
      let calls = 0;
      broker.fault = () => (++calls % 5 === 2 && calls < 150 ? "disk_full" : null);
      const sends = Array.from({ length: 300 }, (_, index) =>
        producer.send({ key: `k${index % 5}`, value: `v-${index}` }),
      );
      await Promise.all(sends);
      expectOnceInOrder(300);
    });

    test(`in ${mode} mode goes on behind a record that was refused for good, without a hole`, async () => {
      const producer = client.producer("topic", { mode, batchBytes: 256 });
      broker.fault = ({ records }) => (records.some(({ value }) => value === "v-50") ? "message_too_large" : null);
      const sends = Array.from({ length: 200 }, (_, index) => producer.send({ value: `v-${index}`, partition: 1 }));
      const settled = await Promise.allSettled(sends);
      const failed = settled.flatMap((result, index) => (result.status === "rejected" ? [index] : []));
      expect(failed).toContain(50);
      const stored = broker.values();
      expect(stored.length).toBe(200 - failed.length);
      expectOnceInOrder(200 - failed.length);
      await producer.send({ value: "v-999", partition: 1 });
      expect(broker.partitions[1]?.at(-1)?.value).toBe("v-999");
    });
  }

  test("renews its epoch when the broker has forgotten it, and loses nothing", async () => {
    const producer = client.producer("topic", { batchBytes: 256 });
    await producer.send({ value: "v-0", partition: 0 });
    let calls = 0;
    broker.fault = () => (++calls === 1 ? "unknown_producer" : null);
    const sends = Array.from({ length: 50 }, (_, index) => producer.send({ value: `v-${index + 1}`, partition: 0 }));
    await Promise.all(sends);
    expectOnceInOrder(51);
    expect(producer.identity?.producerEpoch).toBe(1);
  });

  test("ends when another instance has fenced it", async () => {
    const producer = client.producer("topic");
    broker.fault = () => "producer_fenced";
    const error = await producer.send({ value: "v" }).catch((caught: unknown) => caught);
    expect(isMillraceError(error, "producer_fenced")).toBe(true);
    expect(await producer.send({ value: "w" }).catch((caught: unknown) => caught)).toBe(error);
  });

  test("fails with the broker's error when the topic is missing", async () => {
    const producer = client.producer("missing");
    const error = await producer.send({ value: "v" }).catch((caught: unknown) => caught);
    expect(isMillraceError(error, "topic_not_found")).toBe(true);
  });

  test("throws a ConflictError for a conditional publish that came too late, and goes on", async () => {
    const producer = client.producer("topic");
    const first = await producer.send({ value: "v-0", partition: 2 }, { expectNextOffset: 0 });
    expect(first.offset).toBe(0);
    const conflict = producer.send({ value: "v-1", partition: 2 }, { expectNextOffset: 0 });
    const after = producer.send({ value: "v-2", partition: 2 });
    const error = await conflict.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConflictError);
    expect((error as ConflictError).details).toEqual({ partition: 2, nextOffset: 1 });
    expect((await after).offset).toBe(1);
    const created = await producer.send({ key: "k", value: "v-3", partition: 2 }, { expectKeyOffset: null });
    await producer.send({ key: "k", value: "v-4", partition: 2 }, { expectKeyOffset: created.offset });
    const stale = await producer
      .send({ key: "k", value: "v-5", partition: 2 }, { expectKeyOffset: created.offset })
      .catch((caught: unknown) => caught);
    expect(isMillraceError(stale, "key_conflict")).toBe(true);
  });

  test("gathers records into few batches", async () => {
    const producer = client.producer("topic", { batchBytes: 4096 });
    await producer.ready();
    const before = broker.ops.filter((op) => op === 10).length;
    for (let index = 0; index < 1000; index++) producer.sendNoWait({ value: `v-${index}`, partition: 0 });
    await producer.flush();
    const batches = broker.ops.filter((op) => op === 10).length - before;
    expect(batches).toBeLessThan(20);
    expectOnceInOrder(1000);
  });

  test("stays within the publish credit and its buffer", async () => {
    await client.close();
    broker.publishCreditBytes = 4096;
    client = await connect(broker.url);
    const producer = client.producer("topic", { batchBytes: 1024, bufferBytesMax: 8192 });
    await producer.ready();
    let waits = 0;
    for (let index = 0; index < 2000; index++) {
      if (!producer.sendNoWait({ value: `v-${index}`, partition: index % 4 })) {
        waits++;
        await producer.ready();
      }
    }
    await producer.flush();
    expect(waits).toBeGreaterThan(1);
    expectOnceInOrder(2000);
  });

  test("throws from flush what nobody awaited", async () => {
    const heard: string[] = [];
    const producer = client.producer("topic", { onError: (error) => heard.push(error.codeName) });
    broker.fault = () => "message_too_large";
    producer.sendNoWait({ value: "v" });
    const error = await producer.flush().catch((caught: unknown) => caught);
    expect(isMillraceError(error, "message_too_large")).toBe(true);
    expect(heard).toEqual(["message_too_large"]);
    await producer.flush();
  });

  test("with acks none does not wait for an answer", async () => {
    const producer = client.producer("topic", { acks: "none" });
    const result = await producer.send({ value: "v-1", partition: 3 });
    expect(result).toEqual({ partition: 3, offset: null, level: "none" });
    while (broker.values().length === 0) await Bun.sleep(1);
  });

  test("sends a batch that the caller encoded", async () => {
    for (const idempotent of [true, false]) {
      const producer = client.producer("topic", { idempotent });
      await producer.ready();
      const encoder = new BatchEncoder();
      for (let index = 0; index < 10; index++) encoder.append(1_700_000_000_000, null, `v-${index}`);
      encoder.finish();
      const results = await Promise.all([
        producer.sendBatch(encoder.batch(), 1),
        producer.sendBatch(encoder.batch(), 1),
      ]);
      expect((results[1]?.offset as number) - (results[0]?.offset as number)).toBe(10);
    }
    expect(broker.partitions[1]?.length).toBe(40);
  });

  test("fails what waits when the client gives the connection up", async () => {
    await client.close();
    client = await connect(broker.url, { reconnect: { delayMinMs: 1, delayMaxMs: 2, attemptsMax: 2 } });
    const producer = client.producer("topic");
    await producer.ready();
    broker.stop();
    const error = await producer.send({ value: "v" }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect(client.state).toBe("closed");
  });
});
