/**
 * One event reaches everyone who wants it, each at its own pace: a fanout exchange gives every queue its message, which
 * is stored once. A topic is bound to it too, so that the history can be read again later, and a dashboard listens
 * for as long as it is connected.
 *
 *   bun test/scenarios/notifications.ts [URL]
 */
import { type Client, connect } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

const EVENTS = 500;
const CHANNELS = ["email", "sms", "push"];

export interface NotificationReport {
  published: string[];
  /** What each channel has sent. */
  sent: { [channel: string]: string[] };
  dashboard: string[];
  /** What the topic holds. */
  history: string[];
}

async function declare(client: Client): Promise<void> {
  const exchange = client.exchange("notifications");
  await exchange.declare("fanout");
  for (const channel of CHANNELS) {
    await client.queue(`notify-${channel}`).declare();
    await exchange.bind({ queue: `notify-${channel}` });
  }
  await client.topics.create("notification-history", { partitions: 1, ifNotExists: true });
  await exchange.bind({ topic: "notification-history" });
}

export async function notifyAll(url: string): Promise<NotificationReport> {
  await using client = await connect(url);
  await declare(client);
  const [end] = await client.topics.offsets("notification-history", "latest");

  // Goes with its connection, and with it what nobody has seen.
  await using viewer = await connect(url);
  const dashboard: string[] = [];
  await viewer.queue("dashboard").declare({ durable: false, exclusive: true });
  await viewer.queue("dashboard").bind("notifications");
  viewer.queue("dashboard").consume((message) => void dashboard.push(message.text() ?? ""));

  const published = Array.from({ length: EVENTS }, (_, n) => `order ${n} has left the house`);
  await Promise.all(published.map((text) => client.exchange("notifications").publish("", text)));

  const sent = Object.fromEntries(CHANNELS.map((channel) => [channel, [] as string[]]));
  for (const channel of CHANNELS) {
    client.queue(`notify-${channel}`).consume((message) => void sent[channel]?.push(message.text() ?? ""));
  }
  const history: string[] = [];
  for await (const message of client.consume("notification-history", {
    from: end ? { offset: end.offset } : "earliest",
    maxRecords: EVENTS,
  })) {
    history.push(message.text() ?? "");
  }
  await until(() => [...Object.values(sent), dashboard].every((texts) => texts.length >= EVENTS));
  return { published, sent, dashboard, history };
}

if (import.meta.main) {
  const { published, sent, dashboard, history } = await notifyAll(brokerUrl(process.argv[2]));
  console.log(`${published.length} events; the dashboard saw ${dashboard.length}, the topic keeps ${history.length}`);
  for (const [channel, texts] of Object.entries(sent)) console.log(`${channel}: ${texts.length}`);
}
