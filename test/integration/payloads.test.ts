import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { folderStore, largePayloads } from "../../src/client/payloads/index.ts";
import { dial, startBroker, temporaryFolder, until } from "./harness.ts";

/** Bodies past what a broker takes, through files beside it. */

const BODY_BYTES = 5_000_000;

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

test("a body larger than any message goes to every queue by reference, is dead-lettered with it, and is read whole", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker();
  const payloads = largePayloads({ store: folderStore(folder.path) });
  await using client = await dial(broker, { payloads });
  await client.exchange("films").declare("fanout");
  await client.queue("dead").declare();
  for (const name of ["encode", "archive"]) {
    await client.queue(name).declare({ deadLetter: { exchange: "", routingKey: "dead" } });
    await client.queue(name).bind("films");
  }
  const body = crypto.getRandomValues(new Uint8Array(65_536));
  const film = new Uint8Array(BODY_BYTES).map((_, index) => body[index % body.length] as number);
  await client.exchange("films").publish("new", film, { headers: { title: "Millrace" } });
  await client.exchange("films").publish("new", "small");
  expect(await filesIn(folder.path)).toHaveLength(1);

  const [encode] = await client.queue("encode").get(1, { waitMs: 5_000 });
  encode?.reject();
  const [dead] = await client.queue("dead").get(1, { waitMs: 5_000 });
  expect(dead?.headers["title"]).toBe("Millrace");
  expect(Bun.hash((await dead?.body()) as Uint8Array)).toBe(Bun.hash(film));
  dead?.ack();

  const sizes: number[] = [];
  const consumer = client.queue("archive").consume(async (message) => {
    const whole = await message.body();
    sizes.push(whole?.length ?? 0);
    // The last of those who need it.
    if (whole && whole.length > 5) await payloads.discard(message);
  });
  await until("both messages", () => sizes.length === 2);
  await consumer.close();
  expect(sizes).toEqual([BODY_BYTES, 5]);
  expect(await filesIn(folder.path)).toEqual([]);
});

test("records of a topic are read through the store", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("films", { partitions: 1 });
  const payloads = largePayloads({ store: folderStore(folder.path), aboveBytes: 10 });
  await using producer = client.producer("films", { payloads });
  await Promise.all(["a film that is long", "short"].map((value, index) => producer.send({ key: `${index}`, value })));
  const texts: string[] = [];
  for await (const message of client.consume("films", { from: "earliest", until: "end" })) {
    texts.push(new TextDecoder().decode((await payloads.body(message)) as Uint8Array));
  }
  expect(texts).toEqual(["a film that is long", "short"]);
});
