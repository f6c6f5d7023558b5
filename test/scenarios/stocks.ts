/**
 * Prices of five companies, a topic for each (`stock/AAPL` and its siblings), as Avro ticks; the broker looks at every
 * record. Two dashboards share the prices, analytics sees all of them once more, and an alert is sent only what is above
 * its limit. A program that sends something else is refused.
 *
 *   bun test/scenarios/stocks.ts [URL]
 */
import { readFile } from "node:fs/promises";
import { type AvroSchema, avroTopic } from "../../src/client/avro/index.ts";
import { type Client, connect, type GroupConsumer, isMillraceError } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

export interface Tick {
  symbol: string;
  date: string;
  price: number;
}

const TICK: AvroSchema<Tick> = {
  schema: {
    type: "record",
    name: "Tick",
    namespace: "stocks",
    fields: [
      { name: "symbol", type: "string" },
      { name: "date", type: "string" },
      { name: "price", type: "double" },
    ],
  },
};

const FILE = new URL("../../node_modules/vega-datasets/data/stocks.csv", import.meta.url);
const PARTITIONS = 10;
/** One schema for all topics: its subject is the record's name. */
const STRATEGY = "record";
export const ALERT = 'symbol == "AAPL" and price > 200';

export interface StocksReport {
  sent: Tick[];
  /** What each dashboard got. */
  dashboards: Tick[][];
  analytics: Tick[];
  alerts: Tick[];
  /** Why the wrong program's record was refused. */
  refusal: string;
}

/** Reads ticks as a member of a group until it is closed. */
async function follow(client: Client, consumer: GroupConsumer, into: Tick[]): Promise<void> {
  const ticks = await avroTopic(client, "stock", { ...TICK, strategy: STRATEGY, readOnly: true });
  for await (const { value } of ticks.read(consumer)) if (value !== null) into.push(value);
}

async function ticksOf(): Promise<Tick[]> {
  const [, ...lines] = (await readFile(FILE, "utf8")).trim().split("\n");
  return lines.map((line) => {
    const [symbol = "", date = "", price] = line.split(",");
    return { symbol, date, price: Number(price) };
  });
}

async function publish(client: Client, sent: readonly Tick[]): Promise<void> {
  for (const [symbol, ticks] of Map.groupBy(sent, (tick) => tick.symbol)) {
    await using topic = await avroTopic(client, `stock/${symbol}`, { ...TICK, strategy: STRATEGY });
    await Promise.all(ticks.map((tick) => topic.send(tick, { key: tick.date })));
  }
}

/** What a program is told that sends no tick. */
async function sendWrongly(client: Client, topic: string): Promise<string> {
  try {
    await client.producer(topic).send({ value: JSON.stringify({ price: "a lot" }) });
    return "taken";
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return error.codeName;
  }
}

export async function watchStocks(url: string): Promise<StocksReport> {
  await using client = await connect(url);
  await using readers = await connect(url);
  const sent = await ticksOf();
  const topics = [...new Set(sent.map(({ symbol }) => `stock/${symbol}`))];
  for (const topic of topics) {
    await client.topics.create(topic, { partitions: PARTITIONS, schemaEnforce: "full", schemaStrategy: STRATEGY });
  }

  const report: StocksReport = { sent, dashboards: [[], []], analytics: [], alerts: [], refusal: "" };
  const members = [
    ...report.dashboards.map((into) => ({ consumer: readers.group("dashboards").consume(topics), into })),
    { consumer: readers.group("analytics").consume(topics), into: report.analytics },
    { consumer: readers.group("alert").consume(topics, { filter: ALERT }), into: report.alerts },
  ];
  const reading = members.map(({ consumer, into }) => follow(readers, consumer, into));

  await publish(client, sent);
  report.refusal = await sendWrongly(client, topics[0] as string);

  const above = sent.filter(({ symbol, price }) => symbol === "AAPL" && price > 200).length;
  const shown = (): number => report.dashboards.reduce((sum, { length }) => sum + length, 0);
  await until(() => shown() >= sent.length && report.analytics.length >= sent.length && report.alerts.length >= above);
  await Promise.all(members.map(({ consumer }) => consumer.close()));
  await Promise.all(reading);
  return report;
}

if (import.meta.main) {
  const { sent, dashboards, analytics, alerts, refusal } = await watchStocks(brokerUrl(process.argv[2]));
  console.log(`${sent.length} ticks sent; the dashboards show ${dashboards.map(({ length }) => length).join(" and ")}`);
  const mean = analytics.reduce((sum, { price }) => sum + price, 0) / analytics.length;
  console.log(`the mean price is ${mean.toFixed(2)}; a record that was no tick was refused with ${refusal}`);
  for (const { symbol, date, price } of alerts) console.log(`alert: ${symbol} at ${price} on ${date}`);
}
