import { describe, expect, test } from "bun:test";
import { type BatchView, type Client, connect, type Message } from "../../src/client/index.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { all, dial, startBroker, temporaryFolder, textOf, until } from "./harness.ts";
import { random, SEED } from "./kit.ts";

const IS_LONG = process.env["MILLRACE_LONG"] !== undefined;
const RECORDS = IS_LONG ? 400_000 : 8000;
const PARTITIONS = 3;

function dialThrough(proxy: CuttingProxy): Promise<Client> {
  const reconnect = { delayMinMs: 1, delayMaxMs: 10 };
  // The first connection may be cut as any other, and `connect` does not try again by itself.
  return until("a first connection", () =>
    connect(`millrace://127.0.0.1:${proxy.port}`, { reconnect }).catch(() => undefined as unknown as Client),
  );
}

/** Texts of the views' values by partition; offsets must go up by one. */
async function textsOf(views: AsyncIterable<BatchView>): Promise<string[][]> {
  const texts: string[][] = Array.from({ length: PARTITIONS }, () => []);
  for await (const view of views) {
    const log = texts[view.partition] as string[];
    for (let index = 0; index < view.length; index += 1) {
      if (view.offsetAt(index) !== log.length) throw new Error(`offset ${view.offsetAt(index)} behind ${log.length}`);
      log.push(view.textAt(index) as string);
    }
  }
  return texts;
}

for (const acks of ["written", "synced"] as const) {
  test(`append and views through broken connections, acks ${acks}: nothing is doubled, missing or out of order (seed ${SEED})`, async () => {
    await using folder = await temporaryFolder();
    await using broker = await startBroker({ dataDir: folder.path });
    using proxy = new CuttingProxy(broker.port, { random: random(SEED + 7), bytesMax: 60_000 });
    await using admin = await dial(broker);
    await admin.topics.create("t", { partitions: PARTITIONS });
    const client = await dialThrough(proxy);
    const producer = client.producer("t", { acks, batchBytes: 1500, bufferBytesMax: 20_000 });
    const expected: string[][] = Array.from({ length: PARTITIONS }, () => []);
    const draw = random(SEED + 8);
    const value = Buffer.alloc(60, ".");
    for (let sent = 0; sent < RECORDS; sent += 1) {
      const partition = Math.floor(draw() * PARTITIONS);
      value.write(String(sent).padStart(8, "0"));
      expected[partition]?.push(value.toString());
      if (!producer.append(value, null, partition)) await producer.ready();
    }
    await producer.flush();
    const cuts = proxy.cuts;
    expect(cuts).toBeGreaterThan(5);
    const through = client.consume("t", { from: "earliest", until: "end", creditBytes: 20_000 });
    expect(await textsOf(through.views())).toEqual(expected);
    expect(proxy.cuts).toBeGreaterThan(cuts + 5);
    proxy.calm();
    await client.close();
  });
}

describe("views", () => {
  test("show what iteration shows: large deliveries, single records, zstd, headers, ranges", async () => {
    await using folder = await temporaryFolder();
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await dial(broker);
    await client.topics.create("t");
    const draw = random(SEED + 9);
    for (const options of [{}, { mode: "single" }, { compression: "zstd" }, { batchBytes: 500_000 }] as const) {
      const producer = client.producer("t", options);
      for (let index = 0; index < 3000; index += 1) {
        const value = draw() < 0.05 ? null : `${index} `.repeat(1 + Math.floor(draw() * 100));
        const headers = draw() < 0.1 ? { index } : null;
        const key = draw() < 0.5 ? `key ${index % 50}` : null;
        const record = { key, value, headers, timestamp: 1_700_000_000_000 + Math.floor(draw() * 1e6) };
        if (!producer.sendNoWait(record)) await producer.ready();
      }
      await producer.close();
    }
    const shown = ({ offset, timestamp, key, value, headers }: Message): unknown[] => [
      offset,
      timestamp,
      key === null ? null : textOf(key),
      value === null ? null : textOf(value),
      headers,
    ];
    for (const range of [
      { from: "earliest", until: "end" },
      { from: { offset: 777 }, until: { offset: 9001 } },
    ]) {
      const expected = await all(client.consume("t", range as never));
      const seen: unknown[][] = [];
      for await (const view of client.consume("t", range as never).views()) {
        for (const message of view) seen.push(shown(message));
      }
      expect(seen).toEqual(expected.map(shown));
    }
  }, 30_000);

  test("of groups and patterns work as those of a topic", async () => {
    await using broker = await startBroker();
    await using client = await dial(broker);
    await client.topics.create("t", { partitions: PARTITIONS });
    const pattern = client.subscribe("t");
    const read = async (subscription: { views(): AsyncIterable<BatchView> }, count: number): Promise<Set<string>> => {
      const texts = new Set<string>();
      for await (const view of subscription.views()) {
        for (let index = 0; index < view.length; index += 1) texts.add(view.textAt(index) as string);
        if (texts.size === count) break;
      }
      return texts;
    };
    const heard = read(pattern, 500);
    const hasSubscribed = async (): Promise<boolean> => (pattern as unknown as { isOpen: boolean }).isOpen;
    await until("the pattern is subscribed", hasSubscribed);
    const producer = client.producer("t");
    for (let index = 0; index < 500; index += 1) producer.append(`v-${index}`, `k-${index}`);
    await producer.flush();
    expect((await heard).size).toBe(500);
    const consumer = client.group("g").consume(["t"]);
    expect((await read(consumer, 500)).size).toBe(500);
  });
});
