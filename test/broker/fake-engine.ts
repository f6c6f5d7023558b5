import { Packr, Unpackr } from "msgpackr";
import { MillraceError } from "../../src/errors/index.ts";
import type { Engine, PartitionInfo } from "../../src/log/engine.ts";

/** What several workers of a test share: logs in memory, and what the core was told of spaces. */
export class FakeCore {
  readonly logs = new Map<number, Uint8Array[]>();
  readonly applied: { space: number; version: number; change: unknown }[] = [];
  readonly opened = new Map<number, number>();
  readonly requests: unknown[][] = [];
  /** Answers a request of a space. */
  answer: (request: unknown[]) => unknown = () => null;
  /** Refuses a change with what it throws. */
  refuse: (change: unknown[]) => void = () => undefined;
  nowMs = 1_700_000_000_000;
}

/** The part of the engine that the metadata and the spaces use. */
export class FakeEngine {
  readonly epoch = 1;
  readonly worker: number;
  readonly core: FakeCore;
  readonly #packr = new Packr({ useRecords: false });
  readonly #unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "number" });

  constructor(core: FakeCore, worker = 0) {
    this.core = core;
    this.worker = worker;
  }

  get engine(): Engine {
    return this as unknown as Engine;
  }

  ensureLog(logId: number): void {
    if (!this.core.logs.has(logId)) this.core.logs.set(logId, []);
  }

  partition(logId: number): Partial<PartitionInfo> {
    return { highWatermark: this.#next(logId) };
  }

  append(logId: number, _partition: number, batch: Uint8Array, expect: number): number {
    const offset = this.#next(logId);
    if (expect >= 0 && expect !== offset) throw new MillraceError("offset_conflict", "moved on");
    const stored = Buffer.from(batch);
    stored.writeBigUInt64BE(BigInt(offset), 2);
    this.core.logs.get(logId)?.push(stored);
    return offset;
  }

  read(logId: number, _partition: number, offset: number): Uint8Array {
    const batches = (this.core.logs.get(logId) ?? []).filter((batch) => endOf(batch) > offset);
    return Buffer.concat(batches);
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  now(): number {
    return this.core.nowMs;
  }

  spaceOpen(space: number, _journal: number, _acks: number, version: number): void {
    if (!this.core.opened.has(space)) this.core.opened.set(space, version);
  }

  spaceApply(space: number, version: number, bytes: Uint8Array): void {
    const own = this.core.opened.get(space);
    if (own === undefined) throw new MillraceError("internal", `space ${space} is not open`);
    if (version <= own) return;
    const change = this.#unpackr.unpack(bytes) as unknown[];
    this.core.opened.set(space, version);
    this.core.refuse(change);
    this.core.applied.push({ space, version, change });
  }

  spaceRequest(_space: number, bytes: Uint8Array): Uint8Array {
    const request = this.#unpackr.unpack(bytes) as unknown[];
    this.core.requests.push(request);
    return Uint8Array.from(this.#packr.pack(this.core.answer(request)));
  }

  #next(logId: number): number {
    const last = this.core.logs.get(logId)?.at(-1);
    return last === undefined ? 0 : endOf(last);
  }
}

function endOf(batch: Uint8Array): number {
  const view = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  return Number(view.readBigUInt64BE(2)) + view.readUInt32BE(24);
}
