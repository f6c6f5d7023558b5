import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type BatchView, CancelledError, type Client, connect } from "../../src/client/index.ts";
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
  for (let index = 0; index < count; index++) {
    producer.append(`v-${from + index}`, `k${index}`, index % 4);
  }
  await producer.close();
}

function textsOf(view: BatchView): string[] {
  return Array.from({ length: view.length }, (_, index) => view.textAt(index) as string);
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

describe("views", () => {
  test("hold each message once and in order, and stay valid when kept", async () => {
    await publish(400);
    const kept: BatchView[] = [];
    for await (const view of client.consume("topic", { from: "earliest", until: "end" }).views()) kept.push(view);
    const offsets = [0, 0, 0, 0];
    for (const view of kept) {
      expect(view.topic).toBe("topic");
      for (let index = 0; index < view.length; index++) {
        const offset = view.offsetAt(index);
        expect(offset).toBe(offsets[view.partition] as number);
        offsets[view.partition] = offset + 1;
        const stored = broker.partitions[view.partition]?.[offset];
        expect(view.textAt(index)).toBe(stored?.value as string);
        expect(view.keyTextAt(index)).toBe(stored?.key as string);
        expect(view.timestampAt(index)).toBe(1_700_000_000_000);
        const bytes = view.bytes.subarray(view.valueStart(index), view.valueEnd(index));
        expect(new TextDecoder().decode(bytes)).toBe(stored?.value as string);
      }
    }
    expect(offsets).toEqual([100, 100, 100, 100]);
  });

  test("hold only what was asked for: from an offset, until another, so many", async () => {
    await publish(400);
    const seen: number[] = [];
    const options = { partitions: [1], until: { offset: 70 } };
    const places = { offsets: { 1: 30 } };
    for await (const view of client.consume("topic", { ...options, from: places, maxRecords: 25 }).views()) {
      for (let index = 0; index < view.length; index++) seen.push(view.offsetAt(index));
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => 30 + index));
    seen.length = 0;
    for await (const view of client.consume("topic", { ...options, from: { offsets: { 1: 50 } } }).views()) {
      for (const message of view) seen.push(message.offset);
      if (seen.length >= 20) break;
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, index) => 50 + index));
  });

  test("go on behind a message that was read by itself", async () => {
    await publish(40);
    const consumer = client.consume("topic", { from: "earliest", until: "end", partitions: [0] });
    const first = (await consumer.next()).value;
    expect(first?.offset).toBe(0);
    const rest: string[] = [];
    for await (const view of consumer.views()) rest.push(...textsOf(view));
    expect(rest).toEqual((broker.partitions[0] ?? []).slice(1).map(({ value }) => value));
  });

  test("go on at the next offset after broken connections", async () => {
    await publish(40);
    const seen: string[] = [];
    let breaks = 0;
    for await (const view of client.consume("topic", { from: "earliest" }).views()) {
      seen.push(...textsOf(view));
      if (breaks++ < 3) {
        await breakConnections();
      }
      if (seen.length === 40) await publish(40, 40);
      if (seen.length >= 80) break;
    }
    expect(seen.length).toBe(80);
    expect(new Set(seen).size).toBe(80);
  });

  test("give credit back as the next is asked for", async () => {
    await publish(400);
    for await (const _ of client.consume("topic", { from: "earliest", until: "end", creditBytes: 2048 }).views()) {
      void _;
    }
    expect(broker.flows.length).toBeGreaterThan(0);
  });

  test("end with the signal", async () => {
    await publish(4);
    const controller = new AbortController();
    let count = 0;
    const reading = (async () => {
      for await (const view of client.consume("topic", { from: "earliest", signal: controller.signal }).views()) {
        count += view.length;
        if (count === 4) controller.abort();
      }
    })();
    expect(await reading.catch((caught: unknown) => caught)).toBeInstanceOf(CancelledError);
  });

  test("of a group count as done when the next one is asked for", async () => {
    await publish(40);
    const consumer = client.group("g").consume("topic", { autoCommitMs: 10_000 });
    let views = 0;
    const done = new Map<number, number>();
    for await (const view of consumer.views()) {
      if (++views === 3) break;
      done.set(view.partition, view.offsetAt(view.length - 1) + 1);
    }
    const last = broker.commits.at(-1) as { offsets: [string, number, number, null][] };
    expect(new Map(last.offsets.map(([, partition, offset]) => [partition, offset]))).toEqual(done);
  });
});
