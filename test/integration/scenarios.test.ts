/** The programs of test/scenarios against a whole broker on files: each does what its first lines say. */
import { expect, test } from "bun:test";
import type { Broker } from "../../src/server/index.ts";
import { takeInventory } from "../scenarios/inventory.ts";
import { notifyAll } from "../scenarios/notifications.ts";
import * as orderProcessing from "../scenarios/order-processing.ts";
import * as orderRetryQueue from "../scenarios/order-retry-queue.ts";
import { balancePayments } from "../scenarios/payments.ts";
import { brokerUrl } from "../scenarios/program.ts";
import { callAround } from "../scenarios/remote-calls.ts";
import { type Tick, watchStocks } from "../scenarios/stocks.ts";
import { encodeVideos } from "../scenarios/video-encoding.ts";
import { startBroker, temporaryFolder } from "./harness.ts";

async function withBroker<T>(scenario: (url: string, broker: Broker) => Promise<T>): Promise<T> {
  await using folder = await temporaryFolder();
  await using broker = await startBroker({ dataDir: folder.path });
  return await scenario(`millrace://127.0.0.1:${broker.port}`, broker);
}

test("a scenario finds its broker by its argument, else by MILLRACE_URL, else by MILLRACE_PORT", () => {
  expect(brokerUrl("ws://a:1/ws", { MILLRACE_URL: "millrace://b:2" })).toBe("ws://a:1/ws");
  expect(brokerUrl(undefined, { MILLRACE_URL: "millrace://b:2", MILLRACE_PORT: "3" })).toBe("millrace://b:2");
  expect(brokerUrl(undefined, { MILLRACE_PORT: "3" })).toBe("millrace://127.0.0.1:3");
  expect(brokerUrl(undefined, {})).toBe("millrace://127.0.0.1:7400");
});

/** The core's clock counts whole ms, and Date.now may be a part of one behind it. */
const CLOCK_MS = 2;

/** How far apart the entries of each pair of neighbours are. */
function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] ?? 0));
}

test("order processing: a failed order comes again after the delay, is dead-lettered after the last attempt, and its customer's orders stay in order", async () => {
  const { orders, attempts, shipped, failed } = await withBroker(orderProcessing.processOrders);
  const hopeless = orders.filter(({ failures }) => failures >= orderProcessing.ATTEMPTS_MAX);
  expect(hopeless.length).toBeGreaterThan(0);
  expect(failed.map(({ order, queue }) => [order.id, queue])).toEqual(hopeless.map(({ id }) => [id, "order-queue"]));
  expect(shipped.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual(
    orders.filter((order) => !hopeless.includes(order)).map(({ id }) => id),
  );
  for (const { id, failures } of orders) {
    const own = attempts.filter(({ order }) => order.id === id);
    const wanted = Math.min(failures + 1, orderProcessing.ATTEMPTS_MAX);
    expect(own.map(({ attempt }) => attempt)).toEqual(Array.from({ length: wanted }, (_, index) => index + 1));
    const tooSoon = (gap: number): boolean => gap < orderProcessing.RETRY_DELAY_MS - CLOCK_MS;
    expect(gaps(own.map(({ atMs }) => atMs)).filter(tooSoon)).toEqual([]);
  }
  // Attempts of a customer's orders go up by id: nothing overtakes an order that waits for its next attempt.
  for (const customer of new Set(orders.map(({ customer }) => customer))) {
    const ids = attempts.filter(({ order }) => order.customer === customer).map(({ order }) => order.id);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  }
  // Others did not wait: between two attempts of a failing order, orders of other customers were handled.
  const first = attempts.findIndex(({ order }) => order.failures > 0);
  expect(attempts[first + 1]?.order.customer).not.toBe(attempts[first]?.order.customer ?? "");
}, 60_000);

test("orders with a retry queue: what is rejected expires there and comes back behind the others; its history counts", async () => {
  const { shipped, failed, attempts } = await withBroker(orderRetryQueue.processWithRetryQueue);
  const [once = -1] = shipped.slice(-1);
  expect(failed).toHaveLength(1);
  const rest = shipped.slice(0, -1);
  expect(rest).toEqual(rest.toSorted((a, b) => a - b));
  expect([...shipped, ...failed].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, id) => id));
  for (const [id, wanted] of [
    [once, 2],
    [failed[0], orderRetryQueue.ATTEMPTS_MAX],
  ]) {
    const times = attempts.filter((attempt) => attempt.id === id).map(({ atMs }) => atMs);
    expect(times).toHaveLength(wanted ?? 0);
    expect(gaps(times).filter((gap) => gap < orderRetryQueue.RETRY_DELAY_MS - CLOCK_MS)).toEqual([]);
  }
}, 60_000);

test("payments: each of four workers gets as many as its speed allows, and every payment is made once", async () => {
  const { workers, times } = await withBroker(balancePayments);
  expect(times.filter((count) => count !== 1)).toEqual([]);
  const total = workers.reduce((sum, { handled }) => sum + handled, 0);
  const speeds = workers.map(({ handled, busyMs }) => handled / busyMs);
  const together = speeds.reduce((sum, speed) => sum + speed, 0);
  const shares = workers.map(({ handled }) => handled / total);
  // Against the speed that was measured: on a busy machine a sleep takes longer than it says.
  for (const [index, share] of shares.entries()) {
    const fair = (speeds[index] ?? 0) / together;
    expect(share / fair, `worker ${index} has ${share} of the work, for its speed ${fair}`).toBeWithin(0.85, 1.15);
  }
  expect(shares).toEqual(shares.toSorted((a, b) => b - a));
}, 60_000);

test("video encoding: the jobs of a worker that died and of one that hung go to others, and no other job does", async () => {
  const { videos, events, killed, hung } = await withBroker(encodeVideos);
  const started = (video: string): number[] =>
    events.filter((event) => event.kind === "started" && event.video === video).map(({ worker }) => worker);
  for (const video of videos) {
    const workers = started(video);
    const isLost = video === killed || video === hung;
    expect(workers.length, `${video} was begun by ${workers}`).toBe(isLost ? 2 : 1);
    expect(events.filter((event) => event.kind === "encoded" && event.video === video)).toHaveLength(1);
  }
  expect(started(killed)[0]).toBe(0);
  expect(started(hung)[0]).toBe(1);
  expect(events.filter(({ kind }) => kind === "refused").map(({ worker, video }) => [worker, video])).toEqual([
    [1, hung],
  ]);
}, 60_000);

test("notifications: every queue of a fanout gets every event in order, and so does a topic", async () => {
  const { published, sent, dashboard, history } = await withBroker(notifyAll);
  expect(Object.keys(sent)).toEqual(["email", "sms", "push"]);
  for (const texts of [...Object.values(sent), dashboard, history]) expect(texts).toEqual(published);
}, 60_000);

test("remote calls: answers find their requests, responders share, nobody there is heard of at once, many answer one", async () => {
  const { prices, shares, unanswered, thrown, stock } = await withBroker(callAround);
  expect(prices).toEqual(prices.map((_, quantity) => 3 * quantity));
  expect(shares.reduce((sum, share) => sum + share, 0)).toBe(prices.length);
  expect(Math.min(...shares)).toBeGreaterThan(0);
  expect(thrown).toBe("request_failed: a negative quantity has no price");
  expect(unanswered.error).toStartWith("no_responder");
  expect(unanswered.afterMs).toBeLessThan(2_000);
  expect(stock).toEqual(["Hamburg has cranks", "Lyon has cranks", "Porto has cranks"]);
}, 60_000);

test("inventory: XML and JSON become one stream of JSON, and what cannot be read is put aside with why", async () => {
  const { sent, broken, received, unread } = await withBroker(takeInventory);
  const byId = (a: { item_id: string }, b: { item_id: string }): number => (a.item_id < b.item_id ? -1 : 1);
  expect(received.toSorted(byId)).toEqual(sent.toSorted(byId));
  expect(unread.map(({ text }) => text).toSorted()).toEqual([...broken].toSorted());
  for (const { reason } of unread) expect(reason).toMatch(/^step \d \((choose|map)\): /);
}, 60_000);

test("stocks: groups get every tick, an alert only those of its rule, and what is no tick is refused", async () => {
  const { sent, dashboards, analytics, alerts, refusal } = await withBroker(watchStocks);
  const inOrder = (ticks: readonly Tick[]): string[] => ticks.map((tick) => JSON.stringify(tick)).toSorted();
  expect(inOrder(dashboards.flat())).toEqual(inOrder(sent));
  expect(inOrder(analytics)).toEqual(inOrder(sent));
  expect(inOrder(alerts)).toEqual(inOrder(sent.filter(({ symbol, price }) => symbol === "AAPL" && price > 200)));
  expect(alerts.length).toBeGreaterThan(0);
  expect(refusal).toBe("schema_violation");
}, 60_000);
