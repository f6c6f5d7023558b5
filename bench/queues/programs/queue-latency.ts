/**
 * Messages through a queue at a fixed rate, whatever becomes of those before: the time from when each was due to its
 * delivery, and to the answer that its ack is in the broker's log. One thread that never sleeps publishes and consumes, for
 * the least that can be measured.
 */
import { Op, readMessagesHead } from "../../../src/protocol/index.ts";
import { BatchReader, BatchView } from "../../../src/protocol/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { Histogram } from "../../lib/histogram.ts";
import { Link } from "../../lib/link.ts";
import { makeWay, Schedule, turn } from "../../lib/pace.ts";
import { runProgram } from "../../lib/program.ts";
import { stampedFrame } from "../frames.ts";
import { settleFrame } from "../taker.ts";

export interface QueueLatencyRequest {
  readonly port: number;
  readonly queue: string;
  readonly rate: number;
  readonly seconds: number;
  /** Not counted, at the start. */
  readonly warmSeconds: number;
  readonly prefetch: number;
  readonly bodyBytes: number;
  readonly acks: number;
}

export interface QueueLatencyResult {
  /** Histograms as text. */
  readonly acked: string;
  readonly delivered: string;
  /** How late the messages were sent: part of both. */
  readonly lateness: string;
}

const LEAD_US = 50_000;
const SUBSCRIPTION = 1;
const PUBLISHER = 1;
/** Nothing takes longer behind the last message. */
const PATIENCE_US = 20_000_000;

class Loop {
  readonly acked: Histogram = new Histogram();
  readonly delivered: Histogram = new Histogram();
  readonly #link: Link;
  readonly #queue: string;
  readonly #seen: Uint8Array;
  readonly #warmCount: number;
  readonly #dueUs: (number: number) => number;
  done: number = 0;
  failure: Error | undefined;

  constructor(link: Link, queue: string, schedule: Schedule, warmCount: number, startUs: () => number) {
    this.#link = link;
    this.#queue = queue;
    this.#seen = new Uint8Array(schedule.total);
    this.#warmCount = warmCount;
    this.#dueUs = (number) => startUs() + schedule.dueUs(number);
    link.onMessages = (bytes, start, end) => this.#came(bytes, start, end);
    link.onFailure = (error) => (this.failure = error);
  }

  #came(bytes: Uint8Array, start: number, end: number): void {
    const atUs = nowUs();
    const { firstTag, batchStart } = readMessagesHead(bytes, start, end);
    const view = new BatchView(new BatchReader(bytes, batchStart, end, { topic: this.#queue }));
    const stamps = new DataView(bytes.buffer, bytes.byteOffset);
    const numbers: number[] = [];
    for (let index = 0; index < view.length; index += 1) {
      const number = stamps.getUint32(view.valueStart(index));
      if (this.#seen[number] !== 0) this.failure = new Error(`message ${number} came twice, or nobody sent it`);
      this.#seen[number] = 1;
      numbers.push(number);
      if (number >= this.#warmCount) this.delivered.record(atUs - this.#dueUs(number));
    }
    const ranges = [firstTag, numbers.length];
    this.#link
      .ask((correlation) => settleFrame(SUBSCRIPTION, ranges, correlation))
      .then(
        () => this.#stored(numbers),
        (error: unknown) => (this.failure = error as Error),
      );
  }

  #stored(numbers: readonly number[]): void {
    const atUs = nowUs();
    for (const number of numbers) if (number >= this.#warmCount) this.acked.record(atUs - this.#dueUs(number));
    this.done += numbers.length;
  }
}

async function spin(request: QueueLatencyRequest): Promise<QueueLatencyResult> {
  makeWay();
  const { port, queue, rate, seconds, warmSeconds, prefetch, bodyBytes, acks } = request;
  const schedule = new Schedule({ from: rate, to: rate, durationMs: seconds * 1e3 });
  const warmCount = schedule.dueBy(warmSeconds * 1e6);
  const lateness = new Histogram();
  const [publisher, consumer] = [await Link.open(port), await Link.open(port)];
  let startUs = Number.POSITIVE_INFINITY;
  const loop = new Loop(consumer, queue, schedule, warmCount, () => startUs);
  publisher.onFailure = (error) => (loop.failure = error);
  await publisher.request(Op.PUBLISHER_OPEN, PUBLISHER, { exchange: "" });
  await consumer.request(Op.SUBSCRIBE, SUBSCRIPTION, { queue, prefetch });
  const { frame, numberAt } = stampedFrame(queue, bodyBytes, acks);
  const stamp = new DataView(frame.buffer, frame.byteOffset);
  startUs = nowUs() + LEAD_US;
  const endUs = startUs + seconds * 1e6 + PATIENCE_US;
  for (let sent = 0; loop.done < schedule.total && loop.failure === undefined && nowUs() < endUs;) {
    const elapsedUs = nowUs() - startUs;
    for (const due = schedule.dueBy(elapsedUs); sent < due; sent += 1) {
      stamp.setUint32(numberAt, sent);
      publisher.send(frame);
      if (sent >= warmCount) lateness.record(elapsedUs - schedule.dueUs(sent));
    }
    await turn();
  }
  publisher.close();
  consumer.close();
  if (loop.failure !== undefined) throw loop.failure;
  if (loop.done !== schedule.total) throw new Error(`${loop.done} messages were acked of ${schedule.total}`);
  return { acked: loop.acked.encode(), delivered: loop.delivered.encode(), lateness: lateness.encode() };
}

await runProgram({}, async (message) => await spin(message as QueueLatencyRequest));
