/** What the client does wherever it runs; the tests of this folder bundle it for Node and for browsers. */
import { ConflictError, connect } from "../../src/client/index.ts";

const COUNT = 2000;
const PARTITIONS = 4;

/** Publishes in both modes, reads, joins a group, meets a conflict. Returns what it saw, for the test to compare. */
export async function exercise(url: string): Promise<Record<string, unknown>> {
  await using client = await connect(url);
  await client.topics.create("t", { partitions: PARTITIONS });
  let published = 0;
  for (const mode of ["batch", "single"] as const) {
    await using producer = client.producer("t", { mode, batchBytes: 4096 });
    const sent = Array.from({ length: COUNT / 2 }, (_, index) => {
      const value = `${mode} ${index}`;
      return producer.send({ partition: index % PARTITIONS, key: value, value, headers: { index } });
    });
    published += (await Promise.all(sent)).filter(({ level }) => level !== "none").length;
  }
  const large = "ä".repeat(400_000);
  await client.topics.create("large");
  await client.producer("large").send({ value: large });
  const [message] = await collect(client.consume("large", { from: "earliest", until: "end" }));
  const read = await collect(client.consume("t", { from: "earliest", until: "end" }));
  const member = client.group("g").consume("t", { maxRecords: COUNT });
  const grouped = await collect(member);
  const conflict = await client
    .producer("large")
    .send({ partition: 0, value: "x" }, { expectNextOffset: 0 })
    .catch((error: unknown) => error);
  return {
    published,
    read: new Set(read.map((record) => record.text())).size,
    isWhole: read.every((record) => record.text() === record.keyText()),
    isOrdered: [...Array(PARTITIONS).keys()].every((partition) => isAscending(read, partition)),
    grouped: grouped.length,
    isLargeWhole: message?.text() === large,
    isConflict: conflict instanceof ConflictError,
  };
}

/** What `exercise` returns when all went well. */
export const EXPECTED: Readonly<Record<string, unknown>> = {
  published: COUNT,
  read: COUNT,
  isWhole: true,
  isOrdered: true,
  grouped: COUNT,
  isLargeWhole: true,
  isConflict: true,
};

async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of from) items.push(item);
  return items;
}

function isAscending(records: readonly { partition: number; offset: number }[], partition: number): boolean {
  const offsets = records.filter((record) => record.partition === partition).map(({ offset }) => offset);
  return offsets.length === COUNT / PARTITIONS && offsets.every((offset, index) => offset === index);
}
