import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SegmentFile } from "../../src/cli/segment-file.ts";
import { type Batch, type Step, walk } from "../../src/cli/segment-walk.ts";
import { configOf } from "../../src/config/index.ts";
import { openEngine } from "../../src/log/native.ts";
import { BatchEncoder, encodeBitmap, sealBatch, writeHeader } from "../../src/protocol/index.ts";
import { jsonLines, runCli } from "./run-cli.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-inspect-"));
const NAME = "00000000000000000000.log";
const TIME = Date.UTC(2026, 0, 31, 12);
const SPARSE = 1 << 13;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Shape {
  offset: number;
  values: (string | Uint8Array | null)[];
  epoch?: number;
  compression?: "none" | "zstd";
}

/** A batch as it is stored. */
function batch({ offset, values, epoch = 3, compression = "none" }: Shape): Buffer {
  const encoder = new BatchEncoder({ batchBytesMax: 1 << 20 });
  for (const [index, value] of values.entries()) encoder.append(TIME + index, `key ${index}`, value, { n: index });
  encoder.finish({ compression });
  return placed(Buffer.from(encoder.batch()), offset, epoch);
}

function placed(bytes: Buffer, offset: number, epoch: number): Buffer {
  bytes.writeBigUInt64BE(BigInt(offset), 2);
  bytes.writeUInt32BE(epoch, 11);
  sealBatch(bytes, 0, bytes.length);
  return bytes;
}

/** A batch of which compaction left `positions` of `span`. */
function sparse(offset: number, span: number, positions: number[]): Buffer {
  const plain = batch({ offset, values: positions.map(String) });
  const content = Buffer.concat([encodeBitmap(span, positions), plain.subarray(64)]);
  const bytes = Buffer.concat([Buffer.alloc(64), content]);
  writeHeader(bytes, 0, {
    baseOffset: offset,
    epoch: 3,
    crc: 0,
    attributes: 1 | SPARSE,
    recordCount: positions.length,
    baseTimestamp: TIME,
    maxTimestampDelta: positions.length,
    producerId: 0,
    producerEpoch: 0,
    baseSequence: 0,
    recordsBytes: content.length,
  });
  return placed(bytes, offset, 3);
}

function segment(name: string, parts: readonly Buffer[]): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

function steps(path: string): Step[] {
  using file = new SegmentFile(path);
  return [...walk(file, true)];
}

function batches(path: string): Batch[] {
  return steps(path).flatMap((step) => (step.kind === "batch" ? [step.batch] : []));
}

const SOUND = [
  batch({ offset: 0, values: ["a", "b", "c"] }),
  batch({ offset: 3, values: ["x".repeat(2000)], compression: "zstd" }),
  sparse(4, 10, [1, 9]),
  batch({ offset: 14, values: [null, Uint8Array.of(0xff, 0x01)], epoch: 4 }),
];
const ZEROS = Buffer.alloc(70_000);

test("a segment with plain, compressed and sparse batches is walked to the end of its data", async () => {
  const path = segment(NAME, [...SOUND, ZEROS]);
  const { exit, out, err } = await runCli(["log", "inspect", "--records", "--json", path]);
  expect({ exit, err }).toEqual({ exit: 0, err: "" });
  const lines = jsonLines(out);
  const records = lines.filter(({ type }) => type === "record");
  expect(records.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 5, 13, 14, 15]);
  expect(records.map(({ value }) => value)).toEqual(["a", "b", "c", "x".repeat(2000), 1, 9, null, "/wE="]);
  expect(records[1]).toMatchObject({ key: "key 1", timestamp: TIME + 1, headers: { n: 1 } });
  const dataEnd = SOUND.reduce((sum, part) => sum + part.length, 0);
  const summary = {
    type: "summary",
    batches: 4,
    records: 8,
    firstOffset: 0,
    nextOffset: 16,
    dataEnd,
    damaged: false,
    gaps: 0,
  };
  expect(lines.at(-1)).toMatchObject({ ...summary, bytes: dataEnd + ZEROS.length });
});

test("people get one line a batch and where the data ends", async () => {
  const path = segment(NAME, [...SOUND, ZEROS]);
  const { exit, out } = await runCli(["log", "inspect", path]);
  expect(exit).toBe(0);
  const lines = out.split("\n");
  expect(lines[0]).toMatch(/POSITION +OFFSETS +RECORDS +BYTES +EPOCH +CRC +FIRST TIME +NOTES/);
  expect(lines[1]).toMatch(/ 0 +0-2 +3 +\d+ +3 +[0-9a-f]{8} +2026-01-31T12:00:00.000Z$/);
  expect(lines[2]).toEndWith("zstd");
  expect(lines[3]).toEndWith("sparse");
  expect(out).toMatch(/data ends at +byte \d+ of \d+/);
  expect(out).toMatch(/damage +none/);
});

test("a flipped bit anywhere in a batch is found, and what lies behind it is told apart", () => {
  const [first, second, , last] = SOUND as [Buffer, Buffer, Buffer, Buffer];
  for (let at = 0; at < first.length; at++) {
    const damaged = Buffer.from(first);
    damaged[at] = (damaged[at] as number) ^ 0x10;
    const found = steps(segment("flip.log", [damaged, second, last, ZEROS]));
    const [head, ...rest] = found;
    const isFound = head?.kind === "garbage" || (head?.kind === "batch" && head.batch.faults.length > 0);
    expect({ at, isFound }).toEqual({ at, isFound: true });
    const behind = rest.flatMap((step) =>
      step.kind === "batch" && step.batch.faults.length === 0 ? [step.batch.baseOffset] : [],
    );
    expect({ at, behind }).toEqual({ at, behind: [3, 14] });
  }
});

test("a segment that ends inside a batch is damaged at every cut but the boundary", () => {
  const [first, second] = SOUND as [Buffer, Buffer];
  for (let cut = 1; cut < second.length; cut += 3) {
    const found = steps(segment("cut.log", [first, second.subarray(0, cut)]));
    expect(found.map(({ kind }) => kind)).toEqual(["batch", "garbage"]);
  }
  expect(batches(segment("cut.log", [first, second])).every(({ faults }) => faults.length === 0)).toBe(true);
});

test("damage gives exit code 1, one line, and what the broker still serves", async () => {
  const [first, second, third, last] = SOUND as [Buffer, Buffer, Buffer, Buffer];
  const damaged = Buffer.from(second);
  damaged[70] = (damaged[70] as number) ^ 1;
  const path = segment(NAME, [first, damaged, third, last, ZEROS]);
  const { exit, out, err } = await runCli(["log", "inspect", "--summary", path]);
  expect(exit).toBe(1);
  expect(err).toMatch(/^error: corrupt_batch: .*offset 3: CRC is [0-9a-f]{8}, stored is [0-9a-f]{8} — .*\n$/);
  expect(err).toContain(`before byte ${first.length}; offset 3 is the first`);
  expect(out).toMatch(/damage +1 faults, 2 sound batches behind the first/);
});

test("offsets and epochs that fall are damage, gaps are only told", async () => {
  const [first] = SOUND as [Buffer];
  const repeated = await runCli(["log", "inspect", segment(NAME, [first, first])]);
  expect(repeated).toMatchObject({ exit: 1 });
  expect(repeated.err).toContain("lower than the next one, 3");
  const fallen = await runCli([
    "log",
    "inspect",
    segment(NAME, [first, batch({ offset: 3, values: ["a"], epoch: 2 })]),
  ]);
  expect(fallen.err).toContain("epoch 2 is lower than 3");
  const gap = await runCli(["log", "inspect", segment(NAME, [first, batch({ offset: 8, values: ["a"] })])]);
  expect(gap.exit).toBe(0);
  expect(gap.out).toContain("1 gaps (compaction leaves them)");
});

test("what a file held before it became this segment's is no damage", async () => {
  const old = Buffer.concat([0, 1, 2, 3].map((offset) => batch({ offset, values: ["y".repeat(300)] })));
  const fresh = batch({ offset: 40, values: ["z".repeat(200), "z"] });
  const name = "00000000000000000040.log";
  for (const behind of [old, old.subarray(1), old.subarray(fresh.length)]) {
    const { exit, out } = await runCli(["log", "inspect", "--json", "--summary", segment(name, [fresh, behind])]);
    const [summary] = jsonLines(out);
    expect({ exit, summary }).toMatchObject({
      exit: 0,
      summary: { batches: 1, nextOffset: 42, dataEnd: fresh.length },
    });
  }
  const newer = await runCli(["log", "inspect", segment(name, [fresh, old.subarray(1, 50), fresh])]);
  expect(newer.exit).toBe(1);
});

test("an empty segment and one of zeros hold nothing and are sound", async () => {
  for (const parts of [[], [ZEROS]]) {
    const { exit, out } = await runCli(["log", "inspect", "--json", segment(NAME, parts)]);
    expect(exit).toBe(0);
    expect(jsonLines(out)).toMatchObject([{ type: "summary", batches: 0, dataEnd: 0, firstOffset: null }]);
  }
});

test("a file that is missing, a directory and another kind of file are told in one line", async () => {
  expect((await runCli(["log", "inspect", join(folder, "none")])).err).toMatch(
    /^error: file: .* does not exist — check the path\n$/,
  );
  expect((await runCli(["log", "inspect", folder])).err).toMatch(/^error: file: .* is a directory — name a file\n$/);
  const text = segment("text.log", [Buffer.from("no segment at all\n")]);
  expect((await runCli(["log", "inspect", text])).exit).toBe(1);
});

let written = "";

beforeAll(async () => {
  const dataDir = mkdtempSync(join(folder, "data-"));
  const { config } = configOf({ dataDir }, folder);
  const engine = openEngine({ ...config, dataDir, workers: 1, manualClockMs: null });
  const log = {
    ...config,
    compact: false,
    durability: "written",
    storage: "log",
    memoryBytesMax: 0,
    timestampType: "create",
    deliveryPriority: "normal",
    internal: false,
  } as const;
  engine.ensureLog(16, 1, log);
  for (let turn = 0; turn < 50; turn++) {
    const values = Array.from({ length: turn + 1 }, (_, index) => JSON.stringify({ turn, index }));
    engine.append(16, 0, zeroed(batch({ offset: 0, values, compression: turn % 2 === 0 ? "none" : "zstd" })), -1);
  }
  await engine.close();
  const partition = join(dataDir, "logs", "16", "0");
  const name = readdirSync(partition).find((each) => each.endsWith(".log")) ?? "";
  written = join(partition, name);
});

/** As a producer sends it: without offset and epoch. */
function zeroed(bytes: Buffer): Buffer {
  return placed(bytes, 0, 0);
}

test("a segment that the Rust core wrote is walked with plain msgpack", async () => {
  const { exit, out, err } = await runCli(["log", "inspect", "--records", "--json", written]);
  expect({ exit, err }).toEqual({ exit: 0, err: "" });
  const lines = jsonLines(out);
  const offsets = lines.flatMap((line) => (line["type"] === "record" ? [line["offset"] as number] : []));
  expect(offsets).toEqual(Array.from({ length: 1275 }, (_, offset) => offset));
  expect(lines.at(-1)).toMatchObject({ batches: 50, records: 1275, nextOffset: 1275, damaged: false });
  const bytes = readFileSync(written);
  bytes[(lines.at(-1)?.["dataEnd"] as number) - 1] = (bytes[(lines.at(-1)?.["dataEnd"] as number) - 1] as number) ^ 1;
  const damaged = await runCli(["log", "inspect", "--json", segment(NAME, [bytes])]);
  expect(damaged.exit).toBe(1);
  expect(jsonLines(damaged.out).at(-1)).toMatchObject({ batches: 49, nextOffset: 1225 });
});
