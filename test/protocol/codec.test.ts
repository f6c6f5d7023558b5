import { describe, expect, test } from "bun:test";
import {
  ABSOLUTE_TIMESTAMPS,
  BATCH_HEADER_BYTES,
  BatchEncoder,
  BatchReader,
  canCompress,
  crc32,
  decodeBatches,
  decodeControl,
  encodeBitmap,
  encodeError,
  encodeFrame,
  encodeOk,
  FrameReader,
  KeyPartitioner,
  murmur2,
  Op,
  pack,
  portableCrc32,
  readHeader,
  type Record,
  renumberBatch,
  sealBatch,
  SPARSE,
  unpack,
  utf8Bytes,
  writeHeader,
} from "../../src/protocol/index.ts";
import { MillraceError } from "../../src/errors/index.ts";

const NOW = 1_700_000_000_000;

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof MillraceError ? error.codeName : String(error);
  }
  return "none";
}

function batchOf(count: number, options: { absolute?: boolean; zstd?: boolean } = {}): Uint8Array {
  const encoder = new BatchEncoder({ absoluteTimestamps: options.absolute ?? false });
  for (let index = 0; index < count; index++) {
    encoder.append(NOW + index, `key-${index}`, `value ${index}`.repeat(3), { index });
  }
  encoder.finish({ compression: options.zstd ? "zstd" : "none" });
  return encoder.batch();
}

describe("a batch", () => {
  test("comes back as its records, whatever their types", () => {
    const encoder = new BatchEncoder();
    const long = "x".repeat(70_000);
    const rows: [string | Uint8Array | null, string | Uint8Array | null][] = [
      [null, null],
      ["", ""],
      ["k", "é€😀"],
      [new Uint8Array([1, 2]), new Uint8Array(300).fill(7)],
      ["ключ".repeat(20), "値".repeat(100)],
      [null, "v".repeat(40)],
    ];
    for (const [index, [key, value]] of rows.entries()) {
      expect(encoder.append(NOW + index * 100_000, key, value, null)).toBe(true);
    }
    expect(encoder.append(NOW, null, long)).toBe(false);
    encoder.finish();
    const batch = new BatchReader(encoder.batch(), 0, encoder.batchBytes, { topic: "t", partition: 3 });
    const bytesOf = (content: string | Uint8Array | null): number[] | null =>
      content === null ? null : [...(typeof content === "string" ? utf8Bytes(content) : content)];
    const read = [...batch];
    expect(read.length).toBe(rows.length);
    for (const [index, record] of read.entries()) {
      const [key, value] = rows[index] as (typeof rows)[number];
      expect(record.offset).toBe(index);
      expect(record.timestamp).toBe(NOW + index * 100_000);
      expect(record.key && [...record.key]).toEqual(bytesOf(key));
      expect(record.value && [...record.value]).toEqual(bytesOf(value));
      expect(record.topic).toBe("t");
      expect(record.partition).toBe(3);
      expect(record.headers).toEqual({});
    }
    expect(read[2]?.text()).toBe("é€😀");
  });

  test("keeps headers of every type that the contract allows", () => {
    const headers = {
      nothing: null,
      yes: true,
      no: false,
      small: 1,
      negative: -5,
      below: -40_000,
      wide: 2 ** 45,
      float: 1.5,
      text: "ü",
      bytes: new Uint8Array([9]),
    };
    const encoder = new BatchEncoder();
    encoder.append(NOW, null, "v", headers);
    encoder.append(NOW, null, "w", {});
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`h${index}`, index]));
    encoder.append(NOW, null, "x", many);
    encoder.finish();
    const [first, second, third] = [...new BatchReader(encoder.batch(), 0, encoder.batchBytes)] as Record[];
    const read = first?.headers ?? {};
    expect({ ...read, bytes: [...(read["bytes"] as Uint8Array)] }).toEqual({ ...headers, bytes: [9] as never });
    expect(second?.headers).toEqual({});
    expect(third?.headers).toEqual(many);
  });

  test("with absolute timestamps takes records in any order of time", () => {
    const encoder = new BatchEncoder({ absoluteTimestamps: true });
    const times = [NOW, NOW - 10_000_000_000, 0, NOW + 5];
    for (const time of times) expect(encoder.append(time, null, "v")).toBe(true);
    encoder.finish();
    const batch = new BatchReader(encoder.batch(), 0, encoder.batchBytes);
    expect([...batch].map((record) => record.timestamp)).toEqual(times);
    expect(batch.attributes & ABSOLUTE_TIMESTAMPS).not.toBe(0);
    expect(batch.header.baseTimestamp + batch.header.maxTimestampDelta).toBe(NOW + 5);
  });

  test("with deltas leaves a record from before its first to the next batch", () => {
    const encoder = new BatchEncoder();
    expect(encoder.append(NOW, null, "v")).toBe(true);
    expect(encoder.append(NOW - 1, null, "v")).toBe(false);
    expect(encoder.recordCount).toBe(1);
  });

  test("is full at its limit, but takes a first record of any size", () => {
    const encoder = new BatchEncoder({ batchBytesMax: 1000 });
    expect(encoder.append(NOW, null, new Uint8Array(5000))).toBe(true);
    expect(encoder.append(NOW, null, "v")).toBe(false);
    encoder.finish();
    expect([...new BatchReader(encoder.batch(), 0, encoder.batchBytes)][0]?.valueBytes).toBe(5000);
  });

  test("is compressed only where that makes it smaller", () => {
    if (!canCompress()) return;
    const packed = batchOf(100, { zstd: true });
    expect(packed.length).toBeLessThan(batchOf(100).length);
    expect([...new BatchReader(packed, 0, packed.length)].map((record) => record.keyText())).toEqual(
      Array.from({ length: 100 }, (_, index) => `key-${index}`),
    );
    const tiny = new BatchEncoder();
    tiny.append(NOW, null, "v");
    tiny.finish({ compression: "zstd" });
    expect(new BatchReader(tiny.batch(), 0, tiny.batchBytes).attributes & 0x70).toBe(0);
  });

  test("that is sparse gives its records the offsets of the bitmap", () => {
    const plain = batchOf(3);
    const bitmap = encodeBitmap(19, [2, 3, 18]);
    const records = plain.subarray(BATCH_HEADER_BYTES);
    const bytes = new Uint8Array(BATCH_HEADER_BYTES + bitmap.length + records.length);
    const header = readHeader(plain, 0, plain.length);
    writeHeader(bytes, 0, {
      ...header,
      baseOffset: 1000,
      attributes: header.attributes | SPARSE,
      recordsBytes: bitmap.length + records.length,
    });
    bytes.set(bitmap, BATCH_HEADER_BYTES);
    bytes.set(records, BATCH_HEADER_BYTES + bitmap.length);
    sealBatch(bytes, 0, bytes.length);
    const batch = new BatchReader(bytes, 0, bytes.length);
    expect(batch.span).toBe(19);
    expect(batch.nextOffset).toBe(1019);
    expect([...batch].map((record) => record.offset)).toEqual([1002, 1003, 1018]);
  });

  test("can be given other producer numbers after it was sealed", () => {
    const bytes = batchOf(2);
    renumberBatch(bytes, 0, bytes.length, { producerId: 2 ** 40, producerEpoch: 3, baseSequence: 77 });
    const { header } = new BatchReader(bytes, 0, bytes.length);
    expect([header.producerId, header.producerEpoch, header.baseSequence]).toEqual([2 ** 40, 3, 77]);
  });

  test("is refused with a typed error wherever one of its bytes is wrong", () => {
    const good = batchOf(5);
    const codes = new Set<string>();
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice();
      bad[at] = (bad[at] as number) ^ 0x55;
      const code = codeOf(() => [...new BatchReader(bad, 0, bad.length)]);
      codes.add(code);
      expect(code).not.toBe("none");
    }
    expect([...codes].sort()).toEqual(["bad_batch", "bad_crc"]);
  });

  test("is refused with a typed error wherever it is cut", () => {
    const good = batchOf(5);
    for (let end = 0; end < good.length; end++) {
      expect(codeOf(() => [...new BatchReader(good, 0, end)])).toBe("bad_batch");
    }
  });

  test("whose records are damaged behind a valid CRC is refused, never read past its end", () => {
    const good = batchOf(5);
    const seed = 12_345;
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state % below;
    };
    for (let round = 0; round < 5_000; round++) {
      const bad = good.slice();
      bad[BATCH_HEADER_BYTES + random(bad.length - BATCH_HEADER_BYTES)] = random(256);
      sealBatch(bad, 0, bad.length);
      try {
        for (const record of new BatchReader(bad, 0, bad.length)) {
          void record.value;
          void record.key;
        }
      } catch (error) {
        expect(`${seed}/${round} ${(error as MillraceError).codeName}`).toMatch(/bad_record|record_count_mismatch/);
      }
    }
  });

  test("stands among others in one buffer", () => {
    const [first, second] = [batchOf(2), batchOf(3)];
    const both = new Uint8Array(first.length + second.length);
    both.set(first);
    both.set(second, first.length);
    expect([...decodeBatches(both)].map((batch) => batch.header.recordCount)).toEqual([2, 3]);
  });
});

describe("frames", () => {
  const frames = [encodeFrame(Op.PING, 1), encodeOk(7, { a: [1, "x"] }), encodeFrame(Op.PONG, "t".repeat(300))];
  const stream = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  frames.reduce((at, frame) => (stream.set(frame, at), at + frame.length), 0);

  test("are found in a stream that is cut anywhere", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      for (const second of [cut, Math.min(stream.length, cut + 3)]) {
        const reader = new FrameReader();
        const seen: number[] = [];
        const parts = [stream.subarray(0, cut), stream.subarray(cut, second), stream.subarray(second)];
        for (const part of parts) reader.feed(part, (_, start, end) => seen.push(end - start));
        expect(seen).toEqual(frames.map((frame) => frame.length - 5));
        expect(reader.isEmpty).toBe(true);
      }
    }
  });

  test("arrive byte by byte", () => {
    const reader = new FrameReader();
    let count = 0;
    for (const byte of stream) reader.feed(new Uint8Array([byte]), () => count++);
    expect(count).toBe(3);
  });

  test("inside a chunk are not copied", () => {
    new FrameReader().feed(stream, (bytes) => expect(bytes).toBe(stream));
  });

  test("over the limit or of another kind end the stream with a typed error", () => {
    expect(codeOf(() => new FrameReader(10).feed(stream, () => undefined))).toBe("frame_too_large");
    expect(codeOf(() => new FrameReader().feed(new Uint8Array([0xc5]), () => undefined))).toBe("malformed_frame");
    const announced = new Uint8Array([0xc6, 0xff, 0xff, 0xff, 0xff]);
    expect(codeOf(() => new FrameReader().feed(announced, () => undefined))).toBe("frame_too_large");
  });

  test("decode to ops and arguments", () => {
    expect([...decodeControl(stream)]).toEqual([
      { op: Op.PING, args: [1] },
      { op: Op.OK, args: [7, { a: [1, "x"] }] },
      { op: Op.PONG, args: ["t".repeat(300)] },
    ]);
    expect(codeOf(() => [...decodeControl(stream.subarray(0, 9))])).toBe("malformed_frame");
  });

  test("carry errors with code, name, message, retryable and details", () => {
    const error = new MillraceError("disk_full", "no space", { details: { topic: "t" } });
    const [frame] = [...decodeControl(encodeError(3, error))];
    expect(frame).toEqual({ op: Op.ERROR, args: [3, 140, "disk_full", "no space", true, { topic: "t" }] });
    const [hidden] = [...decodeControl(encodeError(3, new Error("a secret")))];
    expect(hidden?.args.slice(1)).toEqual([1, "internal", "internal error", false, null]);
  });
});

describe("msgpack of control frames", () => {
  test("writes integers past 32 bits as integers", () => {
    const bytes = pack({ offset: 2 ** 40, negative: -(2 ** 40), big: Number.MAX_SAFE_INTEGER, nested: [2 ** 33] });
    expect([...bytes].includes(0xcb)).toBe(false);
    expect(unpack(bytes, 0, bytes.length)).toEqual({
      offset: 2 ** 40,
      negative: -(2 ** 40),
      big: Number.MAX_SAFE_INTEGER,
      nested: [2 ** 33],
    });
  });

  test("refuses extensions, depth, odd keys, cut values and trailing bytes", () => {
    const refuse = (bytes: number[]): string => codeOf(() => unpack(new Uint8Array(bytes), 0, bytes.length));
    expect(refuse([0xd4, 0x72, 0x40])).toBe("malformed_frame");
    expect(refuse([0xc7, 0x01, 0x00, 0x00])).toBe("malformed_frame");
    expect(refuse([0xd6, 0xff, 0, 0, 0, 0])).toBe("malformed_frame");
    expect(refuse([...new Array<number>(40).fill(0x91), 0x01])).toBe("malformed_frame");
    expect(refuse([0x81, 0x90, 0x01])).toBe("malformed_frame");
    expect(refuse([0xdd, 0xff, 0xff, 0xff, 0xff])).toBe("malformed_frame");
    expect(refuse([0xdf, 0xff, 0xff, 0xff, 0xff, 0x01])).toBe("malformed_frame");
    expect(refuse([0xdb, 0xff, 0xff, 0xff, 0xff])).toBe("malformed_frame");
    expect(refuse([0x01, 0x01])).toBe("malformed_frame");
    expect(refuse([])).toBe("malformed_frame");
    expect(refuse([0xc1])).toBe("malformed_frame");
  });

  test("a key __proto__ changes no prototype", () => {
    const bytes = new Uint8Array([0x81, 0xa9, ...utf8Bytes("__proto__"), 0x81, 0xa1, 0x61, 0x01]);
    const value = unpack(bytes, 0, bytes.length) as { a?: number };
    expect(value.a).toBeUndefined();
  });
});

describe("hashes", () => {
  test("both CRC implementations agree with zlib's known value", () => {
    const portable = portableCrc32();
    expect(crc32(utf8Bytes("123456789"))).toBe(0xcbf43926);
    for (const length of [0, 1, 7, 8, 9, 63, 64, 65, 1000]) {
      const bytes = new Uint8Array(length).map((_, index) => index * 31);
      expect(portable(bytes)).toBe(crc32(bytes));
      expect(portable(bytes, 0x1234_5678)).toBe(crc32(bytes, 0x1234_5678));
    }
  });

  test("murmur2 gives the values of Kafka's own test", () => {
    const known: [string, number][] = [
      ["21", -973_932_308],
      ["foobar", -790_332_482],
      ["a-little-bit-long-string", -985_981_536],
      ["a-little-bit-longer-string", -1_486_304_829],
      ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971],
      ["abc", 479_470_107],
    ];
    for (const [text, hash] of known) expect(murmur2(utf8Bytes(text))).toBe(hash);
  });

  test("text and its bytes pick the same partition", () => {
    const partitioner = new KeyPartitioner();
    for (const key of ["", "a", "ключ", "x".repeat(1000), "😀".repeat(100)]) {
      expect(partitioner.partitionOf(key, 13)).toBe(partitioner.partitionOf(utf8Bytes(key), 13));
    }
  });
});
