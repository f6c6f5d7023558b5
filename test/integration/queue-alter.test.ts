/** Queues whose configuration changes while they are used, and windows beyond their limit. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Client, QueueConfigChange } from "../../src/client/index.ts";
import { encodePrefetch, Op } from "../../src/protocol/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, failureOf, RawConnection, startBroker, temporaryFolder, until } from "./harness.ts";

const PREFETCH_MAX = 8;

let broker: Broker;
let client: Client;

beforeAll(async () => {
  broker = await startBroker();
  client = await dial(broker);
});

afterAll(async () => {
  await client.close();
  await broker.stop();
});

describe("a changed configuration", () => {
  test("holds for what comes next, and is told of", async () => {
    const queue = client.queue("limits");
    await queue.declare({ lengthMax: 3, overflow: "reject", retry: { delayMs: 60_000, jitter: 0.5 } });
    for (const value of ["a", "b", "c"]) await queue.publish(value);
    expect((await failureOf(queue.publish("d"))).codeName).toBe("queue_full");
    const config = await queue.alter({ lengthMax: 5, retry: { delayMs: 0 } });
    expect(config).toMatchObject({ lengthMax: 5, overflow: "reject", retry: { delayMs: 0, jitter: 0.5 } });
    expect((await queue.describe()).config).toEqual(config);
    for (const value of ["d", "e"]) await queue.publish(value);
    expect((await failureOf(queue.publish("f"))).codeName).toBe("queue_full");
    const [first] = await queue.get(1);
    first?.nack();
    await until("it comes again at once", async () => (await queue.describe()).counts.ready === 5);
    expect(await queue.alter({ lengthMax: null, overflow: null })).toMatchObject({ overflow: "drop-head" });
    await queue.publish("f");
    expect((await failureOf(queue.alter({ ordered: true }))).codeName).toBe("invalid_config");
    expect((await failureOf(client.queue("none").alter({}))).codeName).toBe("queue_not_found");
  });

  test("gives what waits for a consumer to the only active one, and to all again", async () => {
    const queue = client.queue("active");
    await queue.declare();
    const counts = [0, 0];
    const active: (boolean | undefined)[] = [];
    const consumers = counts.map((_, index) =>
      queue.consume(() => void (counts[index] = (counts[index] as number) + 1), {
        prefetch: 1,
        onActive: (is) => (active[index] = is),
      }),
    );
    await until("both consume", async () => (await queue.describe()).counts.consumers === 2);
    await queue.alter({ singleActive: true });
    await until("one is told that it is not", () => active.includes(false));
    const idle = active.indexOf(false);
    for (let n = 0; n < 20; n += 1) await queue.publish("x");
    await until("one has all", () => counts[1 - idle] === 20);
    expect(counts[idle]).toBe(0);
    await queue.alter({ singleActive: null });
    const more = (async () => {
      while (counts[idle] === 0) await queue.publish("y");
    })();
    await until("the other has some again", () => (counts[idle] as number) > 0);
    await more;
    await Promise.all(consumers.map((consumer) => consumer.close()));
  });

  test("under load loses nothing and doubles nothing", async () => {
    const queue = client.queue("load");
    await queue.declare();
    await using publisher = await dial(broker);
    const count = 30_000;
    const seen = new Uint8Array(count);
    let done = 0;
    const consumers = [20, 300].map((prefetch) =>
      queue.consume(
        (message) => {
          const at = Number(message.text());
          seen[at] = (seen[at] as number) + 1;
          done += 1;
        },
        { prefetch, concurrency: prefetch },
      ),
    );
    const exchange = publisher.exchange("");
    const publishing = (async () => {
      for (let n = 0; n < count; n += 1) if (!exchange.append(queue.name, `${n}`)) await exchange.ready();
      await exchange.flush();
    })();
    const changes: QueueConfigChange[] = [
      { singleActive: true },
      { leaseMs: 600_000, messageTtlMs: 600_000, inFlightMax: 50 },
      { singleActive: null, priorityMax: 5 },
      { dedupWindowMs: 60_000, deliveryLimit: 3, inFlightMax: null },
      { leaseMs: null, messageTtlMs: null, priorityMax: null, dedupWindowMs: null, deliveryLimit: null },
    ];
    let altered = 0;
    while (done < count || altered < 20) {
      await queue.alter(changes[altered % changes.length] as QueueConfigChange);
      altered += 1;
    }
    await publishing;
    await until("all are acked", async () => (await queue.describe()).counts.acked === count);
    expect(seen.every((times) => times === 1)).toBe(true);
    expect((await queue.describe()).counts).toMatchObject({ ready: 0, inFlight: 0, expired: 0, dropped: 0 });
    await Promise.all(consumers.map((consumer) => consumer.close()));
  });

  test("survives a restart", async () => {
    await using folder = await temporaryFolder();
    {
      await using first = await startBroker({ dataDir: folder.path });
      await using before = await dial(first);
      await before.queue("kept").declare({ lengthMax: 2, overflow: "reject" });
      await before.queue("kept").publish("a");
      await before.queue("kept").alter({ lengthMax: 3 });
    }
    await using second = await startBroker({ dataDir: folder.path });
    await using after = await dial(second);
    const queue = after.queue("kept");
    expect((await queue.describe()).config.lengthMax).toBe(3);
    await queue.publish("b");
    await queue.publish("c");
    expect((await failureOf(queue.publish("d"))).codeName).toBe("queue_full");
  });
});

test("a window that is made larger than prefetchMax is prefetchMax", async () => {
  await using small = await startBroker({ prefetchMax: PREFETCH_MAX });
  await using other = await dial(small);
  const queue = other.queue("q");
  await queue.declare();
  for (let n = 0; n < 2 * PREFETCH_MAX; n += 1) await queue.publish("x");
  using raw = await RawConnection.open(small.port);
  await raw.hello();
  await expect(raw.ask(Op.SUBSCRIBE, 1, { queue: "q", prefetch: PREFETCH_MAX + 1 })).rejects.toThrow(
    "invalid_argument",
  );
  await raw.ask(Op.SUBSCRIBE, 1, { queue: "q", prefetch: 1 });
  raw.send(encodePrefetch(1, 0xffffffff));
  await until("the window is full", async () => (await queue.describe()).counts.inFlight === PREFETCH_MAX);
  await raw.ask(Op.QUEUE_DESCRIBE, { name: "q" });
  expect((await queue.describe()).counts.inFlight).toBe(PREFETCH_MAX);
});
