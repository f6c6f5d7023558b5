/** The conformance suite of the commit log: what every `Engine` (src/log/engine.ts) keeps to. README.md says how to join. */
import { describe, expect, test } from "bun:test";
import { BATCH_HEADER_BYTES } from "../../src/protocol/index.ts";
import {
  batchOf,
  type LogImplementation,
  LOG,
  type NewRecord,
  OpenLog,
  recordsOf,
  refusalOf,
  START_MS,
} from "./commit-log-kit.ts";
import { modelTests } from "./commit-log-model.ts";
import { reopenTests } from "./commit-log-reopen.ts";
import { upkeepTests } from "./commit-log-upkeep.ts";

export function commitLogSuite(implementation: LogImplementation): void {
  describe(`the commit log: ${implementation.name}`, () => {
    appendTests(implementation);
    conditionTests(implementation);
    timeTests(implementation);
    logTests(implementation);
    syncTests(implementation);
    upkeepTests(implementation);
    modelTests(implementation);
    if (implementation.isKept) reopenTests(implementation);
  });
}

/** `count` records whose values name their offsets, when they are the first of a partition. */
export function numbered(count: number, first: number = 0): NewRecord[] {
  return Array.from({ length: count }, (_, index) => ({ value: `v${first + index}`, timestamp: START_MS + index }));
}

function appendTests(implementation: LogImplementation): void {
  test("a new partition is empty, and there is nothing behind its end", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    const empty = { startOffset: 0, nextOffset: 0, highWatermark: 0, bytes: 0, recordsIn: 0, lastTimestamp: -1 };
    expect(log.engine.partition(LOG, 0)).toMatchObject(empty);
    expect(log.engine.read(LOG, 0, 0, 1000)).toHaveLength(0);
    expect(log.engine.offsetAt(LOG, 0, START_MS)).toBe(0);
    expect(log.engine.timestampAt(LOG, 0, 0)).toBe(-1);
    expect(refusalOf(() => log.engine.read(LOG, 0, 1, 1000)).name).toBe("offset_out_of_range");
  });

  test("batches get dense offsets, and come back as they were, but for offset, epoch and CRC", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    const batches = [numbered(3), numbered(1, 3), numbered(5, 4)].map((records) => batchOf(records));
    expect(batches.map((batch) => log.engine.append(LOG, 0, batch, -1))).toEqual([0, 3, 4]);
    const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
    const expected = { nextOffset: 9, highWatermark: 9, recordsIn: 9, bytes, lastTimestamp: START_MS + 4 };
    expect(log.engine.partition(LOG, 0)).toMatchObject(expected);
    const read = log.readAll();
    expect(read.map(({ header }) => [header.baseOffset, header.epoch])).toEqual(
      [0, 3, 4].map((base) => [base, log.engine.epoch]),
    );
    expect(recordsOf(read).map(({ offset, value }) => value === `v${offset}`)).toEqual(new Array(9).fill(true));
    let at = 0;
    const whole = log.engine.read(LOG, 0, 0, 1_000_000);
    for (const batch of batches) {
      expect(whole.subarray(at + BATCH_HEADER_BYTES, at + batch.length)).toEqual(batch.subarray(BATCH_HEADER_BYTES));
      expect(whole.subarray(at + 20, at + BATCH_HEADER_BYTES)).toEqual(batch.subarray(20, BATCH_HEADER_BYTES));
      at += batch.length;
    }
  });

  test("a read begins with the batch that holds its offset, and takes as many whole ones as fit, at least one", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 4096 });
    for (let first = 0; first < 300; first += 3) log.append(numbered(3, first));
    const batchBytes = (offset: number): number => log.engine.read(LOG, 0, offset, 1).length;
    expect(log.readAll(100, 1)[0]?.header.baseOffset).toBe(99);
    for (const offset of [0, 1, 2, 3, 150, 298, 299]) {
      const one = batchBytes(offset);
      expect(one).toBeGreaterThan(BATCH_HEADER_BYTES);
      expect(log.engine.read(LOG, 0, offset, one).length).toBe(one);
    }
    expect(log.engine.read(LOG, 0, 30, 2 * batchBytes(30)).length).toBe(2 * batchBytes(30));
    expect(log.engine.read(LOG, 0, 30, 2 * batchBytes(30) - 1).length).toBe(batchBytes(30));
    // Reads go over the ends of segments as over those of batches.
    const everything = log.engine.read(LOG, 0, 0, 1_000_000);
    expect(everything.length).toBe(log.engine.partition(LOG, 0).bytes);
    expect(log.engine.partition(LOG, 0).segments).toBeGreaterThanOrEqual(3);
    expect(log.engine.read(LOG, 0, 300, 1000)).toHaveLength(0);
    expect(refusalOf(() => log.engine.read(LOG, 0, 301, 1000)).name).toBe("offset_out_of_range");
  });

  test("what was read is a copy: later appends and deletion leave it as it is", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    log.append(numbered(10));
    const read = log.engine.read(LOG, 0, 0, 1_000_000);
    const copy = read.slice();
    log.append(numbered(10, 10));
    log.engine.deleteLog(LOG);
    expect(read).toEqual(copy);
  });

  test("partitions are logs of their own", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({}, 3);
    expect(log.engine.append(LOG, 0, batchOf(numbered(2)), -1)).toBe(0);
    expect(log.engine.append(LOG, 2, batchOf(numbered(5)), -1)).toBe(0);
    expect(log.engine.append(LOG, 0, batchOf(numbered(1)), -1)).toBe(2);
    expect([0, 1, 2].map((index) => log.engine.partition(LOG, index).nextOffset)).toEqual([3, 0, 5]);
  });

  test("a batch with a wrong CRC, a cut one and one without a record are refused, and nothing is stored", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    const good = batchOf(numbered(4));
    const flipped = good.slice();
    flipped[good.length - 1] = (good.at(-1) ?? 0) ^ 1;
    const refused = (batch: Uint8Array): string => refusalOf(() => log.engine.append(LOG, 0, batch, -1)).name;
    expect(refused(flipped)).toBe("bad_crc");
    for (const length of [0, 1, BATCH_HEADER_BYTES - 1, BATCH_HEADER_BYTES, good.length - 1]) {
      expect(refused(good.subarray(0, length))).toBe("bad_batch");
    }
    expect(log.engine.partition(LOG, 0)).toMatchObject({ nextOffset: 0, bytes: 0 });
    expect(log.engine.append(LOG, 0, good, -1)).toBe(0);
  });

  test("a batch of a producer that is sent again is answered with its offset and not stored twice", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    const producerId = log.engine.newProducerId();
    expect(log.engine.newProducerId()).not.toBe(producerId);
    const batch = (baseSequence: number): Uint8Array =>
      batchOf(numbered(2), { producerId, producerEpoch: 0, baseSequence });
    const append = (baseSequence: number): number => log.engine.append(LOG, 0, batch(baseSequence), -1);
    expect([append(0), append(2), append(0), append(2), append(4)]).toEqual([0, 2, 0, 2, 4]);
    expect(refusalOf(() => append(8)).name).toBe("sequence_gap");
    expect(log.engine.partition(LOG, 0).nextOffset).toBe(6);
  });
}

function conditionTests(implementation: LogImplementation): void {
  test("an expected next offset that does not hold is a conflict that tells the real one, and stores nothing", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    expect(log.append(numbered(2), 0)).toBe(0);
    for (const wrong of [0, 1, 3]) {
      expect(refusalOf(() => log.append(numbered(1), wrong))).toEqual({ name: "offset_conflict", offset: 2 });
    }
    expect(log.append(numbered(1), 2)).toBe(2);
    expect(log.engine.partition(LOG, 0).nextOffset).toBe(3);
  });
}

function timeTests(implementation: LogImplementation): void {
  test("an offset is found by time: the first record that is not older, whatever order the times are in", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 4096 });
    const times = [10, 20, 20, 30, 15, 40, 40, 5, 90, 60];
    for (const time of times) log.append([{ value: "x".repeat(900), timestamp: START_MS + time }]);
    for (let time = 0; time <= 100; time += 5) {
      const first = times.findIndex((other) => other >= time);
      const expected = first === -1 ? times.length : first;
      expect([time, log.engine.offsetAt(LOG, 0, START_MS + time)]).toEqual([time, expected]);
    }
    expect(log.engine.partition(LOG, 0).lastTimestamp).toBe(START_MS + 90);
  });

  test("a time is looked up within batches, with times as deltas, in full, and compressed", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    const batch = (times: number[]): NewRecord[] =>
      times.map((time) => ({ value: "same ".repeat(20), timestamp: START_MS + time }));
    log.append(batch([0, 10, 20]));
    log.append(batch([35, 30, 40]));
    log.engine.append(LOG, 0, batchOf(batch([50, 60, 70]), { compression: "zstd" }), -1);
    const found = [5, 20, 25, 31, 36, 45, 55, 71].map((time) => log.engine.offsetAt(LOG, 0, START_MS + time));
    expect(found).toEqual([1, 2, 3, 3, 5, 6, 7, 9]);
  });

  test("the time of an offset is that of its batch; outside of the log there is none", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    log.append(numbered(3));
    log.append([{ value: "later", timestamp: START_MS + 500 }]);
    expect([0, 2, 3, 4].map((offset) => log.engine.timestampAt(LOG, 0, offset))).toEqual([
      START_MS,
      START_MS,
      START_MS + 500,
      -1,
    ]);
  });

  test("timestamp type append: all records of a batch carry the engine's time", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ timestampType: "append" });
    log.engine.setClock(START_MS + 1000);
    log.append(numbered(3));
    log.engine.setClock(START_MS + 2000);
    log.append([{ value: "v3", timestamp: 5 }]);
    const times = recordsOf(log.readAll()).map(({ timestamp }) => timestamp - START_MS);
    expect(times).toEqual([1000, 1000, 1000, 2000]);
    expect(log.readAll()[0]?.records().read()?.timestampType).toBe("append");
    expect(log.engine.offsetAt(LOG, 0, START_MS + 1001)).toBe(3);
    expect(log.engine.partition(LOG, 0).lastTimestamp).toBe(START_MS + 2000);
  });
}

function logTests(implementation: LogImplementation): void {
  test("logs and partitions that there are not are named as such", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({}, 2);
    const { engine } = log;
    const calls = (logId: number, partition: number): (() => unknown)[] => [
      () => engine.partition(logId, partition),
      () => engine.read(logId, partition, 0, 100),
      () => engine.append(logId, partition, batchOf(numbered(1)), -1),
      () => engine.offsetAt(logId, partition, 0),
      () => engine.timestampAt(logId, partition, 0),
      () => engine.sync(logId, partition),
    ];
    for (const call of calls(LOG + 1, 0)) expect(refusalOf(call).name).toBe("topic_not_found");
    for (const call of calls(LOG, 2)) expect(refusalOf(call).name).toBe("partition_not_found");
  });

  test("ensuring a log again changes nothing; more partitions are added; fewer, or another storage, are refused", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    log.append(numbered(3));
    log.ensure();
    expect(log.engine.partition(LOG, 0).nextOffset).toBe(3);
    log.ensure({}, 4);
    expect([0, 1, 2, 3].map((index) => log.engine.partition(LOG, index).nextOffset)).toEqual([3, 0, 0, 0]);
    expect(refusalOf(() => log.ensure({}, 2)).name).toBe("invalid_argument");
    expect(log.engine.append(LOG, 3, batchOf(numbered(1)), 0)).toBe(0);
    expect(log.engine.stats()).toMatchObject({ partitions: 4 });
  });

  test("settings are altered in place: later segments have the new size", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    for (let index = 0; index < 20; index += 1) log.append([{ value: "x".repeat(1000) }]);
    expect(log.engine.partition(LOG, 0).segments).toBe(1);
    log.ensure({ segmentBytes: 4096 });
    for (let index = 0; index < 20; index += 1) log.append([{ value: "x".repeat(1000) }]);
    expect(log.engine.partition(LOG, 0).segments).toBeGreaterThanOrEqual(6);
    expect(recordsOf(log.readAll())).toHaveLength(40);
  });

  test("a deleted log is gone at once, others stay, and its id begins anew from nothing", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    log.ensure({}, 1, LOG + 1);
    log.append(numbered(5));
    log.engine.append(LOG + 1, 0, batchOf(numbered(2)), -1);
    log.engine.deleteLog(LOG);
    expect(log.engine.logIds()).toEqual([LOG + 1]);
    expect(refusalOf(() => log.engine.partition(LOG, 0)).name).toBe("topic_not_found");
    log.engine.deleteLog(LOG);
    log.ensure();
    expect(log.engine.partition(LOG, 0)).toMatchObject({ startOffset: 0, nextOffset: 0, bytes: 0 });
    expect(log.append(numbered(1))).toBe(0);
    expect(recordsOf(log.readAll(-1, 1000, LOG + 1))).toHaveLength(2);
  });

  test("a message posted to a worker arrives with its next turn", async () => {
    await using log = await OpenLog.open(implementation);
    log.engine.post(log.engine.worker, Uint8Array.of(1, 2, 3));
    log.engine.post(log.engine.worker, Uint8Array.of());
    log.turn();
    expect(log.mail.map((message) => [...message])).toEqual([[1, 2, 3], []]);
  });
}

function syncTests(implementation: LogImplementation): void {
  test("a sync is answered when everything appended before it is synced", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({}, 8);
    for (let round = 0; round < 5; round += 1) {
      for (let index = 0; index < 8; index += 1) log.engine.append(LOG, index, batchOf(numbered(3)), -1);
      await Promise.all(Array.from({ length: 8 }, (_, index) => log.sync(LOG, index)));
      if (!implementation.isSynced) continue;
      for (let index = 0; index < 8; index += 1) {
        expect(log.engine.partition(LOG, index).syncedOffset).toBe(3 * (round + 1));
      }
    }
    await log.sync();
  });

  if (!implementation.isSynced) return;
  test("with durability synced, records are visible when they are synced", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ durability: "synced" });
    for (let round = 0; round < 20; round += 1) {
      log.append(numbered(10));
      const { nextOffset, highWatermark, syncedOffset } = log.engine.partition(LOG, 0);
      expect(nextOffset).toBe(10 * (round + 1));
      expect(highWatermark).toBeLessThanOrEqual(syncedOffset);
      await log.sync();
      expect(log.engine.partition(LOG, 0).highWatermark).toBe(nextOffset);
    }
    expect(recordsOf(log.readAll())).toHaveLength(200);
  });
}
