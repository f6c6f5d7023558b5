import { expect, test } from "bun:test";
import { isMillraceError } from "../../src/client/index.ts";
import { encodeFlow, Op } from "../../src/protocol/index.ts";
import { all, dial, RawConnection, startBroker, take, temporaryFolder, textOf, until } from "./harness.ts";

test("reading starts at the earliest, the latest, an offset or a time, and ends where it was told", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  const producer = client.producer("t");
  for (let index = 0; index < 10; index += 1)
    await producer.send({ value: String(index), timestamp: 1000 * (index + 1) });
  const read = async (from: object | "earliest" | "latest", until: object | "end" = "end"): Promise<string> => {
    const messages = await all(client.consume("t", { from, until } as never));
    return messages.map(({ value }) => textOf(value)).join("");
  };
  expect(await read("earliest")).toBe("0123456789");
  expect(await read("latest")).toBe("");
  expect(await read({ offset: 7 })).toBe("789");
  expect(await read({ timestamp: 4500 })).toBe("456789");
  expect(await read("earliest", { offset: 3 })).toBe("012");
  expect(await read({ offsets: { 0: 8 } })).toBe("89");
  const beyond = await read({ offset: 11 }).catch((error: unknown) => (isMillraceError(error) ? error.codeName : ""));
  expect(beyond).toBe("offset_out_of_range");
});

test("bytes that come in are plain Uint8Arrays, whose slice is a copy", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  await client.producer("t").send({ value: new Uint8Array([1, 2, 3]) });
  const [message] = await take(1, client.consume("t", { from: "earliest" }));
  const value = message?.value as Uint8Array;
  expect(value.constructor).toBe(Uint8Array);
  expect(value.slice().buffer.byteLength).toBe(3);
});

test("a follower gets what comes, at once, also from partitions it names", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t", { partitions: 3 });
  const followed = take(20, client.consume("t", { from: "earliest", partitions: [1] }));
  const producer = client.producer("t");
  for (let index = 0; index < 20; index += 1) {
    await producer.send({ partition: 0, value: "other" });
    await producer.send({ partition: 1, value: String(index) });
  }
  expect((await followed).map(({ value }) => textOf(value))).toEqual(
    Array.from({ length: 20 }, (_, index) => String(index)),
  );
});

test("large records and many small ones come through whole, in order, over small socket chunks", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path, segmentBytes: 1024 * 1024 });
  await using client = await dial(broker);
  await client.topics.create("t");
  const producer = client.producer("t", { compression: "zstd" });
  const sizes = Array.from({ length: 400 }, (_, index) => (index % 50 === 0 ? 700_000 : 100 + index));
  await Promise.all(
    sizes.map((size, index) => producer.send({ key: String(index), value: new Uint8Array(size).fill(index) })),
  );
  const read = await all(client.consume("t", { from: "earliest", until: "end" }));
  expect(read.map(({ value }) => value?.length)).toEqual(sizes);
  for (const { offset, value } of read) expect(value?.every((byte) => byte === offset % 256)).toBe(true);
});

test("many subscribers of one partition all get everything", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  const readers = await Promise.all(Array.from({ length: 20 }, () => dial(broker)));
  const reading = readers.map((reader) => take(500, reader.consume("t", { from: "earliest" })));
  const producer = client.producer("t");
  await Promise.all(Array.from({ length: 500 }, (_, index) => producer.send({ value: String(index) })));
  for (const messages of await Promise.all(reading)) {
    expect(messages.map(({ value }) => Number(textOf(value)))).toEqual(
      Array.from({ length: 500 }, (_, index) => index),
    );
  }
  await Promise.all(readers.map((reader) => reader.close()));
});

test("a consumer that never reads gets no more than its credit, and harms nobody", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  const producer = client.producer("t");
  await Promise.all(Array.from({ length: 200 }, () => producer.send({ value: "x".repeat(50_000) })));
  using stuck = await RawConnection.open(broker.port);
  await stuck.hello();
  await stuck.ask(Op.SUBSCRIBE, 1, { topic: "t", from: "earliest", creditBytes: 300_000 });
  await stuck.frame("a delivery", ({ op }) => op === Op.DELIVER);
  await Bun.sleep(100);
  const delivered = stuck.frames
    .filter(({ op }) => op === Op.DELIVER)
    .reduce((sum, { args }) => sum + Number(args[0]), 0);
  // It may overdraw by one batch.
  expect(delivered).toBeLessThan(300_000 + 200_000);
  stuck.send(encodeFlow(1, 300_000));
  await until("the next run comes", () => {
    const now = stuck.frames.filter(({ op }) => op === Op.DELIVER).reduce((sum, { args }) => sum + Number(args[0]), 0);
    return now > delivered;
  });
  expect((await all(client.consume("t", { from: "earliest", until: "end" }))).length).toBe(200);
});

test("a subscriber that stops reading its socket is held at what the socket takes, while others go on", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path });
  await using client = await dial(broker);
  await client.topics.create("t");
  const producer = client.producer("t");
  await Promise.all(Array.from({ length: 400 }, () => producer.send({ value: "x".repeat(100_000) })));
  using stuck = await RawConnection.open(broker.port);
  await stuck.hello();
  await stuck.ask(Op.SUBSCRIBE, 1, { topic: "t", from: "earliest", creditBytes: 60_000_000 });
  stuck.pause();
  await Bun.sleep(50);
  const before = process.memoryUsage.rss();
  expect((await all(client.consume("t", { from: "earliest", until: "end" }))).length).toBe(400);
  expect(process.memoryUsage.rss() - before).toBeLessThan(150_000_000);
});

test("patterns: matching topics now and later, nothing from before, nothing else", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("order.created");
  await client.topics.create("order.eu.created");
  await client.producer("order.created").send({ value: "before" });
  const seen: string[] = [];
  const subscription = client.subscribe("order.*");
  const listening = (async () => {
    for await (const { topic, value } of subscription) seen.push(`${topic}=${textOf(value)}`);
  })();
  await using writer = await dial(broker);
  await until("the subscription hears", async () => {
    await writer.producer("order.created").send({ value: "now" });
    return seen.length > 0;
  });
  await writer.producer("order.eu.created").send({ value: "too deep" });
  await writer.topics.create("order.deleted");
  await writer.producer("order.deleted").send({ value: "first" });
  await until("the new topic is heard", () => seen.includes("order.deleted=first"));
  expect(new Set(seen)).toEqual(new Set(["order.created=now", "order.deleted=first"]));
  await subscription.close();
  await listening;
});

test("a pattern subscriber that falls behind loses records and hears how many", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("sensors.a");
  using slow = await RawConnection.open(broker.port);
  await slow.hello();
  await slow.ask(Op.SUBSCRIBE, 1, { pattern: "sensors.#", creditBytes: 10_000, bufferBytesMax: 50_000 });
  const producer = client.producer("sensors.a");
  for (let round = 0; round < 100; round += 1) await producer.send({ value: "x".repeat(5000) });
  slow.send(encodeFlow(1, 1_000_000));
  // It may have been dropped for more than once.
  await until("most were dropped", () => {
    const drops = slow.frames.filter(({ op }) => op === Op.DROPPED);
    return drops.reduce((sum, { args }) => sum + Number(args[2]), 0) > 50;
  });
});

test("retention takes old segments from under a reader that holds them, and the space is really freed", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path, retentionCheckMs: 20 });
  await using client = await dial(broker);
  await client.topics.create("t", { segmentBytes: 256 * 1024, retentionBytes: 512 * 1024 });
  const producer = client.producer("t");
  const publish = (count: number): Promise<unknown> =>
    Promise.all(Array.from({ length: count }, () => producer.send({ value: "x".repeat(50_000) })));
  await publish(10);
  using stuck = await RawConnection.open(broker.port);
  await stuck.hello();
  await stuck.ask(Op.SUBSCRIBE, 1, { topic: "t", from: "earliest", creditBytes: 60_000_000 });
  stuck.pause();
  for (let round = 0; round < 20; round += 1) await publish(20);
  await until("old segments went", async () => {
    const [described] = (await client.topics.describe("t"))["offsets"] as { startOffset: number; bytes: number }[];
    return (described?.startOffset ?? 0) > 300 && (described?.bytes ?? 0) < 2_000_000;
  });
  await publish(5);
  expect((await all(client.consume("t", { from: "latest", until: "end" }))).length).toBe(0);
});
