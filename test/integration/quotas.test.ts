/** Quotas: who is past a rate is held back and loses nothing; others go on. */
import { describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/index.ts";
import { commands } from "../cli/run-cli.ts";
import { dial, startBroker, temporaryFolder, until } from "./harness.ts";

const START_MS = 1_700_000_000_000;
const RATE = { kind: "namespace", name: "limited", messagesPerSec: 100, burstMs: 1000 } as const;

/** Sends one after another, each after the ack of the one before, until stopped. */
class Sender {
  acked = 0;
  isStopped = false;
  readonly done: Promise<void>;

  constructor(send: () => Promise<unknown>) {
    this.done = this.#run(send);
  }

  async #run(send: () => Promise<unknown>): Promise<void> {
    while (!this.isStopped) {
      await send();
      this.acked += 1;
    }
  }
}

/** Something that takes a while and has to be done although others are held back. */
async function sendElsewhere(client: Client): Promise<void> {
  const producer = client.producer("t");
  for (let index = 0; index < 100; index += 1) await producer.send({ value: "free" });
}

const WAYS: readonly [way: string, send: (client: Client) => () => Promise<unknown>][] = [
  [
    "to a topic",
    (client) => {
      const producer = client.producer("t", { lingerMs: 0 });
      return () => producer.send({ value: "v" });
    },
  ],
  ["to an exchange", (client) => () => client.exchange("").publish("q", "v")],
  ["in a transaction", (client) => () => client.transaction((transaction) => transaction.publish("", "q", "v"))],
];

describe("a namespace past its quota of messages", () => {
  for (const [way, send] of WAYS) {
    test(`is held back ${way}, and goes on with time`, async () => {
      await using broker = await startBroker({ manualClockMs: START_MS });
      await using limited = await dial(broker, { namespace: "limited" });
      await using free = await dial(broker);
      for (const client of [limited, free]) await client.topics.create("t");
      await limited.queue("q").declare();
      await free.quotas.put(RATE);
      const sender = new Sender(send(limited));
      // A second's worth is the burst, and one more is what it has to wait for.
      await until("the burst", () => sender.acked === 101);
      await sendElsewhere(free);
      expect(sender.acked).toBe(101);
      broker.setClock(START_MS + 500);
      await until("half a second's worth", () => sender.acked === 151);
      await sendElsewhere(free);
      expect(sender.acked).toBe(151);
      expect(await free.quotas.delete(RATE)).toBe(true);
      sender.isStopped = true;
      broker.setClock(START_MS + 1000);
      await sender.done;
    });
  }
});

test("a quota of bytes holds all connections of a namespace back together, also those that come later", async () => {
  await using broker = await startBroker({ manualClockMs: START_MS });
  await using free = await dial(broker);
  await free.quotas.put({ kind: "namespace", name: "limited", bytesPerSec: 100_000, burstMs: 0 });
  await using first = await dial(broker, { namespace: "limited" });
  await using second = await dial(broker, { namespace: "limited" });
  await first.topics.create("t");
  const send = (client: Client): Sender => {
    const producer = client.producer("t", { lingerMs: 0 });
    return new Sender(() => producer.send({ value: "v".repeat(100_000) }));
  };
  const one = send(first);
  await until("the first message", () => one.acked === 1);
  const two = send(second);
  for (const sender of [one, two]) sender.isStopped = true;
  broker.setClock(START_MS + 900);
  await free.topics.create("t");
  await sendElsewhere(free);
  expect([one.acked, two.acked]).toEqual([1, 0]);
  let nowMs = START_MS + 900;
  await until("the last messages", () => {
    broker.setClock((nowMs += 1000));
    return one.acked === 2 && two.acked === 1;
  });
});

test("quotas survive a restart", async () => {
  await using folder = await temporaryFolder();
  {
    await using broker = await startBroker({ dataDir: folder.path });
    await using client = await dial(broker);
    await client.quotas.put(RATE);
  }
  await using broker = await startBroker({ dataDir: folder.path, manualClockMs: START_MS });
  await using limited = await dial(broker, { namespace: "limited" });
  await limited.topics.create("t");
  const producer = limited.producer("t", { lingerMs: 0 });
  const sender = new Sender(() => producer.send({ value: "v" }));
  await until("the burst", () => sender.acked === 101);
  sender.isStopped = true;
  broker.setClock(START_MS + 1000);
  await sender.done;
});

test("the command line sets, lists and deletes quotas, and says what is wrong", async () => {
  await using broker = await startBroker();
  const { ok, refused } = commands(() => ({ MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` }));
  expect(await ok("quota", "set", "--of-namespace", "a", "--messages", "5000")).toBe(
    "set the quota of the namespace a\n",
  );
  await ok("quota", "set", "--user", "loader", "--bytes", "10MiB", "--burst", "5s");
  const listed = await ok("quota", "list");
  expect(listed).toContain("5,000");
  expect(listed).toContain("10.0 MiB");
  expect(await refused(2, "quota", "set", "--of-namespace", "a")).toContain(
    "messagesPerSec, bytesPerSec, connectionsMax",
  );
  expect(await refused(2, "quota", "set", "--messages", "5")).toContain("--of-namespace or --user");
  await ok("quota", "delete", "--of-namespace", "a");
  expect(await refused(4, "quota", "delete", "--of-namespace", "a")).toContain("quota_not_found");
});
