/**
 * Orders are handled one at a time. One that fails comes again after a delay, and after the third failure it is put
 * where a person looks. Meanwhile the later orders of the same customer wait, so that they stay in order, and those of
 * other customers go on.
 *
 *   bun test/scenarios/order-processing.ts [URL]
 *
 * order-retry-queue.ts does the same with a retry queue of its own, as it is done with RabbitMQ.
 */
import { connect, type QueueConfig } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

export const RETRY_DELAY_MS = 200;
export const ATTEMPTS_MAX = 3;
const ORDERS = 40;
const CUSTOMERS = 4;

const ORDER_QUEUE: QueueConfig = {
  // One unsettled message of each group at a time: here, of each customer.
  ordered: true,
  retry: { kind: "fixed", delayMs: RETRY_DELAY_MS, attemptsMax: ATTEMPTS_MAX },
  // "" is the default exchange, which routes to the queue that the routing key names.
  deadLetter: { exchange: "", routingKey: "failed-orders" },
};

export interface Order {
  id: number;
  customer: string;
  /** How many attempts fail, to show what happens then. */
  failures: number;
}

export interface Attempt {
  order: Order;
  /** 1 for the first. */
  attempt: number;
  atMs: number;
}

export interface FailedOrder {
  order: Order;
  reason: string;
  queue: string;
}

export interface OrderReport {
  orders: Order[];
  attempts: Attempt[];
  shipped: Order[];
  failed: FailedOrder[];
}

function makeOrders(): Order[] {
  return Array.from({ length: ORDERS }, (_, id) => ({
    id,
    customer: `customer-${id % CUSTOMERS}`,
    failures: id === 7 ? ATTEMPTS_MAX : id % 10 === 2 ? 1 : 0,
  }));
}

export async function processOrders(url: string): Promise<OrderReport> {
  await using client = await connect(url);
  const queue = client.queue("order-queue");
  await queue.declare(ORDER_QUEUE);
  await client.queue("failed-orders").declare();

  const orders = makeOrders();
  await Promise.all(orders.map((order) => queue.publish(JSON.stringify(order), { group: order.customer })));

  const attempts: Attempt[] = [];
  const shipped: Order[] = [];
  queue.consume(
    (message) => {
      const order = message.json<Order>();
      attempts.push({ order, attempt: message.deliveries + 1, atMs: Date.now() });
      // What a handler throws sends the message through the queue's retry policy.
      if (message.deliveries < order.failures) throw new Error(`order ${order.id} cannot be shipped`);
      shipped.push(order);
    },
    { prefetch: 1 },
  );

  const failed: FailedOrder[] = [];
  client.queue("failed-orders").consume((message) => {
    const [death] = message.deaths;
    failed.push({ order: message.json<Order>(), reason: death?.reason ?? "", queue: death?.queue ?? "" });
  });

  await until(() => shipped.length + failed.length >= orders.length);
  return { orders, attempts, shipped, failed };
}

if (import.meta.main) {
  const { orders, attempts, shipped, failed } = await processOrders(brokerUrl(process.argv[2]));
  console.log(`${orders.length} orders took ${attempts.length} attempts: ${shipped.length} shipped`);
  for (const { order, reason, queue } of failed) console.log(`order ${order.id} left ${queue} for: ${reason}`);
}
