/** What the log does by itself, as seen through the interface: retention, memory bounds, compaction. */
import { expect, test } from "bun:test";
import {
  eventually,
  type LogImplementation,
  LOG,
  type NewRecord,
  OpenLog,
  recordsOf,
  refusalOf,
  START_MS,
} from "./commit-log-kit.ts";

const VALUE = "x".repeat(1000);

export function upkeepTests(implementation: LogImplementation): void {
  ageTests(implementation);
  sizeTests(implementation);
  if (implementation.isCompacting) compactionTests(implementation);
}

function ageTests(implementation: LogImplementation): void {
  test("records older than retentionMs go, the others keep their offsets", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 4096, retentionMs: 60_000 });
    for (let index = 0; index < 20; index += 1) log.append([{ value: `old ${index} ${VALUE}` }]);
    log.engine.setClock(START_MS + 50_000);
    for (let index = 20; index < 30; index += 1) log.append([{ value: `new ${index} ${VALUE}` }]);
    log.engine.setClock(START_MS + 70_000);
    await eventually("the old segments are gone", () => log.engine.partition(LOG, 0).startOffset >= 16);
    const { startOffset, nextOffset, bytes } = log.engine.partition(LOG, 0);
    expect(startOffset).toBeLessThanOrEqual(20);
    expect(nextOffset).toBe(30);
    const records = recordsOf(log.readAll());
    expect(records.map(({ offset }) => offset)).toEqual(
      Array.from({ length: 30 - startOffset }, (_, index) => startOffset + index),
    );
    for (const { offset, value } of records) expect(value).toContain(` ${offset} `);
    expect(bytes).toBe(log.engine.read(LOG, 0, startOffset, 1_000_000).length);
    const refused = refusalOf(() => log.engine.read(LOG, 0, startOffset - 1, 100));
    expect(refused).toEqual({ name: "offset_out_of_range", offset: startOffset });
    expect(log.engine.timestampAt(LOG, 0, 0)).toBe(-1);
    expect(log.engine.offsetAt(LOG, 0, 0)).toBe(startOffset);
  });

  test("all records may go by age; the next one still gets the next offset", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ retentionMs: 1000 });
    log.append([{ value: "a" }, { value: "b" }]);
    log.engine.setClock(START_MS + 5000);
    await eventually("the log is empty", () => log.engine.partition(LOG, 0).startOffset === 2);
    expect(log.engine.read(LOG, 0, 2, 1000)).toHaveLength(0);
    expect(log.engine.partition(LOG, 0)).toMatchObject({ nextOffset: 2, highWatermark: 2, bytes: 0 });
    expect(log.append([{ value: "c" }])).toBe(2);
    expect(recordsOf(log.readAll())).toMatchObject([{ offset: 2, value: "c" }]);
  });

  test("age counts from the append, not from what producers say", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 4096, retentionMs: 60_000 });
    for (let index = 0; index < 20; index += 1) log.append([{ value: VALUE, timestamp: START_MS - 86_400_000 }]);
    log.engine.setClock(START_MS + 30_000);
    // A log that retention does empty shows that rounds have run meanwhile.
    log.ensure({ retentionMs: 1 }, 1, LOG + 1);
    log.engine.append(LOG + 1, 0, log.engine.read(LOG, 0, 0, 1), -1);
    log.engine.setClock(START_MS + 40_000);
    await eventually("retention ran", () => log.engine.partition(LOG + 1, 0).startOffset === 1);
    expect(log.engine.partition(LOG, 0)).toMatchObject({ startOffset: 0, nextOffset: 20 });
  });

  test("retention that is taken back keeps what is still there", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 4096, retentionMs: 60_000 });
    for (let index = 0; index < 20; index += 1) log.append([{ value: VALUE }]);
    log.ensure({ segmentBytes: 4096, retentionMs: -1 });
    log.ensure({ retentionMs: 1 }, 1, LOG + 1);
    log.engine.append(LOG + 1, 0, log.engine.read(LOG, 0, 0, 1), -1);
    log.engine.setClock(START_MS + 120_000);
    await eventually("retention ran", () => log.engine.partition(LOG + 1, 0).startOffset === 1);
    expect(recordsOf(log.readAll())).toHaveLength(20);
  });
}

function sizeTests(implementation: LogImplementation): void {
  test("a partition is held to retentionBytes, by whole segments, oldest first", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 4096, retentionBytes: 16_384 });
    for (let index = 0; index < 100; index += 1) log.append([{ value: `${index} ${VALUE}` }]);
    const info = (): { bytes: number; startOffset: number } => log.engine.partition(LOG, 0);
    await eventually("the size is kept", () => info().bytes < 16_384 + 4096);
    expect(info().bytes).toBeGreaterThanOrEqual(16_384 - 4096);
    expect(recordsOf(log.readAll()).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 100 - info().startOffset }, (_, index) => info().startOffset + index),
    );
  });

  if (implementation.logConfig.storage !== "memory") return;
  test("storage memory never holds more than memoryBytesMax, nor than a lower one that comes later", async () => {
    await using log = await OpenLog.open(implementation);
    const memoryBytesMax = 512 * 1024;
    log.ensure({ memoryBytesMax });
    for (let index = 0; index < 300; index += 1) {
      log.append([{ value: `${index} ${VALUE.repeat(10)}` }]);
      expect(log.engine.partition(LOG, 0).bytes).toBeLessThanOrEqual(memoryBytesMax);
    }
    const records = recordsOf(log.readAll());
    expect(records.length).toBeGreaterThan(20);
    expect(records.at(-1)?.offset).toBe(299);
    for (const { offset, value } of records) expect(value?.startsWith(`${offset} `)).toBe(true);
    log.ensure({ memoryBytesMax: memoryBytesMax / 2 });
    for (let index = 0; index < 30; index += 1) log.append([{ value: VALUE.repeat(10) }]);
    expect(log.engine.partition(LOG, 0).bytes).toBeLessThanOrEqual(memoryBytesMax / 2);
    expect(log.engine.partition(LOG, 0).nextOffset).toBe(330);
  });
}

function compactionTests(implementation: LogImplementation): void {
  const versions = (round: number, keys: number): NewRecord[] =>
    Array.from({ length: keys }, (_, index) => ({ key: `k${index}`, value: `${round} ${VALUE.slice(0, 200)}` }));

  test("compaction keeps the last record of each key, at its offset, and what has no successor", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ compact: true, segmentBytes: 8192 });
    log.append([{ key: "once", value: "kept" }]);
    for (let round = 0; round < 30; round += 1) log.append(versions(round, 10));
    await eventually("early versions are gone", () => recordsOf(log.readAll()).length < 100);
    const records = recordsOf(log.readAll());
    expect(records[0]).toMatchObject({ offset: 0, key: "once", value: "kept" });
    expect(log.engine.partition(LOG, 0)).toMatchObject({ startOffset: 0, nextOffset: 301 });
    const offsets = records.map(({ offset }) => offset);
    expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
    for (const { offset, key, value } of records.slice(1)) {
      expect(key).toBe(`k${(offset - 1) % 10}`);
      expect(value?.split(" ")[0]).toBe(String(Math.floor((offset - 1) / 10)));
    }
    const last = new Map(records.map(({ key, offset }) => [key, offset]));
    for (let index = 0; index < 10; index += 1) expect(last.get(`k${index}`)).toBe(1 + 290 + index);
    expect(log.engine.partition(LOG, 0)).toMatchObject({ startOffset: 0, nextOffset: 301 });
  });

  test("every offset of a compacted log can be read from, also those whose record is gone", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ compact: true, segmentBytes: 8192 });
    for (let round = 0; round < 30; round += 1) log.append(versions(round, 10));
    await eventually("early versions are gone", () => recordsOf(log.readAll()).length < 100);
    const firstFrom = (offset: number): number | undefined =>
      recordsOf(log.readAll(offset)).find((record) => record.offset >= offset)?.offset;
    for (let offset = 0; offset <= 300; offset += 1) {
      // Rounds go on beside this, and take only more away.
      const expected = (): number | undefined =>
        recordsOf(log.readAll()).find((record) => record.offset >= offset)?.offset;
      const [before, found, after] = [expected(), firstFrom(offset), expected()];
      if (before === after) expect(found).toBe(before as number);
    }
  });

  test("a tombstone takes its key away, and goes itself when it is tombstoneRetentionMs old", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ compact: true, segmentBytes: 8192, tombstoneRetentionMs: 60_000 });
    log.append([{ key: "gone", value: "first" }]);
    log.append([{ key: "gone", value: null }]);
    const fill = (rounds: number): void => {
      for (let round = 0; round < rounds; round += 1) log.append(versions(round, 10));
    };
    const ofGone = (): (string | null)[] =>
      recordsOf(log.readAll())
        .filter(({ key }) => key === "gone")
        .map(({ value }) => value);
    fill(20);
    await eventually("the value is gone", () => ofGone().length === 1);
    expect(ofGone()).toEqual([null]);
    log.engine.setClock(START_MS + 120_000);
    fill(20);
    await eventually("the tombstone is gone", () => ofGone().length === 0);
    expect(log.engine.partition(LOG, 0).startOffset).toBe(0);
  });

  test("a log that is compacted from now on loses old versions of before, too", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 8192 });
    for (let round = 0; round < 20; round += 1) log.append(versions(round, 10));
    expect(recordsOf(log.readAll())).toHaveLength(200);
    log.ensure({ compact: true, segmentBytes: 8192 });
    await eventually("early versions are gone", () => recordsOf(log.readAll()).length < 80);
    const last = new Map(recordsOf(log.readAll()).map(({ key, value }) => [key, value?.split(" ")[0]]));
    expect([...last.values()]).toEqual(new Array(10).fill("19"));
  });
}
