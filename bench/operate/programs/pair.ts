/** A well-behaved producer and consumer on connections of their own: an open loop, each record numbered. */
import { connect, type Client } from "../../../src/client/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { Histogram } from "../../lib/histogram.ts";
import { Pace, Schedule } from "../../lib/pace.ts";
import { runProgram } from "../../lib/program.ts";

export type PairRequest =
  | { readonly op: "open"; readonly port: number; readonly token: string }
  /** Publishes for so long, and answers with what was measured of it. */
  | { readonly op: "run"; readonly seconds: number; readonly perSecond: number }
  /** Waits for what is under way, and answers with what became of all. */
  | { readonly op: "finish" };

export interface PairRun {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** How late this program itself was with its records. */
  readonly lateP99Ms: number;
}

export interface PairOutcome {
  readonly sent: number;
  readonly acknowledged: number;
  readonly received: number;
  readonly twice: number;
}

const TOPIC = "pair";
const VALUE_BYTES = 100;
const FINISH_MS = 20_000;

let publishing: Client;
let reading: Client;
let sent = 0;
let acknowledged = 0;
/** When each record is due, by its number. */
const dueUs: number[] = [];
const seen: boolean[] = [];
let received = 0;
let twice = 0;
let latencies = new Histogram();

async function open({ port, token }: PairRequest & { op: "open" }): Promise<null> {
  const url = `millrace://127.0.0.1:${port}`;
  publishing = await connect(url, { auth: { token } });
  reading = await connect(url, { auth: { token } });
  await publishing.topics.create(TOPIC);
  const consumer = reading.consume(TOPIC, { from: "earliest" });
  void (async () => {
    for await (const { value } of consumer) take(value ?? new Uint8Array(4));
  })();
  return null;
}

function take(value: Uint8Array): void {
  const number = new DataView(value.buffer, value.byteOffset).getUint32(0);
  if (seen[number] === true) {
    twice += 1;
    return;
  }
  seen[number] = true;
  received += 1;
  latencies.record(nowUs() - (dueUs[number] ?? 0));
}

async function run({ seconds, perSecond }: PairRequest & { op: "run" }): Promise<PairRun> {
  latencies = new Histogram();
  const producer = publishing.producer(TOPIC, { lingerMs: 0 });
  const pace = new Pace(new Schedule({ from: perSecond, to: perSecond, durationMs: seconds * 1000 }), nowUs());
  const first = sent;
  await pace.run((from, count) => {
    for (let index = from; index < from + count; index += 1) {
      const number = first + index;
      dueUs[number] = pace.dueUs(index);
      const value = new Uint8Array(VALUE_BYTES);
      new DataView(value.buffer).setUint32(0, number);
      sent += 1;
      void producer.send({ value }).then(() => (acknowledged += 1));
    }
  });
  await producer.close();
  await caughtUp();
  const ms = (percent: number): number => latencies.percentile(percent) / 1e3;
  return { p50Ms: ms(50), p99Ms: ms(99), maxMs: latencies.max / 1e3, lateP99Ms: pace.lateness.percentile(99) / 1e3 };
}

async function caughtUp(): Promise<void> {
  const endMs = performance.now() + FINISH_MS;
  while (received < sent && performance.now() < endMs) await Bun.sleep(5);
}

await runProgram({}, async (message) => {
  const request = message as PairRequest;
  if (request.op === "open") return await open(request);
  if (request.op === "run") return await run(request);
  await caughtUp();
  return { sent, acknowledged, received, twice } satisfies PairOutcome;
});
