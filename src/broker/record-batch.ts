/**
 * Batches of the broker's own logs (metadata, group offsets): msgpack records, uncompressed, without producer.
 * The layout is the one of DESIGN.md, "The stored batch is the wire batch"; compaction makes sparse batches of these logs,
 * so the reader knows them too.
 */
import { crc32 } from "node:zlib";
import { Packr, Unpackr } from "msgpackr";
import { MillraceError } from "../errors/index.ts";
import { wide } from "../stdx/index.ts";

const HEADER_BYTES = 64;
const VERSION_1 = 1;
const SPARSE_BIT = 13;
const AT = { baseOffset: 2, crc: 16, attributes: 21, count: 24, baseTimestamp: 29, maxDelta: 38, recordsLength: 60 };

/** A record of an internal log. `value` null is a tombstone: the key is gone. */
export interface LogRecord {
  readonly key: string;
  readonly value: unknown;
}

/** A message of the broker's own, for an exchange. */
export interface Message {
  readonly key: Uint8Array | string | null;
  readonly value: Uint8Array | string | null;
  readonly headers: Readonly<Record<string, unknown>> | null;
}

export interface StoredRecord extends LogRecord {
  readonly offset: number;
  readonly timestampMs: number;
}

/** Encodes and decodes; holds the msgpack state, so each owner has its own. */
export class RecordBatchCodec {
  readonly #packr = new Packr({ useRecords: false, int64AsType: "number", encodeUndefinedAsNil: true });
  readonly #unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "number" });

  /** One whole batch with offset and epoch 0 and its CRC, ready for `Engine.append`. */
  encode(records: readonly LogRecord[], nowMs: number): Uint8Array {
    return batchOf(
      records.map(({ key, value }) => this.#encodeRecord(key, value)),
      nowMs,
    );
  }

  /** The same of one message as publishers send them: its value is what it is, not msgpack of it. */
  encodeMessage({ key, value, headers }: Message, nowMs: number): Uint8Array {
    return batchOf([new Uint8Array(this.#packr.pack([0, key, value, wide(headers)]))], nowMs);
  }

  /**
   * The records of whole batches that lie one after another, in order.
   *
   * @throws corrupt_batch when the bytes are not what this codec or compaction writes.
   */
  decode(bytes: Uint8Array): { records: StoredRecord[]; nextOffset: number } {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const records: StoredRecord[] = [];
    let at = 0;
    let nextOffset = 0;
    while (at < view.length) {
      if (at + HEADER_BYTES > view.length || view[at] !== 0x9b) throw corrupt("a batch header is cut short");
      const recordsBytes = view.readUInt32BE(at + AT.recordsLength);
      const end = at + HEADER_BYTES + recordsBytes;
      if (end > view.length) throw corrupt("a batch is cut short");
      nextOffset = this.#decodeBatch(view.subarray(at, end), records);
      at = end;
    }
    return { records, nextOffset };
  }

  #encodeRecord(key: string, value: unknown): Uint8Array {
    // The value is bin that holds msgpack, as for any other record, so that `log inspect` and clients can read these logs.
    // A number past 32 bits goes in as BigInt, because msgpackr would write it as a float.
    const content = value === null ? null : new Uint8Array(this.#packr.pack(wide(value)));
    return new Uint8Array(this.#packr.pack([0, key, content, null]));
  }

  #decodeBatch(batch: Buffer, into: StoredRecord[]): number {
    const baseOffset = Number(batch.readBigUInt64BE(AT.baseOffset));
    const baseTimestamp = Number(batch.readBigUInt64BE(AT.baseTimestamp));
    const sparse = ((batch.readUInt16BE(AT.attributes) >> SPARSE_BIT) & 1) === 1;
    const count = batch.readUInt32BE(AT.count);
    const values = batch.length === HEADER_BYTES ? [] : this.#unpackr.unpackMultiple(batch.subarray(HEADER_BYTES));
    if (!Array.isArray(values)) throw corrupt("the records are not msgpack");
    const positions = sparse ? survivors(values.shift()) : { offsets: undefined, span: count };
    if (values.length !== count) throw corrupt(`a batch holds ${values.length} records and says ${count}`);
    for (const [index, record] of values.entries()) {
      if (!Array.isArray(record)) throw corrupt("a record is no array");
      const [delta, key, content] = record as unknown[];
      if (typeof key !== "string") throw corrupt("a record of an internal log has no key");
      into.push({
        key,
        value: content instanceof Uint8Array ? this.#unpackr.unpack(content) : null,
        offset: baseOffset + (positions.offsets === undefined ? index : (positions.offsets[index] ?? 0)),
        timestampMs: baseTimestamp + (typeof delta === "number" ? delta : 0),
      });
    }
    return baseOffset + positions.span;
  }
}

function writeHead(batch: Buffer, count: number, nowMs: number, recordsBytes: number): void {
  batch[0] = 0x9b;
  batch[1] = 0xcf;
  batch[10] = 0xce;
  batch[15] = 0xce;
  batch[20] = 0xcd;
  batch.writeUInt16BE(VERSION_1, AT.attributes);
  batch[23] = 0xce;
  batch.writeUInt32BE(count, AT.count);
  batch[28] = 0xcf;
  batch.writeBigUInt64BE(BigInt(nowMs), AT.baseTimestamp);
  batch[37] = 0xce;
  batch[42] = 0xcf;
  batch[51] = 0xcd;
  batch[54] = 0xce;
  batch[59] = 0xc6;
  batch.writeUInt32BE(recordsBytes, AT.recordsLength);
}

function batchOf(parts: readonly Uint8Array[], nowMs: number): Uint8Array {
  const recordsBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const batch = Buffer.alloc(HEADER_BYTES + recordsBytes);
  writeHead(batch, parts.length, nowMs, recordsBytes);
  let at = HEADER_BYTES;
  for (const part of parts) {
    batch.set(part, at);
    at += part.length;
  }
  batch.writeUInt32BE(crc32(batch.subarray(20), crc32(batch.subarray(0, 15))), AT.crc);
  return batch;
}

/** Positions of the surviving records: a bitmap behind one byte with the number of unused bits, most significant bit first. */
function survivors(bitmap: unknown): { offsets: number[]; span: number } {
  if (!(bitmap instanceof Uint8Array) || bitmap.length === 0) throw corrupt("a sparse batch has no bitmap");
  const span = (bitmap.length - 1) * 8 - (bitmap[0] ?? 0);
  const offsets: number[] = [];
  for (let position = 0; position < span; position += 1) {
    const byte = bitmap[1 + (position >> 3)] ?? 0;
    if ((byte & (0x80 >> (position & 7))) !== 0) offsets.push(position);
  }
  return { offsets, span };
}

function corrupt(why: string): MillraceError {
  return new MillraceError("corrupt_batch", `an internal log cannot be read: ${why}`);
}
