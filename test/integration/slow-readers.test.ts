import { afterEach, beforeEach, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { ERRORS } from "../../src/errors/index.ts";
import { BATCH_HEADER_BYTES, decodeBatches, encodePublish, Op } from "../../src/protocol/index.ts";
import { place, ServerProcess } from "../crash/server-process.ts";
import { THREADS, until } from "./harness.ts";
import { anonymousBytes, batchOf, metric, publishFrame, RawClient } from "./kit.ts";

/**
 * Segments go while readers that stopped reading hold unsent views of them. What those readers then get is right or ends
 * with a reason; the space is free although they held on; and none of them costs more than its share of memory.
 */

const MIB = 1 << 20;
const WRITE_BYTES_PER_TURN = 256 << 10;
const RECORDS_PER_BATCH = 32;
const VALUE_BYTES = 2000;
const BATCH_BYTES = BATCH_HEADER_BYTES + RECORDS_PER_BATCH * (VALUE_BYTES + 7);
const CREDIT_BYTES = 64 * MIB;

let where: Awaited<ReturnType<typeof place>>;
let server: ServerProcess;
let admin: RawClient;

beforeEach(async () => {
  where = await place();
  const flags = ["--threads", String(THREADS), "--segment-bytes", String(2 * MIB), "--retention-check-ms", "20"];
  server = await ServerProcess.start(where, flags);
  admin = await RawClient.connect(where.port);
});

afterEach(async () => {
  admin[Symbol.dispose]();
  // Whatever was done to it, it lives and ends well.
  expect(await server.stop()).toBe(0);
  await where[Symbol.asyncDispose]();
});

/** The value of a record tells where it belongs. */
function valueAt(offset: number): Buffer {
  const value = Buffer.alloc(VALUE_BYTES, offset & 0xff);
  value.writeBigUInt64BE(BigInt(offset));
  return value;
}

/** Appends batches until the partition holds `records` records more; each is acknowledged. */
async function fill(publisher: number, from: number, records: number, perBatch = RECORDS_PER_BATCH): Promise<number> {
  for (let offset = from; offset < from + records; offset += perBatch) {
    const batch = batchOf(Array.from({ length: perBatch }, (_, n) => valueAt(offset + n)));
    const head = { publisher, correlation: 0, partition: 0, acks: 2, condition: null };
    expect(await publishFrame(admin, encodePublish(head, batch))).toEqual({ offset, level: 2 });
  }
  return from + records;
}

async function createTopic(name: string, publisher: number, config: Record<string, unknown> = {}): Promise<void> {
  await admin.ok(Op.TOPIC_CREATE, { name, partitions: 1, config });
  await admin.ok(Op.PUBLISHER_OPEN, publisher, { topic: name });
}

type Over = "tcp" | "ws";

/** Readers that stop reading at once. */
async function stalledReaders(topic: string, count: number, over: Over, from = "earliest"): Promise<RawClient[]> {
  const port = over === "tcp" ? where.port : where.httpPort;
  const readers: RawClient[] = [];
  for (let n = 0; n < count; n += 1) {
    const reader = await RawClient.connect(port, {}, over);
    await reader.ok(Op.SUBSCRIBE, 1, { topic, from, creditBytes: CREDIT_BYTES });
    reader.wire.pause();
    readers.push(reader);
  }
  return readers;
}

/** Resolves when the broker has sent all that the sockets take. */
async function stalled(): Promise<void> {
  let last = -1;
  let same = 0;
  await until("nothing moves", async () => {
    const bytes = await metric(where.httpPort, "millrace_bytes_out_total");
    same = bytes === last ? same + 1 : 0;
    last = bytes;
    return bytes > 0 && same >= 10;
  });
}

/** Bytes that the folder takes on disk; files that go meanwhile count nothing. */
function diskBytes(path: string): number {
  let bytes = 0;
  for (const name of readdirSync(path, { recursive: true, encoding: "utf8" })) {
    const { blocks } = statSync(join(path, name), { throwIfNoEntry: false }) ?? { blocks: 0 };
    bytes += blocks * 512;
  }
  return bytes;
}

/** Maps and descriptors of files of the data directory that are unlinked: their space is not free yet. */
function heldFiles(): string[] {
  const proc = `/proc/${server.pid}`;
  const maps = readFileSync(`${proc}/maps`, "utf8").split("\n");
  const links = readdirSync(`${proc}/fd`).map((fd) => {
    try {
      return readlinkSync(`${proc}/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return [...maps, ...links].filter((line) => line.includes(where.dataDir) && line.endsWith("(deleted)"));
}

async function spaceIsFree(bytesMax: number): Promise<void> {
  await until("the space is free", () => heldFiles().length === 0 && diskBytes(where.dataDir) <= bytesMax).catch(
    (error) => {
      throw new Error(`${diskBytes(where.dataDir)} bytes on disk, held: ${heldFiles().join(" ")}`, { cause: error });
    },
  );
}

interface Read {
  /** Offsets without a gap: where each run begins, and behind its end. */
  readonly runs: [start: number, end: number][];
  endCode: number | undefined;
  /** Offsets that the broker says it passed over. */
  dropped: number;
}

/** Takes in what the reader has got by now, checking every record. */
function check(reader: RawClient, read: Read): void {
  for (const { op, args, batches } of reader.frames.splice(0)) {
    if (op === Op.SOURCE_END) {
      read.endCode = Number(args[3]);
      expect(args[2], "the end's next offset").toBe(read.runs.at(-1)?.[1] ?? 0);
    }
    if (op === Op.DROPPED) read.dropped += Number(args[2]);
    if (op !== Op.DELIVER) continue;
    for (const batch of decodeBatches(batches)) {
      const { baseOffset } = batch.header;
      const last = read.runs.at(-1);
      if (last?.[1] === baseOffset) last[1] = batch.nextOffset;
      else read.runs.push([baseOffset, batch.nextOffset]);
      for (const record of batch) {
        if (!valueAt(record.offset).equals(record.value ?? new Uint8Array(0)))
          throw new Error(`offset ${record.offset} is wrong`);
      }
    }
  }
}

/** Lets the readers read on, each until `isDone` says so of what it read. */
async function readOn(readers: readonly RawClient[], isDone: (read: Read) => boolean): Promise<Read[]> {
  for (const reader of readers) reader.wire.resume();
  return Promise.all(
    readers.map(async (reader) => {
      const read: Read = { runs: [], endCode: undefined, dropped: 0 };
      await until("a reader is through", () => {
        check(reader, read);
        if (isDone(read)) return true;
        if (reader.isClosed) throw new Error(`a reader was cut off after ${JSON.stringify(read)}`);
        return false;
      });
      reader[Symbol.dispose]();
      return read;
    }),
  );
}

for (const over of ["tcp", "ws"] as const) {
  const readersCount = over === "tcp" ? 20 : 8;

  test(`a topic is deleted under slow readers over ${over}: its space is free, and they read what they had and why it ends`, async () => {
    await createTopic("t", 1);
    const end = await fill(1, 0, 512 * RECORDS_PER_BATCH);
    const readers = await stalledReaders("t", readersCount, over);
    await stalled();
    expect(await metric(where.httpPort, "millrace_mapped_segments")).toBeGreaterThan(0);
    expect(diskBytes(where.dataDir)).toBeGreaterThan(512 * BATCH_BYTES);
    await admin.ok(Op.TOPIC_DELETE, { name: "t" });
    await spaceIsFree(4 * MIB);
    // Whatever lay in the freed memory is overwritten before anybody reads on.
    await createTopic("other", 2);
    await fill(2, 0, 64 * RECORDS_PER_BATCH);
    const reads = await readOn(readers, ({ endCode }) => endCode !== undefined);
    for (const { runs, endCode } of reads) {
      expect(endCode).toBe(ERRORS.topic_deleted.code);
      expect(runs).toHaveLength(1);
      expect(runs[0]?.[0]).toBe(0);
      expect(runs[0]?.[1]).toBeLessThan(end);
    }
  });

  test(`segments expire under slow readers over ${over}: the space is free, and they go on at what is left`, async () => {
    await createTopic("t", 1, { retentionBytes: 4 * MIB });
    let next = await fill(1, 0, 60 * RECORDS_PER_BATCH);
    const readers = await stalledReaders("t", readersCount, over);
    next = await fill(1, next, 400 * RECORDS_PER_BATCH);
    await stalled();
    await spaceIsFree(12 * MIB);
    const { offsets } = await admin.ok(Op.OFFSETS, { topic: "t", at: "earliest" });
    const [[, earliest]] = offsets as [[number, number]];
    expect(earliest).toBeGreaterThan(200 * RECORDS_PER_BATCH);
    const reads = await readOn(readers, ({ runs }) => runs.at(-1)?.[1] === next);
    for (const { runs, endCode, dropped } of reads) {
      expect(endCode).toBeUndefined();
      expect(runs.length).toBeLessThanOrEqual(2);
      expect(dropped).toBe((runs[1]?.[0] ?? 0) - (runs.length === 2 ? (runs[0]?.[1] ?? 0) : 0));
      if (runs.length === 2) expect(runs[1]?.[0]).toBeGreaterThanOrEqual(earliest);
    }
  });

  test(`readers over ${over} that read in small steps get everything`, async () => {
    await createTopic("t", 1);
    const end = await fill(1, 0, 256 * RECORDS_PER_BATCH);
    const readers = await stalledReaders("t", 3, over);
    await stalled();
    for (const reader of readers) reader.restMs = 2;
    const reads = await readOn(readers, ({ runs }) => runs.at(-1)?.[1] === end);
    expect(reads.map(({ runs }) => runs)).toEqual(readers.map(() => [[0, end]]));
  });
}

test("readers that never read cost no more than their share of memory, large batches or small", async () => {
  const count = 60;
  await createTopic("large", 1);
  await fill(1, 0, 256 * RECORDS_PER_BATCH);
  await createTopic("small", 2);
  await fill(2, 0, 8000, 2);
  const before = anonymousBytes(server.pid);
  let next = 8000;
  for (const [topic, from] of [
    ["large", "earliest"],
    ["small", "earliest"],
    ["small", "latest"],
  ] as const) {
    const readers = await stalledReaders(topic, count, "tcp", from);
    if (from === "latest") next = await fill(2, next, 4000, 2);
    await stalled();
    const asked = `${count} readers of ${topic} batches, from ${from} on, that never read`;
    console.log(`${asked}: ${((anonymousBytes(server.pid) - before) / MIB).toFixed(1)} MiB`);
    // What a turn plans for one connection may wait as a copy. What the collector has not looked at yet goes by itself.
    const grownBytesMax = count * WRITE_BYTES_PER_TURN + 8 * MIB;
    await until(`${asked}, cost their share`, () => anonymousBytes(server.pid) - before < grownBytesMax);
    for (const reader of readers) reader[Symbol.dispose]();
    await until("they are gone", async () => (await metric(where.httpPort, "millrace_connections")) === 1);
  }
});
