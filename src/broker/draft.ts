/**
 * A draft of the metadata: a log in memory that goes on where the metadata log ends. Managers that are built over it check
 * and decide as ever, nothing of it is seen by anybody, and in the end all that they have decided is one change.
 */
import { MillraceError } from "../errors/index.ts";
import type { Engine } from "../log/engine.ts";
import { METADATA_LOG_ID } from "./metadata-log.ts";
import { type LogRecord, RecordBatchCodec } from "./record-batch.ts";

const BASE_OFFSET_AT = 2;
const COUNT_AT = 24;

export interface Draft {
  /** What managers of the draft take for the engine. */
  readonly engine: Engine;
  /** Where the metadata log ended when the draft began: the change may only be made while it still does. */
  readonly baseOffset: number;
  /** What was decided since, the last record of each key, in the order of these. */
  records(): LogRecord[];
}

export function draftOf(engine: Engine): Draft {
  const baseOffset = engine.partition(METADATA_LOG_ID, 0).highWatermark;
  const codec = new RecordBatchCodec();
  const batches: Buffer[] = [];
  let nextOffset = baseOffset;

  const append: Engine["append"] = (logId, _, batch, expectNextOffset) => {
    if (logId !== METADATA_LOG_ID) throw new MillraceError("internal", `a draft appends nothing to log ${logId}`);
    if (expectNextOffset >= 0 && expectNextOffset !== nextOffset) throw new MillraceError("offset_conflict");
    const stored = Buffer.from(batch);
    stored.writeBigUInt64BE(BigInt(nextOffset), BASE_OFFSET_AT);
    batches.push(stored);
    const base = nextOffset;
    nextOffset += stored.readUInt32BE(COUNT_AT);
    return base;
  };
  const partition: Engine["partition"] = (logId, index) => {
    const info = engine.partition(logId, index);
    return { ...info, highWatermark: nextOffset, nextOffset };
  };
  const read: Engine["read"] = (logId, index, offset, bytesMax) => {
    if (offset < baseOffset) return engine.read(logId, index, offset, bytesMax);
    // Nearly always the last one is asked for.
    let first = batches.length;
    for (let before = batches[first - 1]; before !== undefined && endOf(before) > offset; before = batches[first - 1]) {
      first -= 1;
    }
    return Buffer.concat(batches.slice(first));
  };
  const own: Partial<Engine> = {
    append,
    partition,
    read,
    ensureLog: () => undefined,
    deleteLog: () => undefined,
    sync: () => Promise.resolve(),
    now: () => engine.now(),
    newProducerId: () => engine.newProducerId(),
    // Of a draft's limits only those count that the metadata itself tells.
    quotaConnections: () => 0,
    logBytes: () => 0,
  };
  return {
    engine: limited(engine, own),
    baseOffset,
    records: () => last(batches.flatMap((batch) => codec.decode(batch).records)),
  };
}

/** What a draft does not answer by itself would touch the broker, and is a fault of whoever asks. */
function limited(engine: Engine, own: Partial<Engine>): Engine {
  return new Proxy(engine, {
    get(_, name) {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name);
      if (name === "worker" || name === "workers" || name === "epoch") return Reflect.get(engine, name);
      throw new MillraceError("internal", `a draft of the metadata does not have ${String(name)}`);
    },
  });
}

function endOf(batch: Buffer): number {
  return Number(batch.readBigUInt64BE(BASE_OFFSET_AT)) + batch.readUInt32BE(COUNT_AT);
}

function last(records: readonly LogRecord[]): LogRecord[] {
  const byKey = new Map<string, LogRecord>();
  for (const { key, value } of records) {
    byKey.delete(key);
    byKey.set(key, { key, value });
  }
  return [...byKey.values()];
}
