import { type Client, connect } from "../../src/client/index.ts";
import { nowUs } from "../lib/clock.ts";
import { Histogram } from "../lib/histogram.ts";
import { Pace, Schedule } from "../lib/pace.ts";
import { runProgram } from "../lib/program.ts";
import type { LatencyAnswer, LatencyRequest } from "./messages.ts";
import { Maker, readTime } from "./records.ts";

/**
 * Latency at a fixed rate, open loop, from the publish in one process to the value in the hands of the reader in another.
 * A message is counted from when it was due, always, so that neither a stall of the broker nor one of the sender is left
 * out; the driver of the peers does the same.
 */

const START_DELAY_US = 10_000;
/** How long the reader waits for what was not there when the sender had ended. */
const LAST_WAIT_MS = 15_000;

let client: Client | null = null;
let reading: Promise<Histogram> | null = null;

async function read({ topic, rate, durationMs, warmUpMs }: LatencyRequest, from: Client): Promise<Histogram> {
  const histogram = new Histogram();
  const expected = Math.round((rate * durationMs) / 1e3);
  let count = 0;
  let countFromUs = Number.POSITIVE_INFINITY;
  for await (const messages of from.consume(topic, { from: "earliest" }).batches()) {
    for (const { value } of messages) {
      if (value === null) continue;
      const sentUs = readTime(value);
      if (count === 0) countFromUs = sentUs + warmUpMs * 1e3;
      if (sentUs >= countFromUs) histogram.record(nowUs() - sentUs);
      count += 1;
    }
    if (count >= expected) break;
  }
  return histogram;
}

async function send({ topic, acks, sizeBytes, rate, durationMs }: LatencyRequest, to: Client): Promise<LatencyAnswer> {
  const producer = to.producer(topic, { acks });
  await producer.ready();
  const maker = new Maker(sizeBytes);
  const record = { value: maker.value };
  const pace = new Pace(new Schedule({ from: rate, to: rate, durationMs }), nowUs() + START_DELAY_US);
  await pace.run((first, count) => {
    for (let number = first; number < first + count; number += 1) {
      maker.stamp(pace.dueUs(number));
      producer.sendNoWait(record);
    }
  });
  await producer.flush();
  return { histogram: pace.lateness.encode() };
}

async function finish(): Promise<LatencyAnswer> {
  if (reading === null) throw new Error("start comes first");
  const late = Bun.sleep(LAST_WAIT_MS).then(() => {
    throw new Error(`messages were missing ${LAST_WAIT_MS} ms after the last was sent`);
  });
  const histogram = await Promise.race([reading, late]);
  await client?.close();
  return { histogram: histogram.encode() };
}

async function handle(message: unknown): Promise<unknown> {
  const request = message as LatencyRequest;
  if (request.op === "finish") return await finish();
  client = await connect(request.url);
  if (request.op === "run") {
    const answer = await send(request, client);
    await client.close();
    return answer;
  }
  reading = read(request, client);
  // Whoever asks for the end hears of a failure.
  reading.catch(() => undefined);
  return {};
}

await runProgram({}, handle);
