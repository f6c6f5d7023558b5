/** The REST interface to the broker as a whole: connections over all threads, overview, live figures, configuration. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ERRORS } from "../../src/errors/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { Api } from "./api-kit.ts";
import { dial, failureOf, RawConnection, startBroker, THREADS, until } from "./harness.ts";

let broker: Broker;
let api: Api;
beforeAll(async () => {
  broker = await startBroker();
  api = await Api.open(broker.httpPort);
});
afterAll(() => broker.stop());

interface Row {
  readonly id: string;
  readonly client: string;
}

async function connections(query = ""): Promise<{ items: Row[]; next?: string }> {
  return (await api.shown(`/connections${query}`)) as unknown as { items: Row[]; next?: string };
}

async function patch(changes: Record<string, unknown>): Promise<[number, Record<string, unknown>]> {
  const { status, body } = await api.ask("PATCH", "/config", changes);
  return [status, body];
}

test("connections of all threads are listed in pages, narrowed, and closed with the reason", async () => {
  const raws = await Promise.all(Array.from({ length: 7 }, () => RawConnection.open(broker.port)));
  for (const [at, raw] of raws.entries()) await raw.hello({ client: `c${at}`, namespace: at < 3 ? "few" : "many" });
  const found: string[] = [];
  let after = "";
  for (let pages = 0; pages < 7; pages += 1) {
    const { items, next } = await connections(`?limit=2${after}`);
    found.push(...items.map(({ client }) => client));
    if (next === undefined) break;
    after = `&after=${next}`;
  }
  expect(found.sort()).toEqual(["c0", "c1", "c2", "c3", "c4", "c5", "c6"]);
  const few = (await connections("?namespace=few")).items;
  expect(few.map(({ client }) => client).sort()).toEqual(["c0", "c1", "c2"]);
  const id = few.find(({ client }) => client === "c1")?.id ?? "";
  expect((await api.ask("DELETE", `/connections/${id}?reason=test`)).status).toBe(204);
  expect(await raws[1]?.goodbye()).toBe(ERRORS.connection_closed.code);
  await until("it is gone", async () => (await connections("?namespace=few")).items.length === 2);
  expect((await api.ask("DELETE", `/connections/${id}`)).status).toBe(404);
  expect((await api.ask("DELETE", "/connections/none")).status).toBe(404);
  for (const raw of raws) raw.end();
  await until("all are gone", async () => (await connections()).items.length === 0);
});

test("the overview counts what there is and what has flowed, and in a second look how fast", async () => {
  await using client = await dial(broker);
  await client.topics.create("seen", { partitions: 2 });
  for (let at = 0; at < 10; at += 1) await client.producer("seen").send({ value: "x" });
  await client.queue("seen.queue").declare();
  await api.ask("POST", "/queues/default/seen.queue/messages", { value: "x" });
  const overview = async (): Promise<Record<string, Record<string, number>>> =>
    (await api.ask("GET", "/overview")).body as Record<string, Record<string, number>>;
  expect(await overview()).toMatchObject({
    threads: THREADS,
    counts: { topics: 1, partitions: 2, connections: 1 },
    totals: { recordsIn: 10, enqueued: 1, delivered: 0 },
    queues: { ready: 1, inFlight: 0 },
    storage: { failedPartitions: 0 },
  });
  const rates = await until("there are rates", async () => (await overview())["rates"] ?? undefined);
  expect(rates).toMatchObject({ recordsInPerSec: expect.any(Number), bytesOutPerSec: expect.any(Number) });
});

interface LiveEvent {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

async function* eventsOf(response: Response): AsyncGenerator<LiveEvent> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const [, event = "", data = ""] = /^event: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      yield { event, data: JSON.parse(data) as Record<string, unknown> };
    }
  }
}

test("events show what was asked for each second with rates, and say what cannot be shown", async () => {
  await using client = await dial(broker);
  await client.topics.create("watched");
  const stop = new AbortController();
  const query = "topics=overview,topic:default/watched,queue:default/nowhere";
  const response = await fetch(`${api.base}/events?${query}`, { signal: stop.signal });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const seen = new Map<string, Record<string, unknown>[]>();
  await client.producer("watched").send({ value: "x" });
  for await (const { event, data } of eventsOf(response)) {
    seen.set(event, [...(seen.get(event) ?? []), data]);
    if ((seen.get("topic:default/watched") ?? []).length >= 2) break;
  }
  stop.abort();
  expect(seen.get("overview")?.[0]).toMatchObject({ counts: { queues: 1 } });
  const [first, second] = seen.get("topic:default/watched") ?? [];
  expect(first).toMatchObject({ name: "watched", rates: null });
  expect(second).toMatchObject({ recordsIn: 1, rates: { recordsInPerSec: expect.any(Number) } });
  expect(seen.get("problem")?.[0]).toMatchObject({
    topic: "queue:default/nowhere",
    error: { name: "queue_not_found" },
  });
  expect((await fetch(`${api.base}/events?topics=planet:default/x`)).status).toBe(400);
});

test("a limit is changed while the broker runs, on all threads; what only the start reads is refused", async () => {
  await using client = await dial(broker);
  const { items } = await api.shown("/config");
  const topics = items.find(({ key }) => key === "topicsMax")?.["value"];
  const [status, body] = await patch({ topicsMax: 1 });
  expect(status).toBe(200);
  expect(body["items"]).toContainEqual(expect.objectContaining({ key: "topicsMax", value: 1, isChanged: true }));
  for (let connection = 0; connection < 4; connection += 1) {
    await using other = await dial(broker);
    expect((await failureOf(other.topics.create("one-more"))).codeName).toBe("limit_exceeded");
  }
  expect(await patch({ topicsMax: null })).toMatchObject([200, {}]);
  await client.topics.create("one-more");
  const after = await api.shown("/config");
  expect(after.items).toContainEqual(expect.objectContaining({ key: "topicsMax", value: topics, isChanged: false }));
  expect(await patch({ threads: 4 })).toMatchObject([409, { error: { name: "config_fixed" } }]);
  expect(await patch({ topicsMax: "many" })).toMatchObject([400, { error: { name: "invalid_config" } }]);
  expect(await patch({ topicsMin: 1 })).toMatchObject([400, { error: { name: "invalid_config" } }]);
});
