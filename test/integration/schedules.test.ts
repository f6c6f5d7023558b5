/** Messages that the broker publishes by itself, again and again. */
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/index.ts";
import { isMillraceError } from "../../src/errors/index.ts";
import { commands } from "../cli/run-cli.ts";
import { dial, startBroker, temporaryFolder, until } from "./harness.ts";

const MINUTE_MS = 60_000;
/** 2026-11-21, 12:00 UTC. */
const NOON_MS = Date.UTC(2026, 10, 21, 12);

function textOf(value: string | Uint8Array | null | undefined): string | null {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : (value ?? null);
}

/** What a queue has got: body and the time that it was published for. */
async function received(client: Client, queue: string): Promise<[body: string | null, scheduledMs: unknown][]> {
  const messages = await client.queue(queue).peek(100);
  return messages.map(({ value, headers }) => [textOf(value), headers?.["x-scheduled-ms"]]);
}

async function waiting(client: Client, queue: string, count: number): Promise<void> {
  await until(`${count} messages`, async () => (await client.queue(queue).describe()).counts.ready === count);
}

describe("a schedule", () => {
  test("publishes once for each time that it names", async () => {
    await using broker = await startBroker({ manualClockMs: NOON_MS });
    await using client = await dial(broker);
    await client.queue("q").declare();
    const headers = { tenant: "a", "x-priority": 3 };
    await client.schedules.put({ name: "tick", cron: "*/5 * * * *", key: "q", value: "now", headers });
    expect(await received(client, "q")).toEqual([]);
    broker.setClock(NOON_MS + 5 * MINUTE_MS);
    await waiting(client, "q", 1);
    broker.setClock(NOON_MS + 9 * MINUTE_MS);
    broker.setClock(NOON_MS + 10 * MINUTE_MS);
    await waiting(client, "q", 2);
    expect(await received(client, "q")).toEqual([5, 10].map((minute) => ["now", NOON_MS + minute * MINUTE_MS]));
    const [message] = await client.queue("q").peek(1);
    expect(message?.headers).toMatchObject({ ...headers, "x-schedule": "tick" });
    const [listed] = await client.schedules.list();
    expect(listed).toMatchObject({ name: "tick", lastMs: NOON_MS + 10 * MINUTE_MS, error: null, headers });
    expect(listed?.nextMs).toBe(NOON_MS + 15 * MINUTE_MS);
  });

  test("goes by the clock of its time zone, also where that changes", async () => {
    const saturdayMs = Date.UTC(2026, 9, 24, 12);
    await using broker = await startBroker({ manualClockMs: saturdayMs });
    await using client = await dial(broker);
    await client.queue("q").declare();
    await client.schedules.put({
      name: "morning",
      cron: "0 9 * * *",
      timezone: "Europe/Berlin",
      key: "q",
      value: null,
    });
    // In the night the clocks of Berlin go back from UTC+2 to UTC+1.
    expect((await client.schedules.list())[0]?.nextMs).toBe(Date.UTC(2026, 9, 25, 8));
  });

  test("is replaced by one of its name, and ends when it is deleted", async () => {
    await using broker = await startBroker({ manualClockMs: NOON_MS });
    await using client = await dial(broker);
    await client.queue("q").declare();
    await client.schedules.put({ name: "s", cron: "* * * * *", key: "q", value: "old" });
    broker.setClock(NOON_MS + MINUTE_MS);
    await waiting(client, "q", 1);
    await client.schedules.put({ name: "s", cron: "* * * * *", key: "q", value: "new" });
    broker.setClock(NOON_MS + 2 * MINUTE_MS);
    await waiting(client, "q", 2);
    expect((await received(client, "q")).map(([body]) => body)).toEqual(["old", "new"]);
    await client.schedules.put({ name: "other", cron: "* * * * *", key: "q", value: "other" });
    expect(await client.schedules.delete("s")).toBe(true);
    expect(await client.schedules.delete("s")).toBe(false);
    broker.setClock(NOON_MS + 3 * MINUTE_MS);
    await waiting(client, "q", 3);
    expect((await received(client, "q")).at(-1)?.[0]).toBe("other");
  });

  test("says why a time came to nothing, and goes on", async () => {
    await using broker = await startBroker({ manualClockMs: NOON_MS });
    await using client = await dial(broker);
    await client.exchange("x").declare("fanout");
    await client.queue("q").declare();
    await client.schedules.put({ name: "s", cron: "* * * * *", exchange: "x", value: "v" });
    await client.exchange("x").delete();
    broker.setClock(NOON_MS + MINUTE_MS);
    await until("the failure", async () => (await client.schedules.list())[0]?.error?.includes('"x"'));
    await client.exchange("x").declare("fanout");
    await client.exchange("x").bind({ queue: "q" });
    broker.setClock(NOON_MS + 2 * MINUTE_MS);
    await waiting(client, "q", 1);
    expect((await client.schedules.list())[0]?.error).toBeNull();
  });
});

describe("while the broker is down", () => {
  for (const [missed, expected] of [
    ["once", 2],
    ["skip", 1],
  ] as const) {
    test(`times are made up for with missed: "${missed}" ${expected - 1} times`, async () => {
      await using folder = await temporaryFolder();
      {
        await using broker = await startBroker({ dataDir: folder.path, manualClockMs: NOON_MS });
        await using client = await dial(broker);
        await client.queue("q").declare();
        await client.schedules.put({ name: "s", cron: "* * * * *", key: "q", value: "v", missed });
        broker.setClock(NOON_MS + MINUTE_MS);
        await until("it is noted", async () => (await client.schedules.list())[0]?.lastMs === NOON_MS + MINUTE_MS);
      }
      const laterMs = NOON_MS + 60 * MINUTE_MS + 30_000;
      await using broker = await startBroker({ dataDir: folder.path, manualClockMs: laterMs });
      await using client = await dial(broker);
      await waiting(client, "q", expected);
      await until("the next time", async () => (await client.schedules.list())[0]?.nextMs === laterMs + 30_000);
      expect((await client.queue("q").describe()).counts.ready).toBe(expected);
    });
  }
});

test("a message that was published and not noted before the end is not published again", async () => {
  await using folder = await temporaryFolder();
  const metadata = join(folder.path, "logs", "1");
  {
    await using broker = await startBroker({ dataDir: folder.path, manualClockMs: NOON_MS });
    await using client = await dial(broker);
    await client.queue("q").declare();
    await client.schedules.put({ name: "s", cron: "0 13 * * *", key: "q", value: "v" });
    await cp(metadata, join(folder.path, "before"), { recursive: true });
    broker.setClock(NOON_MS + 60 * MINUTE_MS);
    await waiting(client, "q", 1);
  }
  // As a kill between the two leaves it.
  await rm(metadata, { recursive: true });
  await cp(join(folder.path, "before"), metadata, { recursive: true });
  await using broker = await startBroker({ dataDir: folder.path, manualClockMs: NOON_MS + 61 * MINUTE_MS });
  await using client = await dial(broker);
  await until("it is noted", async () => (await client.schedules.list())[0]?.lastMs === NOON_MS + 60 * MINUTE_MS);
  await waiting(client, "q", 1);
});

test("what is no schedule is refused", async () => {
  await using broker = await startBroker();
  await using client = await dial(broker);
  const codeOf = async (work: Promise<unknown>): Promise<string> => {
    const error = await work.catch((caught: unknown) => caught);
    return isMillraceError(error) ? error.codeName : "nothing";
  };
  const put = (fields: object): Promise<string> =>
    codeOf(client.schedules.put({ name: "s", cron: "* * * * *", value: null, ...fields }));
  expect(await put({ cron: "0 0 30 2 *" })).toBe("schedule_never");
  for (const fields of [
    { cron: "often" },
    { cron: "* * * * * *" },
    { timezone: "Mars/Olympus" },
    { name: "" },
    { missed: "twice" },
    { headers: { deep: { a: 1 } } },
    { value: 7 },
  ]) {
    expect([fields, await put(fields)]).toEqual([fields, "invalid_argument"]);
  }
  expect(await put({ exchange: "none" })).toBe("exchange_not_found");
  expect(await client.schedules.list()).toEqual([]);
});

test("the command line sets, lists and deletes schedules", async () => {
  await using broker = await startBroker();
  const { ok, refused } = commands(() => ({ MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` }));
  await ok("queue", "create", "reports");
  expect(await ok("schedule", "put", "daily", "--cron", "0 6 * * *", "--key", "reports", "-m", "x")).toBe(
    "set daily\n",
  );
  expect(await ok("schedule", "list")).toContain("queue reports");
  expect(await refused(2, "schedule", "put", "daily", "--cron", "0 0 30 2 *")).toContain("schedule_never");
  await ok("schedule", "delete", "daily");
  expect(await refused(4, "schedule", "delete", "daily")).toContain("schedule_not_found");
});
