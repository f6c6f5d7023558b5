import { expect, test } from "bun:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { RecordBatchCodec } from "../../src/broker/record-batch.ts";
import { decodeBatches } from "../../src/protocol/index.ts";

const codec = new RecordBatchCodec();

test("records of internal logs come back as they went in, numbers past 32 bits included", () => {
  const number = fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
  const leaf = fc.oneof(fc.string(), number, fc.boolean(), fc.constant(null));
  const value = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.oneof(leaf, fc.array(leaf)), {
    noNullPrototype: true,
  });
  const record = fc.record({ key: fc.string({ minLength: 1 }), value: fc.oneof(value, fc.constant(null)) });
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
      const { records: read, nextOffset } = codec.decode(codec.encode(records, 1234));
      expect(nextOffset).toBe(records.length);
      expect(read.map(({ key, value: content }) => ({ key, value: content }))).toEqual(records);
      expect(read.map(({ offset }) => offset)).toEqual(records.map((_, index) => index));
      expect(read.every(({ timestampMs }) => timestampMs === 1234)).toBe(true);
    }),
  );
});

test("the batch is one that every client can read", () => {
  const batch = codec.encode(
    [
      { key: "topic default t", value: { id: 2 ** 40 } },
      { key: "gone", value: null },
    ],
    99,
  );
  const [first, second] = [...decodeBatches(batch)].flatMap((each) => [...each.records()]);
  expect(new TextDecoder().decode(first?.key ?? undefined)).toBe("topic default t");
  expect(second?.value).toBeNull();
  expect(first?.timestamp).toBe(99);
});

test("sparse batches, which compaction leaves, keep their offsets", () => {
  // Records 0 and 2 of 3 survive: the bitmap is 1 0 1 with 5 unused bits.
  const whole = Buffer.from(
    codec.encode(
      [
        { key: "a", value: 1 },
        { key: "c", value: 3 },
      ],
      7,
    ),
  );
  const sparse = Buffer.concat([whole.subarray(0, 64), Uint8Array.of(0xc4, 2, 5, 0b1010_0000), whole.subarray(64)]);
  sparse.writeUInt16BE(sparse.readUInt16BE(21) | (1 << 13), 21);
  sparse.writeUInt32BE(sparse.length - 64, 60);
  sparse.writeBigUInt64BE(100n, 2);
  sparse.writeUInt32BE(crc32(sparse.subarray(20), crc32(sparse.subarray(0, 15))), 16);
  const { records, nextOffset } = codec.decode(sparse);
  expect(records.map(({ key, offset }) => [key, offset])).toEqual([
    ["a", 100],
    ["c", 102],
  ]);
  expect(nextOffset).toBe(103);
});

test("bytes that are no batch are refused, not misread", () => {
  expect(() => codec.decode(new Uint8Array(10))).toThrow("cut short");
  const batch = codec.encode([{ key: "a", value: 1 }], 0);
  expect(() => codec.decode(batch.subarray(0, batch.length - 1))).toThrow("cut short");
});
