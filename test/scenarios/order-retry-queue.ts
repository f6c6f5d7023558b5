/**
 * Orders with a retry queue, as it is done with RabbitMQ: what is rejected is dead-lettered to a queue without
 * consumers, where it expires after a delay and is dead-lettered back. The history of its deaths says how often it has
 * failed. Orders that do not fail stay in order; one that failed comes behind them.
 *
 *   bun test/scenarios/order-retry-queue.ts [URL]
 */
import { connect, type QueueMessage } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

export const RETRY_DELAY_MS = 200;
export const ATTEMPTS_MAX = 3;
const ORDERS = 20;
const FAILS_ONCE = 4;
const FAILS_ALWAYS = 9;

export interface RetryReport {
  /** Ids, in the order of handling. */
  shipped: number[];
  failed: number[];
  attempts: { id: number; atMs: number }[];
}

/** How often a message was rejected before. */
function failures(message: QueueMessage): number {
  const death = message.deaths.find(({ queue, reason }) => queue === "order-queue-classic" && reason === "rejected");
  return death?.count ?? 0;
}

export async function processWithRetryQueue(url: string): Promise<RetryReport> {
  await using client = await connect(url);
  const orders = client.queue("order-queue-classic");
  const retries = client.queue("order-retry");
  await orders.declare({ deadLetter: { exchange: "", routingKey: "order-retry" } });
  await retries.declare({
    messageTtlMs: RETRY_DELAY_MS,
    deadLetter: { exchange: "", routingKey: "order-queue-classic" },
  });
  await client.queue("order-failed").declare();

  for (let id = 0; id < ORDERS; id += 1) await orders.publish(String(id));

  const report: RetryReport = { shipped: [], failed: [], attempts: [] };
  orders.consume(
    async (message) => {
      const id = Number(message.text());
      report.attempts.push({ id, atMs: Date.now() });
      const isFailing = id === FAILS_ALWAYS || (id === FAILS_ONCE && failures(message) === 0);
      if (!isFailing) {
        report.shipped.push(id);
      } else if (failures(message) + 1 < ATTEMPTS_MAX) {
        message.reject();
      } else {
        // Published before the ack that follows the handler: a crash in between doubles it and loses nothing.
        await client.queue("order-failed").publish(String(id));
      }
    },
    { prefetch: 1 },
  );
  client.queue("order-failed").consume((message) => {
    report.failed.push(Number(message.text()));
  });

  await until(() => report.shipped.length + report.failed.length >= ORDERS);
  return report;
}

if (import.meta.main) {
  const { shipped, failed, attempts } = await processWithRetryQueue(brokerUrl(process.argv[2]));
  console.log(`${attempts.length} attempts; shipped ${shipped.join(" ")}; failed ${failed.join(" ")}`);
}
