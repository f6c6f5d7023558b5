/**
 * Load on queues through the TypeScript client, as an application would use it where it is in a hurry: each body distinct
 * and encoded, each delivery read to the last byte of every body, and acked as soon as it is read.
 */
import { type Client, connect, type QueueConsumer } from "../../../src/client/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { runProgram } from "../../lib/program.ts";
import { Bodies, Tally } from "../bodies.ts";
import { keysOf } from "../routes.ts";

export interface QueueWork {
  readonly url: string;
  readonly queues: readonly string[];
  /** Messages of each queue. */
  readonly messages: number;
  readonly bodyBytes: number;
}

export type QueueClientRequest =
  /** Subscribes to every queue from so many connections; `collect` resolves when all is read and its acks are stored. */
  | ({ readonly op: "consume"; readonly connections: number; readonly prefetch: number } & QueueWork)
  | { readonly op: "collect" }
  /** Resolves when the last message is acknowledged. With `mixed` messages of all queues stand in one batch. */
  | ({ readonly op: "publish"; readonly isMixed: boolean } & QueueWork)
  /** Publishes through the topic exchange of routes.ts, a key after another. */
  | {
      readonly op: "route";
      readonly url: string;
      readonly exchange: string;
      readonly keys: number;
      readonly bindings: number;
      readonly messages: number;
      readonly bodyBytes: number;
    };

/** When it began and ended, on the clock that all processes share. */
export interface QueueSpan {
  readonly fromUs: number;
  readonly toUs: number;
}

/** So many messages of a queue are published before it is another one's turn. */
const TURN_MESSAGES = 500;

let reading: Promise<QueueSpan> | undefined;

async function read(consumer: QueueConsumer, tally: Tally, stop: () => void): Promise<void> {
  for await (const view of consumer.views()) {
    const { bytes, length } = view;
    for (let index = 0; index < length; index += 1) tally.read(bytes, view.valueStart(index), view.valueEnd(index));
    if (tally.isWhole) {
      view.ack();
      stop();
    }
  }
}

async function consume(request: QueueClientRequest & { op: "consume" }): Promise<void> {
  const { url, queues, connections, prefetch, messages, bodyBytes } = request;
  const clients = await Promise.all(Array.from({ length: connections }, () => connect(url)));
  const tallies = queues.map(() => new Tally(messages, bodyBytes));
  const { promise: whole, resolve, reject } = Promise.withResolvers<void>();
  const stop = (): void => {
    if (tallies.every(({ isWhole }) => isWhole)) resolve();
  };
  const consumers = clients.flatMap((client) =>
    queues.map((queue, at) => {
      const consumer = client.queue(queue).consume({ prefetch });
      read(consumer, tallies[at] as Tally, stop).catch(reject);
      return consumer;
    }),
  );
  reading = finish(whole, consumers, tallies, clients);
  // Whoever collects hears of it.
  reading.catch(() => undefined);
  while (!consumers.every(({ isSubscribed }) => isSubscribed)) await Bun.sleep(1);
}

/** The end is when the broker has stored the last ack; what came is checked behind it. */
async function finish(
  whole: Promise<void>,
  consumers: readonly QueueConsumer[],
  tallies: readonly Tally[],
  clients: readonly Client[],
): Promise<QueueSpan> {
  const fromUs = nowUs();
  await whole;
  await Promise.all(consumers.map((consumer) => consumer.flush()));
  const toUs = nowUs();
  await Promise.all(clients.map((client) => client.close()));
  for (const tally of tallies) tally.check();
  return { fromUs, toUs };
}

async function publish(request: QueueClientRequest & { op: "publish" }): Promise<QueueSpan> {
  const { url, queues, messages, bodyBytes, isMixed } = request;
  await using client = await connect(url);
  const shared = client.exchange("");
  // With options it is one of its own: a publisher for each queue.
  const exchanges = queues.map(() => (isMixed ? shared : client.exchange("", {})));
  const keys = queues.map((queue) => new TextEncoder().encode(queue));
  const bodies = new Bodies(bodyBytes);
  await Promise.all(exchanges.map((exchange) => exchange.ready()));
  const fromUs = nowUs();
  const turn = isMixed ? 1 : TURN_MESSAGES;
  for (let first = 0; first < messages; first += turn) {
    const end = Math.min(messages, first + turn);
    for (const [at, exchange] of exchanges.entries()) {
      const key = keys[at] as Uint8Array;
      for (let number = first; number < end; number += 1) {
        if (!exchange.append(key, bodies.make(number))) await exchange.ready();
      }
    }
  }
  await Promise.all(exchanges.map((exchange) => exchange.flush()));
  return { fromUs, toUs: nowUs() };
}

async function route(request: QueueClientRequest & { op: "route" }): Promise<QueueSpan> {
  const { url, exchange: name, keys: count, bindings, messages, bodyBytes } = request;
  const { keys } = keysOf(count, bindings);
  await using client = await connect(url);
  const exchange = client.exchange(name);
  const bodies = new Bodies(bodyBytes);
  await exchange.ready();
  const fromUs = nowUs();
  for (let number = 0; number < messages; number += 1) {
    if (!exchange.append(keys[number % count] as string, bodies.make(number))) await exchange.ready();
  }
  await exchange.flush();
  return { fromUs, toUs: nowUs() };
}

await runProgram({}, async (message) => {
  const request = message as QueueClientRequest;
  if (request.op === "publish") return await publish(request);
  if (request.op === "route") return await route(request);
  if (request.op === "consume") await consume(request);
  else return await reading;
  return {};
});
