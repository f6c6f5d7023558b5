import {
  BatchEncoder,
  BatchView,
  crc32,
  decodeBatches,
  encodeFrame,
  encodePublish,
  FRAME_HEAD_BYTES,
  FrameReader,
  murmur2,
  Op,
  opOf,
  pack,
  publishOneBytesMax,
  readAck,
  readDeliverHead,
  writePublishOne,
} from "../../src/protocol/index.ts";
import { recordBytesMax, writeRecord } from "../../src/protocol/record-writer.ts";
import { avroWorks } from "./avro.ts";
import type { Work } from "./works.ts";

/** The hot paths of the TypeScript codec, as pieces of work that mitata repeats (`codecs-program.ts`). */

export interface CodecWork extends Work {
  run(): unknown;
}

const BATCH_BYTES = 64 * 1024;
const CHUNK_BYTES = 512 * 1024;
const VALUE_BYTES = 100;
const TIME_MS = 1_000_000;

/** A value whose bytes differ, of letters only, so that it is text as well. */
function value(seed: number): Uint8Array {
  return Uint8Array.from({ length: VALUE_BYTES }, (_, at) => 97 + ((seed * 31 + at * 7) % 26));
}

const VALUES: readonly Uint8Array[] = Array.from({ length: 64 }, (_, seed) => value(seed));
const TEXTS: readonly string[] = VALUES.map((bytes) => new TextDecoder().decode(bytes));

function fill(encoder: BatchEncoder, key: string | null = null): void {
  for (let at = 0; encoder.append(TIME_MS, key, VALUES[at & 63] as Uint8Array); at++);
  encoder.finish();
}

function batchOf(key: string | null = null): { batch: Uint8Array; records: number } {
  const encoder = new BatchEncoder({ batchBytesMax: BATCH_BYTES });
  fill(encoder, key);
  return { batch: encoder.batch(), records: encoder.recordCount };
}

/** A DELIVER frame of subscription 1, source 1 with one batch. */
function deliverFrame(batch: Uint8Array): Uint8Array {
  const head = pack([Op.DELIVER, 1, 1]);
  const frame = new Uint8Array(FRAME_HEAD_BYTES + head.length + batch.length);
  frame[0] = 0xc6;
  new DataView(frame.buffer).setUint32(1, head.length + batch.length);
  frame.set(head, FRAME_HEAD_BYTES);
  frame.set(batch, FRAME_HEAD_BYTES + head.length);
  return frame;
}

function repeated(frame: Uint8Array): { chunk: Uint8Array; frames: number } {
  const frames = Math.floor(CHUNK_BYTES / frame.length);
  return { chunk: Buffer.concat(Array.from({ length: frames }, () => frame)), frames };
}

function recordEncode(name: string, content: readonly (Uint8Array | string)[]): CodecWork {
  const bytes = new Uint8Array(64 * recordBytesMax(null, TEXTS[0], null));
  const run = (): number => {
    let end = 0;
    for (let at = 0; at < 64; at++) end = writeRecord(bytes, end, at, null, content[at], null);
    return end;
  };
  return { name, item: "record", items: 64, bytes: 0, run };
}

function batchEncode(): CodecWork {
  const { batch, records } = batchOf();
  const buffer = new Uint8Array(BATCH_BYTES + 4096);
  const encoder = new BatchEncoder({ batchBytesMax: BATCH_BYTES, buffer });
  const run = (): number => {
    encoder.reset();
    fill(encoder);
    return encoder.end;
  };
  return { name: "batch-encode", item: "record", items: records, bytes: batch.length, run };
}

function singleEncode(): CodecWork {
  const bytes = new Uint8Array(64 * publishOneBytesMax(null, null, VALUES[0], null));
  const head = { publisher: 1, correlation: 0, partition: 0, acks: 2, condition: null, sequence: null };
  const run = (): number => {
    let end = 0;
    for (let at = 0; at < 64; at++) {
      head.correlation = at;
      end = writePublishOne(bytes, end, head, null, null, VALUES[at], null);
    }
    return end;
  };
  return { name: "single-encode", item: "record", items: 64, bytes: 0, run };
}

/** Records of a batch whose CRC is left alone: what reading them costs, values touched as bytes or as text. */
function recordDecode(name: string, read: (value: Uint8Array | null, text: () => string | null) => number): CodecWork {
  const { batch, records } = batchOf();
  const run = (): number => {
    let sum = 0;
    for (const reader of decodeBatches(batch, 0, batch.length, { verify: false })) {
      for (const record of reader) sum += read(record.value, () => record.text());
    }
    return sum;
  };
  return { name, item: "record", items: records, bytes: batch.length, run };
}

/** Positions only, no views: what `batches()` of a consumer costs before a value is asked for. */
function recordScan(): CodecWork {
  const { batch, records } = batchOf("customer-0000017");
  const run = (): number => {
    let sum = 0;
    for (const reader of decodeBatches(batch, 0, batch.length, { verify: false })) {
      const found = reader.records();
      for (let record = found.read(); record; record = found.read()) sum += record.offset;
    }
    return sum;
  };
  return { name: "record-scan", item: "record", items: records, bytes: batch.length, run };
}

/** Reads the values of the deliveries at `start..end`; returns something of each, so that none is left out. */
type ReadBatches = (bytes: Uint8Array, start: number, end: number) => number;

/** Each record an object, its value a view. */
const byRecords: ReadBatches = (bytes, start, end) => {
  let sum = 0;
  for (const batch of decodeBatches(bytes, start, end)) {
    for (const record of batch) sum += record.value?.[0] ?? 0;
  }
  return sum;
};

/** Positions of all records of a batch, without objects. */
const byViews: ReadBatches = (bytes, start, end) => {
  let sum = 0;
  for (const batch of decodeBatches(bytes, start, end)) {
    const view = new BatchView(batch);
    for (let at = 0; at < view.length; at++) sum += view.bytes[view.valueStart(at)] ?? 0;
  }
  return sum;
};

/** As a client gets it: chunk, frame, batch, CRC, each record's value touched. */
function deliveryDecode(name: string, read: ReadBatches): CodecWork {
  const { batch, records } = batchOf();
  const { chunk, frames } = repeated(deliverFrame(batch));
  const reader = new FrameReader();
  let sum = 0;
  const sink = (bytes: Uint8Array, start: number, end: number): void => {
    if (opOf(bytes, start, end) !== Op.DELIVER) throw new Error("the chunk holds deliveries only");
    sum += read(bytes, readDeliverHead(bytes, start, end).batchesStart, end);
  };
  const run = (): number => {
    reader.feed(chunk, sink);
    return sum;
  };
  return { name, item: "record", items: frames * records, bytes: chunk.length, run };
}

function frameReader(name: string, item: string, frame: Uint8Array): CodecWork {
  const { chunk, frames } = repeated(frame);
  const reader = new FrameReader();
  let sum = 0;
  const sink = (bytes: Uint8Array, start: number, end: number): void => {
    sum += opOf(bytes, start, end);
  };
  const run = (): number => {
    reader.feed(chunk, sink);
    return sum;
  };
  return { name, item, items: frames, bytes: chunk.length, run };
}

function ackDecode(): CodecWork {
  const runs = Array.from({ length: 64 }, (_, at) => [1, at * 100, 100, 0, at * 100, 2]);
  const frame = encodeFrame(Op.ACK, ...runs.flat());
  let sum = 0;
  const run = (): number => {
    readAck(frame, FRAME_HEAD_BYTES, frame.length, (_publisher, _correlation, count) => (sum += count));
    return sum;
  };
  return { name: "ack-decode", item: "run", items: runs.length, bytes: 0, run };
}

/** All works of the codec. Making one encodes what it works on. */
export function codecWorks(): CodecWork[] {
  const { batch } = batchOf();
  const key = new TextEncoder().encode("customer-0000017");
  const publish = encodePublish({ publisher: 1, correlation: 1, partition: 0, acks: 2, condition: null }, batch);
  const ack = encodeFrame(Op.ACK, 1, 1, 1, 0, 1, 2);
  return [
    recordEncode("record-encode", VALUES),
    recordEncode("record-encode-text", TEXTS),
    recordScan(),
    recordDecode("record-decode", (bytes) => bytes?.[0] ?? 0),
    recordDecode("record-decode-text", (_, text) => text()?.length ?? 0),
    batchEncode(),
    singleEncode(),
    deliveryDecode("delivery-decode", byRecords),
    deliveryDecode("delivery-decode-views", byViews),
    frameReader("frame-reader-batches", "frame", publish),
    frameReader("frame-reader-acks", "frame", ack),
    ackDecode(),
    { name: "crc-64k", item: "batch", items: 1, bytes: batch.length, run: () => crc32(batch) },
    { name: "murmur2", item: "call", items: 1, bytes: 0, run: () => murmur2(key) },
    ...avroWorks(),
  ];
}
