import { expect, test } from "bun:test";
import { isMillraceError } from "../../src/client/index.ts";
import { BatchEncoder, encodePublish, Op } from "../../src/protocol/index.ts";
import { all, dial, RawConnection, startBroker, temporaryFolder, textOf, until } from "./harness.ts";

for (const acks of ["memory", "written", "synced"] as const) {
  for (const mode of ["batch", "single"] as const) {
    test(`acks ${acks} in ${mode} mode: each record is acknowledged with its offset, at that level or higher`, async () => {
      await using folder = await temporaryFolder();
      await using broker = await startBroker({ dataDir: folder.path });
      await using client = await dial(broker);
      await client.topics.create("t");
      const producer = client.producer("t", { acks, mode });
      const sent = Array.from({ length: 200 }, (_, index) => producer.send({ value: `v${index}` }));
      const results = await Promise.all(sent);
      expect(results.map(({ offset }) => offset)).toEqual(Array.from({ length: 200 }, (_, index) => index));
      const levels = ["none", "memory", "written", "synced"];
      for (const { level } of results) expect(levels.indexOf(level)).toBeGreaterThanOrEqual(levels.indexOf(acks));
      const read = await all(client.consume("t", { from: "earliest", until: "end" }));
      expect(read.map(({ value }) => textOf(value))).toEqual(sent.map((_, index) => `v${index}`));
    });
  }
}

test("acks none: records arrive without an answer", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t");
  const producer = client.producer("t", { acks: "none" });
  for (let index = 0; index < 100; index += 1) void producer.send({ value: `v${index}` });
  await until("all are there", async () => (await client.topics.offsets("t", "latest"))[0]?.offset === 100);
});

test("a record without a partition goes where its key says, the same way in both modes", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("t", { partitions: 8 });
  const batched = client.producer("t");
  const single = client.producer("t", { mode: "single", idempotent: false });
  for (let index = 0; index < 50; index += 1) {
    const [a, b] = await Promise.all([
      batched.send({ key: `k${index}`, value: "a" }),
      single.send({ key: `k${index}`, value: "b" }),
    ]);
    expect(a.partition).toBe(b.partition);
  }
});

test("an idempotent producer leaves neither duplicates nor gaps when connections break", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path });
  // Every byte goes through a relay that cuts the connection again and again.
  const relay = cuttingRelay(broker.port, 40_000);
  const { connect } = await import("../../src/client/index.ts");
  await using client = await connect(`millrace://127.0.0.1:${relay.port}`, {
    reconnect: { delayMinMs: 5, delayMaxMs: 20 },
  });
  await client.topics.create("t", { partitions: 2 });
  const producer = client.producer("t", { batchBytes: 2000 });
  const count = 5000;
  const sent = Array.from({ length: count }, (_, index) =>
    producer.send({ partition: index % 2, value: String(index).padStart(40, "0") }),
  );
  await Promise.all(sent);
  expect(relay.cuts).toBeGreaterThan(2);
  relay.stop();
  await using reader = await dial(broker);
  const read = await all(reader.consume("t", { from: "earliest", until: "end" }));
  for (const partition of [0, 1]) {
    const values = read.filter((message) => message.partition === partition).map(({ value }) => Number(textOf(value)));
    expect(values).toEqual(Array.from({ length: count / 2 }, (_, index) => index * 2 + partition));
  }
});

/** Forwards to `port` and cuts each connection after `bytes` towards the broker. */
function cuttingRelay(port: number, bytes: number): { port: number; cuts: number; stop: () => void } {
  const state = { port: 0, cuts: 0, stop: () => listener.stop(true) };
  type Pair = { upstream: Promise<Bun.Socket<undefined>> | undefined; passed: number };
  const listener = Bun.listen<Pair>({
    hostname: "127.0.0.1",
    port: 0,
    data: { upstream: undefined, passed: 0 },
    socket: {
      open(down) {
        down.data = {
          passed: 0,
          upstream: Bun.connect({
            hostname: "127.0.0.1",
            port,
            socket: { data: (_, chunk) => void down.write(chunk), close: () => void down.end() },
          }),
        };
      },
      async data(down, chunk) {
        const copy = new Uint8Array(chunk);
        down.data.passed += copy.length;
        const cut = down.data.passed > bytes;
        const up = await down.data.upstream;
        up?.write(cut ? copy.subarray(0, copy.length >> 1) : copy);
        if (!cut) return;
        state.cuts += 1;
        up?.flush();
        down.terminate();
        up?.end();
      },
      async close(down) {
        (await down.data.upstream)?.end();
      },
    },
  });
  state.port = listener.port;
  return state;
}

test("a newer epoch fences the producer before it", async () => {
  await using broker = await startBroker();
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  await raw.ask(Op.TOPIC_CREATE, { name: "t", partitions: 1 });
  const first = (await raw.ask(Op.PRODUCER_INIT, {})) as { producerId: number; producerEpoch: number };
  expect(first.producerEpoch).toBe(0);
  const second = (await raw.ask(Op.PRODUCER_INIT, first)) as { producerId: number; producerEpoch: number };
  expect(second).toEqual({ producerId: first.producerId, producerEpoch: 1 });
  await raw.ask(Op.PUBLISHER_OPEN, 1, { topic: "t", ...first });
  await raw.ask(Op.PUBLISHER_OPEN, 2, { topic: "t", ...second });
  raw.send(publishFrame(1, 0, { ...first, baseSequence: 0 }));
  await raw.frame("ACK", ({ op }) => op === Op.ACK);
  raw.send(publishFrame(2, 1, { ...second, baseSequence: 0 }));
  await raw.frame("ACK of the second", ({ op, args }) => op === Op.ACK && args[0] === 2);
  raw.send(publishFrame(1, 2, { ...first, baseSequence: 1 }));
  const refused = await raw.frame("NACK", ({ op }) => op === Op.NACK);
  expect(refused.args[4]).toBe("producer_fenced");
});

test("a gap in the sequence is refused, a repeated batch is acknowledged and not stored again", async () => {
  await using broker = await startBroker();
  using raw = await RawConnection.open(broker.port);
  await raw.hello();
  await raw.ask(Op.TOPIC_CREATE, { name: "t", partitions: 1 });
  const producer = (await raw.ask(Op.PRODUCER_INIT, {})) as { producerId: number; producerEpoch: number };
  await raw.ask(Op.PUBLISHER_OPEN, 1, { topic: "t", ...producer });
  raw.send(publishFrame(1, 0, { ...producer, baseSequence: 0 }));
  await raw.frame("ACK", ({ op, args }) => op === Op.ACK && args[1] === 0);
  raw.send(publishFrame(1, 1, { ...producer, baseSequence: 5 }));
  const gap = await raw.frame("NACK", ({ op }) => op === Op.NACK);
  expect(gap.args[4]).toBe("sequence_gap");
  raw.send(publishFrame(1, 2, { ...producer, baseSequence: 0 }));
  const again = await raw.frame("second ACK", ({ op, args }) => op === Op.ACK && args[1] === 2);
  expect(again.args[4]).toBe(0);
  const { offsets } = (await raw.ask(Op.OFFSETS, { topic: "t", at: "latest" })) as { offsets: number[][] };
  expect(offsets[0]?.[1]).toBe(1);
});

function publishFrame(
  publisher: number,
  correlation: number,
  seal: { producerId: number; producerEpoch: number; baseSequence: number },
): Uint8Array {
  const encoder = new BatchEncoder();
  encoder.append(Date.now(), null, "x", null);
  encoder.finish(seal);
  const batch = encoder.bytes.slice(encoder.start, encoder.end);
  return encodePublish({ publisher, correlation, partition: 0, acks: 2, condition: null }, batch);
}

test("conditional publishes: an expected offset, a key's last offset, and typed conflicts", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("accounts");
  const producer = client.producer("accounts");
  const conflict = async (sending: PromiseLike<unknown>): Promise<string> => {
    try {
      await sending;
    } catch (error) {
      if (isMillraceError(error)) return error.codeName;
      throw error;
    }
    return "no conflict";
  };
  const at = (record: { key: string; value: string }, options: object): PromiseLike<unknown> =>
    producer.send({ ...record, partition: 0 }, options);
  expect(await conflict(at({ key: "a", value: "1" }, { expectNextOffset: 0 }))).toBe("no conflict");
  expect(await conflict(at({ key: "a", value: "2" }, { expectNextOffset: 0 }))).toBe("offset_conflict");
  expect(await conflict(at({ key: "b", value: "1" }, { expectKeyOffset: null }))).toBe("no conflict");
  expect(await conflict(at({ key: "b", value: "2" }, { expectKeyOffset: null }))).toBe("key_conflict");
  expect(await conflict(at({ key: "a", value: "2" }, { expectKeyOffset: 0 }))).toBe("no conflict");
  expect(await conflict(at({ key: "a", value: "3" }, { expectKeyOffset: 0 }))).toBe("key_conflict");
  expect((await client.topics.offsets("accounts", "latest"))[0]?.offset).toBe(3);
});

test("memory topics keep the newest records and work like others", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path, retentionCheckMs: 20 });
  await using client = await dial(broker);
  await client.topics.create("m", { storage: "memory", memoryBytesMax: 1024 * 1024, segmentBytes: 128 * 1024 });
  const producer = client.producer("m");
  const value = "x".repeat(10_000);
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(Array.from({ length: 50 }, () => producer.send({ value })));
  }
  expect((await client.topics.offsets("m", "latest"))[0]?.offset).toBe(500);
  await until(
    "the oldest records went",
    async () => ((await client.topics.offsets("m", "earliest"))[0]?.offset ?? 0) > 300,
  );
  const read = await all(client.consume("m", { from: "earliest", until: "end" }));
  expect(read.length).toBeGreaterThan(50);
  expect(read.at(-1)?.offset).toBe(499);
});

test("a topic's own message limit is kept", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  await client.topics.create("small", { messageBytesMax: 1000 });
  const sending = client.producer("small").send({ value: "x".repeat(2000) });
  expect(
    await sending.then(
      () => "sent",
      (error: unknown) => (isMillraceError(error) ? error.codeName : ""),
    ),
  ).toBe("message_too_large");
});
