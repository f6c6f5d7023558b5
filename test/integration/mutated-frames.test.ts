import { expect, test } from "bun:test";
import { encodeFlow, encodeFrame, encodePublish, Op } from "../../src/protocol/index.ts";
import { all, dial, startBroker, textOf, until } from "./harness.ts";
import { batchOf, metric, RawClient, random, SEED } from "./kit.ts";

/**
 * Sessions of every op, with bytes changed, left out and doubled. Whatever comes of them, nothing unforeseen is thrown in
 * the broker, its other clients go on, and nothing of the mutants is left when they are gone.
 */

const ROUNDS = process.env.MILLRACE_LONG ? 20_000 : 600;

/** A client's frames, one of each kind and then some. */
function session(): Uint8Array[] {
  const head = { publisher: 1, correlation: 1, partition: 0, acks: 2, condition: null };
  const batch = batchOf(["one", "two", "three"]);
  return [
    encodeFrame(Op.TOPIC_CREATE, 1, { name: "m", partitions: 2, config: { retentionMs: 1000 }, ifNotExists: true }),
    encodeFrame(Op.PUBLISHER_OPEN, 2, 1, { topic: "m" }),
    encodeFrame(Op.PRODUCER_INIT, 3, { producerId: 5, producerEpoch: 1 }),
    encodeFrame(Op.PUBLISHER_OPEN, 4, 2, { topic: "m", producerId: 5, producerEpoch: 2 }),
    encodePublish(head, batch),
    encodePublish({ ...head, condition: 7 }, batch),
    encodePublish({ ...head, condition: { key: "k", lastOffset: null } }, batch),
    encodePublish(
      { ...head, publisher: 2, acks: 3 },
      batchOf(["x"], { producerId: 5, producerEpoch: 2, baseSequence: 0 }),
    ),
    encodePublish(head, batchOf(["z".repeat(2000)], { compression: "zstd" })),
    encodeFrame(Op.PUBLISH_ONE, 1, 9, null, 1, null, null, [null, "key", "value", { h: 1 }]),
    encodeFrame(Op.PUBLISH_ONE, 2, 9, 0, 2, 1, null, [1_700_000_000_000, null, "value", null]),
    encodeFrame(Op.SUBSCRIBE, 5, 1, { topic: "m", from: "earliest", creditBytes: 50_000 }),
    encodeFrame(Op.SUBSCRIBE, 6, 2, { topic: "m", from: { offsets: { 0: 1 } }, until: "end", creditBytes: 50_000 }),
    encodeFrame(Op.SUBSCRIBE, 7, 3, { pattern: "m.#", creditBytes: 50_000, bufferBytesMax: 5000 }),
    encodeFrame(Op.SUBSCRIBE, 8, 4, {
      group: "g",
      topics: ["m"],
      creditBytes: 50_000,
      sessionTimeoutMs: 100,
      member: "a",
    }),
    encodeFlow(1, 10_000),
    encodeFrame(Op.OFFSETS, 9, { topic: "m", at: { timestamp: 5 } }),
    encodeFrame(Op.COMMIT, 10, { group: "h", offsets: [["m", 0, 1, "meta"]] }),
    encodeFrame(Op.GROUP_HEARTBEAT, 11, { group: "g", member: "a", generation: 1 }),
    encodeFrame(Op.RELEASE, 12, { sub: 4, generation: 1, sources: [1, 2] }),
    encodeFrame(Op.GROUP_DESCRIBE, 13, { group: "g" }),
    encodeFrame(Op.GROUP_OFFSETS, 14, { group: "h" }),
    encodeFrame(Op.GROUP_RESET, 15, { group: "h", topic: "m", to: "earliest" }),
    encodeFrame(Op.GROUP_LIST, 16, {}),
    encodeFrame(Op.TOPIC_ALTER, 17, { name: "m", partitions: 3, config: { retentionMs: null } }),
    encodeFrame(Op.TOPIC_DESCRIBE, 18, { name: "m" }),
    encodeFrame(Op.TOPIC_LIST, 19, { pattern: "*", limit: 5, after: "a" }),
    encodeFrame(Op.PING, 20),
    encodeFrame(Op.UNSUBSCRIBE, 21, 1),
    encodeFrame(Op.PUBLISHER_CLOSE, 22, 1),
    encodeFrame(Op.GROUP_DELETE, 23, { group: "h" }),
    encodeFrame(Op.TOPIC_DELETE, 24, { name: "m" }),
  ];
}

/** Changes a few things; mostly within frames, so that the stream stays one of frames. */
function mutate(frames: Uint8Array[], next: () => number): Uint8Array {
  const pick = (limit: number): number => Math.floor(next() * limit);
  const changed: Uint8Array[] = frames.map((frame) => frame.slice());
  for (let changes = 1 + pick(4); changes > 0; changes -= 1) {
    const at = pick(changed.length);
    const frame = changed[at] as Uint8Array;
    const byte = pick(8) === 0 ? pick(frame.length) : Math.min(5 + pick(frame.length - 5), frame.length - 1);
    switch (pick(6)) {
      case 0:
        changed.splice(at, 1);
        break;
      case 1:
        changed.splice(pick(changed.length), 0, frame.slice());
        break;
      case 2:
        changed[at] = frame.subarray(0, byte);
        break;
      case 3:
        frame[byte] = [0xc0, 0xc1, 0xff, 0xdf, 0x90, 0xcf][pick(6)] as number;
        break;
      default:
        frame[byte] = (frame[byte] ?? 0) ^ (1 << pick(8));
    }
  }
  return Buffer.concat(changed);
}

test(
  `${ROUNDS} mutated sessions leave the broker as it was (seed ${SEED})`,
  async () => {
    const lines: string[] = [];
    await using broker = await startBroker({
      log: (line) => void lines.push(line),
      partitionsPerTopicMax: 4,
      partitionsMax: 40,
      topicsMax: 30,
      groupsMax: 10_000,
    });
    await using bystander = await dial(broker);
    await bystander.topics.create("beside");
    const producer = bystander.producer("beside");
    const next = random(SEED);
    const frames = session();
    for (let round = 0; round < ROUNDS; round += 1) {
      const bytes = mutate(frames, next);
      using client = await RawClient.connect(broker.port);
      const cut = Math.floor(next() * bytes.length);
      client.send(bytes.subarray(0, cut));
      client.send(bytes.subarray(cut));
      client.send(encodeFrame(Op.PING, "end"));
      // The PONG, or the end: a mutant may have announced a frame that swallows the PING, so it is not waited for long.
      await Promise.race([
        until("an end", () => client.isClosed || client.frames.some(({ op }) => op === Op.PONG), 100),
        client.closed,
      ]).catch(() => undefined);
      const unforeseen = lines.filter((line) => line.includes('"level":"error"'));
      expect(unforeseen, `round ${round}: ${Buffer.from(bytes).toString("hex")}`).toEqual([]);
      await producer.send({ value: String(round) });
    }
    await until(
      "only the bystander is left",
      async () => (await metric(broker.httpPort, "millrace_connections")) === 1,
    );
    const read = await all(bystander.consume("beside", { from: "earliest", until: "end" }));
    expect(read.map(({ value }) => textOf(value))).toEqual(Array.from({ length: ROUNDS }, (_, round) => String(round)));
    for (const { name } of await bystander.topics.list()) await bystander.topics.delete(name);
  },
  ROUNDS * 200,
);
