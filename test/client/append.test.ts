import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Client, connect, isMillraceError, type Producer } from "../../src/client/index.ts";
import { Op } from "../../src/protocol/index.ts";
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

const publishes = (): number => broker.ops.filter((op) => op === Op.PUBLISH).length;

/** Appends `v-0000` to `v-NNNN` from one buffer that is written over for each. */
async function appendNumbers(producer: Producer, count: number, partitions: number): Promise<number> {
  const value = Buffer.from("v-0000");
  let waits = 0;
  for (let index = 0; index < count; index++) {
    value.write(String(index).padStart(4, "0"), 2);
    if (!producer.append(value, null, index % partitions)) {
      waits++;
      await producer.ready();
    }
  }
  return waits;
}

function expectNumbers(count: number, partitions: number): void {
  for (let partition = 0; partition < partitions; partition++) {
    const expected = [];
    for (let index = partition; index < count; index += partitions) {
      expected.push(`v-${String(index).padStart(4, "0")}`);
    }
    expect(broker.partitions[partition]?.map(({ value }) => value)).toEqual(expected);
  }
}

describe("append", () => {
  for (const mode of ["batch", "single"] as const) {
    test(`in ${mode} mode copies each value before it returns, before the producer is open too`, async () => {
      const producer = client.producer("topic", { mode });
      const value = Buffer.from("v-0000");
      for (let index = 0; index < 100; index++) {
        value.write(String(index).padStart(4, "0"), 2);
        expect(producer.append(value, null, index % 4)).toBe(false);
      }
      value.fill(0);
      await producer.flush();
      expectNumbers(100, 4);
    });

    test(`in ${mode} mode waits for room, and keeps order over broken connections`, async () => {
      const producer = client.producer("topic", { mode, batchBytes: 512, bufferBytesMax: 4096 });
      let calls = 0;
      broker.fault = () => {
        if (broker.connections > 8) return null;
        calls++;
        if (calls % 23 === 5) return "store-and-drop";
        return calls % 17 === 7 ? "drop" : null;
      };
      expect(await appendNumbers(producer, 3000, 4)).toBeGreaterThan(3);
      await producer.flush();
      expectNumbers(3000, 4);
      expect(broker.connections).toBeGreaterThan(2);
    });
  }

  test("goes where send would go: by key, to the partition asked for, in order with it", async () => {
    const producer = client.producer("topic");
    const results = await Promise.all(["a", "b", "c", "d", "e"].map((key) => producer.send({ key, value: "sent" })));
    for (const key of ["a", "b", "c", "d", "e"]) producer.append(`appended ${key}`, key);
    const last = ["a", "b", "c", "d", "e"].map((key) => producer.send({ key, value: "last" }));
    await Promise.all(last);
    for (const [index, key] of ["a", "b", "c", "d", "e"].entries()) {
      const log = broker.partitions[results[index]?.partition as number] ?? [];
      const values = log.filter((stored) => stored.key === key).map(({ value }) => value);
      expect(values).toEqual(["sent", `appended ${key}`, "last"]);
    }
    expect(() => producer.append("v", null, 99)).toThrow("has no partition 99");
  });

  test("takes text, empty values, tombstones and what is larger than a batch", async () => {
    const producer = client.producer("topic", { batchBytes: 1024 });
    await producer.ready();
    const long = "long ".repeat(1000);
    for (const value of ["grüße", "", new Uint8Array(0), null, long, "x".repeat(255), "x".repeat(256)]) {
      producer.append(value, "", 0);
    }
    await producer.flush();
    const stored = broker.partitions[0]?.map(({ value }) => value);
    expect(stored).toEqual(["grüße", "", "", "", long, "x".repeat(255), "x".repeat(256)]);
    expect(broker.partitions[0]?.[0]?.key).toBe("");
  });

  test("leaves failures to onError and flush, and throws when the producer is closed", async () => {
    const heard: string[] = [];
    const producer = client.producer("topic", { onError: (error) => heard.push(error.codeName) });
    await producer.ready();
    broker.fault = () => "message_too_large";
    producer.append("v");
    const error = await producer.flush().catch((caught: unknown) => caught);
    expect(isMillraceError(error, "message_too_large")).toBe(true);
    expect(heard).toEqual(["message_too_large"]);
    await producer.close();
    expect(() => producer.append("v")).toThrow("was closed");
  });

  test("keeps more whole batches under way than where somebody holds a result", async () => {
    const before = client.producer("topic", { batchBytes: 256 });
    await before.ready();
    broker.isSilent = true;
    const value = new Uint8Array(60);
    const awaited: unknown[] = [];
    for (let index = 0; index < 100; index++) awaited.push(before.send({ value, partition: 0 }));
    await until("the first publishes", () => publishes() >= 5);
    await Bun.sleep(10);
    expect(publishes()).toBe(5);
    for (let index = 0; index < 100; index++) before.append(value, null, 1);
    await until("more publishes", () => publishes() > 20);
    broker.isSilent = false;
    broker.breakConnections();
    await Promise.all(awaited);
    await before.flush();
    expect(broker.partitions[0]?.length).toBe(100);
    expect(broker.partitions[1]?.length).toBe(100);
  });
});

describe("the room of a producer", () => {
  test("asks for a pause once so many whole batches wait, four of large ones, long before it is full", async () => {
    for (const [batchBytes, atLeast] of [
      [64 * 1024, 2 << 20],
      [1 << 20, 4 << 20],
    ] as const) {
      const producer = client.producer("topic", { batchBytes });
      await producer.ready();
      broker.isSilent = true;
      const value = new Uint8Array(1000);
      let bytes = 0;
      while (producer.append(value)) bytes += value.length;
      expect(bytes).toBeGreaterThan(0.9 * atLeast);
      expect(bytes).toBeLessThan(1.3 * atLeast);
      broker.isSilent = false;
      broker.breakConnections();
      await producer.close();
    }
  });

  test("is given back whole where batches are compressed", async () => {
    const producer = client.producer("topic", { compression: "zstd", batchBytes: 1024, bufferBytesMax: 8192 });
    const value = "again and ".repeat(40);
    for (let index = 0; index < 500; index++) {
      if (!producer.append(value)) await producer.ready(AbortSignal.timeout(2000));
    }
    await producer.flush();
    expect(broker.values().length).toBe(500);
  });

  test("is given back whole where single records were answered in part", async () => {
    const producer = client.producer("topic", { mode: "single", batchBytes: 1024, bufferBytesMax: 4096 });
    let calls = 0;
    broker.fault = () => (++calls % 7 === 3 && calls < 400 ? "disk_full" : null);
    for (let index = 0; index < 500; index++) {
      if (!producer.append(`v-${index}`, null, 0)) await producer.ready(AbortSignal.timeout(5000));
    }
    await producer.flush();
    expect(broker.values()).toEqual(Array.from({ length: 500 }, (_, index) => `v-${index}`));
  });
});
