import { describe, expect, test } from "bun:test";
import { type Client, type ClientOptions, ConflictError, connect, isMillraceError } from "../../src/client/index.ts";
import { decodeBatches, encodeFlow, encodeFrame, encodePublish, Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { all, startBroker, take, temporaryFolder, textOf, until } from "./harness.ts";
import { batchOf, metric, random, RawClient, SEED } from "./kit.ts";

const MIB = 1 << 20;

function dialWebSocket(port: number, options: ClientOptions = {}): Promise<Client> {
  return connect(`ws://127.0.0.1:${port}/ws`, options);
}

/** Both ways to the same broker: what works over one has to work over the other. */
const WAYS: Readonly<Record<string, (broker: Broker) => Promise<Client>>> = {
  TCP: ({ port }) => connect(`millrace://127.0.0.1:${port}`),
  WebSocket: ({ httpPort }) => dialWebSocket(httpPort),
};

for (const [way, dialWay] of Object.entries(WAYS)) {
  describe(`the client over ${way}`, () => {
    for (const mode of ["batch", "single"] as const) {
      test(`publishes in ${mode} mode and reads back keys, values, headers and times`, async () => {
        await using broker = await startBroker();
        await using client = await dialWay(broker);
        await client.topics.create("t", { partitions: 2 });
        const producer = client.producer("t", { mode });
        const sent = Array.from({ length: 500 }, (_, index) => ({
          key: `k${index}`,
          value: index % 7 === 0 ? null : `v${index}`,
          headers: { index, even: index % 2 === 0, name: "ä" },
          timestamp: 1_700_000_000_000 + index,
        }));
        const results = await Promise.all(sent.map((record) => producer.send(record)));
        const read = await all(client.consume("t", { from: "earliest", until: "end" }));
        expect(read).toHaveLength(500);
        for (const message of read) {
          const index = Number(message.headers["index"]);
          const { partition, offset } = results[index] ?? {};
          expect([message.partition, message.offset]).toEqual([partition ?? -1, offset ?? -1]);
          const { key, value, headers, timestamp } = sent[index] ?? {};
          expect([message.keyText(), message.text()]).toEqual([key ?? "", value ?? null]);
          expect([message.headers, message.timestamp]).toEqual([headers ?? {}, timestamp ?? -1]);
        }
      });
    }

    test("shares partitions in a group and goes on from what was committed", async () => {
      await using broker = await startBroker();
      await using client = await dialWay(broker);
      await using other = await dialWay(broker);
      await client.topics.create("t", { partitions: 4 });
      const producer = client.producer("t");
      const publish = (first: number): Promise<unknown> =>
        Promise.all(
          Array.from({ length: 100 }, (_, index) => {
            return producer.send({ partition: index % 4, value: String(first + index) });
          }),
        );
      await publish(0);
      const seen: number[] = [];
      const members = [client, other].map((each) => each.group("g").consume("t", { autoCommitMs: 20 }));
      const reading = members.map(async (member) => {
        for await (const { value } of member) seen.push(Number(textOf(value)));
      });
      await until("both read two partitions", () => members.every(({ assignment }) => assignment.length === 2));
      await until("all was seen", () => new Set(seen).size === 100);
      await Promise.all(members.map((member) => member.close()));
      await Promise.all(reading);
      await publish(100);
      const rest = await take(100, other.group("g").consume("t"));
      expect(rest.map(({ value }) => Number(textOf(value))).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 100 }, (_, index) => 100 + index),
      );
    });

    test("hears patterns", async () => {
      await using broker = await startBroker();
      await using client = await dialWay(broker);
      await client.topics.create("sensors.a");
      const heard: string[] = [];
      const subscription = client.subscribe("sensors.#");
      const listening = (async () => {
        for await (const { topic, value } of subscription) heard.push(`${topic}=${textOf(value)}`);
      })();
      await until("it listens", async () => {
        await client.producer("sensors.a").send({ value: "1" });
        return heard.includes("sensors.a=1");
      });
      await client.topics.create("sensors.b.c");
      await client.producer("sensors.b.c").send({ value: "2" });
      await until("the new topic is heard", () => heard.includes("sensors.b.c=2"));
      await subscription.close();
      await listening;
    });

    test("carries batches of more than 1 MiB both ways", async () => {
      await using folder = await temporaryFolder();
      await using broker = await startBroker({ dataDir: folder.path });
      await using client = await dialWay(broker);
      await client.topics.create("t");
      const producer = client.producer("t", { batchBytes: 4 * MIB });
      const values = Array.from({ length: 24 }, (_, index) => new Uint8Array(900_000).fill(index));
      await Promise.all(values.map((value) => producer.send({ value })));
      const read = await all(client.consume("t", { from: "earliest", until: "end", creditBytes: 2 * MIB }));
      expect(read).toHaveLength(24);
      for (const { offset, value } of read) {
        expect(value?.length).toBe(900_000);
        expect(value?.every((byte) => byte === offset)).toBe(true);
      }
      const [described] = (await client.topics.describe("t")).offsets;
      expect(described?.bytes).toBeGreaterThan(24 * 900_000);
    });

    test("holds a slow reader at its credit and loses nothing", async () => {
      await using broker = await startBroker();
      await using client = await dialWay(broker);
      await client.topics.create("t");
      const producer = client.producer("t", { batchBytes: 16_384 });
      await Promise.all(Array.from({ length: 2000 }, (_, index) => producer.send({ value: `${index} `.repeat(200) })));
      const consumer = client.consume("t", { from: "earliest", until: "end", creditBytes: 65_536 });
      let count = 0;
      for await (const { offset, value } of consumer) {
        expect(offset).toBe(count);
        expect(textOf(value).startsWith(`${offset} `)).toBe(true);
        count += 1;
        // Other work now and then, so that the broker meets a credit that is used up.
        if (count % 100 === 0) await client.topics.offsets("t", "latest");
      }
      expect(count).toBe(2000);
    });

    test("gets errors as their classes", async () => {
      await using broker = await startBroker();
      await using client = await dialWay(broker);
      await client.topics.create("t");
      const producer = client.producer("t");
      const failure = await producer
        .send({ partition: 0, value: "x" }, { expectNextOffset: 7 })
        .catch((error) => error);
      expect(failure).toBeInstanceOf(ConflictError);
      expect((failure as ConflictError).details).toMatchObject({ offset: 0 });
      const missing = await client.topics.describe("no").catch((error: unknown) => error);
      expect(isMillraceError(missing, "topic_not_found")).toBe(true);
    });
  });
}

test(`over WebSocket an idempotent producer and a consumer live through broken connections (seed ${SEED})`, async () => {
  await using broker = await startBroker();
  using proxy = new CuttingProxy(broker.httpPort, { random: random(SEED), bytesMax: 40_000 });
  const client = await until("a first connection", () =>
    dialWebSocket(proxy.port, { reconnect: { delayMinMs: 1, delayMaxMs: 10 } }).catch(
      () => undefined as unknown as Client,
    ),
  );
  await using reader = await dialWebSocket(broker.httpPort);
  await reader.topics.create("t");
  const count = 3000;
  const following = take(count, client.consume("t", { from: "earliest", creditBytes: 10_000 }));
  const producer = client.producer("t", { batchBytes: 1500, bufferBytesMax: 6000 });
  for (let index = 0; index < count; index += 1) {
    if (index % 40 === 0) await producer.ready();
    void producer.send({ value: String(index).padStart(60, "0") });
  }
  await producer.flush();
  const expected = Array.from({ length: count }, (_, index) => index);
  expect((await following).map(({ value }) => Number(textOf(value)))).toEqual(expected);
  const read = await all(reader.consume("t", { from: "earliest", until: "end" }));
  expect(read.map(({ value }) => Number(textOf(value)))).toEqual(expected);
  expect(proxy.cuts).toBeGreaterThan(3);
  proxy.calm();
  await client.close();
});

const HELLO = { version: [1, 1], features: [], client: "raw", namespace: "default" };

type Cut = (bytes: Uint8Array) => Uint8Array[];

/** A session whose frames are cut into messages by `cut`. The answer to PUBLISHER_OPEN is awaited before publishes go out. */
async function runSession(client: RawClient, cut: Cut): Promise<void> {
  const send = (frames: Uint8Array[]): void => {
    for (const message of cut(Buffer.concat(frames))) client.send(message);
  };
  const answered = (correlation: number): Promise<unknown> =>
    client.take(`OK ${correlation}`, ({ op, args }) => op === Op.OK && args[0] === correlation);
  send([encodeFrame(Op.HELLO, 1, HELLO), encodeFrame(Op.TOPIC_CREATE, 2, { name: "t", partitions: 1, config: {} })]);
  await Promise.all([answered(1), answered(2)]);
  send([
    encodeFrame(Op.PUBLISHER_OPEN, 3, 1, { topic: "t" }),
    encodeFrame(Op.SUBSCRIBE, 4, 1, { topic: "t", from: "earliest", creditBytes: 100_000 }),
  ]);
  await Promise.all([answered(3), answered(4)]);
  const head = { publisher: 1, correlation: 0, partition: 0, acks: 2, condition: null };
  const values = Array.from({ length: 50 }, (_, index) => `value ${index}`);
  send([
    encodePublish(head, batchOf(values)),
    encodeFrame(Op.PUBLISH_ONE, 1, 1, 0, 2, null, null, [null, null, "alone", null]),
    encodeFlow(1, 1000),
    encodeFrame(Op.OFFSETS, 5, { topic: "t", at: "earliest" }),
  ]);
  await answered(5);
  const read: string[] = [];
  while (read.length < 51) {
    const { batches } = await client.takeOp(Op.DELIVER);
    for (const batch of decodeBatches(batches)) for (const { value } of batch) read.push(textOf(value));
  }
  expect(read).toEqual([...values, "alone"]);
  await until("both publishes are acknowledged", () => {
    const acks = client.frames.filter(({ op }) => op === Op.ACK).flatMap(({ args }) => args);
    let count = 0;
    for (let at = 0; at < acks.length; at += 6) count += Number(acks[at + 2]);
    return count === 2;
  });
}

describe("WebSocket messages mean nothing to the byte stream", () => {
  /** Ways to cut the same bytes into messages. */
  const CUTS: Readonly<Record<string, Cut>> = {
    "several frames in one message": (bytes) => [bytes],
    "each byte in a message of its own": (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte)),
    "messages of seven bytes, over the ends of frames": (bytes) =>
      Array.from({ length: Math.ceil(bytes.length / 7) }, (_, index) => bytes.subarray(7 * index, 7 * index + 7)),
    "empty messages in between": (bytes) => [
      new Uint8Array(0),
      bytes.subarray(0, 3),
      new Uint8Array(0),
      bytes.subarray(3),
    ],
  };
  for (const [name, cut] of Object.entries(CUTS)) {
    test(name, async () => {
      await using broker = await startBroker();
      using client = await RawClient.open(broker.httpPort, "ws");
      await runSession(client, cut);
    });
  }
});

test("a WebSocket reader that stops reading gets no more than sockets hold, harms nobody, and then gets the rest", async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path });
  await using client = await dialWebSocket(broker.httpPort);
  await client.topics.create("t");
  const producer = client.producer("t");
  const count = 640;
  const value = (index: number): Uint8Array => new Uint8Array(100_000).fill(index % 251);
  for (let index = 0; index < count; index += 1) {
    await producer.ready();
    void producer.send({ value: value(index) });
  }
  await producer.flush();
  const bytesOut = (): Promise<number> => metric(broker.httpPort, "millrace_bytes_out_total");
  using stuck = await RawClient.connect(broker.httpPort, {}, "ws");
  await stuck.ok(Op.SUBSCRIBE, 1, { topic: "t", from: "earliest", creditBytes: 60 * MIB });
  stuck.wire.pause();
  let [last, same] = [-1, 0];
  await until("nothing moves", async () => {
    const bytes = await bytesOut();
    same = bytes === last ? same + 1 : 0;
    last = bytes;
    return bytes > 0 && same >= 20;
  });
  // What both sockets' buffers hold, what the broker may have queued, and no more.
  expect(last).toBeLessThan(16 * MIB);
  expect(await all(client.consume("t", { from: "earliest", until: "end" }))).toHaveLength(count);
  stuck.wire.resume();
  let next = 0;
  while (next < count) {
    const { batches } = await stuck.takeOp(Op.DELIVER);
    stuck.send(encodeFlow(1, batches.length));
    for (const batch of decodeBatches(batches)) {
      for (const record of batch) {
        expect(record.offset).toBe(next);
        expect(Buffer.compare(record.value ?? new Uint8Array(0), value(next))).toBe(0);
        next += 1;
      }
    }
  }
});
