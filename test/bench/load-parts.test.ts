import { expect, test } from "bun:test";
import { EncodedPool, Gathering } from "../../bench/load/encoded.ts";
import { InFlight } from "../../bench/load/in-flight.ts";
import { Ledger, lostOf } from "../../bench/load/ledger.ts";
import { joinStates, Meter, spanOf } from "../../bench/load/meter.ts";
import { dueOf, numberOf, producerOf, runOf, STAMP_BYTES, valuePool, writeStamp } from "../../bench/load/payload.ts";
import { split } from "../../bench/load/run.ts";
import { type LoadFlags, settingsOf } from "../../bench/load/settings.ts";
import { walkBatches } from "../../bench/load/walk.ts";
import { BatchEncoder, BatchReader, FrameReader, opOf, Op } from "../../src/protocol/index.ts";

/** The parts of the load: stamps, pre-encoded batches, counting, checking. */

const NO_KEY = (): null => null;
const even = (from: number, to: number = from) => ({ kind: "even", from, to }) as const;

test("a stamp is read as it was written, up to the largest numbers", () => {
  const bytes = new Uint8Array(40);
  for (const [due, number] of [
    [0, 0],
    [123_456_789_012, 2 ** 32 + 5],
    [2 ** 50, 2 ** 52],
  ] as const) {
    writeStamp(bytes, 3, due + 0.7, number);
    expect([dueOf(bytes, 3), numberOf(bytes, 3)]).toEqual([due, number]);
  }
});

test("values have the sizes that were asked for and say where they come from", () => {
  const sizes = valuePool(even(100, 1_000), 7, 3).map(({ length }) => length);
  expect(Math.min(...sizes)).toBeGreaterThanOrEqual(100);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1_000);
  const mean = (list: readonly number[]): number => list.reduce((sum, size) => sum + size, 0) / list.length;
  expect(Math.abs(mean(sizes) - 550)).toBeLessThan(50);
  const exponential = valuePool({ kind: "exponential", from: 300, to: 3_000 }, 7, 3);
  expect(Math.abs(mean(exponential.map(({ length }) => length)) - 300)).toBeLessThan(50);
  const texts = new Set(exponential.map((value) => value.subarray(STAMP_BYTES).toString()));
  expect(texts.size).toBeGreaterThan(900);
  expect(exponential.every((value) => runOf(value, 0) === 7 && producerOf(value, 0) === 3)).toBe(true);
});

test("a gathered batch is one that the codec accepts, with every stamp in its place", () => {
  const values = valuePool(even(30, 90), 9, 1);
  const pool = EncodedPool.ofRecords(values, (index) => (index % 2 === 0 ? null : `key-${index}`));
  const gathering = new Gathering(4_096, false);
  let count = gathering.addRun(pool, 1_000, 5_000, 40, 0);
  while (gathering.add(pool, count % pool.length, 6_000, 40 + count, 0)) count += 1;
  const frames = gathering.frames(77, 2, 2);
  expect(gathering.records).toBe(count);
  const reader = new FrameReader();
  const seen: number[] = [];
  let bytesOfValues = 0;
  reader.feed(frames, (bytes, start, end) => {
    expect(opOf(bytes, start, end)).toBe(Op.PUBLISH);
    // The reader checks the CRC and the count.
    const batch = new BatchReader(bytes, start + bytes.subarray(start, end).indexOf(0x9b), end);
    expect(batch.batchEnd).toBe(end);
    for (const { value } of batch) {
      seen.push(numberOf(value as Uint8Array, 0));
      bytesOfValues += (value as Uint8Array).length;
    }
  });
  expect(seen).toEqual(Array.from({ length: count }, (_, index) => 40 + index));
  expect(gathering.valueBytes).toBe(bytesOfValues);
  expect(frames.length).toBeLessThanOrEqual(4_096 + 64);
});

test("a value larger than the batch goes alone", () => {
  const pool = EncodedPool.ofRecords(valuePool(even(500), 9, 1), NO_KEY);
  const gathering = new Gathering(200, false);
  const taken: unknown[] = [gathering.addRun(pool, 0, 1, 0, 0), gathering.add(pool, 1, 1, 1, 0)];
  expect(taken).toEqual([1, false]);
  expect(gathering.records).toBe(1);
});

test("going over batches finds what the codec finds, compressed ones and headers included", () => {
  for (const compression of ["none", "zstd"] as const) {
    const encoder = new BatchEncoder();
    const values = valuePool(even(24, 400), 1, 0).slice(0, 50);
    values.forEach((value, index) =>
      encoder.append(1_000 + index * 100, index % 3 ? `k${index}` : null, value, index % 5 ? null : { a: 1 }),
    );
    encoder.append(9_000, "tombstone", null);
    encoder.finish({ compression });
    const batch = encoder.batch();
    const twice = Buffer.concat([batch, batch]);
    const found: string[] = [];
    walkBatches(twice, 0, twice.length, (bytes, at, length) => {
      found.push(Buffer.from(bytes.subarray(at, at + length)).toString());
    });
    const expected = [...values.map((value) => Buffer.from(value).toString()), ""];
    expect(found).toEqual([...expected, ...expected]);
  }
});

test("the meter counts what happens in the measured time, and times what was due in it", () => {
  const meter = new Meter(spanOf(1_000_000, 1_000));
  meter.count(999_999, 5, 500);
  meter.count(1_000_000, 1, 100);
  meter.count(1_999_999, 2, 200);
  meter.count(2_000_000, 7, 700);
  meter.took(999_999, 1_000_500, 1);
  meter.took(1_500_000, 2_500_000, 4);
  const state = meter.state();
  expect(state).toMatchObject({ messages: 15, bytes: 1_500, measuredMessages: 3, measuredBytes: 300 });
  expect([state.counts.length, state.counts[0], state.counts[9]]).toEqual([10, 1, 2]);
  const joined = joinStates([state, state]);
  expect(joined).toMatchObject({ messages: 30, measuredMessages: 6 });
  expect([joined.counts[9], joined.latency.count, joined.latency.max]).toEqual([4, 8, 1_000_000]);
});

test("answers settle the oldest publishes, each record with its own due time", () => {
  const meter = new Meter(spanOf(0, 1_000));
  const lane = new InFlight();
  // Past the room that the rings begin with, so that they grow around their ends.
  for (let publish = 0; publish < 300; publish += 1) {
    for (let record = 0; record < 3; record += 1) lane.add(publish * 10 + record);
    lane.published(3, 30);
    if (publish % 2 === 1) lane.ack(1, publish * 10, meter);
  }
  expect([lane.sent, lane.acked]).toEqual([900, 450]);
  lane.ack(150, 10_000, meter);
  lane.ack(5, 10_000, meter);
  expect(lane.acked).toBe(900);
  const { messages, bytes, latency } = joinStates([meter.state()]);
  expect([messages, bytes, latency.count]).toEqual([900, 9_000, 900]);
  // The last record was due at 2,992 and the first answer of the end came at 10,000, for one due at 1,500.
  expect(latency.max).toBe(10_000 - 1_500);
});

test("a ledger tells lost and doubled records by their numbers", () => {
  const ledger = new Ledger(2, 3);
  for (const number of [0, 1, 2, 5, 6, 6]) ledger.saw(1, 2, number);
  ledger.saw(0, 0, 0);
  expect([ledger.received, ledger.duplicates, ledger.distinct]).toEqual([7, 1, 6]);
  const distinct = ledger.distinctByLane();
  expect(distinct).toEqual([1, 0, 0, 0, 0, 5]);
  expect(lostOf([1, 0, 0, 0, 0, 7], distinct)).toBe(2);
  expect(lostOf([1, 0, 0, 0, 4, 5], distinct)).toBe(4);
  expect(lostOf([1, 0, 0, 0, 0, 4], distinct)).toBe(0);
});

test("processes get one role each as long as there are enough of them", () => {
  const of = (producers: number, consumers: number, processes?: number) =>
    split({ producers, consumers, processes }).map((part) => [part.producers.length, part.consumers.length]);
  expect(of(1, 1)).toEqual([
    [1, 0],
    [0, 1],
  ]);
  expect(of(1, 1, 1)).toEqual([[1, 1]]);
  expect(of(4, 4, 4)).toEqual([
    [2, 0],
    [2, 0],
    [0, 2],
    [0, 2],
  ]);
  expect(of(1, 10, 4)).toEqual([
    [1, 0],
    [0, 4],
    [0, 3],
    [0, 3],
  ]);
  expect(of(3, 0, 2)).toEqual([
    [2, 0],
    [1, 0],
  ]);
  expect(of(0, 2, 8)).toEqual([
    [0, 1],
    [0, 1],
  ]);
});

const FLAGS: LoadFlags = {
  size: "100",
  batchBytes: "64KiB",
  lingerMs: "0",
  producers: "1",
  consumers: "1",
  keys: "0",
  acks: "written",
  duration: "10s",
  warmup: "2s",
  rate: "0",
  payload: "client",
  rounds: "1",
};

test("flags become settings, or a usage error that says what would be right", () => {
  const of = (flags: Partial<LoadFlags>) => settingsOf({ ...FLAGS, ...flags }, undefined);
  expect(of({ size: "exp:300" }).sizes).toEqual({ kind: "exponential", from: 300, to: 3_000 });
  expect(of({ size: "100-1000" }).sizes).toEqual({ kind: "even", from: 100, to: 1_000 });
  expect(of({ ramp: "10:500" })).toMatchObject({ rate: 10, rateEnd: 500 });
  expect(of({ batchBytes: "0", duration: "500ms" })).toMatchObject({ batchBytes: 0, durationMs: 500 });
  const wrong: [Partial<LoadFlags>, string][] = [
    [{ size: "10" }, "24 bytes"],
    [{ size: "200-100" }, "ends before"],
    [{ rate: "-1" }, "no rate"],
    [{ ramp: "5" }, "no rate"],
    [{ ramp: "5:6", rate: "7" }, "exclude each other"],
    [{ acks: "all" }, "not known"],
    [{ producers: "0", consumers: "0" }, "neither"],
    [{ producers: "0" }, "need a topic"],
    [{ duration: "1ms" }, "too short"],
  ];
  for (const [flags, message] of wrong) {
    expect(() => of(flags)).toThrow(expect.objectContaining({ name: "usage", exit: 2 }) as never);
    const { message: said, action } = (() => {
      try {
        of(flags);
      } catch (error) {
        return error as { message: string; action: string };
      }
      return { message: "", action: "" };
    })();
    expect(`${said} ${action}`).toContain(message);
  }
});
