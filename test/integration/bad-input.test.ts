import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Client, Producer } from "../../src/client/index.ts";
import type { ErrorName } from "../../src/errors/index.ts";
import { encodeContent, encodeFrame, Op, pack } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, startBroker, until } from "./harness.ts";
import { metric, RawClient, random, SEED } from "./kit.ts";

/**
 * Bytes that no client of ours sends. Each gets a typed error; a bystander who publishes and reads beside it notices
 * nothing, and the broker has as many connections afterwards as before. Bad publishes and broken credit have files of
 * their own (bad-publishes.test.ts, bad-credit.test.ts).
 */

const FRAME_BYTES_MAX = 8 << 20;
const HANDSHAKE_TIMEOUT_MS = 400;
const PUBLISHERS_MAX = 4;

let broker: Broker;
const lines: string[] = [];
let bystander: Client;
let publisher: Producer;
let sent = 0;

beforeAll(async () => {
  console.log(`seed ${SEED}`);
  broker = await startBroker({
    log: (line) => void lines.push(line),
    frameBytesMax: FRAME_BYTES_MAX,
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    publishersPerConnectionMax: PUBLISHERS_MAX,
    subscriptionsPerConnectionMax: PUBLISHERS_MAX,
    requestsInFlightMax: 8,
    connectionOutBytesMax: 1 << 20,
  });
  bystander = await dial(broker);
  await bystander.topics.create("beside");
  publisher = bystander.producer("beside");
});

afterAll(async () => {
  await bystander.close();
  await broker.stop();
});

/** Nobody else was disturbed, and nothing is left over: the only connection is the bystander's. */
afterEach(async () => {
  const value = `round ${sent++}`;
  const { offset } = await publisher.send({ value });
  for await (const message of bystander.consume("beside", { from: { offset: offset ?? -1 }, maxRecords: 1 })) {
    expect(message.text()).toBe(value);
  }
  expect(bystander.state).toBe("connected");
  await until("one connection", async () => (await metric(broker.httpPort, "millrace_connections")) === 1);
});

const port = (): number => broker.port;

/** Bytes of msgpack that announce more than they hold. */
const announce = (...bytes: readonly number[]): Uint8Array =>
  encodeContent(Uint8Array.of(0x93, Op.TOPIC_DESCRIBE, 1, ...bytes));

function nested(depth: number): Uint8Array {
  return encodeContent(Uint8Array.of(0x93, Op.TOPIC_DESCRIBE, 1, ...Array.from({ length: depth }, () => 0x91), 0xc0));
}

function wide(count: number): Uint8Array {
  const nils = new Uint8Array(count).fill(0xc0);
  const head = Uint8Array.of(0x93, Op.TOPIC_DESCRIBE, 1, 0xdd, count >>> 24, count >>> 16, count >>> 8, count);
  return encodeContent(Buffer.concat([head, nils]));
}

function garbage(): Uint8Array {
  const next = random(SEED);
  const bytes = Uint8Array.from({ length: 4096 }, () => Math.floor(next() * 256));
  bytes[0] = 0x17;
  return bytes;
}

const HUGE = [0xff, 0xff, 0xff, 0xff];

const fatal: readonly [what: string, bytes: () => Uint8Array, error: ErrorName][] = [
  ["bytes that are no frame", garbage, "malformed_frame"],
  [
    "bytes that are no frame behind a good frame",
    () => Buffer.concat([encodeFrame(Op.PING, 1), garbage()]),
    "malformed_frame",
  ],
  ["the head of a frame over the limit", () => Uint8Array.of(0xc6, 0x7f, 0, 0, 0), "frame_too_large"],
  ["a frame one byte over the limit", () => new Uint8Array([0xc6, 0, 0x80, 0, 1]), "frame_too_large"],
  ["a frame without content", () => encodeContent(new Uint8Array(0)), "malformed_frame"],
  ["a content that is no array", () => encodeContent(pack({ op: 1 })), "malformed_frame"],
  ["an empty array", () => encodeContent(pack([])), "malformed_frame"],
  ["an op that is no number", () => encodeContent(pack(["HELLO", 1])), "malformed_frame"],
  ["an op of 300", () => encodeFrame(300, 1, {}), "malformed_frame"],
  ["a request without a correlation id", () => encodeFrame(Op.TOPIC_LIST), "malformed_frame"],
  ["a request whose correlation id is a map", () => encodeFrame(Op.TOPIC_LIST, {}, {}), "malformed_frame"],
  [
    "bytes behind the array of a control frame",
    () => encodeContent(Uint8Array.of(0x92, Op.PING, 1, 0xc0)),
    "malformed_frame",
  ],
  ["arrays 17 deep", () => nested(17), "malformed_frame"],
  ["arrays 100,000 deep", () => nested(100_000), "malformed_frame"],
  ["an array of 2^32 - 1 announced values", () => announce(0xdd, ...HUGE), "malformed_frame"],
  ["a map of 2^32 - 1 announced pairs", () => announce(0xdf, ...HUGE), "malformed_frame"],
  ["a string of 2^32 - 1 announced bytes", () => announce(0xdb, ...HUGE), "malformed_frame"],
  ["bytes of 2^32 - 1 announced bytes", () => announce(0xc6, ...HUGE), "malformed_frame"],
  ["an extension type", () => announce(0xd6, 0x72, 0, 0, 0, 0), "malformed_frame"],
  ["a map whose key is an array", () => announce(0x81, 0x90, 0xc0), "malformed_frame"],
  ["the byte that msgpack never uses", () => announce(0xc1), "malformed_frame"],
  ["300,000 values in a control frame", () => wide(300_000), "limit_exceeded"],
  ["a control frame of 5 MiB", () => encodeFrame(Op.TOPIC_DESCRIBE, 1, "x".repeat(5 << 20)), "limit_exceeded"],
  ["a publish whose array is cut", () => encodeContent(Uint8Array.of(0x96, Op.PUBLISH, 0)), "malformed_frame"],
  ["a publish with a publisher that is a string", () => encodeFrame(Op.PUBLISH, "x", 1, 0, 2, null), "malformed_frame"],
];

describe("a connection is ended with a reason for", () => {
  for (const over of ["tcp", "ws"] as const) {
    test.each(fatal)(`%s (${over})`, async (_, bytes, error) => {
      using client = await RawClient.connect(over === "tcp" ? port() : broker.httpPort, {}, over);
      client.send(bytes());
      expect(await client.goodbye()).toBe(error);
    });
  }

  test("a text message over WebSocket", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${broker.httpPort}/ws`);
    const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
    socket.onopen = () => socket.send("hello");
    expect(await closed).toBe(1003);
  });

  test("a WebSocket message far over the frame limit", async () => {
    const client = await RawClient.connect(broker.httpPort, {}, "ws");
    client.send(new Uint8Array(FRAME_BYTES_MAX + (1 << 20)));
    await client.closed;
  });
});

describe("a request is refused and the connection goes on after", () => {
  const alive = async (client: RawClient): Promise<void> => {
    client.send(encodeFrame(Op.PING, "alive"));
    expect((await client.takeOp(Op.PONG)).args[0]).toBe("alive");
  };

  const refused: readonly [what: string, op: number, args: unknown[], error: ErrorName][] = [
    ["an op that nobody knows", 99, [{}], "unknown_op"],
    ["an op that only the broker sends", Op.ACK, [1, 2, 3, 4, 5], "unknown_op"],
    ["a second HELLO", Op.HELLO, [{ version: [1, 1] }], "protocol_error"],
    ["an argument that is missing", Op.TOPIC_CREATE, [], "invalid_argument"],
    [
      "a name of 250 bytes",
      Op.TOPIC_CREATE,
      [{ name: "x".repeat(250), partitions: 1, config: {} }],
      "invalid_topic_name",
    ],
    ["a name that is a path", Op.TOPIC_CREATE, [{ name: "a/../b", partitions: 1, config: {} }], "invalid_topic_name"],
    ["a name of ours", Op.TOPIC_CREATE, [{ name: "__metadata", partitions: 1, config: {} }], "invalid_topic_name"],
    [
      "a setting that there is not",
      Op.TOPIC_CREATE,
      [{ name: "a", partitions: 1, config: { oops: 1 } }],
      "invalid_config",
    ],
    ["no partitions", Op.TOPIC_CREATE, [{ name: "a", partitions: 0, config: {} }], "invalid_argument"],
    ["2^40 partitions", Op.TOPIC_CREATE, [{ name: "a", partitions: 2 ** 40, config: {} }], "invalid_argument"],
    ["half a partition", Op.TOPIC_CREATE, [{ name: "a", partitions: 0.5, config: {} }], "invalid_argument"],
    ["a publisher of 2^32", Op.PUBLISHER_OPEN, [2 ** 32, { topic: "beside" }], "invalid_argument"],
    ["a publisher of -1", Op.PUBLISHER_OPEN, [-1, { topic: "beside" }], "invalid_argument"],
    ["a publisher that is not there", Op.PUBLISHER_CLOSE, [3], "publisher_not_found"],
    ["an unknown topic to publish to", Op.PUBLISHER_OPEN, [1, { topic: "nowhere" }], "topic_not_found"],
    ["credit past the limit", Op.SUBSCRIBE, [1, { topic: "beside", creditBytes: 2 ** 40 }], "invalid_argument"],
    [
      "an offset that was never written",
      Op.SUBSCRIBE,
      [1, { topic: "beside", from: { offset: 1e9 }, creditBytes: 1 }],
      "offset_out_of_range",
    ],
    [
      "a partition that is not there",
      Op.SUBSCRIBE,
      [1, { topic: "beside", partitions: [7], creditBytes: 1 }],
      "partition_not_found",
    ],
    [
      "two kinds of subscription at once",
      Op.SUBSCRIBE,
      [1, { topic: "beside", pattern: "#", creditBytes: 1 }],
      "invalid_argument",
    ],
    ["a subscription that is not there", Op.UNSUBSCRIBE, [1], "subscription_not_found"],
    [
      "sources of a subscription that is not there",
      Op.RELEASE,
      [{ sub: 1, generation: 1, sources: [1] }],
      "subscription_not_found",
    ],
    [
      "a commit by nobody of a group",
      Op.COMMIT,
      [{ group: "g", member: "x", generation: 1, offsets: [["beside", 0, 1, null]] }],
      "member_unknown",
    ],
    ["a group that is not there", Op.GROUP_DESCRIBE, [{ group: "nobody" }], "group_not_found"],
  ];

  test.each(refused)("%s", async (_, op, args, error) => {
    using client = await RawClient.connect(port());
    expect(await client.refused(op, ...args)).toBe(error);
    await alive(client);
  });

  test("a number in use, or one more than may be open, of publishers and subscriptions", async () => {
    using client = await RawClient.connect(port());
    for (let round = 0; round < 20; round += 1) {
      // Numbers are the client's to choose, and only those in use count.
      const numbers = Array.from({ length: PUBLISHERS_MAX }, (_, n) => 0xffffffff - n - round * 1000);
      for (const number of numbers) {
        await client.ok(Op.PUBLISHER_OPEN, number, { topic: "beside" });
        await client.ok(Op.SUBSCRIBE, number, { topic: "beside", creditBytes: 1 });
      }
      expect(await client.refused(Op.PUBLISHER_OPEN, numbers[1], { topic: "beside" })).toBe("publisher_exists");
      expect(await client.refused(Op.PUBLISHER_OPEN, 1, { topic: "beside" })).toBe("limit_exceeded");
      expect(await client.refused(Op.SUBSCRIBE, numbers[1], { topic: "beside", creditBytes: 1 })).toBe(
        "subscription_exists",
      );
      expect(await client.refused(Op.SUBSCRIBE, 1, { topic: "beside", creditBytes: 1 })).toBe("limit_exceeded");
      for (const number of numbers) {
        await client.ok(Op.PUBLISHER_CLOSE, number);
        await client.ok(Op.UNSUBSCRIBE, number);
      }
    }
  });

  test("more requests at once than are allowed", async () => {
    using client = await RawClient.connect(port());
    const names = Array.from({ length: 40 }, (_, n) => `many-${n}`);
    const answers = await Promise.all(
      names.map((name) => client.request(Op.TOPIC_CREATE, { name, partitions: 1, config: {} })),
    );
    const refusals = answers.filter(({ op }) => op === Op.ERROR);
    expect(refusals.map(({ args }) => args[2])).toEqual(refusals.map(() => "limit_exceeded"));
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals.length).toBeLessThanOrEqual(40 - 8);
    await alive(client);
    const { topics } = (await client.ok(Op.TOPIC_LIST, { pattern: "#" })) as { topics: { name: string }[] };
    const made = topics.map(({ name }) => name).filter((name) => name.startsWith("many-"));
    expect(made.length).toBe(40 - refusals.length);
    for (const name of made) await client.ok(Op.TOPIC_DELETE, { name });
  });

  test("credit for a subscription that there is not", async () => {
    using client = await RawClient.connect(port());
    for (const sub of [0, 3, 4, 0xffffffff]) client.send(encodeFrame(Op.FLOW, sub, 1000));
    await alive(client);
  });
});

describe("a handshake", () => {
  test.each([
    ["a request", () => encodeFrame(Op.TOPIC_LIST, 1, {})],
    ["a PING", () => encodeFrame(Op.PING, 1)],
    ["a publish", () => encodeFrame(Op.PUBLISH_ONE, 1, 1, 0, 2, null, null, [null, null, "x", null])],
    ["credit", () => encodeFrame(Op.FLOW, 1, 1000)],
  ])("has to come before %s", async (_, bytes) => {
    using client = await RawClient.open(port());
    client.send(bytes());
    expect(await client.goodbye()).toBe("handshake_required");
  });

  test.each([
    ["no version of ours", { version: [7, 9] }, "unsupported_version"],
    ["versions that are no range", { version: "1" }, "invalid_argument"],
    ["a namespace that is no name", { namespace: "../x" }, "invalid_argument"],
    ["too many features", { features: Array.from({ length: 65 }, () => "x") }, "invalid_argument"],
  ] as [string, Record<string, unknown>, ErrorName][])("with %s is refused", async (_, fields, error) => {
    using client = await RawClient.open(port());
    const hello = { version: [1, 1], features: [], client: "raw", namespace: "default", ...fields };
    expect(await client.refused(Op.HELLO, hello)).toBe(error);
    expect(await client.goodbye()).toBe(error);
  });

  test("that never comes, or never completes, ends by timeout", async () => {
    using silent = await RawClient.open(port());
    using slow = await RawClient.open(port());
    slow.send(encodeFrame(Op.HELLO, 1, { version: [1, 1] }).subarray(0, 9));
    expect(await Promise.all([silent.goodbye(), slow.goodbye()])).toEqual(["timeout", "timeout"]);
  });
});

describe("a connection that goes silent", () => {
  test("is pinged, then ended with heartbeat_missed", async () => {
    using client = await RawClient.connect(port(), { heartbeatMs: 50 });
    expect(await client.goodbye()).toBe("heartbeat_missed");
    expect(client.frames.some(({ op }) => op === Op.PING)).toBe(true);
  });

  test("in the middle of a frame is ended too", async () => {
    using client = await RawClient.connect(port(), { heartbeatMs: 50 });
    client.send(Uint8Array.of(0xc6, 0, 0, 1, 0, 0x93));
    expect(await client.goodbye()).toBe("heartbeat_missed");
  });

  test("and does not even read is gone as well", async () => {
    using client = await RawClient.connect(port(), { heartbeatMs: 50 });
    await client.ok(Op.SUBSCRIBE, 1, { topic: "beside", from: "earliest", creditBytes: 1 << 20 });
    client.wire.pause();
    await until("it is gone", async () => (await metric(broker.httpPort, "millrace_connections")) === 1);
  });

  test("by closing in the middle of a frame leaves nothing", async () => {
    const client = await RawClient.connect(port());
    await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "beside" });
    client.send(Uint8Array.of(0xc6, 0, 1, 0, 0, 0x96, Op.PUBLISH));
    client.wire.end();
    await client.closed;
  });
});

test("a peer that asks and never reads is ended as a slow consumer", async () => {
  using client = await RawClient.connect(port());
  client.wire.pause();
  const ping = encodeFrame(Op.PING, "x".repeat(64 << 10));
  // The kernel's buffers take some megabytes before anything waits in the broker.
  for (let n = 0; n < 512; n += 1) client.send(ping);
  await until("it is gone", async () => (await metric(broker.httpPort, "millrace_connections")) === 1);
  expect(lines.join("")).toContain("slow_consumer");
});

test("connections past connectionsMax are told so, and others take their place when they are gone", async () => {
  const connectionsMax = 8;
  await using small = await startBroker({ connectionsMax });
  const open = async (): Promise<ErrorName | RawClient> => {
    const client = await RawClient.open(small.port);
    const answer = client.hello().then(() => client);
    return answer.catch(() => client.goodbye());
  };
  for (let round = 0; round < 2; round += 1) {
    const outcomes: (ErrorName | RawClient)[] = [];
    for (let n = 0; n < connectionsMax * 3; n += 1) outcomes.push(await open());
    const held = outcomes.filter((outcome) => outcome instanceof RawClient);
    expect(held.length).toBe(connectionsMax);
    expect(new Set(outcomes.filter((outcome) => typeof outcome === "string"))).toEqual(
      new Set<ErrorName>(["limit_exceeded"]),
    );
    for (const client of held) client[Symbol.dispose]();
    await until("all are gone", async () => (await metric(small.httpPort, "millrace_connections")) === 0);
  }
});
