import { expect, test } from "bun:test";
import { type Client, connect, type Delivery, type GroupConsumer, isMillraceError } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { all, dial, startBroker, take, temporaryFolder, textOf, until } from "./harness.ts";
import { random, SEED } from "./kit.ts";

const IS_LONG = process.env["MILLRACE_LONG"] !== undefined;
const RECORDS = IS_LONG ? 200_000 : 4000;
const PARTITIONS = 3;

function cutting(broker: Broker, bytesMax: number, salt: number): CuttingProxy {
  return new CuttingProxy(broker.port, { random: random(SEED + salt), bytesMax });
}

function dialThrough(proxy: CuttingProxy): Promise<Client> {
  const reconnect = { delayMinMs: 1, delayMaxMs: 10 };
  // The first connection may be cut as any other, and `connect` does not try again by itself.
  return until("a first connection", () =>
    connect(`millrace://127.0.0.1:${proxy.port}`, { reconnect }).catch(() => undefined as unknown as Client),
  );
}

interface Sent {
  readonly value: string;
  readonly partition: number;
  readonly delivery: Delivery;
}

/**
 * Sends `count` records in bursts of random length, `name:0`, `name:1`, … to partitions drawn at random. The buffer is
 * small because what is sent again on a new connection has to fit into what a connection lives for.
 */
async function produce(
  client: Client,
  name: string,
  count: number,
  options: Parameters<Client["producer"]>[1],
  draw: () => number,
): Promise<Sent[]> {
  const producer = client.producer("t", { bufferBytesMax: 6000, batchBytes: 1500, ...options });
  const sent: Sent[] = [];
  while (sent.length < count) {
    await producer.ready();
    for (let left = 1 + Math.floor(draw() * 60); left > 0 && sent.length < count; left -= 1) {
      const [value, partition] = [`${name}:${sent.length}`.padEnd(60, "."), Math.floor(draw() * PARTITIONS)];
      sent.push({ value, partition, delivery: producer.send({ partition, value }) });
    }
  }
  await producer.flush();
  return sent;
}

for (const mode of ["batch", "single"] as const) {
  for (const acks of ["written", "synced"] as const) {
    test(`idempotent producers in ${mode} mode, acks ${acks}: through broken connections nothing is doubled, missing or out of order (seed ${SEED})`, async () => {
      await using folder = await temporaryFolder();
      await using broker = await startBroker({ dataDir: folder.path });
      using proxy = cutting(broker, 20_000, 1);
      await using reader = await dial(broker);
      await reader.topics.create("t", { partitions: PARTITIONS });
      const names = ["a", "b"];
      const clients = await Promise.all(names.map(() => dialThrough(proxy)));
      const producing = clients.map((client, index) => {
        return produce(client, names[index] ?? "", RECORDS / 2, { mode, acks }, random(SEED + 10 + index));
      });
      const sent = await Promise.all(producing);
      const read = await all(reader.consume("t", { from: "earliest", until: "end" }));
      expect(proxy.cuts).toBeGreaterThan(10);
      const at = new Map(read.map(({ partition, offset, value }) => [`${partition}@${offset}`, textOf(value)]));
      for (const [index, records] of sent.entries()) {
        for (let partition = 0; partition < PARTITIONS; partition += 1) {
          const expected = records.filter((record) => record.partition === partition).map(({ value }) => value);
          const values = read.filter((message) => message.partition === partition).map(({ value }) => textOf(value));
          expect(values.filter((value) => value.startsWith(`${names[index]}:`))).toEqual(expected);
        }
        for (const { value, partition, delivery } of records) {
          const result = await delivery;
          expect(result.partition).toBe(partition);
          if (result.offset !== null) expect(at.get(`${partition}@${result.offset}`)).toBe(value);
          if (acks === "synced") expect(result.level).toBe("synced");
        }
      }
      expect(read).toHaveLength(RECORDS);
      proxy.calm();
      await Promise.all(clients.map((client) => client.close()));
    });
  }
}

test(`conditional publishes through broken connections hold once, as if they never broke (seed ${SEED})`, async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path });
  using proxy = cutting(broker, 3000, 2);
  await using reader = await dial(broker);
  await reader.topics.create("t");
  const client = await dialThrough(proxy);
  const producer = client.producer("t");
  const count = IS_LONG ? 10_000 : 200;
  for (let version = 0; version < count; version += 1) {
    const condition = version === 0 ? { expectKeyOffset: null } : { expectKeyOffset: version - 1 };
    const { offset } = await producer.send({ partition: 0, key: "account", value: String(version) }, condition);
    expect(offset).toBe(version);
  }
  expect(proxy.cuts).toBeGreaterThan(5);
  const read = await all(reader.consume("t", { from: "earliest", until: "end" }));
  expect(read.map(({ value }) => Number(textOf(value)))).toEqual(Array.from({ length: count }, (_, index) => index));
  proxy.calm();
  await client.close();
});

/** Fills "t" with records whose values are their offsets, in small batches. */
async function fill(client: Client, from: number, count: number): Promise<void> {
  const producer = client.producer("t", { batchBytes: 1500 });
  for (let index = from; index < from + count; index += 1) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      void producer.send({ partition, value: String(index).padStart(40, "0") });
    }
    if (index % 100 === 0) await producer.flush();
  }
  await producer.close();
}

test(`consumers go on where they were when connections break: nothing is left out and nothing comes twice (seed ${SEED})`, async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path });
  using proxy = cutting(broker, 40_000, 3);
  await using writer = await dial(broker);
  await writer.topics.create("t", { partitions: PARTITIONS });
  const each = Math.ceil(RECORDS / 2 / PARTITIONS);
  await fill(writer, 0, each);
  const client = await dialThrough(proxy);
  const offsetsOf = (messages: { partition: number; offset: number }[], partition: number): number[] =>
    messages.filter((message) => message.partition === partition).map(({ offset }) => offset);
  const ascending = (count: number, first = 0): number[] => Array.from({ length: count }, (_, index) => first + index);
  // A delivery is a whole frame: with more credit it would be longer than what a connection lives for, and never arrive.
  const creditBytes = 5000;
  const following = take(2 * each * PARTITIONS, client.consume("t", { from: "earliest", creditBytes }));
  const bounded = all(client.consume("t", { from: { offset: 100 }, until: "end", creditBytes }));
  const window = { from: { offset: 50 }, until: { offset: each - 50 }, partitions: [1], creditBytes };
  const windowed = all(client.consume("t", window));
  expect(offsetsOf(await windowed, 1)).toEqual(ascending(each - 100, 50));
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    expect(offsetsOf(await bounded, partition)).toEqual(ascending(each - 100, 100));
  }
  await fill(writer, each, each);
  const followed = await following;
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    expect(offsetsOf(followed, partition)).toEqual(ascending(2 * each));
  }
  for (const { offset, value } of followed) expect(Number(textOf(value))).toBe(offset);
  expect(proxy.cuts).toBeGreaterThan(10);
  proxy.calm();
  await client.close();
});

/** What the members of a group saw together, held against what they have committed. */
class Progress {
  readonly #next = new Array<number>(PARTITIONS).fill(0);
  readonly #committed = new Array<number>(PARTITIONS).fill(0);
  repeated = 0;

  saw(partition: number, offset: number): void {
    const next = this.#next[partition] ?? 0;
    if (offset > next) throw new Error(`${partition}/${offset} came, ${next} never did`);
    const committed = this.#committed[partition] ?? 0;
    if (offset < committed) throw new Error(`${partition}/${offset} came again, committed is ${committed}`);
    if (offset < next) this.repeated += 1;
    this.#next[partition] = Math.max(next, offset + 1);
  }

  committed(partition: number, offset: number): void {
    this.#committed[partition] = Math.max(this.#committed[partition] ?? 0, offset);
  }

  hasSeen(count: number): boolean {
    return this.#next.every((next) => next === count);
  }
}

/** Reads and commits every tenth message by hand. A commit may fall with its connection; then it does not count. */
async function work(member: GroupConsumer, progress: Progress): Promise<void> {
  for await (const message of member) {
    progress.saw(message.partition, message.offset);
    if (message.offset % 10 !== 0) continue;
    try {
      await member.commit(message);
      progress.committed(message.partition, message.offset + 1);
    } catch (error) {
      if (!isMillraceError(error, "connection_lost")) throw error;
    }
  }
}

test(`members of a group come back as themselves when connections break, and go on from what was committed (seed ${SEED})`, async () => {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path });
  using proxy = cutting(broker, 40_000, 4);
  await using writer = await dial(broker);
  await writer.topics.create("t", { partitions: PARTITIONS });
  const each = Math.ceil(RECORDS / PARTITIONS);
  await fill(writer, 0, 10);
  // A member whose join is never answered does not know its name and stays in the group until its session times out. So
  // they join in peace.
  proxy.calm();
  const clients = await Promise.all([1, 2].map(() => dialThrough(proxy)));
  const options = { autoCommit: false, sessionTimeoutMs: 20_000, creditBytes: 8000 };
  const members = clients.map((client) => client.group("g").consume("t", options));
  const progress = new Progress();
  const working = members.map((member) => work(member, progress));
  const ended = Promise.all(working);
  await until("the partitions are shared", () => {
    const counts = members.map(({ assignment }) => assignment.length);
    return counts.every((count) => count > 0) && counts.reduce((sum, count) => sum + count) === PARTITIONS;
  });
  const names = members.map(({ member }) => member);
  proxy.rage();
  await fill(writer, 10, each - 10);
  await Promise.race([until("all was seen", () => progress.hasSeen(each), IS_LONG ? 600_000 : 60_000), ended]);
  expect(proxy.cuts).toBeGreaterThan(5);
  expect(members.map(({ member }) => member)).toEqual(names);
  const described = await writer.group("g").describe();
  expect((described["members"] as { member: string }[]).map(({ member }) => member).sort()).toEqual(
    [...names].sort() as string[],
  );
  proxy.calm();
  await Promise.all(members.map((member) => member.close()));
  await ended;
  await Promise.all(clients.map((client) => client.close()));
});

test(`a group with automatic commits sees everything at least once and commits it in the end (seed ${SEED})`, async () => {
  await using broker = await startBroker();
  using proxy = cutting(broker, 15_000, 5);
  await using writer = await dial(broker);
  await writer.topics.create("t", { partitions: PARTITIONS });
  const each = Math.ceil(RECORDS / PARTITIONS);
  await fill(writer, 0, each);
  proxy.calm();
  const client = await dialThrough(proxy);
  const member = client.group("g").consume("t", { autoCommitMs: 5, sessionTimeoutMs: 20_000, creditBytes: 8000 });
  const progress = new Progress();
  const reading = (async () => {
    for await (const { partition, offset } of member) {
      progress.saw(partition, offset);
      // It has joined in peace.
      if (offset === 10) proxy.rage();
    }
  })();
  await Promise.race([until("all was seen", () => progress.hasSeen(each), IS_LONG ? 600_000 : 60_000), reading]);
  expect(proxy.cuts).toBeGreaterThan(2);
  proxy.calm();
  await until("all is committed", async () => {
    const committed = await writer.group("g").offsets();
    return committed.every(({ offset }) => offset === each);
  });
  await member.close();
  await reading;
  await client.close();
});

test(`a pattern subscription hears again after its connection broke (seed ${SEED})`, async () => {
  await using broker = await startBroker();
  using proxy = cutting(broker, Number.MAX_SAFE_INTEGER, 6);
  await using writer = await dial(broker);
  await writer.topics.create("order.created");
  const client = await dialThrough(proxy);
  const subscription = client.subscribe("order.*");
  const heard: string[] = [];
  const listening = (async () => {
    for await (const { value } of subscription) heard.push(textOf(value));
  })();
  const producer = writer.producer("order.created");
  for (let round = 0; round < 5; round += 1) {
    await until(`round ${round} is heard`, async () => {
      await producer.send({ value: `round ${round}` });
      return heard.includes(`round ${round}`);
    });
    proxy.cutAll();
    await until("it is connected again", () => client.state === "connected");
  }
  await client.close();
  await listening;
});
