import { expect, test } from "bun:test";
import { internalLogConfig, MetadataLog, TransactionLog, transactionLogConfig } from "../../src/broker/index.ts";
import type { Commit } from "../../src/broker/transactions/messages.ts";
import { Sealer } from "../../src/broker/transactions/seal.ts";
import type { Client } from "../../src/client/index.ts";
import { configOf } from "../../src/config/index.ts";
import type { Engine } from "../../src/log/engine.ts";
import { openEngineAside } from "../../src/log/native.ts";
import { BatchEncoder } from "../../src/protocol/index.ts";
import { engineOptions } from "../../src/server/engine-options.ts";
import { batchOf } from "./kit.ts";
import { all, dial, startBroker, temporaryFolder } from "./harness.ts";

/** A commit that was decided is found as each step of applying it may have left it, and the start does the rest. */

const NAMESPACE = "default";

/** The commit of a transaction: two partitions, an exchange, the ack of a message, an offset. @param first exchanges before it. */
function commitOf(engine: Engine, metadata: MetadataLog, number: number, first: readonly number[] = []): Commit {
  const { state } = metadata;
  const topicId = state.topic(NAMESPACE, "out")?.id ?? 0;
  const queueId = state.routing.queue(NAMESPACE, "in")?.id ?? 0;
  const fanId = state.routing.exchange(NAMESPACE, "fan")?.id ?? 0;
  const identity = { producerId: engine.newProducerId(), copiesId: engine.newProducerId(), epoch: 3 };
  const sealer = new Sealer(identity);
  const seal = (partition: number, value: string) =>
    [topicId, partition, sealer.seal(`${topicId} ${partition}`, batchOf([value]))] as const;
  const offset = { topic: "out", topicId, partition: 0, offset: 1, metadata: null, committedMs: 1 };
  return {
    type: "commit",
    v: 1,
    namespace: NAMESPACE,
    txn: "t",
    ...identity,
    topics: [seal(0, "a"), seal(0, "b"), seal(1, "c")],
    exchanges: [...first, fanId, fanId].map(
      (id, n) => [id, sealer.seal("journal", keyedBatch("def"[n] ?? ""))] as const,
    ),
    acks: [[queueId, [number, 1]]],
    offsets: [{ group: "g", offsets: [offset], logOffset: engine.partition(2, 0).nextOffset }],
  };
}

function keyedBatch(value: string): Uint8Array {
  const encoder = new BatchEncoder();
  encoder.append(1_700_000_000_000, "done", value);
  encoder.finish();
  return encoder.batch().slice();
}

/** Works on the data of a stopped broker, as the moment of its death would have left it. */
async function between(
  dataDir: string,
  work: (engine: Engine, metadata: MetadataLog, log: TransactionLog) => void,
): Promise<void> {
  const { config } = configOf({ dataDir }, dataDir);
  const engine = await openEngineAside(engineOptions(config, null));
  const silent = { onEvent: () => undefined, announce: () => undefined };
  const metadata = new MetadataLog(engine, internalLogConfig(config), silent);
  metadata.catchUp();
  work(engine, metadata, new TransactionLog(engine, transactionLogConfig(config)));
  await engine.close();
}

async function prepared(dataDir: string): Promise<number> {
  await using broker = await startBroker({ dataDir });
  await using client = await dial(broker);
  await client.topics.create("out", { partitions: 2 });
  await client.queue("in").declare();
  await client.queue("done").declare();
  await client.topics.create("copies");
  await client.exchange("fan").declare("fanout");
  await client.exchange("fan").bind({ queue: "done" });
  await client.exchange("fan").bind({ topic: "copies" });
  const { offset: number } = await client.queue("in").publish("input");
  await client.queue("in").publish("other");
  return number ?? -1;
}

async function found(client: Client): Promise<unknown> {
  const records = await all(client.consume("out", { from: "earliest", until: "end" }));
  const copies = await all(client.consume("copies", { from: "earliest", until: "end" }));
  const done = await client.queue("done").peek(10);
  const waiting = await client.queue("in").peek(10);
  const texts = (messages: readonly { value?: unknown }[]): string[] =>
    messages.map(({ value }) => new TextDecoder().decode(value as Uint8Array));
  return {
    out: records.map((record) => `${record.partition}${record.text()}`).toSorted(),
    copies: copies.map((record) => record.text()),
    done: texts(done),
    in: texts(waiting),
    offset: (await client.group("g").offsets())[0]?.offset,
  };
}

const WHOLE = { out: ["0a", "0b", "1c"], copies: ["d", "e"], done: ["d", "e"], in: ["other"], offset: 1 };

test.each([0, 1, 2, 3])(
  "a commit of which %d of its batches for topics were applied is applied to its end, once",
  async (applied) => {
    await using folder = await temporaryFolder();
    const number = await prepared(folder.path);
    await between(folder.path, (engine, metadata, log) => {
      const commit = commitOf(engine, metadata, number);
      log.commit(commit);
      for (const [topicId, partition, batch] of commit.topics.slice(0, applied))
        engine.append(topicId, partition, batch, -1);
    });
    for (let start = 0; start < 2; start += 1) {
      await using broker = await startBroker({ dataDir: folder.path });
      await using client = await dial(broker);
      expect(await found(client)).toEqual(WHOLE);
    }
  },
);

test("a commit that was applied and not forgotten changes nothing, not even an offset that is newer", async () => {
  await using folder = await temporaryFolder();
  const number = await prepared(folder.path);
  let again: Commit | undefined;
  await between(folder.path, (engine, metadata, log) => {
    again = commitOf(engine, metadata, number);
    log.commit(again);
  });
  {
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await dial(broker);
    await client.group("g").commit([{ topic: "out", partition: 0, offset: 2 }]);
  }
  // The record comes back, as if nothing had been noted as applied.
  await between(folder.path, (_, __, log) => {
    if (again !== undefined) log.commit(again);
  });
  await using broker = await startBroker({ dataDir: folder.path });
  await using client = await dial(broker);
  expect(await found(client)).toEqual({ ...WHOLE, offset: 2 });
});

test("a commit about a topic, a queue and an exchange that are gone stands in nobody's way", async () => {
  await using folder = await temporaryFolder();
  const number = await prepared(folder.path);
  let commit: Commit | undefined;
  await between(folder.path, (engine, metadata) => {
    commit = commitOf(engine, metadata, number, [999]);
  });
  {
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await dial(broker);
    await client.topics.delete("out");
    await client.queue("in").delete();
  }
  await between(folder.path, (_, __, log) => {
    if (commit !== undefined) log.commit(commit);
  });
  await using broker = await startBroker({ dataDir: folder.path });
  await using client = await dial(broker);
  expect(await client.queue("done").peek(10)).toHaveLength(2);
});
