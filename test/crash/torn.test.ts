import { expect, test } from "bun:test";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, truncateSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { unpack } from "msgpackr";
import { type Client, connect, isMillraceError } from "../../src/client/index.ts";
import { BATCH_HEADER_BYTES, BatchReader, readHeader } from "../../src/protocol/index.ts";
import { until } from "../integration/harness.ts";
import { random, SEED } from "../integration/kit.ts";
import { place, ServerProcess } from "./server-process.ts";

/**
 * The broker is killed under load, then the newest segment of a partition is damaged as a torn write or a bad disk would.
 * What lies before the damage is served, nothing behind it comes back, the log says so, and publishing goes on.
 */

const PARTITIONS = 2;
const VALUE_BYTES = 700;
const RECORDS_MIN = 4000;
const BATCHES_MIN = 3;
const ATTEMPTS_MAX = 10;
/** State files are written when a segment is sealed only: recovery has to look at what came after. */
const FLAGS = ["--checkpoint-bytes", String(2 ** 40), "--segment-bytes", String(1 << 20)];

const next = random(SEED);
const pick = (limit: number): number => Math.floor(next() * limit);

/** A batch in a segment file. */
interface Place {
  readonly at: number;
  readonly end: number;
  readonly offset: number;
  readonly nextOffset: number;
}

interface Segment {
  readonly path: string;
  readonly batches: readonly Place[];
}

/** The newest segment of a partition of the only topic, taken apart with the protocol's own codec. */
function newestSegment(dataDir: string, partition: number): Segment {
  const logs = join(dataDir, "logs");
  const log = readdirSync(logs)
    .map(Number)
    .reduce((a, b) => Math.max(a, b));
  const folder = join(logs, String(log), String(partition));
  const name = readdirSync(folder)
    .filter((file) => file.endsWith(".log"))
    .sort()
    .at(-1);
  const path = join(folder, name ?? "");
  const bytes = readFileSync(path);
  const batches: Place[] = [];
  for (let at = 0; bytes.length - at >= BATCH_HEADER_BYTES && bytes[at] !== 0;) {
    const { header, nextOffset, batchEnd } = new BatchReader(bytes, at, bytes.length);
    batches.push({ at, end: batchEnd, offset: header.baseOffset, nextOffset });
    at = batchEnd;
  }
  return { path, batches };
}

/** The batches that recovery reads: those before the state point are verified when somebody reads them. */
function readAtStart({ path, batches }: Segment): readonly Place[] {
  const file = join(path, "..", "state");
  if (!existsSync(file)) return batches;
  const content = readFileSync(file);
  // The last five bytes are a CRC; then version, the segment's base and the position in it come first.
  const [, base, position = 0] = unpack(content.subarray(0, -5)) as number[];
  return Number(basename(path, ".log")) === base ? batches.filter(({ at }) => at >= position) : batches;
}

function overwrite(path: string, at: number, change: (old: Buffer) => Uint8Array, length: number): void {
  const file = openSync(path, "r+");
  const old = Buffer.alloc(length);
  readSync(file, old, 0, length, at);
  const bytes = change(old);
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

function flip({ path }: Segment, at: number): void {
  overwrite(path, at, ([byte = 0]) => Uint8Array.of(byte ^ (1 << pick(8))), 1);
}

const lastOf = ({ batches }: Segment): Place => batches.at(-1) as Place;

interface Damage {
  readonly what: string;
  /** Damages the segment; returns the offset at which the log has to end now. */
  readonly inflict: (segment: Segment) => number;
  /** Recovery finds something to throw away. */
  readonly isSeen: boolean;
}

const damages: readonly Damage[] = [
  {
    what: "a flipped bit in the last batch",
    inflict(segment) {
      const { at, end, offset } = lastOf(segment);
      flip(segment, at + pick(end - at));
      return offset;
    },
    isSeen: true,
  },
  {
    what: "a flipped bit in the middle",
    inflict(segment) {
      const read = readAtStart(segment);
      const { at, end, offset } = read[pick(read.length)] as Place;
      flip(segment, at + pick(end - at));
      return offset;
    },
    isSeen: true,
  },
  {
    what: "a file cut within the last batch",
    inflict(segment) {
      const { at, end, offset } = lastOf(segment);
      truncateSync(segment.path, at + 1 + pick(end - at - 1));
      return offset;
    },
    isSeen: true,
  },
  {
    what: "a file cut between two batches",
    inflict(segment) {
      const { at, offset } = lastOf(segment);
      truncateSync(segment.path, at);
      return offset;
    },
    isSeen: false,
  },
  {
    what: "garbage behind the end",
    inflict(segment) {
      const { end, nextOffset } = lastOf(segment);
      overwrite(segment.path, end, (old) => old.map(() => pick(256)), 5000);
      return nextOffset;
    },
    isSeen: true,
  },
  {
    what: "an old batch behind the end",
    inflict(segment) {
      const { end, nextOffset } = lastOf(segment);
      const first = segment.batches[0] as Place;
      overwrite(segment.path, end, () => readFileSync(segment.path).subarray(first.at, first.end), 0);
      return nextOffset;
    },
    isSeen: true,
  },
  {
    what: "a hole of zeros over the last batches",
    inflict(segment) {
      const from = segment.batches.at(-Math.min(3, segment.batches.length)) as Place;
      overwrite(segment.path, from.at, (old) => old.fill(0), lastOf(segment).end - from.at);
      return from.offset;
    },
    isSeen: false,
  },
];

const valueOf = (partition: number, sequence: number): string => `${partition}:${sequence}:`.padEnd(VALUE_BYTES, "v");

/** Publishes to all partitions until enough is acknowledged, then the broker is killed with more on the way. */
async function loadAndKill(where: Awaited<ReturnType<typeof place>>): Promise<number[]> {
  const server = await ServerProcess.start(where, FLAGS);
  const client = await connect(`millrace://127.0.0.1:${where.port}`, { reconnect: { enabled: false } });
  await client.topics.create("torn", { partitions: PARTITIONS });
  const producer = client.producer("torn", { batchBytes: 16 << 10, onError: () => undefined });
  const acknowledged = Array.from({ length: PARTITIONS }, () => 0);
  for (let sequence = 0; Math.min(...acknowledged) < RECORDS_MIN; sequence += 1) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const sent = producer.send({ partition, value: valueOf(partition, sequence) });
      sent.then(
        () => (acknowledged[partition] = sequence + 1),
        () => undefined,
      );
      if (sequence % 100 === 0) await sent;
    }
  }
  await server.kill();
  await client.close().catch(() => undefined);
  return acknowledged;
}

/** What a kill under load left, with something to damage: it may have come just when a segment began. */
async function killed(): Promise<{ where: Awaited<ReturnType<typeof place>>; acknowledged: number[] }> {
  for (let attempt = 1; ; attempt += 1) {
    const where = await place();
    const acknowledged = await loadAndKill(where);
    if (attempt === ATTEMPTS_MAX || readAtStart(newestSegment(where.dataDir, 0)).length >= BATCHES_MIN)
      return { where, acknowledged };
    await where[Symbol.asyncDispose]();
  }
}

/** Reads a partition to its end, checking each value; returns how many records there are. */
async function count(client: Client, partition: number): Promise<number> {
  let expected = 0;
  for await (const message of client.consume("torn", { from: "earliest", until: "end", partitions: [partition] })) {
    expect(message.offset).toBe(expected);
    if (message.text() !== valueOf(partition, expected))
      throw new Error(`${partition}/${expected} is not what was sent`);
    expected += 1;
  }
  return expected;
}

/** Goes on where the log ends; the values continue, so that `count` can check them. */
async function goOn(client: Client, partition: number, from: number): Promise<void> {
  const producer = client.producer("torn", { acks: "synced" });
  const sent = Array.from({ length: 200 }, (_, n) => producer.send({ partition, value: valueOf(partition, from + n) }));
  expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual(sent.map((_, n) => from + n));
  await producer.close();
}

for (const { what, inflict, isSeen } of damages) {
  test(`after a kill, ${what} costs what it hit and nothing else (seed ${SEED})`, async () => {
    const { where: killedAt, acknowledged } = await killed();
    await using where = killedAt;
    const segment = newestSegment(where.dataDir, 0);
    const end = inflict(segment);
    const untouched = lastOf(newestSegment(where.dataDir, 1)).nextOffset;
    expect(untouched).toBeGreaterThanOrEqual(acknowledged[1] ?? 0);
    const ends = [end, untouched];
    for (let round = 0; round < 3; round += 1) {
      const server = await ServerProcess.start(where, FLAGS);
      await until("its log is written", () => server.log.includes('"serving"'));
      const found = server.log.split("\n").find((line) => line.includes('"tailsZeroed"')) ?? "{}";
      const { clean, tailsZeroed } = JSON.parse(found) as Record<string, unknown>;
      expect(clean).toBe(false);
      if (round === 0) expect(tailsZeroed, server.log).toBe(isSeen ? 1 : 0);
      if (round === 0 && isSeen) expect(server.log).toMatch(/"level":"warn"[^\n]*partition 0/);
      {
        await using client = await connect(`millrace://127.0.0.1:${where.port}`);
        for (const [partition, expected] of ends.entries()) {
          expect(await count(client, partition)).toBe(expected);
          await goOn(client, partition, expected);
          ends[partition] = expected + 200;
        }
        expect(await count(client, 0)).toBe(ends[0] as number);
      }
      await server.kill();
    }
    // What recovery wrote stands on its own: the segment can be walked by anybody.
    expect(lastOf(newestSegment(where.dataDir, 0)).nextOffset).toBe(ends[0] as number);
  });
}

test(`damage in what was synced is told to its readers, who can go on behind it (seed ${SEED})`, async () => {
  const { where: killedAt } = await killed();
  await using where = killedAt;
  const flags = ["--segment-bytes", String(1 << 20)];
  expect(await (await ServerProcess.start(where, flags)).stop()).toBe(0);
  const segment = newestSegment(where.dataDir, 0);
  const hit = segment.batches[1] as Place;
  const { recordsBytes } = readHeader(readFileSync(segment.path), hit.at, hit.end);
  flip(segment, hit.end - 1 - pick(recordsBytes));
  const server = await ServerProcess.start(where, flags);
  await using client = await connect(`millrace://127.0.0.1:${where.port}`);
  const seen: number[] = [];
  const reading = async (): Promise<void> => {
    for await (const { offset } of client.consume("torn", { from: "earliest", until: "end", partitions: [0] }))
      seen.push(offset);
  };
  const error = await reading().catch((thrown: unknown) => thrown);
  expect(isMillraceError(error, "corrupt_batch")).toBe(true);
  expect(seen).toEqual(Array.from({ length: hit.offset }, (_, n) => n));
  let behind = hit.nextOffset;
  for await (const message of client.consume("torn", { from: { offset: behind }, until: "end", partitions: [0] })) {
    expect(message.text()).toBe(valueOf(0, behind));
    behind += 1;
  }
  expect(behind).toBe(lastOf(segment).nextOffset);
  await goOn(client, 0, behind);
  await client.close();
  expect(await server.stop()).toBe(0);
});
