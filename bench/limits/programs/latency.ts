/**
 * Messages at a fixed rate, whatever becomes of those before, and the time from when each was due to when it came back.
 * Two ways: `spin` sends and receives in one thread that never sleeps, for the least that can be measured; `listen` and
 * `send` are two processes that sleep, which leave the machine to others.
 */
import { BATCH_HEADER_BYTES, FrameReader, Op, opOf, readDeliverHead } from "../../../src/protocol/index.ts";
import { nowUs } from "../../lib/clock.ts";
import { Histogram } from "../../lib/histogram.ts";
import { makeWay, Pace, Schedule, turn } from "../../lib/pace.ts";
import { runProgram } from "../../lib/program.ts";
import { singleFrame, type Unit } from "../units.ts";
import { Wire } from "../wire.ts";

interface Flow {
  readonly port: number;
  /** Without one the other side is an echo, or, for two processes, a relay to its first connection. */
  readonly topic?: string;
  readonly rate: number;
  readonly seconds: number;
  /** Not counted, at the start. */
  readonly warmSeconds: number;
  readonly recordBytes: number;
  readonly acks: number;
}

export type LatencyRequest =
  | ({ readonly op: "spin" } & Flow)
  /** Subscribes; `wait` resolves when everything has come. Times count from `startUs` on the shared clock. */
  | ({ readonly op: "listen" } & Flow)
  | { readonly op: "wait"; readonly startUs: number }
  /** The latency of what was due between two moments on the shared clock, of the run that `wait` has ended. */
  | { readonly op: "window"; readonly fromUs: number; readonly toUs: number }
  | ({ readonly op: "send"; readonly startUs: number } & Flow);

export interface LatencyResult {
  /** Histograms as text. */
  readonly latency: string;
  /** How late the messages were sent: the schedule's own error, part of the latency. */
  readonly lateness: string;
  readonly messages: number;
}

const LEAD_US = 50_000;

const scheduleOf = ({ rate, seconds }: Flow): Schedule =>
  new Schedule({ from: rate, to: rate, durationMs: seconds * 1e3 });

function frameUnit({ recordBytes, acks }: Flow): Unit {
  const bytes = singleFrame(0, recordBytes, acks);
  return { bytes, frameBytes: bytes.length, strideBytes: bytes.length, publishes: 1, records: 1, batchBytes: 0 };
}

/** Counts what comes back: records in deliveries, or an echo's frames. */
function counterOf(flow: Flow, frameBytes: number, count: (messages: number) => void): (chunk: Uint8Array) => void {
  if (flow.topic === undefined) {
    let bytes = 0;
    return (chunk) => {
      bytes += chunk.length;
      const whole = Math.floor(bytes / frameBytes);
      bytes -= whole * frameBytes;
      if (whole > 0) count(whole);
    };
  }
  const reader = new FrameReader();
  return (chunk) =>
    reader.feed(chunk, (bytes, start, end) => {
      if (opOf(bytes, start, end) !== Op.DELIVER) return;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      let messages = 0;
      for (let at = readDeliverHead(bytes, start, end).batchesStart; at < end;) {
        messages += view.getUint32(at + 24);
        at += BATCH_HEADER_BYTES + view.getUint32(at + 60);
      }
      count(messages);
    });
}

/** The receiving side: the first message to come is the first that was due. */
class Receiver {
  readonly latency: Histogram = new Histogram();
  readonly wire: Wire;
  readonly #schedule: Schedule;
  readonly #warmCount: number;
  /** Latencies by message, in µs. */
  readonly #times: Float64Array;
  startUs: number = Number.POSITIVE_INFINITY;
  seen: number = 0;

  private constructor(wire: Wire, flow: Flow) {
    this.wire = wire;
    this.#schedule = scheduleOf(flow);
    this.#warmCount = this.#schedule.dueBy(flow.warmSeconds * 1e6);
    this.#times = new Float64Array(this.#schedule.total);
    const frameBytes = frameUnit(flow).bytes.length;
    wire.onChunk = counterOf(flow, frameBytes, (messages) => this.#came(messages));
  }

  static async open(flow: Flow): Promise<Receiver> {
    const { port, topic } = flow;
    const receiver = new Receiver(topic === undefined ? await Wire.bare(port) : await Wire.open(port), flow);
    if (topic !== undefined) {
      await receiver.wire.openPublisher(topic);
      await receiver.wire.subscribe(topic);
    }
    return receiver;
  }

  #came(messages: number): void {
    const elapsedUs = nowUs() - this.startUs;
    for (const end = this.seen + messages; this.seen < end; this.seen += 1) {
      const us = elapsedUs - this.#schedule.dueUs(this.seen);
      this.#times[this.seen] = us;
      if (this.seen >= this.#warmCount) this.latency.record(us);
    }
  }

  window(fromUs: number, toUs: number): Histogram {
    const histogram = new Histogram();
    const end = this.#schedule.dueBy(toUs - this.startUs);
    for (let index = this.#schedule.dueBy(fromUs - this.startUs); index < end; index += 1) {
      histogram.record(this.#times[index] as number);
    }
    return histogram;
  }

  async whole(): Promise<void> {
    const { total } = this.#schedule;
    await this.wire.until(() => this.seen >= total);
    this.wire.close();
    if (this.seen !== total) throw new Error(`${this.seen} messages came of ${total}`);
  }
}

async function spin(flow: Flow): Promise<LatencyResult> {
  makeWay();
  const receiver = await Receiver.open(flow);
  const schedule = scheduleOf(flow);
  const lateness = new Histogram();
  const warmCount = schedule.dueBy(flow.warmSeconds * 1e6);
  const unit = frameUnit(flow);
  const startUs = nowUs() + LEAD_US;
  receiver.startUs = startUs;
  for (let sent = 0; sent < schedule.total;) {
    const elapsedUs = nowUs() - startUs;
    const due = schedule.dueBy(elapsedUs);
    if (due > sent) receiver.wire.send(unit, due - sent, flow.topic === undefined ? 0 : flow.acks);
    for (; sent < due; sent += 1) if (sent >= warmCount) lateness.record(elapsedUs - schedule.dueUs(sent));
    await turn();
  }
  await receiver.whole();
  return { latency: receiver.latency.encode(), lateness: lateness.encode(), messages: receiver.seen };
}

async function send(flow: Flow, startUs: number): Promise<LatencyResult> {
  const { port, topic } = flow;
  const wire = topic === undefined ? await Wire.bare(port) : await Wire.open(port);
  if (topic !== undefined) await wire.openPublisher(topic);
  const schedule = scheduleOf(flow);
  const unit = frameUnit(flow);
  const pace = new Pace(schedule, startUs, flow.warmSeconds * 1e6);
  await pace.run((_first, count) => wire.send(unit, count, flow.acks));
  // The receiver counts from the same moment.
  if (pace.startUs !== startUs) throw new Error(`the schedule began ${pace.startUs - startUs} µs late`);
  await wire.until(() => wire.unsentUnits === 0 && (topic === undefined || wire.acked >= schedule.total));
  wire.close();
  return { latency: "", lateness: pace.lateness.encode(), messages: wire.acked };
}

let listening: Receiver | undefined;

await runProgram({}, async (message) => {
  const request = message as LatencyRequest;
  if (request.op === "spin") return await spin(request);
  if (request.op === "send") return await send(request, request.startUs);
  if (request.op === "listen") {
    listening = await Receiver.open(request);
    return {};
  }
  if (listening === undefined) throw new Error("nothing is listened to");
  if (request.op === "window") {
    const latency = listening.window(request.fromUs, request.toUs);
    return { latency: latency.encode(), messages: latency.count };
  }
  listening.startUs = request.startUs;
  await listening.whole();
  return { latency: listening.latency.encode(), messages: listening.seen };
});
