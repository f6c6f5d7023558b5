import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { isMillraceError } from "../../src/client/index.ts";
import { encodeFrame, encodePublish, Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { all, dial, startBroker, textOf, until } from "./harness.ts";
import { batchOf, errorAt, type Outcome, publishFrame, RawClient } from "./kit.ts";
import { SmallDisk } from "./small-disk.ts";

/** A disk runs full under the broker: it refuses what it cannot store, serves what it has, and goes on when there is space. */

const MIB = 1 << 20;
const DISK_BYTES = 40 * MIB;
const FILLER_BYTES = 16 * MIB;
const VALUE_BYTES = 60_000;

let disk: SmallDisk;
let broker: Broker;
let client: RawClient;
/** Values that were acknowledged, in order. */
let acknowledged: string[];
let sent = 0;

async function start(): Promise<void> {
  broker = await startBroker({
    dataDir: join(disk.path, "data"),
    segmentBytes: 4 * MIB,
    retentionCheckMs: 20,
    diskFreeBytesMin: 0,
  });
  client = await RawClient.connect(broker.port);
}

async function stop(): Promise<void> {
  client[Symbol.dispose]();
  await broker.stop();
}

beforeEach(async () => {
  disk = new SmallDisk(DISK_BYTES);
  acknowledged = [];
  await start();
  await client.ok(Op.TOPIC_CREATE, { name: "t", partitions: 1, config: {} });
  await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
});

afterEach(async () => {
  await stop();
  disk[Symbol.dispose]();
});

async function publish(acks = 2): Promise<Outcome> {
  const value = `${sent++} `.padEnd(VALUE_BYTES, "x");
  const outcome = await publishFrame(
    client,
    encodePublish({ publisher: 1, correlation: 0, partition: 0, acks, condition: null }, batchOf([value])),
  );
  if ("offset" in outcome) {
    expect(outcome.offset).toBe(acknowledged.length);
    acknowledged.push(value);
  }
  return outcome;
}

/** Publishes until the disk is full. */
async function fillUp(): Promise<void> {
  let outcome = await publish();
  while ("offset" in outcome && acknowledged.length * VALUE_BYTES < DISK_BYTES) outcome = await publish();
  expect(outcome).toEqual({ error: "disk_full" });
}

async function readBack(): Promise<string[]> {
  await using reader = await dial(broker);
  const messages = await all(reader.consume("t", { from: "earliest", until: "end" }));
  return messages.map(({ value }) => textOf(value));
}

async function expectAcknowledged(): Promise<void> {
  const read = await readBack();
  expect(read.length).toBe(acknowledged.length);
  expect(read.every((value, n) => value === acknowledged[n])).toBe(true);
}

/** Either there was room for it, or it says disk_full. */
async function doneOrFull(op: number, ...args: unknown[]): Promise<boolean> {
  const answer = await client.request(op, ...args);
  if (answer.op === Op.OK) return true;
  expect(errorAt(answer.args, 1)).toBe("disk_full");
  return false;
}

async function doneOrThrown(promise: Promise<void>): Promise<boolean> {
  try {
    await promise;
    return true;
  } catch (error) {
    if (!isMillraceError(error, "disk_full")) throw error;
    return false;
  }
}

test("publishes are refused with disk_full, reads go on, and publishes go on when there is space", async () => {
  disk.fill("filler", FILLER_BYTES);
  await fillUp();
  expect(acknowledged.length).toBeGreaterThan(100);
  for (const acks of [1, 2, 3]) expect(await publish(acks)).toEqual({ error: "disk_full" });
  const single = encodeFrame(Op.PUBLISH_ONE, 1, 0, 0, 2, null, null, [null, null, "x".repeat(VALUE_BYTES), null]);
  expect(await publishFrame(client, single)).toEqual({ error: "disk_full" });
  await expectAcknowledged();
  await using other = await dial(broker);
  const waiting = other.producer("t", { idempotent: true });
  const value = "waits for space ".padEnd(VALUE_BYTES, "x");
  const delivered = waiting.send({ value });
  expect(await Promise.race([delivered, Bun.sleep(200).then(() => "waiting")])).toBe("waiting");
  disk.empty("filler");
  // A producer tries again by itself.
  expect(await delivered).toMatchObject({ offset: acknowledged.length });
  acknowledged.push(value);
  for (let n = 0; n < 50; n += 1) expect(await publish(n % 4 === 0 ? 3 : 2)).toHaveProperty("offset");
  await expectAcknowledged();
});

test("topics, offsets and identities answer with their result or disk_full while the disk is full", async () => {
  disk.fill("filler", FILLER_BYTES);
  await fillUp();
  disk.fill("rest");
  let made = 0;
  for (let n = 0; n < 20; n += 1)
    made += Number(await doneOrFull(Op.TOPIC_CREATE, { name: `t${n}`, partitions: 3, config: {} }));
  const { topics } = await client.ok(Op.TOPIC_LIST, {});
  expect((topics as unknown[]).length).toBe(1 + made);
  for (let n = 0; n < 20; n += 1) {
    await doneOrFull(Op.COMMIT, { group: `g${n}`, offsets: [["t", 0, 1, "x".repeat(4096)]] });
    await doneOrFull(Op.TOPIC_ALTER, { name: "t", config: { retentionMs: 1_000_000 + n } });
  }
  await client.ok(Op.PRODUCER_INIT, {});
  await client.ok(Op.TOPIC_DESCRIBE, { name: "t" });
  disk.empty("rest");
  disk.empty("filler");
  await client.ok(Op.TOPIC_CREATE, { name: "after", partitions: 3, config: {} });
  await client.ok(Op.COMMIT, { group: "after", offsets: [["t", 0, 1, null]] });
  await expectAcknowledged();
});

test("deleting a topic, or shortening its retention, makes the space that publishes wait for", async () => {
  await client.ok(Op.TOPIC_CREATE, { name: "big", partitions: 1, config: {} });
  await client.ok(Op.PUBLISHER_OPEN, 2, { topic: "big" });
  const head = { publisher: 2, correlation: 0, partition: 0, acks: 2, condition: null };
  const batch = batchOf(["y".repeat(500_000)]);
  for (let n = 0; n < 40; n += 1)
    expect(await publishFrame(client, encodePublish(head, batch))).toHaveProperty("offset");
  await fillUp();
  disk.fill("rest");
  await client.ok(Op.TOPIC_ALTER, { name: "big", config: { retentionBytes: 8 * MIB } });
  await until("there is space", async () => "offset" in (await publish()));
  await fillUp();
  await client.ok(Op.TOPIC_DELETE, { name: "big" });
  await until("there is space again", async () => "offset" in (await publish()));
  await expectAcknowledged();
});

test("a broker that ran full and got space stops and starts clean", async () => {
  disk.fill("filler", FILLER_BYTES);
  await fillUp();
  disk.empty("filler");
  await stop();
  await start();
  expect(broker.recovery).toMatchObject({ clean: true, tailsZeroed: 0 });
  await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
  expect(await publish(3)).toHaveProperty("offset");
  await expectAcknowledged();
});

test("a broker that stops with a full disk loses nothing, and starts when there is space", async () => {
  disk.fill("filler", FILLER_BYTES);
  await fillUp();
  disk.fill("rest");
  // There may be no space for the clean mark, nor for the note of the next start; both say so then.
  const isStopped = await doneOrThrown(stop());
  const isServing = await doneOrThrown(start());
  console.log(
    `with no byte left: stopped ${isStopped ? "clean" : "with disk_full"}, start ${isServing ? "serves" : "is refused"}`,
  );
  if (isServing) {
    await expectAcknowledged();
    await doneOrThrown(stop());
  }
  disk.empty("filler");
  disk.empty("rest");
  await start();
  await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
  expect(await publish(3)).toHaveProperty("offset");
  await expectAcknowledged();
});
