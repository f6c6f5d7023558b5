import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Broker } from "../../src/server/index.ts";
import type { Client, Overview } from "../../src/client/index.ts";
import { jsonLines, runCli, startCli } from "../cli/run-cli.ts";
import { dial, failureOf, startBroker, until } from "./harness.ts";

/** `millrace top` against a broker in which something happens. */

let broker: Broker;
let client: Client;
let env: Record<string, string>;

beforeAll(async () => {
  broker = await startBroker();
  env = { MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` };
  client = await dial(broker);
  await client.topics.create("quiet");
  await client.topics.create("busy", { partitions: 2 });
  await client.queue("jobs").declare();
  await client.group("behind").commit([{ topic: "busy", partition: 0, offset: 0 }]);
});

afterAll(async () => {
  await client?.close();
  await broker?.stop();
});

/** Publishes to a topic and a queue until the work is done. */
async function underLoad<T>(work: Promise<T>): Promise<T> {
  const producer = client.producer("busy");
  let isDone = false;
  const load = (async (): Promise<void> => {
    while (!isDone) {
      await Promise.all([producer.send({ partition: 0, value: "x" }), client.queue("jobs").publish("y")]);
      await Bun.sleep(5);
    }
  })();
  try {
    return await work;
  } finally {
    isDone = true;
    await load;
  }
}

test("what is not a terminal gets one look with rates, the busiest first, and the command ends", async () => {
  const { exit, out, err } = await underLoad(runCli(["top", "--interval", "1s", "--json"], { env }));
  expect([exit, err]).toEqual([0, ""]);
  const [overview, ...more] = jsonLines<Overview>(out);
  expect(more).toEqual([]);
  expect(overview?.rates?.recordsInPerSec).toBeGreaterThan(0);
  const { topics = [], queues = [], groups = [] } = overview?.busiest ?? {};
  expect(topics[0]).toMatchObject({ namespace: "default", topic: "busy" });
  expect(topics[0]?.messagesInPerSec).toBeGreaterThan(0);
  expect(topics.map(({ topic }) => topic)).toContain("quiet");
  expect(queues[0]).toMatchObject({ queue: "jobs", unacked: 0, consumers: 0 });
  expect(queues[0]?.publishedPerSec).toBeGreaterThan(0);
  expect(groups).toMatchObject([{ group: "behind", topic: "busy" }]);
  expect(groups[0]?.lag).toBeGreaterThan(0);
});

test("lists have as many rows as are asked for, and looks come as often", async () => {
  const { exit, out } = await runCli(["top", "--interval", "1s", "--count", "2", "--limit", "1"], { env });
  expect(exit).toBe(0);
  expect(out.match(/^millrace \d/gm)).toHaveLength(2);
  expect(out).toMatch(/^busy /m);
  expect(out).not.toMatch(/^quiet /m);
  expect(out).not.toContain("\x1b");
});

test("an interrupt ends it with 0, and what it cannot do is refused", async () => {
  const child = startCli(["top", "--count", "0", "--interval", "1s"], { env });
  let text = "";
  const reading = (async () => {
    for await (const chunk of child.stdout) text += new TextDecoder().decode(chunk);
  })();
  await until("a look was shown", () => text.includes("WORKER"), 60_000);
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
  await reading;
  for (const words of [
    ["--interval", "10ms"],
    ["--limit", "0"],
    ["--limit", "1001"],
    ["--count", "x"],
  ])
    expect((await runCli(["top", ...words], { env })).exit).toBe(2);
  expect((await runCli(["top", "--url", "millrace://127.0.0.1:1"], { env })).exit).toBe(3);
}, 120_000);

test("the same is there over REST, and a limit that is none is refused", async () => {
  const ask = (query: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${broker.httpPort}/api/v1/overview${query}`);
  const { busiest } = (await (await ask("?busiest=1")).json()) as Overview;
  expect([busiest?.topics.length, busiest?.queues.length, busiest?.groups.length]).toEqual([1, 1, 1]);
  expect(Object.keys((await (await ask("")).json()) as Overview)).not.toContain("busiest");
  for (const limit of ["0", "1001", "x"]) expect((await ask(`?busiest=${limit}`)).status).toBe(400);
  for (const limit of [0, 1001])
    expect((await failureOf(client.overview({ busiest: limit }))).codeName).toBe("invalid_argument");
});
