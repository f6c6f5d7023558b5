import { describe, expect, test } from "bun:test";
import {
  BatchReader,
  decodeBatches,
  decodeControl,
  FrameReader,
  murmur2,
  Op,
  opOf,
  partitionOf,
  readAck,
  readDeliverHead,
  readMessagesHead,
  readSettle,
  type Record,
  skip,
  unpack,
} from "../../src/protocol/index.ts";
import { allVectors, type Vector } from "../../src/protocol/vectors/build.ts";
import { MillraceError } from "../../src/errors/index.ts";

const folder = new URL("../../src/protocol/vectors/", import.meta.url);
const read = async (file: string): Promise<Vector[]> => (await Bun.file(new URL(file, folder)).json()) as Vector[];
const bytesOf = (vector: Vector): Uint8Array => new Uint8Array(Buffer.from(vector.hex, "hex"));
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString("hex"));

const batches = await read("batches.json");
const badBatches = await read("bad-batches.json");
const frames = await read("frames.json");
const badFrames = await read("bad-frames.json");
const hashes = await read("murmur2.json");

function contentHex(blob: { str?: string; bin?: string } | null): string | null {
  if (blob === null) return null;
  return blob.str === undefined ? (blob.bin as string) : Buffer.from(blob.str).toString("hex");
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as MillraceError).codeName;
  }
  return "none";
}

test("the vectors' files are what the generator makes", async () => {
  for (const [file, vectors] of Object.entries(allVectors())) {
    expect(await read(file)).toEqual(JSON.parse(JSON.stringify(vectors)) as Vector[]);
  }
});

describe("batches", () => {
  for (const vector of batches) {
    test(vector.name, () => {
      const bytes = bytesOf(vector);
      const batch = new BatchReader(bytes, 0, bytes.length);
      expect(batch.header as unknown).toEqual(vector["header"]);
      expect(batch.span).toBe(vector["span"] as number);
      const records = vector["records"] as { key: null; value: null; headers: object | null }[];
      const seen = [...batch].map((record: Record) => ({
        offset: record.offset,
        timestamp: record.timestamp,
        key: text(record.key),
        value: text(record.value),
        headers: record.headers,
      }));
      const expected = records.map((record) => ({
        ...record,
        key: contentHex(record.key),
        value: contentHex(record.value),
        headers: record.headers ?? {},
      }));
      expect(seen as unknown).toEqual(expected);
    });
  }

  for (const vector of badBatches) {
    test(`refused with ${String(vector["error"])}: ${vector.name}`, () => {
      const bytes = bytesOf(vector);
      const code = codeOf(() => [...new BatchReader(bytes, 0, bytes.length)]);
      expect(code).toBe(vector["error"] as string);
    });
  }
});

describe("frames", () => {
  for (const vector of frames) {
    test(vector.name, () => {
      let seen = 0;
      new FrameReader().feed(bytesOf(vector), (bytes, start, end) => {
        seen++;
        const arrayEnd = skip(bytes, start, end);
        expect(unpack(bytes, start, arrayEnd)).toEqual(vector["content"]);
        expect([...decodeBatches(bytes, arrayEnd, end)].length).toBe(vector["batches"] as number);
        if (opOf(bytes, start, end) === Op.DELIVER) {
          expect(readDeliverHead(bytes, start, end)).toEqual({ subscription: 2, source: 0, batchesStart: arrayEnd });
        }
        if (opOf(bytes, start, end) === Op.MESSAGES) {
          const { batchStart, firstTag } = readMessagesHead(bytes, start, end);
          expect([batchStart, firstTag]).toEqual([arrayEnd, (vector["content"] as number[])[2] as number]);
        }
        if (opOf(bytes, start, end) === Op.SETTLE) {
          const { ranges, argument } = readSettle(bytes, start, end);
          expect([argument, ranges]).toEqual(
            (vector["content"] as [never, never, never, never, null, number[]]).slice(4),
          );
        }
        if (opOf(bytes, start, end) === Op.ACK) {
          const runs: unknown[] = [];
          readAck(bytes, start, end, (...run) => runs.push(...run));
          expect(runs).toEqual((vector["content"] as unknown[]).slice(1));
        }
      });
      expect(seen).toBe(1);
    });
  }

  for (const vector of badFrames) {
    test(`refused with ${String(vector["error"])}: ${vector.name}`, () => {
      expect(codeOf(() => [...decodeControl(bytesOf(vector))])).toBe(vector["error"] as string);
    });
  }
});

test("murmur2 and partitions", () => {
  for (const vector of hashes) {
    const bytes = bytesOf(vector);
    expect(murmur2(bytes)).toBe(vector["hash"] as number);
    for (const [count, partition] of Object.entries(vector["partitions"] as { [count: string]: number })) {
      expect(partitionOf(bytes, 0, bytes.length, Number(count))).toBe(partition);
    }
  }
});

test("the session in the specification is made of frames that decode", async () => {
  const specification = await Bun.file(new URL("../README.md", folder)).text();
  const lines = specification.split("\n").filter((line) => /^[CS] c6( [0-9a-f]{2})+$/.test(line));
  const ops = lines.map((line) => {
    const bytes = new Uint8Array(Buffer.from(line.slice(2).replaceAll(" ", ""), "hex"));
    let op = 0;
    new FrameReader().feed(bytes, (content, start, end) => {
      op = opOf(content, start, end);
      const arrayEnd = skip(content, start, end);
      for (const batch of decodeBatches(content, arrayEnd, end)) {
        expect([...batch].map((record) => record.text())).toEqual(["hello"]);
      }
    });
    return op;
  });
  expect(ops).toEqual([1, 30, 5, 40, 5, 11, 22, 20, 50, 5, 23, 25, 51, 5, 4]);
});
