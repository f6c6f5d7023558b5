/** What is there again after `close` and another `open`, for implementations that keep it. */
import { expect, test } from "bun:test";
import { batchOf, type LogImplementation, LOG, type NewRecord, OpenLog, recordsOf } from "./commit-log-kit.ts";

const records = (count: number, first: number): NewRecord[] =>
  Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: `v${first + index}` }));

export function reopenTests(implementation: LogImplementation): void {
  test("after a close everything is there again, under a higher epoch, and appends go on behind it", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ segmentBytes: 4096 }, 3);
    for (let first = 0; first < 300; first += 3) log.engine.append(LOG, 1, batchOf(records(3, first)), -1);
    const { epoch } = log.engine;
    const before = log.engine.read(LOG, 1, 0, 1_000_000);
    const infoBefore = log.engine.partition(LOG, 1);
    await log.reopen();
    expect(log.engine.recovery()).toMatchObject({ clean: true, logs: 1, partitions: 3, tailsZeroed: 0 });
    expect(log.engine.epoch).toBeGreaterThan(epoch);
    expect(log.engine.logIds()).toEqual([LOG]);
    log.ensure({ segmentBytes: 4096 }, 3);
    const { startOffset, nextOffset, highWatermark, syncedOffset, bytes, lastTimestamp } = log.engine.partition(LOG, 1);
    expect({ startOffset, nextOffset, highWatermark, bytes, lastTimestamp }).toEqual({
      startOffset: 0,
      nextOffset: 300,
      highWatermark: 300,
      bytes: infoBefore.bytes,
      lastTimestamp: infoBefore.lastTimestamp,
    });
    expect(syncedOffset).toBe(300);
    expect(log.engine.read(LOG, 1, 0, 1_000_000)).toEqual(before);
    expect(log.engine.append(LOG, 1, batchOf(records(2, 300)), 300)).toBe(300);
    expect(log.readAll(300, 1000, LOG, 1).map(({ header }) => header.epoch)).toEqual([log.engine.epoch]);
    expect(log.engine.partition(LOG, 0).nextOffset).toBe(0);
  });

  test("a deleted log stays away, and an emptied one remembers its end", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ retentionMs: 1000 });
    log.ensure({}, 1, LOG + 1);
    log.append(records(5, 0));
    log.engine.append(LOG + 1, 0, batchOf(records(5, 0)), -1);
    log.engine.deleteLog(LOG + 1);
    log.engine.setClock(log.engine.now() + 5000);
    while (log.engine.partition(LOG, 0).startOffset < 5) await Bun.sleep(2);
    await log.reopen();
    expect(log.engine.logIds()).toEqual([LOG]);
    log.ensure({ retentionMs: 1000 });
    expect(log.engine.partition(LOG, 0)).toMatchObject({ startOffset: 5, nextOffset: 5, highWatermark: 5 });
    log.ensure({}, 1, LOG + 1);
    expect(log.engine.partition(LOG + 1, 0).nextOffset).toBe(0);
    expect(log.append(records(1, 5), 5)).toBe(5);
  });

  test("what idempotent producers sent is known again, and no producer id is given twice", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure();
    const producerId = log.engine.newProducerId();
    const ids = new Set([producerId]);
    const send = (baseSequence: number): number =>
      log.engine.append(LOG, 0, batchOf(records(2, 0), { producerId, producerEpoch: 3, baseSequence }), -1);
    let sequence = 0;
    for (let round = 0; round < 3; round += 1) {
      expect([send(sequence), send(sequence + 2)]).toEqual([sequence, sequence + 2]);
      await log.reopen();
      log.ensure();
      expect([send(sequence), send(sequence + 2)]).toEqual([sequence, sequence + 2]);
      sequence += 4;
      for (let count = 0; count < 10; count += 1) ids.add(log.engine.newProducerId());
    }
    expect(ids.size).toBe(31);
    expect(log.engine.partition(LOG, 0).nextOffset).toBe(sequence);
  });

  if (!implementation.isCompacting) return;
  test("a compacted log is read again as it was", async () => {
    await using log = await OpenLog.open(implementation);
    log.ensure({ compact: true, segmentBytes: 8192 });
    for (let round = 0; round < 100; round += 1) log.append(records(10, round * 10));
    while (recordsOf(log.readAll()).length > 400) await Bun.sleep(2);
    log.ensure({ segmentBytes: 8192 });
    const before = recordsOf(log.readAll());
    await log.reopen();
    expect(recordsOf(log.readAll())).toEqual(before);
    expect(log.append(records(1, 0), 1000)).toBe(1000);
  });
}
