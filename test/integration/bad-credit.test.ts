import { expect, test } from "bun:test";
import { encodeFrame, encodePublish, Op } from "../../src/protocol/index.ts";
import { startBroker, until } from "./harness.ts";
import { batchOf, metric, RawClient } from "./kit.ts";

/** Peers that send without credit, or take no answers. Pressure stops them; the broker's memory does not grow. */

const SMALL = { messageBytesMax: 32 << 10, batchBytesMax: 64 << 10 } as const;

function publishes(count: number, batch: Uint8Array, first = 0): Uint8Array {
  const frames = Array.from({ length: count }, (_, n) =>
    encodePublish({ publisher: 1, correlation: first + n, partition: 0, acks: 2, condition: null }, batch),
  );
  return Buffer.concat(frames);
}

/** How many publishes the kept ACK frames answer, which are dropped. */
function takeAcks(client: RawClient): number {
  let count = 0;
  for (const { op, args } of client.frames.splice(0)) {
    if (op !== Op.ACK) continue;
    for (let at = 2; at < args.length; at += 6) count += Number(args[at]);
  }
  return count;
}

test("a sender past its credit is read from slowly, and everything is stored", async () => {
  await using broker = await startBroker({
    ...SMALL,
    publishCreditBytes: 64 << 10,
    publishOverdraftBytesMax: 64 << 20,
  });
  using client = await RawClient.connect(broker.port);
  await client.ok(Op.TOPIC_CREATE, { name: "t", partitions: 1, config: {} });
  await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
  // 16 MiB against a credit of 64 KiB, without ever waiting for CREDIT.
  client.send(publishes(512, batchOf(["x".repeat(32_000)])));
  let acked = 0;
  await until("all are acknowledged", () => (acked += takeAcks(client)) === 512);
  const { offsets } = await client.ok(Op.OFFSETS, { topic: "t", at: "latest" });
  expect(offsets).toEqual([[0, 512, null]]);
});

test("a sender far past its credit is ended with credit_exceeded, and what it had sent before stays", async () => {
  await using broker = await startBroker({
    ...SMALL,
    publishCreditBytes: 64 << 10,
    publishOverdraftBytesMax: 64 << 10,
  });
  using other = await RawClient.connect(broker.port);
  await other.ok(Op.TOPIC_CREATE, { name: "t", partitions: 1, config: {} });
  for (let round = 0; round < 5; round += 1) {
    using client = await RawClient.connect(broker.port);
    await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
    client.send(publishes(512, batchOf(["x".repeat(32_000)])));
    expect(await client.goodbye()).toBe("credit_exceeded");
  }
  const { offsets } = await other.ok(Op.OFFSETS, { topic: "t", at: "latest" });
  const [[, stored]] = offsets as [[number, number]];
  expect(stored).toBeGreaterThan(0);
  expect(stored).toBeLessThan(512 * 5);
  await until("one connection", async () => (await metric(broker.httpPort, "millrace_connections")) === 1);
});

test("a sender that never reads its answers is paused, and goes on when it reads", async () => {
  await using broker = await startBroker();
  using client = await RawClient.connect(broker.port);
  await client.ok(Op.TOPIC_CREATE, { name: "t", partitions: 1, config: {} });
  client.wire.pause();
  // There is no publisher 9: each of these small frames is refused by a larger one.
  const refused = encodeFrame(Op.PUBLISH_ONE, 9, 1, 0, 2, null, null, [null, null, "x", null]);
  const count = 1_000_000;
  const flood = Buffer.concat(Array.from({ length: 10_000 }, () => refused));
  const before = process.memoryUsage.rss();
  for (let sent = 0; sent < count; sent += 10_000) client.send(flood);
  // The other connection's answers show that the loop is free; nothing else can show that nothing more happens.
  using other = await RawClient.connect(broker.port);
  for (let n = 0; n < 100; n += 1) await other.ok(Op.TOPIC_LIST, {});
  const grownBytes = process.memoryUsage.rss() - before;
  console.log(`grown by ${grownBytes >> 20} MiB`);
  // Without the pause the answers alone would take some 95 MiB.
  expect(grownBytes).toBeLessThan(64 << 20);
  expect(client.isClosed).toBe(false);
  client.wire.resume();
  let refusals = 0;
  await until(
    "all are refused",
    () => {
      for (const { op } of client.frames.splice(0)) if (op === Op.NACK) refusals += 1;
      return refusals === count;
    },
    30_000,
  );
}, 40_000);

test("a sender that never reads its answers and is paused for it is gone after the heartbeats", async () => {
  await using broker = await startBroker();
  using client = await RawClient.connect(broker.port, { heartbeatMs: 50 });
  client.wire.pause();
  const refused = encodeFrame(Op.PUBLISH_ONE, 9, 1, 0, 2, null, null, [null, null, "x", null]);
  const flood = Buffer.concat(Array.from({ length: 10_000 }, () => refused));
  for (let n = 0; n < 100; n += 1) client.send(flood);
  await until("it is gone", async () => (await metric(broker.httpPort, "millrace_connections")) === 0);
});

test("over WebSocket, which cannot be paused, such a sender is ended", async () => {
  await using broker = await startBroker();
  using client = await RawClient.connect(broker.httpPort, {}, "ws");
  const refused = encodeFrame(Op.PUBLISH_ONE, 9, 1, 0, 2, null, null, [null, null, "x", null]);
  // One message of 500,000 frames: their answers pass every limit before any of them could be read.
  client.send(Buffer.concat(Array.from({ length: 500_000 }, () => refused)));
  expect(await client.goodbye()).toBe("slow_consumer");
});
