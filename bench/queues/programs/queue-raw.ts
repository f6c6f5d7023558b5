/** Load on queues and exchanges by frames: what is published was encoded before, what comes is counted and acked. */
import { nowUs } from "../../lib/clock.ts";
import { runProgram } from "../../lib/program.ts";
import type { Unit } from "../../limits/units.ts";
import { Wire } from "../../limits/wire.ts";
import { publishUnit, type UnitSpec } from "../frames.ts";
import { Numbers, Taker } from "../taker.ts";
import type { QueueSpan } from "./queue-client.ts";

export type QueueRawRequest =
  /** Encodes what `publish` sends. */
  | ({ readonly op: "encode" } & UnitSpec)
  /** Sends what was encoded so many times; resolves when everything is acknowledged. */
  | { readonly op: "publish"; readonly port: number; readonly exchange: string; readonly units: number }
  /** Subscribes to every queue from so many connections; `collect` resolves when all has come and its acks are stored. */
  | {
      readonly op: "take";
      readonly port: number;
      readonly queues: readonly string[];
      readonly connections: number;
      readonly prefetch: number;
      /** Messages of each queue. */
      readonly messages: number;
    }
  | { readonly op: "collect" };

export interface PublishSpan extends QueueSpan {
  readonly messages: number;
}

let unit: Unit | undefined;
let taking: Promise<QueueSpan> | undefined;

async function publish({ port, exchange, units }: QueueRawRequest & { op: "publish" }): Promise<PublishSpan> {
  if (unit === undefined) throw new Error("nothing is encoded");
  const wire = await Wire.open(port);
  await wire.openPublisherOn({ exchange });
  const expected = units * unit.publishes;
  const fromUs = nowUs();
  wire.send(unit, units);
  await wire.until(() => wire.acked >= expected);
  const toUs = nowUs();
  wire.close();
  return { fromUs, toUs, messages: units * unit.records };
}

async function take(request: QueueRawRequest & { op: "take" }): Promise<void> {
  const { port, queues, connections, prefetch, messages } = request;
  const numbers = queues.map(() => new Numbers());
  const { promise: whole, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (numbers.every(({ count }) => count >= messages)) resolve();
  };
  const open = () => Taker.open(port, queues, prefetch, numbers, look);
  const takers = await Promise.all(Array.from({ length: connections }, open));
  taking = finish(whole, takers, numbers, messages);
  // Whoever collects hears of it.
  taking.catch(() => undefined);
}

async function finish(
  whole: Promise<void>,
  takers: readonly Taker[],
  numbers: readonly Numbers[],
  messages: number,
): Promise<QueueSpan> {
  const fromUs = nowUs();
  await whole;
  await Promise.all(takers.map((taker) => taker.flush()));
  const toUs = nowUs();
  for (const taker of takers) taker.close();
  for (const { count } of numbers) if (count !== messages) throw new Error(`${count} messages came of ${messages}`);
  return { fromUs, toUs };
}

await runProgram({}, async (message) => {
  const request = message as QueueRawRequest;
  if (request.op === "publish") return await publish(request);
  if (request.op === "collect") return await taking;
  if (request.op === "take") await take(request);
  else {
    unit = publishUnit(request);
    return { messages: unit.records };
  }
  return {};
});
