import { describe, expect, test } from "bun:test";
import { encodeFrame, Op, readHeader } from "../../src/protocol/index.ts";
import { Skimmer } from "../../bench/limits/skimmer.ts";
import { batchUnit, blankUnit, singlesUnit, unitsFor } from "../../bench/limits/units.ts";

const FRAME_HEAD_BYTES = 5;

/** A delivery of so many bytes of batches, with numbers of any width. */
function delivery(subscription: number, source: number, batchBytes: number): Uint8Array {
  const head = encodeFrame(Op.DELIVER, subscription, source);
  const bytes = new Uint8Array(head.length + batchBytes).fill(0xc6, head.length);
  bytes.set(head);
  new DataView(bytes.buffer).setUint32(1, bytes.length - FRAME_HEAD_BYTES);
  return bytes;
}

interface Seen {
  readonly ops: number[];
  readonly delivered: [frameBytes: number, batchBytes: number][];
}

function skim(stream: Uint8Array, chunkBytes: number): Seen {
  const seen: Seen = { ops: [], delivered: [] };
  const skimmer = new Skimmer({
    control: (bytes, start, end) => {
      expect(end).toBeLessThanOrEqual(bytes.length);
      seen.ops.push(bytes[start + 1] as number);
    },
    delivered: (frameBytes, batchBytes) => seen.delivered.push([frameBytes, batchBytes]),
  });
  for (let at = 0; at < stream.length; at += chunkBytes) skimmer.feed(stream.subarray(at, at + chunkBytes));
  return seen;
}

describe("the load's reader", () => {
  const deliveries = [delivery(1, 1, 64), delivery(200, 70_000, 100_000), delivery(1, 300, 1), delivery(1, 2, 5_000)];
  const controls = [
    encodeFrame(Op.PING, 1),
    encodeFrame(Op.CREDIT, 24),
    encodeFrame(Op.OK, 1, { text: "x".repeat(5_000) }),
  ];
  const stream = new Uint8Array(
    Buffer.concat([
      controls[0]!,
      deliveries[0]!,
      deliveries[1]!,
      controls[1]!,
      deliveries[2]!,
      controls[2]!,
      deliveries[3]!,
    ]),
  );

  test.each([1, 2, 3, 7, 16, 17, 1_000, 65_536, 1_000_000])("finds every frame in chunks of %d bytes", (chunkBytes) => {
    const { ops, delivered } = skim(stream, chunkBytes);
    expect(ops).toEqual([Op.PING, Op.CREDIT, Op.OK]);
    expect(delivered.map(([, batchBytes]) => batchBytes)).toEqual([64, 100_000, 1, 5_000]);
    expect(delivered.map(([frameBytes]) => frameBytes)).toEqual(deliveries.map((frame) => frame.length));
  });

  test("refuses what is no frame", () => {
    expect(() => skim(new Uint8Array(32), 32)).toThrow("a frame begins with 0x0");
  });
});

describe("what the load sends", () => {
  const options = { recordBytes: 100, acks: 2, writeBytes: 256 * 1024 };

  test("a write of batches is whole frames, and the unit whole writes", () => {
    const unit = batchUnit({ ...options, batchBytes: 64 * 1024, partitions: 10, frames: 10 });
    const frameBytes = unit.bytes.length / unit.publishes;
    expect(unit.publishes).toBe(12);
    expect(unit.strideBytes).toBe(frameBytes * 4);
    expect(unit.bytes.length % unit.strideBytes).toBe(0);
    const headBytes = frameBytes - unit.batchBytes / unit.publishes;
    const { recordCount } = readHeader(unit.bytes, headBytes, frameBytes);
    expect(unit.records).toBe(recordCount * 12);
    expect(unit.bytes[0]).toBe(0xc6);
    expect(unit.bytes[frameBytes]).toBe(0xc6);
  });

  test("single records are frames of one length, as many as one write holds", () => {
    const unit = singlesUnit(options);
    expect(unit.bytes.length).toBeGreaterThanOrEqual(options.writeBytes);
    expect(unit.bytes.length % unit.publishes).toBe(0);
    expect(unit.strideBytes).toBe(unit.bytes.length);
    expect(unit.records).toBe(unit.publishes);
  });

  test("units are counted up to at least the bytes asked for", () => {
    expect(unitsFor(blankUnit(1_000), 2_500).count).toBe(3);
  });
});
