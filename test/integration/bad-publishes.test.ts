import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { ErrorName } from "../../src/errors/index.ts";
import { BATCH_HEADER_BYTES, compress, encodeFrame, encodePublish, Op, sealBatch } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { startBroker } from "./harness.ts";
import { batchOf, type Outcome, publishFrame, RawClient } from "./kit.ts";

/** Publishes that must not be stored: each is refused with its reason, the publisher goes on, the log has a good record more and nothing else. */

const BATCH_BYTES_MAX = 256 << 10;
const MESSAGE_BYTES_MAX = 64 << 10;

let broker: Broker;
let client: RawClient;
let nextOffset = 0;

beforeAll(async () => {
  broker = await startBroker({ batchBytesMax: BATCH_BYTES_MAX, messageBytesMax: MESSAGE_BYTES_MAX });
  client = await RawClient.connect(broker.port);
  await client.ok(Op.TOPIC_CREATE, { name: "t", partitions: 1, config: {} });
  await client.ok(Op.TOPIC_CREATE, { name: "compacted", partitions: 1, config: { compact: true } });
  await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
  await client.ok(Op.PUBLISHER_OPEN, 2, { topic: "compacted" });
});

afterAll(async () => {
  client[Symbol.dispose]();
  await broker.stop();
});

const head = { publisher: 1, correlation: 0, partition: 0, acks: 2, condition: null };

function publish(batch: Uint8Array, fields: Partial<typeof head> = {}): Promise<Outcome> {
  return publishFrame(client, encodePublish({ ...head, ...fields }, batch));
}

function publishOne(record: unknown, args: readonly unknown[] = [1, 0, 0, 2, null, null]): Promise<Outcome> {
  return publishFrame(client, encodeFrame(Op.PUBLISH_ONE, ...args, record));
}

/** The publisher is as good as before: the next record gets the next offset. */
async function goesOn(): Promise<void> {
  expect(await publish(batchOf(["good"]))).toEqual({ offset: nextOffset++, level: 1 });
}

/** A batch of two records with one byte of its header changed, and a CRC that fits. */
function changed(at: number, value: number, values: readonly string[] = ["one", "two"]): Uint8Array {
  const batch = batchOf(values);
  batch[at] = value;
  sealBatch(batch, 0, batch.length);
  return batch;
}

/** A batch whose records are these bytes. */
function withRecords(records: Uint8Array, attributes = 1): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES + records.length);
  batch.set(batchOf(["x"]).subarray(0, BATCH_HEADER_BYTES));
  batch.set(records, BATCH_HEADER_BYTES);
  batch[22] = attributes;
  new DataView(batch.buffer).setUint32(60, records.length);
  sealBatch(batch, 0, batch.length);
  return batch;
}

function flipped(at: number): Uint8Array {
  const batch = batchOf(["one", "two"]);
  batch[at] = (batch[at] ?? 0) ^ 1;
  return batch;
}

const ZSTD = 1 | (1 << 4);
const RECORD = [0x94, 0, 0xc0, 0xa1, 0x78, 0xc0];

const bad: readonly [what: string, batch: () => Uint8Array, error: ErrorName][] = [
  ["a flipped bit in a record", () => flipped(BATCH_HEADER_BYTES + 4), "bad_crc"],
  ["a flipped bit in the timestamp", () => flipped(34), "bad_crc"],
  ["a flipped bit in the CRC", () => flipped(17), "bad_crc"],
  ["one record announced too many", () => changed(27, 3), "record_count_mismatch"],
  ["one record announced too few", () => changed(27, 1), "record_count_mismatch"],
  ["2^32 - 1 announced records", () => withCount(0xffffffff), "record_count_mismatch"],
  ["no record", () => withCount(0), "bad_batch"],
  ["another version of batches", () => changed(22, 2), "bad_batch"],
  ["an unknown compression", () => changed(22, 1 | (5 << 4)), "bad_batch"],
  ["the control bit", () => changed(21, 0x08), "bad_batch"],
  ["the sparse bit", () => changed(21, 0x20), "bad_batch"],
  ["the bit for append time", () => changed(21, 0x04), "bad_batch"],
  ["the bit that must be zero", () => changed(21, 0x80), "bad_batch"],
  ["a header that is no fixed layout", () => changed(10, 0xcf), "bad_batch"],
  ["records that are no msgpack", () => withRecords(Uint8Array.of(0xc1, 0xc1)), "bad_record"],
  ["a record of three", () => withRecords(Uint8Array.of(0x93, 0, 0xc0, 0xc0)), "bad_record"],
  ["a record cut short", () => withRecords(Uint8Array.from(RECORD.slice(0, 5))), "bad_record"],
  [
    "a value that announces 4 GB",
    () => withRecords(Uint8Array.of(0x94, 0, 0xc0, 0xdb, 0xff, 0xff, 0xff, 0xff)),
    "bad_record",
  ],
  ["a key that is a number", () => withRecords(Uint8Array.of(0x94, 0, 7, 0xc0, 0xc0)), "bad_record"],
  [
    "a nil timestamp without absolute times",
    () => withRecords(Uint8Array.of(0x94, 0xc0, 0xc0, 0xc0, 0xc0)),
    "bad_record",
  ],
  ["nested headers", () => withRecords(Uint8Array.of(0x94, 0, 0xc0, 0xc0, 0x81, 0xa1, 0x61, 0x90)), "bad_record"],
  [
    "headers that announce 2^32 - 1 pairs",
    () => withRecords(Uint8Array.of(0x94, 0, 0xc0, 0xc0, 0xdf, 255, 255, 255, 255)),
    "bad_record",
  ],
  ["a message over the limit", () => batchOf(["x".repeat(MESSAGE_BYTES_MAX + 1)]), "message_too_large"],
  ["a batch over the limit", () => batchOf(Array.from({ length: 9 }, () => "x".repeat(30_000))), "batch_too_large"],
  ["zstd that is none", () => withRecords(Uint8Array.of(1, 2, 3, 4), ZSTD), "decompress_failed"],
  ["zstd that unfolds to 1 GB", () => withRecords(bomb(), ZSTD), "decompress_failed"],
  ["zstd of no record", () => withRecords(compress(new Uint8Array(100)), ZSTD), "bad_record"],
];

function withCount(count: number): Uint8Array {
  const batch = batchOf(["one", "two"]);
  new DataView(batch.buffer).setUint32(24, count);
  sealBatch(batch, 0, batch.length);
  return batch;
}

let bombBytes: Uint8Array | undefined;

function bomb(): Uint8Array {
  bombBytes ??= compress(new Uint8Array(1 << 30));
  expect(bombBytes.length).toBeLessThan(BATCH_BYTES_MAX);
  return bombBytes;
}

describe("a batch is refused for", () => {
  test.each(bad)("%s", async (_, batch, error) => {
    expect(await publish(batch())).toEqual({ error });
    await goesOn();
  });

  test("every flipped bit, wherever it is", async () => {
    const good = batchOf(["one", "two"]);
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const batch = good.slice();
      batch[bit >> 3] = (batch[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const outcome = await publish(batch);
      expect(["bad_crc", "bad_batch", "malformed_frame"], `bit ${bit}`).toContain(
        "error" in outcome ? outcome.error : "stored",
      );
    }
    await goesOn();
  }, 20_000);

  test("an end before the batch's own, or bytes behind it", async () => {
    const batch = batchOf(["one", "two"]);
    expect(await publish(batch.subarray(0, batch.length - 1))).toEqual({ error: "bad_batch" });
    expect(await publish(batch.subarray(0, 20))).toEqual({ error: "bad_batch" });
    expect(await publish(Buffer.concat([batch, batch]))).toEqual({ error: "bad_batch" });
    await goesOn();
  });
});

describe("a record by itself is refused for", () => {
  test.each([
    ["no array", "x", "malformed_frame"],
    ["three values", [null, null, "x"], "malformed_frame"],
    ["a negative time", [-1, null, "x", null], "malformed_frame"],
    ["a value over the limit", [null, null, "x".repeat(MESSAGE_BYTES_MAX + 1), null], "message_too_large"],
  ] as [string, unknown, ErrorName][])("%s", async (_, record, error) => {
    const outcome = await publishOne(record);
    // The reader of records says bad_record, the one of frames malformed_frame; both are final and name the fault.
    if (error === "malformed_frame")
      expect(["malformed_frame", "bad_record"]).toContain("error" in outcome ? outcome.error : "");
    else expect(outcome).toEqual({ error });
    await goesOn();
  });
});

describe("a publish is refused for", () => {
  test("a publisher, a partition or an ack level that there is not", async () => {
    const batch = batchOf(["x"]);
    expect(await publish(batch, { publisher: 77 })).toEqual({ error: "publisher_not_found" });
    expect(await publish(batch, { partition: 1 })).toEqual({ error: "partition_not_found" });
    expect(await publish(batch, { partition: 0xffffffff })).toEqual({ error: "partition_not_found" });
    expect(await publish(batch, { acks: 4 })).toEqual({ error: "invalid_argument" });
    await goesOn();
  });

  test("a record without a key on a compacted topic", async () => {
    expect(await publish(batchOf(["x"]), { publisher: 2 })).toEqual({ error: "bad_record" });
    expect(await publishOne([null, null, "x", null], [2, 0, 0, 2, null, null])).toEqual({ error: "bad_record" });
  });

  test("a condition that does not hold", async () => {
    const conflict = encodePublish({ ...head, condition: nextOffset + 5 }, batchOf(["x"]));
    client.send(conflict);
    const { args } = await client.takeOp(Op.NACK);
    expect([args[4], args[7]]).toEqual(["offset_conflict", { offset: nextOffset }]);
    const exists = encodePublish({ ...head, condition: { key: "nobody", lastOffset: 3 } }, batchOf(["x"]));
    expect(await publishFrame(client, exists)).toEqual({ error: "key_conflict" });
    await goesOn();
  });

  test("a topic that is deleted under its publisher", async () => {
    await client.ok(Op.TOPIC_CREATE, { name: "short-lived", partitions: 1, config: {} });
    await client.ok(Op.PUBLISHER_OPEN, 3, { topic: "short-lived" });
    expect(await publish(batchOf(["x"]), { publisher: 3 })).toEqual({ offset: 0, level: 1 });
    await client.ok(Op.TOPIC_DELETE, { name: "short-lived" });
    expect(await publish(batchOf(["x"]), { publisher: 3 })).toEqual({ error: "topic_deleted" });
    expect(await publishOne([null, null, "x", null], [3, 0, 0, 2, null, null])).toEqual({ error: "topic_deleted" });
    await client.ok(Op.PUBLISHER_CLOSE, 3);
    await goesOn();
  });
});

describe("an idempotent producer", () => {
  let pub = 10;
  let producerId = 0;
  let at = 0;

  beforeEach(async () => {
    pub += 1;
    producerId = Number((await client.ok(Op.PRODUCER_INIT, {}))["producerId"]);
    await client.ok(Op.PUBLISHER_OPEN, pub, { topic: "t", producerId, producerEpoch: 0 });
    at = nextOffset;
  });

  const send = (baseSequence: number, epoch = 0, id = producerId): Promise<Outcome> =>
    publish(batchOf(["a", "b"], { producerId: id, producerEpoch: epoch, baseSequence }), { publisher: pub });

  test("is told of a gap, and that what it sent twice is there", async () => {
    expect(await send(1)).toEqual({ error: "unknown_producer" });
    expect(await send(0)).toEqual({ offset: at, level: 1 });
    expect(await send(3)).toEqual({ error: "sequence_gap" });
    expect(await send(0)).toEqual({ offset: at, level: 1 });
    expect(await send(1)).toEqual({ error: "sequence_gap" });
    expect(await send(2)).toEqual({ offset: at + 2, level: 1 });
    nextOffset += 4;
    await goesOn();
  });

  test("is fenced by its successor, in batches and in single records", async () => {
    const single = (sequence: number): Promise<Outcome> =>
      publishOne([null, null, "s", null], [pub, 0, 0, 2, sequence, null]);
    expect(await single(0)).toEqual({ offset: at, level: 1 });
    const successor = await client.ok(Op.PRODUCER_INIT, { producerId, producerEpoch: 0 });
    expect(successor).toEqual({ producerId, producerEpoch: 1 });
    await client.ok(Op.PUBLISHER_OPEN, pub + 100, { topic: "t", ...successor });
    const taken = batchOf(["a"], { producerId, producerEpoch: 1, baseSequence: 0 });
    expect(await publish(taken, { publisher: pub + 100 })).toEqual({ offset: at + 1, level: 1 });
    expect(await send(1)).toEqual({ error: "producer_fenced" });
    expect(await single(1)).toEqual({ error: "producer_fenced" });
    nextOffset += 2;
    await goesOn();
  });

  test("cannot use an identity that its publisher was not opened with", async () => {
    expect(await send(0, 0, producerId + 1000)).toEqual({ error: "unknown_producer" });
    expect(await publishOne([null, null, "x", null], [1, 0, 0, 2, 0, null])).toEqual({ error: "invalid_argument" });
    await goesOn();
  });
});
