import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { type BrokerChild, type Child, spawnBroker, spawnProgram } from "../../bench/lib/processes.ts";
import type { ConsumeRequest, ProduceRequest, Span } from "../../bench/peers/messages.ts";
import { MILLRACE_SETTINGS, RunningMillrace } from "../../bench/peers/millrace.ts";
import type { Work, WorkName } from "../../bench/peers/peer.ts";
import { Maker, readTime, Toucher } from "../../bench/peers/records.ts";
import { SharedCounts } from "../../bench/peers/shared-counts.ts";

let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-peers-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("records", () => {
  test("differ by their number and hold times", () => {
    const maker = new Maker(100);
    const first = maker.make(1).slice();
    const other = maker.make(2 ** 40 + 1).slice();
    expect(first.subarray(8)).toEqual(other.subarray(8));
    expect(first.subarray(0, 8)).not.toEqual(other.subarray(0, 8));
    expect(readTime(maker.stamp(123_456_789.125))).toBe(123_456_789.125);
  });

  test("are touched at both ends, also in the middle of other bytes", () => {
    const toucher = new Toucher();
    toucher.touch(Uint8Array.of(3, 200, 4));
    toucher.touch(Uint8Array.of(90, 1, 50, 1, 90), 1, 4);
    expect([toucher.total, toucher.count]).toEqual([9, 2]);
  });

  test("counts are shared through a file", () => {
    const path = join(folder, "counts");
    const mine = SharedCounts.make(path, 3);
    const theirs = new SharedCounts(path, 3);
    [5, 7, 9].forEach((value, index) => theirs.set(index, value));
    expect(mine.least()).toBe(5);
  });
});

describe("the programs", () => {
  let broker: BrokerChild;
  const programs: Child[] = [];

  async function program(name: string): Promise<Child> {
    const child = await spawnProgram(join(import.meta.dir, "../../bench/peers", name));
    programs.push(child);
    return child;
  }

  beforeAll(async () => {
    broker = await spawnBroker({ dataDir: join(folder, "programs") });
  });

  afterAll(async () => {
    for (const child of programs) await child.end();
    await broker.end();
  });

  test("two publishers' shares are all records, each once, and two readers touch each of them", async () => {
    const records = 10_001;
    await using client = await connect(broker.url);
    await client.topics.create("shares", { partitions: 1 });
    const reader = await program("millrace-consume.ts");
    const common = { url: broker.url, topic: "shares" };
    const read: ConsumeRequest = { ...common, op: "start", readers: 2, records, creditBytes: 1e6 };
    await reader.request(read);
    const spans = await Promise.all(
      [0, 1].map(async (share) => {
        const publisher = await program("millrace-produce.ts");
        const acks = "written" as const;
        const to = { ...common, acks, tuning: {}, records, share, shares: 2, sizeBytes: 8, recordsPerTurn: 700 };
        await publisher.request({ ...to, op: "open" } satisfies ProduceRequest);
        const span = (await publisher.request({ ...to, op: "produce" } satisfies ProduceRequest)) as Span;
        await publisher.request({ ...to, op: "close" } satisfies ProduceRequest);
        return span;
      }),
    );
    expect(spans.map((span) => span.records).sort()).toEqual([5_000, 5_001]);
    const { records: touchedRecords, touched } = (await reader.request({ ...read, op: "finish" })) as Span;
    expect(touchedRecords).toBe(2 * records);
    // Values of 8 bytes are their numbers: the first byte is the number's lowest, the last is 0.
    const sum = Array.from({ length: records }, (_, number) => number & 0xff).reduce((a, b) => a + b);
    expect(touched).toBe(2 * sum);
    const seen = new Set<number>();
    for await (const message of client.consume("shares", { from: "earliest", until: "end" })) {
      const { buffer, byteOffset } = message.value as Uint8Array;
      seen.add(new DataView(buffer, byteOffset).getUint32(0, true));
    }
    expect(seen.size).toBe(records);
  });

  test("a failure is the request's, not the program's end", async () => {
    const publisher = await program("millrace-produce.ts");
    const request = { url: broker.url, topic: "missing", acks: "written", tuning: {}, records: 1, share: 0, shares: 1 };
    await expect(publisher.request({ ...request, op: "open" })).rejects.toThrow();
  });
});

describe("Millrace's side", () => {
  const settings = {
    ...MILLRACE_SETTINGS,
    publishers: 2,
    partitions: 2,
    readers: 2,
    fanReaders: 2,
    windowRecords: 5_000,
    divisor: 200,
  };

  test("does every work of the suite, counts right and leaves nothing", async () => {
    const dataDir = await mkdtemp(join(folder, "millrace-"));
    const running = await RunningMillrace.start(dataDir, settings);
    try {
      const figures: Record<string, number> = {};
      const names: WorkName[] = ["produce", "consume", "both", "fanout1", "fanout10", "storedLatency1000"];
      for (const name of names) {
        const work: Work = { name, mode: "fast", sizeBytes: 100 };
        await running.prepare(work);
        for (const tool of running.tools(work)) {
          const { perSecond, records, latencyMs } = await tool.run();
          expect(perSecond).toBeGreaterThan(0);
          figures[`${name} ${tool.name}`] = records ?? latencyMs?.p50 ?? 0;
        }
      }
      expect(figures).toMatchObject({
        "produce client": 60_000,
        "consume client": 80_000,
        "both client": 40_000,
        "fanout1 client": 40_000,
        "fanout10 client": 100_000,
      });
      expect(figures["produce client, pre-encoded"]).toBeGreaterThanOrEqual(60_000);
      expect(figures["storedLatency1000 client"]).toBeGreaterThan(0);
      expect(running.memoryMb()).toBeGreaterThan(0);
    } finally {
      await running.stop();
    }
  }, 30_000);
});
