/** Whole deliveries in and whole batches out, in one transaction: what programs use that want no object for each message. */
import { expect, test } from "bun:test";
import { BatchEncoder, type Client, isMillraceError, type QueueView } from "../../src/client/index.ts";
import { dial, startBroker, until } from "./harness.ts";

function batchOf(texts: readonly string[], key: string | null = null): Uint8Array {
  const encoder = new BatchEncoder({ absoluteTimestamps: true });
  for (const text of texts) encoder.append(Date.now(), key, text);
  encoder.finish();
  return encoder.batch();
}

async function texts(client: Client, topic: string): Promise<string[]> {
  const found: string[] = [];
  for await (const message of client.consume(topic, { from: "earliest", until: "end" }))
    found.push(message.text() ?? "");
  return found;
}

test("views of a queue are acked with the batches that were made of them, or not at all", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.queue("in").declare();
  await client.queue("copy").declare();
  await client.topics.create("out");
  const values = Array.from({ length: 40 }, (_, index) => `m${index}`);
  await Promise.all(values.map((value) => client.queue("in").publish(value)));
  const consumer = client.queue("in").consume({ autoAck: false, prefetch: 100 });
  const views: QueueView[] = [];
  for (let count = 0; count < values.length;) {
    const taken = (await consumer.takeViews(1_000)) ?? [];
    views.push(...taken);
    count += taken.reduce((sum, { length }) => sum + length, 0);
  }
  const seen = views.flatMap((view) => [...view].map((message) => message.text() ?? ""));
  expect(seen.toSorted()).toEqual(values.toSorted());

  const refused = await client
    .transaction((tx) => {
      tx.sendBatch("out", 0, batchOf(seen));
      for (const view of views) tx.ackView(view);
      throw new Error("not now");
    })
    .catch((error: Error) => error.message);
  expect(refused).toBe("not now");
  await client.transaction((tx) => {
    tx.sendBatch("out", 0, batchOf(seen));
    tx.publishBatch("", batchOf(["one"], "copy"), { mandatory: true });
    for (const view of views) tx.ackView(view);
  });
  expect(await texts(client, "out")).toEqual(seen);
  expect((await client.queue("copy").describe()).counts.ready).toBe(1);
  await until("nothing is in flight", async () => {
    const { ready, inFlight } = (await client.queue("in").describe()).counts;
    return ready === 0 && inFlight === 0;
  });
  const twice = client.transaction((tx) => views.forEach((view) => tx.ackView(view)));
  expect(await twice.catch((error: unknown) => isMillraceError(error, "unknown_delivery"))).toBe(true);
  await consumer.close();
});

test("a part of a view can be acked, and the rest goes back", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.queue("in").declare();
  await client.transaction((tx) => tx.publishBatch("", batchOf(["a", "b", "c"], "in")));
  const consumer = client.queue("in").consume({ autoAck: false });
  const [view] = (await consumer.takeViews(10)) ?? [];
  if (view === undefined) throw new Error("nothing came");
  await client.transaction((tx) => tx.ackView(view, 0, 1));
  view.release(1);
  await consumer.close();
  const left = await client.queue("in").get(10, { waitMs: 5_000, min: 2 });
  expect(left.map((message) => message.text())).toEqual(["b", "c"]);
});

test("a group's views are done when its offsets are committed, and whoever comes with a member's id takes its place", async () => {
  await using broker = await startBroker();
  await using first = await dial(broker);
  await using second = await dial(broker);
  await first.topics.create("in", { partitions: 2 });
  for (const partition of [0, 1]) {
    const producer = first.producer("in");
    for (let index = 0; index < 5; index += 1) await producer.send({ value: `${partition}.${index}`, partition });
  }
  const consumer = first.group("g").consume("in", { autoCommit: false, member: "place" });
  const seen: string[] = [];
  while (seen.length < 10) {
    const views = (await consumer.takeViews(100)) ?? [];
    const offsets = views.map((view) => {
      for (const message of view) seen.push(message.text() ?? "");
      return { topic: view.topic, partition: view.partition, offset: view.offsetAt(view.length - 1) + 1 };
    });
    await first.transaction((tx) => tx.commitOffsets(consumer, offsets));
  }
  expect(consumer.member).toBe("place");
  expect(seen.toSorted()).toEqual(["0.0", "0.1", "0.2", "0.3", "0.4", "1.0", "1.1", "1.2", "1.3", "1.4"]);
  expect((await first.group("g").offsets()).map(({ lag }) => lag)).toEqual([0, 0]);

  // The first one has not left: another member would get some of its partitions, and none before it gives them back.
  const next = second.group("g").consume("in", { member: "place" });
  const reading = next.takeViews(1);
  await until("both partitions are its own", () => next.assignment.length === 2);
  await next.close();
  expect(await reading).toBeNull();
});

test("a reader that never catches up holds what it has not read, and not what it has", async () => {
  await using broker = await startBroker({ deliveryBytesMax: 4096, viewBytesMin: 0 });
  await using client = await dial(broker);
  await client.topics.create("in");
  const value = new Uint8Array(1_000);
  const producer = client.producer("in", { batchBytes: 4_096 });
  const count = 600;
  for (let index = 0; index < count; index += 1) if (!producer.append(value)) await producer.ready();
  await producer.flush();
  const consumer = client.consume("in", { from: "earliest" });
  const inside = consumer as unknown as { queue: unknown[]; queueStart: number };
  await until("all deliveries are here", () => inside.queue.length > count / 5);
  const total = inside.queue.length;
  let read = 0;
  for await (const view of consumer.views()) {
    read += view.length;
    if (read < 0.9 * count) continue;
    expect(inside.queue.length).toBeLessThan(total / 3);
    break;
  }
  expect(read).toBeLessThan(count);
});
