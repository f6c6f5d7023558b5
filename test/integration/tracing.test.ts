/** Trace context from a producer over the broker to a consumer, and the broker's own spans at a collector. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  childTrace,
  type Client,
  formatTraceParent,
  traceContextOf,
  type TraceParent,
} from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { all, dial, startBroker, until } from "./harness.ts";

/** A span as OTLP's JSON has it. */
interface SpanJson {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, string>> }[];
}

interface RequestJson {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly SpanJson[] }[] }[];
}

const spans: SpanJson[] = [];
const paths = new Set<string>();
let status = 200;
let refused = 0;
let collector: Bun.Server<undefined>;
let broker: Broker;
let current: TraceParent | undefined;
let client: Client;

beforeAll(async () => {
  collector = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      paths.add(`${request.method} ${new URL(request.url).pathname} ${request.headers.get("content-type") ?? ""}`);
      const { resourceSpans } = (await request.json()) as RequestJson;
      if (status !== 200) refused += 1;
      else spans.push(...resourceSpans.flatMap((one) => one.scopeSpans.flatMap((scope) => scope.spans)));
      return new Response("{}", { status });
    },
  });
  broker = await startBroker({ otlpUrl: `http://127.0.0.1:${collector.port}` });
  const traceContext = () => (current === undefined ? undefined : { traceparent: formatTraceParent(current) });
  client = await dial(broker, { clientName: "traced", traceContext });
});

afterAll(async () => {
  await client.close();
  await broker.stop();
  await collector.stop(true);
});

function spansOf({ traceId }: TraceParent): SpanJson[] {
  return spans.filter((span) => span.traceId === traceId);
}

test("a consumer reads the context that the producer was in, and the broker's spans hang between the two", async () => {
  await client.topics.create("traced");
  const consumer = client.consume("traced", { from: "earliest" });
  const first = consumer[Symbol.asyncIterator]().next();
  current = childTrace();
  const mine = current;
  const { offset } = await client.producer("traced").send({ key: "k", value: "body" });
  const { value: message } = await first;
  await consumer.close();
  expect(traceContextOf(message?.headers ?? {})).toMatchObject(mine);

  const [publish, deliver] = await until("both spans to come", () => {
    const found = spansOf(mine).toSorted((a, b) => (a.name < b.name ? 1 : -1));
    return found.length >= 2 ? found : undefined;
  });
  expect([...paths]).toEqual(["POST /v1/traces application/json"]);
  expect(publish).toMatchObject({ name: "publish traced", parentSpanId: mine.spanId, kind: 2 });
  expect(deliver).toMatchObject({ name: "deliver traced", kind: 1 });
  const attributes = Object.fromEntries((publish?.attributes ?? []).map(({ key, value }) => [key, value]));
  expect(attributes["messaging.message.id"]).toEqual({ stringValue: String(offset) });
  expect(attributes["messaging.client.id"]).toEqual({ stringValue: "traced" });
  for (const span of [publish, deliver]) {
    expect(span?.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(BigInt(span?.endTimeUnixNano ?? 0)).toBeGreaterThanOrEqual(BigInt(span?.startTimeUnixNano ?? 1));
  }
});

test("a trace that is not sampled has no spans, and a record's own context stays", async () => {
  current = { ...childTrace(), isSampled: false };
  const unsampled = current;
  const own = childTrace();
  const producer = client.producer("traced");
  await producer.send({ value: "a" });
  await producer.send({ value: "b", headers: { traceparent: formatTraceParent(own) } });
  const read = await all(client.consume("traced", { from: "earliest", until: "end" }));
  expect(read.slice(-2).map(({ headers }) => traceContextOf(headers)?.traceId)).toEqual([
    unsampled.traceId,
    own.traceId,
  ]);
  await until("the other trace's span to come", () => spansOf(own).length > 0);
  expect(spansOf(unsampled)).toEqual([]);
});

test("messages of queues keep their context through a dead letter, and publishing through an exchange has a span", async () => {
  const dead = client.queue("traced.dead");
  await dead.declare();
  const queue = client.queue("traced");
  await queue.declare({ deadLetter: { exchange: "", routingKey: "traced.dead" } });
  current = childTrace();
  const mine = current;
  await client.exchange("").publish("traced", "body");
  const [message] = await queue.get(1);
  expect(traceContextOf(message?.headers ?? {})).toMatchObject(mine);
  await message?.reject();
  const letter = await until("the dead letter", async () => (await dead.get(1))[0]);
  expect(traceContextOf(letter.headers)).toMatchObject(mine);
  await letter.ack();
  const names = await until("the spans to come", () => {
    // A look that had just ended gives the letter back, and it is delivered again.
    const found = new Set(spansOf(mine).map(({ name }) => name));
    return found.size >= 3 ? [...found] : undefined;
  });
  // The dead letter is a message of its own, which the broker publishes.
  expect(names.sort()).toEqual(["deliver traced", "deliver traced.dead", "publish exchanges"]);
  expect(spansOf(mine).find(({ name }) => name === "publish exchanges")?.parentSpanId).toBe(mine.spanId);
});

test("a collector that refuses costs its spans and nothing else", async () => {
  status = 503;
  current = childTrace();
  const producer = client.producer("traced");
  await producer.send({ value: "c" });
  await until("the collector to refuse", () => refused > 0);
  status = 200;
  current = childTrace();
  const kept = current;
  await until("a span after it", async () => {
    await producer.send({ value: "d" });
    return spansOf(kept).length > 0;
  });
  expect((await all(client.consume("traced", { from: "earliest", until: "end" }))).length).toBeGreaterThan(4);
});
