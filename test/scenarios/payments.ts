/**
 * Payments are shared among four workers of different speed. None gets more than ten ahead (its prefetch), so a slow
 * one does not sit on work that a fast one could do, and each handles as many as its speed allows.
 *
 *   bun test/scenarios/payments.ts [URL]
 */
import { type Client, connect } from "../../src/client/index.ts";
import { brokerUrl, until } from "./program.ts";

const PREFETCH = 10;
/** What each worker takes for a payment. */
const WORKERS_MS = [4, 8, 16, 32];
const PAYMENTS = 1_200;

export interface Worker {
  readonly paymentMs: number;
  /** Payments handled while there was work for everyone. */
  handled: number;
  /** Spent on them. */
  busyMs: number;
}

export interface PaymentReport {
  workers: Worker[];
  /** How often each payment was made. */
  times: number[];
}

/** Starts a worker, on a connection of its own as if it ran elsewhere. */
async function work(client: Client, worker: Worker, times: number[]): Promise<void> {
  let made = 0;
  const isWorkForAll = (): boolean => made <= PAYMENTS - WORKERS_MS.length * PREFETCH;
  const consumer = client.queue("payment-queue").consume(
    async (message) => {
      const startMs = performance.now();
      await Bun.sleep(worker.paymentMs);
      const payment = message.json<{ id: number }>();
      times[payment.id] = (times[payment.id] ?? 0) + 1;
      made = times.reduce((sum, count) => sum + count, 0);
      if (!isWorkForAll()) return;
      worker.handled += 1;
      worker.busyMs += performance.now() - startMs;
    },
    { prefetch: PREFETCH },
  );
  await consumer.ready();
}

export async function balancePayments(url: string): Promise<PaymentReport> {
  await using client = await connect(url);
  const queue = client.queue("payment-queue");
  await queue.declare();

  const times = new Array<number>(PAYMENTS).fill(0);
  const workers = WORKERS_MS.map((paymentMs) => ({ paymentMs, handled: 0, busyMs: 0 }));
  const connections = await Promise.all(workers.map(() => connect(url)));
  await Promise.all(workers.map((worker, index) => work(connections[index] as Client, worker, times)));

  const ids = Array.from({ length: PAYMENTS }, (_, id) => id);
  await Promise.all(ids.map((id) => queue.publish(JSON.stringify({ id, cents: 100 + id }))));

  await until(() => times.every((count) => count > 0));
  await Promise.all(connections.map((connection) => connection.close()));
  return { workers, times };
}

if (import.meta.main) {
  const { workers } = await balancePayments(brokerUrl(process.argv[2]));
  for (const { paymentMs, handled, busyMs } of workers) {
    const speed = ((1000 * handled) / busyMs).toFixed(0);
    console.log(`the worker of ${paymentMs} ms made ${handled} payments, at ${speed} a second`);
  }
}
