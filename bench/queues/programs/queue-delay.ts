/** Delayed messages through the client: a program publishes them, another takes down how late each of them came. */
import { type Client, connect } from "../../../src/client/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { Histogram } from "../../lib/histogram.ts";
import { runProgram } from "../../lib/program.ts";
import { Bodies } from "../bodies.ts";

export interface DelayPlan {
  readonly url: string;
  readonly queue: string;
  readonly messages: number;
  readonly bodyBytes: number;
  /** Messages are due evenly at random within so long from then on, in ms since 1970. */
  readonly fromMs: number;
  readonly spanMs: number;
}

export type DelayRequest =
  /** Resolves when all are acknowledged. */
  | ({ readonly op: "publish" } & DelayPlan)
  /** Consumes from now on. */
  | ({ readonly op: "listen"; readonly prefetch: number } & DelayPlan)
  /** What came of the messages that were due between two times, and ends it. */
  | { readonly op: "report"; readonly fromMs: number; readonly toMs: number };

export interface DelayReport {
  /** How late they came, as the text of a histogram. */
  readonly lateness: string;
  readonly messages: number;
}

/** Clocks that are read in two processes may differ by so much. */
const EARLY_MS_MAX = 1;

/** When a message is due: a number's hash (of Thomas Wang's kind), so that neighbours are due at other times. */
function dueMs({ fromMs, spanMs }: DelayPlan, number: number): number {
  let hash = Math.imul(number ^ (number >>> 16), 0x45d9f3b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return fromMs + Math.floor(((hash ^ (hash >>> 16)) >>> 0) * (spanMs / 2 ** 32));
}

/** The wall clock with fractions: Date.now() at its tick, and the shared clock from there on. */
function wallClock(): () => number {
  const start = Date.now();
  let ms = start;
  while (ms === start) ms = Date.now();
  const atUs = nowUs();
  return () => ms + (nowUs() - atUs) / 1e3;
}

async function publish(plan: DelayPlan): Promise<void> {
  await using client = await connect(plan.url);
  const exchange = client.exchange("");
  const bodies = new Bodies(plan.bodyBytes);
  await exchange.ready();
  for (let number = 0; number < plan.messages; number += 1) {
    const isRoom = exchange.publishNoWait(plan.queue, bodies.make(number), { deliverAt: dueMs(plan, number) });
    if (!isRoom) await exchange.ready();
  }
  await exchange.flush();
}

/** How late each message came, in ms; NaN for those that have not. */
let times = new Float32Array(0);
let plan: DelayPlan | undefined;
let client: Client | undefined;
let failure: Error | undefined;

async function listen(request: DelayRequest & { op: "listen" }): Promise<void> {
  plan = request;
  times = new Float32Array(request.messages).fill(Number.NaN);
  client = await connect(request.url);
  const consumer = client.queue(request.queue).consume({ prefetch: request.prefetch });
  const now = wallClock();
  const read = async (): Promise<void> => {
    for await (const view of consumer.views()) {
      const at = now();
      const bytes = new DataView(view.bytes.buffer, view.bytes.byteOffset);
      for (let index = 0; index < view.length; index += 1) take(bytes.getUint32(view.valueStart(index)), at, request);
    }
  };
  read().catch((error: unknown) => (failure = error as Error));
  while (!consumer.isSubscribed) await Bun.sleep(1);
}

function take(number: number, atMs: number, from: DelayPlan): void {
  const lateMs = atMs - dueMs(from, number);
  if (lateMs < -EARLY_MS_MAX) throw new Error(`message ${number} came ${-lateMs} ms before it was due`);
  if (!Number.isNaN(times[number])) throw new Error(`message ${number} came twice, or nobody sent it`);
  times[number] = Math.max(0, lateMs);
}

async function report({ fromMs, toMs }: DelayRequest & { op: "report" }): Promise<DelayReport> {
  const of = plan as DelayPlan;
  const lateness = new Histogram();
  let missing = 0;
  for (let number = 0; number < of.messages; number += 1) {
    const due = dueMs(of, number);
    if (due < fromMs || due >= toMs) continue;
    const lateMs = times[number] as number;
    if (Number.isNaN(lateMs)) missing += 1;
    else lateness.record(lateMs * 1e3);
  }
  await client?.close();
  if (failure !== undefined) throw failure;
  if (missing > 0) throw new Error(`${missing} messages have not come`);
  return { lateness: lateness.encode(), messages: lateness.count };
}

await runProgram({}, async (message) => {
  const request = message as DelayRequest;
  if (request.op === "report") return await report(request);
  if (request.op === "publish") await publish(request);
  else await listen(request);
  return {};
});
