import {
  ABSOLUTE_TIMESTAMPS,
  APPEND_TIME,
  BATCH_HEADER_BYTES,
  BatchEncoder,
  COMPRESSION_SHIFT,
  COMPRESSION_ZSTD,
  encodeBitmap,
  encodeError,
  encodeFlow,
  encodeFrame,
  encodeMessages,
  encodeOk,
  encodePublish,
  encodeSettle,
  type Headers,
  murmur2,
  Op,
  Outcome,
  partitionOf,
  publishOneBytesMax,
  readHeader,
  sealBatch,
  SPARSE,
  utf8Bytes,
  writeHeader,
  writePublishOne,
} from "../index.ts";
import { MillraceError } from "../../errors/index.ts";

/** Builds the test vectors that lie beside this file, as values for JSON. `bun src/protocol/vectors/generate.ts` writes them. */

const NOW = 1_700_000_000_000;

/** nil, `{str}` or `{bin}` in hex, so that other languages see the msgpack type. */
type Blob = null | { str: string } | { bin: string };

interface VectorRecord {
  offset: number;
  timestamp: number;
  key: Blob;
  value: Blob;
  headers: Headers | null;
}

interface Row {
  timestamp: number;
  key: string | Uint8Array | null;
  value: string | Uint8Array | null;
  headers?: Headers;
}

export interface Vector {
  name: string;
  hex: string;
  [field: string]: unknown;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function blob(content: string | Uint8Array | null): Blob {
  if (content === null) return null;
  return typeof content === "string" ? { str: content } : { bin: toHex(content) };
}

const ROWS: Row[] = [
  { timestamp: NOW, key: "order-17", value: "hello" },
  { timestamp: NOW + 250, key: null, value: new Uint8Array([0, 1, 254, 255]) },
  { timestamp: NOW + 70_000, key: new Uint8Array([0xca, 0xfe]), value: null },
  {
    timestamp: NOW + 70_001,
    key: "ключ",
    value: "é€😀",
    headers: { trace: "abc", attempt: 2, ratio: 0.5, late: false, none: null, below: -70_000, wide: 2 ** 40 },
  },
];

function encode(rows: readonly Row[], isAbsolute = false): Uint8Array {
  const encoder = new BatchEncoder({ absoluteTimestamps: isAbsolute });
  for (const { timestamp, key, value, headers } of rows) encoder.append(timestamp, key, value, headers);
  encoder.finish();
  return encoder.batch().slice();
}

/** Changes fields of the header and seals the batch again. */
function altered(batch: Uint8Array, change: Partial<ReturnType<typeof readHeader>>, records?: Uint8Array): Uint8Array {
  const body = records ?? batch.subarray(BATCH_HEADER_BYTES);
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + body.length);
  const header = readHeader(batch, 0, batch.length);
  writeHeader(bytes, 0, { ...header, recordsBytes: body.length, ...change });
  bytes.set(body, BATCH_HEADER_BYTES);
  sealBatch(bytes, 0, bytes.length);
  return bytes;
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
}

/** A zstd frame with one raw block (RFC 8878): the same bytes whatever library is there. */
function rawZstd(content: Uint8Array): Uint8Array {
  const size = content.length;
  const block = (size << 3) | 1;
  const head = [0x28, 0xb5, 0x2f, 0xfd, 0x20, size, block & 0xff, (block >> 8) & 0xff, (block >> 16) & 0xff];
  if (size > 255) throw new RangeError("the vector's content must fit a one-byte size");
  return concat(new Uint8Array(head), content);
}

function recordsOf(rows: readonly Row[], base: number, positions?: number[]): VectorRecord[] {
  return rows.map(({ timestamp, key, value, headers }, index) => ({
    offset: base + (positions?.[index] ?? index),
    timestamp,
    key: blob(key),
    value: blob(value),
    headers: headers ?? null,
  }));
}

function batchVector(name: string, batch: Uint8Array, records: VectorRecord[], span = records.length): Vector {
  return { name, hex: toHex(batch), header: readHeader(batch, 0, batch.length), span, records };
}

export function batchVectors(): Vector[] {
  const plain = encode(ROWS);
  const stored = altered(plain, {
    baseOffset: 5_000_000_000,
    epoch: 3,
    producerId: 77,
    producerEpoch: 2,
    baseSequence: 40,
  });
  const positions = [1, 2, 9, 17];
  const sparseRecords = concat(encodeBitmap(19, positions), plain.subarray(BATCH_HEADER_BYTES));
  const { attributes } = readHeader(plain, 0, plain.length);
  const sparse = altered(plain, { baseOffset: 1000, epoch: 4, attributes: attributes | SPARSE }, sparseRecords);
  const emptied = altered(
    plain,
    { baseOffset: 2000, attributes: attributes | SPARSE, recordCount: 0 },
    encodeBitmap(8, []),
  );
  const zstd = altered(
    plain,
    { attributes: attributes | (COMPRESSION_ZSTD << COMPRESSION_SHIFT) },
    rawZstd(plain.subarray(BATCH_HEADER_BYTES)),
  );
  const late: Row[] = [
    { timestamp: NOW, key: "a", value: "newest" },
    { timestamp: NOW - 5_000_000_000, key: "a", value: "57 days older than the first" },
    { timestamp: 0, key: "a", value: "1970" },
  ];
  const absolute = encode(late, true);
  const { baseTimestamp } = readHeader(absolute, 0, absolute.length);
  const nilRecord = new Uint8Array([0x94, 0xc0, 0xc0, 0xa1, 0x76, 0xc0]);
  const nilTime = altered(absolute, { recordCount: 1 }, nilRecord);
  const appended = altered(plain, {
    attributes: attributes | APPEND_TIME,
    baseTimestamp: NOW + 9,
    maxTimestampDelta: 0,
  });
  const atAppend = recordsOf(ROWS, 0).map((record) => ({ ...record, timestamp: NOW + 9 }));
  return [
    batchVector("as a producer sends it", plain, recordsOf(ROWS, 0)),
    batchVector("as the broker stores it, from an idempotent producer", stored, recordsOf(ROWS, 5_000_000_000)),
    batchVector("sparse: a span of 19 offsets with four records", sparse, recordsOf(ROWS, 1000, positions), 19),
    batchVector("sparse: nothing survived of a span of 8", emptied, [], 8),
    batchVector("compressed with zstd", zstd, recordsOf(ROWS, 0)),
    batchVector("absolute timestamps, out of order and further apart than a u32", absolute, recordsOf(late, 0)),
    batchVector("absolute timestamps: nil is the base timestamp", nilTime, [
      { offset: 0, timestamp: baseTimestamp, key: null, value: { str: "v" }, headers: null },
    ]),
    batchVector("append time: every record has the base timestamp", appended, atAppend),
  ];
}

export function badBatchVectors(): Vector[] {
  const plain = encode(ROWS);
  const { attributes } = readHeader(plain, 0, plain.length);
  const flipped = plain.slice();
  flipped[70] = (flipped[70] as number) ^ 1;
  const layout = plain.slice();
  layout[20] = 0xce;
  const records = plain.subarray(BATCH_HEADER_BYTES);
  const short = records.slice(0, records.length - 1);
  const bomb = new Uint8Array([0x94, 0x00, 0xc0, 0xdb, 0xff, 0xff, 0xff, 0xff]);
  const bad = (name: string, bytes: Uint8Array, error: string): Vector => ({ name, hex: toHex(bytes), error });
  return [
    bad("empty", new Uint8Array(0), "bad_batch"),
    bad("cut in the header", plain.slice(0, 40), "bad_batch"),
    bad("cut in the records", plain.slice(0, 100), "bad_batch"),
    bad("a bit flipped in a record", flipped, "bad_crc"),
    bad("attributes not encoded as uint16", layout, "bad_batch"),
    bad("version 2", altered(plain, { attributes: (attributes & ~0x0f) | 2 }), "bad_batch"),
    bad("compression 2", altered(plain, { attributes: attributes | (2 << COMPRESSION_SHIFT) }), "bad_batch"),
    bad("record encoding 1", altered(plain, { attributes: attributes | 0x80 }), "bad_batch"),
    bad("bit 15 set", altered(plain, { attributes: attributes | 0x8000 }), "bad_batch"),
    bad("a count that is too high", altered(plain, { recordCount: 5 }), "record_count_mismatch"),
    bad("a count that is too low", altered(plain, { recordCount: 3 }), "record_count_mismatch"),
    bad("the last record cut", altered(plain, {}, short), "bad_record"),
    bad("a record that is an array of 3", altered(plain, {}, new Uint8Array([0x93, 0, 0xc0, 0xc0])), "bad_record"),
    bad("a string longer than the batch", altered(plain, { recordCount: 1 }, bomb), "bad_record"),
    bad(
      "a nil timestamp without the attribute",
      altered(plain, { recordCount: 1 }, new Uint8Array([0x94, 0xc0, 0xc0, 0xc0, 0xc0])),
      "bad_record",
    ),
    bad(
      "an integer as key",
      altered(plain, { recordCount: 1 }, new Uint8Array([0x94, 0, 7, 0xc0, 0xc0])),
      "bad_record",
    ),
    bad(
      "headers that nest",
      altered(plain, { recordCount: 1 }, new Uint8Array([0x94, 0, 0xc0, 0xc0, 0x81, 0xa1, 0x61, 0x90])),
      "bad_record",
    ),
    bad("sparse without a bitmap", altered(plain, { attributes: attributes | SPARSE }), "bad_record"),
    bad(
      "sparse with more records than bits",
      altered(plain, { attributes: attributes | SPARSE }, concat(encodeBitmap(8, [1, 2]), records)),
      "bad_record",
    ),
    bad(
      "a zstd frame that is none",
      altered(plain, { attributes: attributes | (1 << COMPRESSION_SHIFT) }),
      "decompress_failed",
    ),
    bad(
      "absolute timestamps of a negative time",
      altered(
        plain,
        { attributes: attributes | ABSOLUTE_TIMESTAMPS, recordCount: 1 },
        new Uint8Array([0x94, 0xff, 0xc0, 0xc0, 0xc0]),
      ),
      "bad_record",
    ),
  ];
}

function publishOne(sequence: number | null): Uint8Array {
  const bytes = new Uint8Array(publishOneBytesMax(null, "k", "v", null));
  const head = {
    publisher: 3,
    correlation: 9,
    partition: sequence === null ? null : 2,
    acks: 2,
    condition: null,
    sequence,
  };
  const end = writePublishOne(bytes, 0, head, sequence === null ? null : NOW, "k", "v", null);
  return bytes.slice(0, end);
}

export function frameVectors(): Vector[] {
  const batch = encode(ROWS.slice(0, 1));
  const head = { publisher: 3, correlation: 8, partition: 1, acks: 2, condition: null };
  const frame = (name: string, bytes: Uint8Array, content: unknown[], batches = 0): Vector => {
    return { name, hex: toHex(bytes), content, batches };
  };
  const hello = {
    version: [1, 1],
    features: [],
    client: "vectors",
    namespace: "default",
    heartbeatMs: 10_000,
    auth: null,
  };
  const error = new MillraceError("offset_conflict", "the next offset is 12", { details: { nextOffset: 12 } });
  const key = { key: "order-17", lastOffset: null };
  return [
    frame("HELLO", encodeFrame(Op.HELLO, 0, hello), [Op.HELLO, 0, hello]),
    frame("PING", encodeFrame(Op.PING, 1), [Op.PING, 1]),
    frame("GOODBYE", encodeFrame(Op.GOODBYE, 8, "shutting down"), [Op.GOODBYE, 8, "shutting down"]),
    frame("OK with an offset past 32 bits", encodeOk(4, { offset: 2 ** 40 }), [Op.OK, 4, { offset: 2 ** 40 }]),
    frame("ERROR", encodeError(5, error), [
      Op.ERROR,
      5,
      132,
      "offset_conflict",
      "the next offset is 12",
      false,
      { nextOffset: 12 },
    ]),
    frame("PUBLISH", encodePublish(head, batch), [Op.PUBLISH, 3, 8, 1, 2, null], 1),
    frame(
      "PUBLISH if the next offset is 2^33",
      encodePublish({ ...head, condition: 2 ** 33 }, batch),
      [Op.PUBLISH, 3, 8, 1, 2, 2 ** 33],
      1,
    ),
    frame(
      "PUBLISH if the key is new",
      encodePublish({ ...head, condition: key }, batch),
      [Op.PUBLISH, 3, 8, 1, 2, ["order-17", null]],
      1,
    ),
    frame("PUBLISH_ONE", publishOne(null), [Op.PUBLISH_ONE, 3, 9, null, 2, null, null, [null, "k", "v", null]]),
    frame("PUBLISH_ONE with sequence and time", publishOne(600), [
      Op.PUBLISH_ONE,
      3,
      9,
      2,
      2,
      600,
      null,
      [NOW, "k", "v", null],
    ]),
    frame("FLOW", encodeFlow(2, 65_536), [Op.FLOW, 2, 65_536]),
    frame("ACK of two runs", encodeFrame(Op.ACK, 3, 8, 1, 1, 500, 2, 3, 9, 100, 2, null, 3), [
      Op.ACK,
      3,
      8,
      1,
      1,
      500,
      2,
      3,
      9,
      100,
      2,
      null,
      3,
    ]),
    frame("CREDIT", encodeFrame(Op.CREDIT, 4096), [Op.CREDIT, 4096]),
    frame("DELIVER of two batches", deliver(batch), [Op.DELIVER, 2, 0], 2),
    ...queueFrameVectors(frame),
  ];
}

function queueFrameVectors(
  frame: (name: string, bytes: Uint8Array, content: unknown[], batches?: number) => Vector,
): Vector[] {
  const batch = encode(ROWS.slice(0, 3), true);
  const settle = { subscription: 4, correlation: null, outcome: Outcome.ACK, argument: null, ranges: [1, 100, 205, 1] };
  const death = { queue: "work", reason: "rejected", count: 2, atMs: NOW, exchange: "orders", routingKey: "eu.new" };
  const deaths = [["work", "rejected", 2, NOW, "orders", "eu.new"]];
  const plain = { subscription: 4, firstTag: 1, numbers: 2 ** 33, redelivered: null };
  const again = {
    subscription: 4,
    firstTag: 300,
    numbers: new Float64Array([70_000, 12, 13]),
    redelivered: new Map([
      [0, { deliveries: 1, deaths: [] }],
      [2, { deliveries: 0, deaths: [death] }],
    ]),
  };
  return [
    frame("SETTLE: two ranges of acks", encodeSettle(settle), [Op.SETTLE, 4, null, 0, null, [1, 100, 205, 1]]),
    frame(
      "SETTLE: retry by error class, answered",
      encodeSettle({ ...settle, correlation: 7, outcome: Outcome.RETRY, argument: "timeout", ranges: [2 ** 33, 1] }),
      [Op.SETTLE, 4, 7, 6, "timeout", [2 ** 33, 1]],
    ),
    frame(
      "SETTLE: retry after 90,000 ms",
      encodeSettle({ ...settle, outcome: Outcome.RETRY, argument: 90_000, ranges: [5, 1] }),
      [Op.SETTLE, 4, null, 6, 90_000, [5, 1]],
    ),
    frame("PREFETCH", encodeFrame(Op.PREFETCH, 4, 1000), [Op.PREFETCH, 4, 1000]),
    frame(
      "SETTLE_FAILED",
      encodeFrame(Op.SETTLE_FAILED, 4, 0, 9, 1, 183, "unknown_delivery", "delivery 9 is not open"),
      [Op.SETTLE_FAILED, 4, 0, 9, 1, 183, "unknown_delivery", "delivery 9 is not open"],
    ),
    frame(
      "QUEUE_EVENT: a lease runs out",
      encodeFrame(Op.QUEUE_EVENT, 4, "lease_warning", { tag: 9, number: 70_000, leaseMs: 30_000 }),
      [Op.QUEUE_EVENT, 4, "lease_warning", { tag: 9, number: 70_000, leaseMs: 30_000 }],
    ),
    frame("MESSAGES in a row", encodeMessages(plain, batch), [Op.MESSAGES, 4, 1, 2 ** 33, null], 1),
    frame(
      "MESSAGES with steps, redelivered and dead-lettered",
      encodeMessages(again, batch),
      [
        Op.MESSAGES,
        4,
        300,
        [70_000, -69_988, 1],
        [
          [0, 1, null],
          [2, 0, { deaths }],
        ],
      ],
      1,
    ),
    frame("RETURNED", encodeFrame(Op.RETURNED, 3, 8, 173, "unroutable", [0, 2]), [
      Op.RETURNED,
      3,
      8,
      173,
      "unroutable",
      [0, 2],
    ]),
  ];
}

function deliver(batch: Uint8Array): Uint8Array {
  const content = concat(new Uint8Array([0x93, Op.DELIVER, 2, 0]), batch, altered(batch, { baseOffset: 1 }));
  const frame = concat(new Uint8Array(5), content);
  frame[0] = 0xc6;
  new DataView(frame.buffer).setUint32(1, content.length);
  return frame;
}

/** Streams that end a connection, or a request, with an error. */
export function badFrameVectors(): Vector[] {
  const bad = (name: string, hex: string, error: string): Vector => ({ name, hex, error });
  return [
    bad("not a bin32", "c50001c0", "malformed_frame"),
    bad("longer than 16 MiB", "c601000001", "frame_too_large"),
    bad("empty content", "c600000000", "malformed_frame"),
    bad("content that is no array", "c600000001c0", "malformed_frame"),
    bad("an empty array", "c60000000190", "malformed_frame"),
    bad("an op that is no integer", "c60000000391a130", "malformed_frame"),
    bad("an array that claims 2^32-1 values", "c600000005ddffffffff", "malformed_frame"),
    bad("a string that claims 2^32-1 bytes", "c6000000079202dbffffffff", "malformed_frame"),
    bad("nesting 40 deep", `c600000029${"91".repeat(40)}02`, "malformed_frame"),
    bad("an extension type", "c6000000059202d60000".slice(0, 20), "malformed_frame"),
    bad("bytes behind the array", "c6000000049202 01 c0".replaceAll(" ", ""), "malformed_frame"),
  ];
}

export function murmur2Vectors(): Vector[] {
  const keys = ["", "a", "abc", "foobar", "order-17", "ключ", "a-little-bit-long-string", "x".repeat(100)];
  return keys.map((key) => {
    const bytes = utf8Bytes(key);
    const partitions = Object.fromEntries(
      [1, 2, 8, 12, 1000].map((count) => [count, partitionOf(bytes, 0, bytes.length, count)]),
    );
    return { name: JSON.stringify(key), hex: toHex(bytes), hash: murmur2(bytes), partitions };
  });
}

/** Files by name. */
export function allVectors(): { [file: string]: Vector[] } {
  return {
    "batches.json": batchVectors(),
    "bad-batches.json": badBatchVectors(),
    "frames.json": frameVectors(),
    "bad-frames.json": badFrameVectors(),
    "murmur2.json": murmur2Vectors(),
  };
}
