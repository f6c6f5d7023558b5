/** Random operations on an engine, compared step by step with a model of its logs that is made of arrays. */
import { expect, test } from "bun:test";
import { decodeBatches } from "../../src/protocol/index.ts";
import {
  batchOf,
  type LogImplementation,
  LOG,
  type NewRecord,
  OpenLog,
  recordsOf,
  refusalOf,
  START_MS,
  type StoredRecord,
} from "./commit-log-kit.ts";

const IS_LONG = process.env["MILLRACE_LONG"] !== undefined;
const SEED = Number(process.env["MILLRACE_SEED"] ?? Date.now() % 1_000_000);
const HISTORIES = IS_LONG ? 200 : 6;
const STEPS = IS_LONG ? 600 : 250;
const LOGS_MAX = 3;
const PARTITIONS_MAX = 4;

export function modelTests(implementation: LogImplementation): void {
  test(`random histories are read as a model of arrays says (seed ${SEED})`, async () => {
    for (let history = 0; history < HISTORIES; history += 1) {
      await using log = await OpenLog.open(implementation);
      const run = new History(log, SEED + history);
      try {
        for (let step = 0; step < STEPS; step += 1) await run.step();
        run.checkAll();
      } catch (error) {
        const last = run.steps.slice(-12).join("\n  ");
        throw new Error(`MILLRACE_SEED=${SEED}, history ${history}, step ${run.steps.length}:\n  ${last}`, {
          cause: error,
        });
      }
    }
  });
}

/** What a partition holds by the model. */
interface ModelPartition {
  records: StoredRecord[];
  /** Base offsets of the batches, ascending. */
  bases: number[];
  /** Everything before has been taken by retention. */
  start: number;
}

interface ModelLog {
  partitions: ModelPartition[];
  retains: boolean;
  segmentBytes: number;
}

class History {
  readonly steps: string[] = [];
  readonly #log: OpenLog;
  readonly #random: () => number;
  readonly #model = new Map<number, ModelLog>();
  #written = 0;

  constructor(log: OpenLog, seed: number) {
    this.#log = log;
    let state = (seed % 2_147_483_646) + 1;
    this.#random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  }

  async step(): Promise<void> {
    const draw = this.#below(100);
    if (this.#model.size === 0 || draw < 2) this.#create();
    else if (draw < 45) this.#append();
    else if (draw < 50) this.#appendConditionally();
    else if (draw < 70) this.#read();
    else if (draw < 80) this.#seek();
    else if (draw < 84) await this.#sync();
    else if (draw < 88) this.#alter();
    else if (draw < 90) this.#grow();
    else if (draw < 93) this.#passTime();
    else if (draw < 94) this.#delete();
    else if (draw < 96) await this.#reopen();
    else this.#checkOne();
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #note(step: string): void {
    this.steps.push(step);
  }

  /** One of the logs and partitions that there are. */
  #pick(): { logId: number; log: ModelLog; index: number; partition: ModelPartition } {
    const ids = [...this.#model.keys()];
    const logId = ids[this.#below(ids.length)] as number;
    const log = this.#model.get(logId) as ModelLog;
    const index = this.#below(log.partitions.length);
    return { logId, log, index, partition: log.partitions[index] as ModelPartition };
  }

  #ensure(logId: number, { partitions, retains, segmentBytes }: ModelLog): void {
    this.#log.ensure({ segmentBytes, retentionMs: retains ? 10_000 : -1 }, partitions.length, logId);
  }

  #create(): void {
    const logId = LOG + this.#below(LOGS_MAX);
    if (this.#model.has(logId)) return;
    const partitions = Array.from({ length: 1 + this.#below(2) }, emptyPartition);
    const log = { partitions, retains: this.#below(3) === 0, segmentBytes: 2048 << this.#below(4) };
    this.#note(`create ${logId}, ${partitions.length} partitions, segments of ${log.segmentBytes}`);
    this.#ensure(logId, log);
    this.#model.set(logId, log);
  }

  #newRecords(): NewRecord[] {
    return Array.from({ length: 1 + this.#below(this.#below(10) === 0 ? 40 : 5) }, () => {
      this.#written += 1;
      const bytes = this.#below(10) === 0 ? this.#below(3000) : this.#below(100);
      const key = this.#below(2) === 0 ? null : `k${this.#below(20)}`;
      const value = this.#below(12) === 0 ? null : `${this.#written} ${"x".repeat(bytes)}`;
      return { key, value, timestamp: START_MS + this.#below(100_000) };
    });
  }

  #append(expectNextOffset: number = -1): void {
    const { logId, index, partition } = this.#pick();
    const records = this.#newRecords();
    const base = nextOf(partition);
    const batch = batchOf(records, { compression: this.#below(4) === 0 ? "zstd" : "none" });
    this.#note(`append ${records.length} records of ${batch.length} bytes to ${logId}/${index} at ${base}`);
    const expected = expectNextOffset === -1 ? -1 : base;
    expect(this.#log.engine.append(logId, index, batch, expected)).toBe(base);
    partition.bases.push(base);
    for (const [position, { key = null, value, timestamp = START_MS }] of records.entries()) {
      partition.records.push({ offset: base + position, key, value: value as string | null, timestamp });
    }
  }

  #appendConditionally(): void {
    if (this.#below(2) === 0) {
      this.#append(0);
      return;
    }
    const { logId, index, partition } = this.#pick();
    const next = nextOf(partition);
    const wrong = this.#below(2) === 0 ? next + 1 + this.#below(5) : this.#below(next);
    if (wrong === next) return;
    this.#note(`append to ${logId}/${index} expecting ${wrong}`);
    const batch = batchOf(this.#newRecords());
    const refused = refusalOf(() => this.#log.engine.append(logId, index, batch, wrong));
    expect(refused).toEqual({ name: "offset_conflict", offset: next });
  }

  #read(): void {
    const { logId, index, partition } = this.#pick();
    this.#takeStart(logId, index, partition);
    const offset = partition.start + this.#below(nextOf(partition) - partition.start + 1);
    const bytesMax = 1 + this.#below(this.#below(2) === 0 ? 200 : 20_000);
    this.#note(`read ${logId}/${index} from ${offset}, ${bytesMax} bytes`);
    let bytes: Uint8Array;
    try {
      bytes = this.#log.engine.read(logId, index, offset, bytesMax);
    } catch (error) {
      // Retention runs beside this: the offset may have gone since.
      if (this.#log.engine.partition(logId, index).startOffset > offset) return;
      throw error;
    }
    this.#compare(partition, offset, bytes, bytesMax);
  }

  #compare(partition: ModelPartition, offset: number, bytes: Uint8Array, bytesMax: number): void {
    const batches = [...decodeBatches(bytes)];
    const bases = batches.map(({ header }) => header.baseOffset);
    const first = partition.bases.findLastIndex((base) => base <= offset);
    const expected = offset === nextOf(partition) ? [] : partition.bases.slice(first, first + bases.length);
    expect(bases).toEqual(expected);
    if (offset < nextOf(partition)) expect(bases.length).toBeGreaterThan(0);
    if (bases.length > 1) expect(bytes.length).toBeLessThanOrEqual(bytesMax);
    const from = bases[0] ?? offset;
    const to = batches.at(-1)?.nextOffset ?? offset;
    expect(recordsOf(batches)).toEqual(partition.records.slice(from, to));
  }

  #seek(): void {
    const { logId, index, partition } = this.#pick();
    const time = START_MS + this.#below(110_000) - 5000;
    this.#note(`seek ${logId}/${index} by time ${time - START_MS}`);
    const before = this.#takeStart(logId, index, partition);
    const found = this.#log.engine.offsetAt(logId, index, time);
    const after = this.#takeStart(logId, index, partition);
    const from = (start: number): number =>
      partition.records.find(({ offset, timestamp }) => offset >= start && timestamp >= time)?.offset ??
      nextOf(partition);
    if (before === after) expect(found).toBe(from(before));
    else expect([from(before), from(after)]).toContain(found);
    const offset = this.#below(nextOf(partition) + 3);
    const timestamp = this.#log.engine.timestampAt(logId, index, offset);
    const start = this.#takeStart(logId, index, partition);
    if (offset >= nextOf(partition)) expect(timestamp).toBe(-1);
    else if (offset >= start) expect(timestamp).toBe(this.#baseTimestamp(partition, offset));
  }

  #baseTimestamp(partition: ModelPartition, offset: number): number {
    const at = partition.bases.findLastIndex((base) => base <= offset);
    const records = partition.records.slice(partition.bases[at] ?? 0, partition.bases[at + 1]);
    return Math.min(...records.map(({ timestamp }) => timestamp));
  }

  async #sync(): Promise<void> {
    const { logId, index, partition } = this.#pick();
    this.#note(`sync ${logId}/${index}`);
    await this.#log.sync(logId, index);
    if (!this.#log.implementation.isSynced) return;
    expect(this.#log.engine.partition(logId, index).syncedOffset).toBe(nextOf(partition));
  }

  #alter(): void {
    const { logId, log } = this.#pick();
    log.segmentBytes = 2048 << this.#below(4);
    log.retains = this.#below(3) === 0;
    this.#note(`alter ${logId}: segments of ${log.segmentBytes}, ${log.retains ? "with" : "without"} retention`);
    this.#ensure(logId, log);
  }

  #grow(): void {
    const { logId, log } = this.#pick();
    if (log.partitions.length === PARTITIONS_MAX) return;
    log.partitions.push(emptyPartition());
    this.#note(`grow ${logId} to ${log.partitions.length}`);
    this.#ensure(logId, log);
  }

  #passTime(): void {
    const ms = this.#below(8000);
    this.#note(`${ms} ms pass`);
    this.#log.engine.setClock(this.#log.engine.now() + ms);
  }

  #delete(): void {
    const { logId } = this.#pick();
    this.#note(`delete ${logId}`);
    this.#log.engine.deleteLog(logId);
    this.#model.delete(logId);
    expect(refusalOf(() => this.#log.engine.partition(logId, 0)).name).toBe("topic_not_found");
  }

  async #reopen(): Promise<void> {
    if (!this.#log.implementation.isKept) return;
    this.#note("reopen");
    await this.#log.reopen();
    for (const [logId, log] of this.#model) this.#ensure(logId, log);
    this.checkAll();
  }

  #checkOne(): void {
    const { logId, index, partition } = this.#pick();
    this.#note(`check ${logId}/${index}`);
    this.#check(logId, index, partition);
  }

  checkAll(): void {
    expect(this.#log.engine.logIds()).toEqual([...this.#model.keys()].sort((a, b) => a - b));
    for (const [logId, { partitions }] of this.#model) {
      for (const [index, partition] of partitions.entries()) this.#check(logId, index, partition);
    }
  }

  #check(logId: number, index: number, partition: ModelPartition): void {
    const start = this.#takeStart(logId, index, partition);
    const { nextOffset, highWatermark } = this.#log.engine.partition(logId, index);
    expect([nextOffset, highWatermark]).toEqual([nextOf(partition), nextOf(partition)]);
    let bytes: Uint8Array;
    try {
      bytes = this.#log.engine.read(logId, index, start, 100_000_000);
    } catch (error) {
      if (this.#log.engine.partition(logId, index).startOffset > start) return;
      throw error;
    }
    this.#compare(partition, start, bytes, 100_000_000);
    // Short only where retention took something in the middle of the call.
    const end = [...decodeBatches(bytes)].at(-1)?.nextOffset ?? start;
    if (this.#takeStart(logId, index, partition) === start) expect(end).toBe(nextOffset);
  }

  /** Takes over how far retention got, which only the engine knows: never back, only whole batches, and not without retention. */
  #takeStart(logId: number, index: number, partition: ModelPartition): number {
    const { startOffset } = this.#log.engine.partition(logId, index);
    expect(startOffset).toBeGreaterThanOrEqual(partition.start);
    expect(startOffset).toBeLessThanOrEqual(nextOf(partition));
    if (startOffset < nextOf(partition) && startOffset > 0) expect(partition.bases).toContain(startOffset);
    partition.start = startOffset;
    return startOffset;
  }
}

function emptyPartition(): ModelPartition {
  return { records: [], bases: [], start: 0 };
}

function nextOf(partition: ModelPartition): number {
  return partition.records.length;
}
