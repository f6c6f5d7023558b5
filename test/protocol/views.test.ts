import { describe, expect, test } from "bun:test";
import type { MillraceError } from "../../src/errors/index.ts";
import {
  BATCH_HEADER_BYTES,
  BatchEncoder,
  BatchReader,
  BatchView,
  encodeFrame,
  FrameReader,
  Op,
  type Record,
  sealBatch,
  writeHeader,
} from "../../src/protocol/index.ts";
import type { Vector } from "../../src/protocol/vectors/build.ts";

const NOW = 1_700_000_000_000;

const folder = new URL("../../src/protocol/vectors/", import.meta.url);
const read = async (file: string): Promise<Vector[]> => (await Bun.file(new URL(file, folder)).json()) as Vector[];
const bytesOf = ({ hex }: Vector): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const batches = await read("batches.json");
const badBatches = await read("bad-batches.json");

function outcomeOf(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return (error as MillraceError).codeName;
  }
}

function shown(record: Record): unknown {
  const { offset, timestamp, key, value, headers, valueStart, valueEnd, keyStart, keyEnd } = record;
  return { offset, timestamp, key, value, headers, valueStart, valueEnd, keyStart, keyEnd };
}

function shownAt(view: BatchView, index: number): unknown {
  const { key, headers } = view.at(index);
  return {
    offset: view.offsetAt(index),
    timestamp: view.timestampAt(index),
    key,
    value: view.valueAt(index),
    headers,
    valueStart: view.valueStart(index),
    valueEnd: view.valueEnd(index),
    keyStart: view.keyStart(index),
    keyEnd: view.keyEnd(index),
  };
}

function allOf(view: BatchView): unknown[] {
  return Array.from({ length: view.length }, (_, index) => shownAt(view, index));
}

function batchOf(count: number, base = 0, key: string | null = null): Uint8Array {
  const encoder = new BatchEncoder();
  for (let index = 0; index < count; index++) encoder.append(NOW + index, key, `value ${base + index}`.repeat(3));
  encoder.finish();
  const batch = encoder.batch().slice();
  const { header } = new BatchReader(batch, 0, batch.length);
  writeHeader(batch, 0, { ...header, baseOffset: base });
  sealBatch(batch, 0, batch.length);
  return batch;
}

describe("a view of a batch", () => {
  for (const vector of batches) {
    test(`shows what its reader shows: ${vector.name}`, () => {
      const bytes = bytesOf(vector);
      const batch = new BatchReader(bytes, 0, bytes.length);
      const view = new BatchView(batch);
      expect(allOf(view)).toEqual([...batch].map(shown));
      expect([...view].map(shown)).toEqual([...batch].map(shown));
    });
  }

  for (const vector of badBatches) {
    test(`is refused with ${String(vector["error"])}: ${vector.name}`, () => {
      const bytes = bytesOf(vector);
      const view = (): unknown => allOf(new BatchView(new BatchReader(bytes, 0, bytes.length)));
      expect(outcomeOf(view)).toBe(vector["error"] as string);
    });
  }

  test("takes any range of offsets, of sparse batches too", () => {
    const sparse = batches.filter(({ name }) => name.includes("sparse")).map(bytesOf);
    expect(sparse.length).toBeGreaterThan(0);
    for (const bytes of [batchOf(9, 100), ...sparse]) {
      const batch = new BatchReader(bytes, 0, bytes.length);
      const { baseOffset } = batch.header;
      for (let from = baseOffset - 2; from < batch.nextOffset + 2; from++) {
        for (let until = from; until < batch.nextOffset + 2; until++) {
          for (const countMax of [1, 4, Number.POSITIVE_INFINITY]) {
            const expected = [...batch].filter(({ offset }) => offset >= from && offset < until).slice(0, countMax);
            expect(allOf(new BatchView(batch, { from, until, countMax }))).toEqual(expected.map(shown));
          }
        }
      }
    }
  });

  test("knows no record outside of itself", () => {
    const bytes = batchOf(3);
    const view = new BatchView(new BatchReader(bytes, 0, bytes.length));
    for (const index of [-1, 3, 0.5, Number.NaN]) expect(() => view.at(index)).toThrow(RangeError);
  });

  test("of damaged records behind a valid CRC fails as the reader does, and reads nothing outside", () => {
    let state = 54_321;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state % below;
    };
    const good = [batchOf(5), batchOf(5, 7, "key")];
    for (let round = 0; round < 6_000; round++) {
      const bad = (good[round % 2] as Uint8Array).slice();
      bad[BATCH_HEADER_BYTES + random(bad.length - BATCH_HEADER_BYTES)] = random(256);
      sealBatch(bad, 0, bad.length);
      const batch = new BatchReader(bad, 0, bad.length);
      const expected = outcomeOf(() => [...batch].map(shown));
      expect(outcomeOf(() => allOf(new BatchView(batch)))).toEqual(expected);
    }
  });

  test("of a count that the bytes cannot hold allocates nothing", () => {
    const bytes = batchOf(2);
    const { header } = new BatchReader(bytes, 0, bytes.length);
    writeHeader(bytes, 0, { ...header, recordCount: 0xffffffff });
    sealBatch(bytes, 0, bytes.length);
    const view = (): unknown => new BatchView(new BatchReader(bytes, 0, bytes.length));
    expect(outcomeOf(view)).toBe("record_count_mismatch");
  });
});

describe("a delivery that comes in parts", () => {
  const inside = [batchOf(3), batchOf(40, 3), batchOf(1, 43), batchOf(20, 44)];
  const head = encodeFrame(Op.DELIVER, 7, 300);
  const delivery = Buffer.concat([head, ...inside]);
  delivery.writeUInt32BE(delivery.length - 5, 1);
  const ping = encodeFrame(Op.PING, 1);
  const stream = Buffer.concat([ping, delivery, ping]);

  /** Feeds the stream in pieces; returns the offsets seen, in order. */
  function feed(pieces: readonly Uint8Array[]): number[] {
    const reader = new FrameReader();
    const offsets: number[] = [];
    let frames = 0;
    let frameBytes = 0;
    for (const piece of pieces) {
      reader.feed(
        piece,
        (bytes, start, end) => {
          if (bytes[start + 1] === Op.PING) frames++;
          else offsets.push(...offsetsOf(bytes, start + head.length - 5, end));
          if (bytes[start + 1] !== Op.PING) frameBytes += end - start + 5;
        },
        (subscription, source, bytes, start, end, partBytes) => {
          expect([subscription, source]).toEqual([7, 300]);
          offsets.push(...offsetsOf(bytes, start, end));
          frameBytes += partBytes;
        },
      );
    }
    expect(reader.isEmpty).toBe(true);
    expect(frames).toBe(2);
    expect(frameBytes).toBe(delivery.length);
    return offsets;
  }

  function offsetsOf(bytes: Uint8Array, start: number, end: number): number[] {
    const offsets: number[] = [];
    for (let at = start; at < end;) {
      const batch = new BatchReader(bytes, at, end);
      for (const { offset } of batch) offsets.push(offset);
      at = batch.batchEnd;
    }
    return offsets;
  }

  const expected = Array.from({ length: 64 }, (_, index) => index);

  test("is whole batches wherever it is cut", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      for (const second of [cut, Math.min(stream.length, cut + 30), Math.min(stream.length, cut + 500)]) {
        expect(feed([stream.subarray(0, cut), stream.subarray(cut, second), stream.subarray(second)])).toEqual(
          expected,
        );
      }
    }
  });

  test("may come in pieces of any size", () => {
    for (const size of [1, 2, 7, 63, 64, 65, 100, 900]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size));
      expect(feed(pieces)).toEqual(expected);
    }
  });

  test("is read from the chunk itself but for the batch over its end", () => {
    const chunk = stream.subarray(0, stream.length - ping.length - 10);
    const seen: boolean[] = [];
    const sink = (): void => undefined;
    const reader = new FrameReader();
    reader.feed(chunk, sink, (_, __, bytes) => seen.push(bytes === chunk));
    reader.feed(stream.subarray(chunk.length), sink, (_, __, bytes) => seen.push(bytes === chunk));
    expect(seen).toEqual([true, false]);
  });

  test("with a batch that claims more than the frame gives the frame's bytes and no more", () => {
    const bad = Buffer.from(stream);
    const lengthAt = ping.length + head.length + BATCH_HEADER_BYTES - 4;
    bad.writeUInt32BE(0x7fffffff, lengthAt);
    for (const cut of [lengthAt - 10, lengthAt + 10, stream.length - ping.length - 1]) {
      const reader = new FrameReader();
      let bytesSeen = 0;
      let pings = 0;
      const parts = (_: number, __: number, ___: Uint8Array, start: number, end: number): void => {
        bytesSeen += end - start;
      };
      for (const piece of [bad.subarray(0, cut), bad.subarray(cut)]) reader.feed(piece, () => pings++, parts);
      expect(bytesSeen).toBe(delivery.length - head.length);
      expect(pings).toBe(2);
    }
  });
});
