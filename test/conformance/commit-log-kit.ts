/** What the commit log's conformance suite stands on: an open engine whose loop turns, batches, and records read back. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMillraceError } from "../../src/errors/index.ts";
import type { Engine, EngineOptions, LogConfig, TurnSink } from "../../src/log/engine.ts";
import { BatchEncoder, type BatchReader, type BatchSeal, decodeBatches } from "../../src/protocol/index.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** The time at which every engine of the suite begins, in ms; the suite moves the clock itself. */
export const START_MS = 1_700_000_000_000;

/** The first id that is not kept for the broker's own logs. */
export const LOG = 16;

/** An implementation of `Engine` and what it promises beyond the interface. */
export interface LogImplementation {
  readonly name: string;
  /** Settings that each log of the suite has, over the suite's own. */
  readonly logConfig: Partial<LogConfig>;
  /** A later `open` on the same folder finds what was there at `close`. */
  readonly isKept: boolean;
  /** Logs with `compact: true` are compacted. */
  readonly isCompacting: boolean;
  /** `durability: "synced"` holds records back until they are synced. */
  readonly isSynced: boolean;
  /** @param options limits and a standing clock; `dataDir` is an empty folder at the first call of a test. */
  open(options: EngineOptions & { dataDir: string }): Engine;
}

export const OPTIONS: Omit<EngineOptions, "dataDir"> = {
  workers: 1,
  manualClockMs: START_MS,
  frameBytesMax: 16 * MIB,
  batchBytesMax: 8 * MIB,
  publishersPerConnectionMax: 1024,
  subscriptionsPerConnectionMax: 1024,
  sourcesPerSubscriptionMax: 1024,
  prefetchMax: 65_535,
  publishCreditBytes: 8 * MIB,
  publishOverdraftBytesMax: 8 * MIB,
  subscriptionCreditBytesMax: 64 * MIB,
  writeBytesPerTurn: 256 * KIB,
  turnBytesMax: 2 * MIB,
  deliveryBytesMax: MIB,
  viewBytesMin: 16 * KIB,
  ringBytes: MIB,
  indexIntervalBytes: 4 * KIB,
  mappedSegmentsMax: 64,
  openFilesMax: 64,
  dirtyBytesMax: 64 * MIB,
  checkpointBytes: 256 * KIB,
  retentionCheckMs: 10,
  producersPerPartitionMax: 1000,
  keyIndexEntriesMax: 10_000,
  compactionKeysMax: 10_000,
  flightRecorderBytes: 1024 * 1024,
};

const LOG_CONFIG: LogConfig = {
  segmentBytes: 64 * MIB,
  segmentMs: 7 * 86_400_000,
  retentionMs: -1,
  retentionBytes: -1,
  compact: false,
  tombstoneRetentionMs: 86_400_000,
  durability: "written",
  messageBytesMax: MIB,
  storage: "log",
  memoryBytesMax: 64 * MIB,
  timestampType: "create",
  deliveryPriority: "normal",
  internal: false,
};

/** An engine in a folder of its own. It takes its turns whenever it wakes; what a turn writes to connections is an error, as there are none. */
export class OpenLog implements AsyncDisposable {
  engine: Engine;
  readonly implementation: LogImplementation;
  readonly mail: Uint8Array[] = [];
  readonly #folder: string;
  #isClosed = false;

  private constructor(implementation: LogImplementation, folder: string, engine: Engine) {
    this.implementation = implementation;
    this.#folder = folder;
    this.engine = engine;
    this.#turnOnWake();
  }

  static async open(implementation: LogImplementation): Promise<OpenLog> {
    const folder = await mkdtemp(join(tmpdir(), "millrace-log-"));
    return new OpenLog(implementation, folder, implementation.open({ ...OPTIONS, dataDir: join(folder, "data") }));
  }

  /** Closes and opens again in the same place, with the clock standing where it stood. */
  async reopen(): Promise<void> {
    const manualClockMs = this.engine.now();
    await this.#close();
    this.engine = this.implementation.open({ ...OPTIONS, manualClockMs, dataDir: join(this.#folder, "data") });
    this.#isClosed = false;
    this.#turnOnWake();
  }

  /** The suite's settings, the implementation's, then the test's. */
  config(config: Partial<LogConfig> = {}): LogConfig {
    return { ...LOG_CONFIG, ...this.implementation.logConfig, ...config };
  }

  ensure(config: Partial<LogConfig> = {}, partitions: number = 1, logId: number = LOG): void {
    this.engine.ensureLog(logId, partitions, this.config(config));
  }

  /** Appends one batch of these records to partition 0 of the first log. */
  append(records: readonly NewRecord[], expectNextOffset: number = -1): number {
    return this.engine.append(LOG, 0, batchOf(records), expectNextOffset);
  }

  /** `sync`, with the loop kept alive: a wake from another thread does not do that. */
  async sync(logId: number = LOG, partition: number = 0): Promise<void> {
    let isSynced = false;
    let failure: unknown;
    this.engine.sync(logId, partition).then(
      () => (isSynced = true),
      (error: unknown) => (failure = error),
    );
    await eventually("the sync is answered", () => isSynced || failure !== undefined);
    if (failure !== undefined) throw failure;
  }

  /** Every batch from `offset` on, gathered by reads of `bytesMax`. */
  readAll(offset: number = -1, bytesMax: number = MIB, logId: number = LOG, partition: number = 0): BatchReader[] {
    const { startOffset, highWatermark } = this.engine.partition(logId, partition);
    const batches: BatchReader[] = [];
    let next = offset === -1 ? startOffset : offset;
    while (next < highWatermark) {
      const read = [...decodeBatches(this.engine.read(logId, partition, next, bytesMax))];
      if (read.length === 0) break;
      batches.push(...read);
      next = read.at(-1)?.nextOffset ?? next;
    }
    return batches;
  }

  turn(): void {
    while (!this.#isClosed && this.engine.turn(this.#sink));
  }

  readonly #sink: TurnSink = {
    write: refuse,
    retire: () => undefined,
    resume: refuse,
    close: refuse,
    sourceEnd: refuse,
    mail: (message) => void this.mail.push(message),
    timer: () => undefined,
  };

  #turnOnWake(): void {
    this.engine.onWake(() => this.turn());
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function refuse(): never {
  throw new Error("the engine spoke to a connection that nobody opened");
}

export interface NewRecord {
  readonly key?: string | null;
  readonly value: string | Uint8Array | null;
  /** In ms; records of a batch may come in any order. Default: the suite's start. */
  readonly timestamp?: number;
}

/** A record as it is read back. */
export interface StoredRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestamp: number;
}

export function batchOf(records: readonly NewRecord[], seal: BatchSeal = {}): Uint8Array {
  const times = records.map(({ timestamp }) => timestamp ?? START_MS);
  const isAscending = times.every((time, index) => time >= (times[0] ?? 0) && time >= (times[index - 1] ?? 0));
  const encoder = new BatchEncoder({ batchBytesMax: 64 * MIB, absoluteTimestamps: !isAscending });
  for (const [index, { key = null, value }] of records.entries()) {
    if (!encoder.append(times[index] ?? START_MS, key, value)) throw new Error("the batch took no more records");
  }
  encoder.finish(seal);
  return encoder.batch().slice();
}

export function recordsOf(batches: Iterable<BatchReader>): StoredRecord[] {
  const records: StoredRecord[] = [];
  for (const batch of batches) {
    for (const record of batch) {
      const { offset, timestamp } = record;
      records.push({ offset, key: record.keyText(), value: record.text(), timestamp });
    }
  }
  return records;
}

/** The name and the offset of what `call` throws. */
export function refusalOf(call: () => unknown): { name: string; offset: unknown } {
  try {
    call();
  } catch (error) {
    if (isMillraceError(error)) return { name: error.codeName, offset: error.details?.["offset"] };
    throw error;
  }
  return { name: "nothing", offset: undefined };
}

/** Waits until `condition` holds; throws with `what` after the time. */
export async function eventually(what: string, condition: () => boolean, timeoutMs: number = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for: ${what}`);
    await Bun.sleep(2);
  }
}
