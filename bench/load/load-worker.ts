/**
 * A load process: some of a run's producers and consumers, each with a connection of its own. What it is asked comes as
 * lines (`../lib/program.ts`): open, start, state, drain (producers), collect (consumers).
 */
import { nowUs } from "../lib/clock.ts";
import { Histogram } from "../lib/histogram.ts";
import { Pace, Schedule, startThread } from "../lib/pace.ts";
import { runProgram } from "../lib/program.ts";
import { ClientProducer } from "./client-producer.ts";
import { type AnyConsumer, openConsumer } from "./consumers.ts";
import { QUIET_MS_MAX, type Run, untilDone } from "./lane.ts";
import type { MeterState, Span } from "./meter.ts";
import { openRawProducer } from "./raw-producer.ts";

/** On the shared clock, in µs. */
export interface Timing {
  readonly startUs: number;
  readonly span: Span;
}

export interface RatePart {
  /** Messages per second of this process. 0 saturates. */
  readonly from: number;
  readonly to: number;
  /** How far behind the other processes' messages this one's are, in µs. */
  readonly phaseUs: number;
}

export type Request =
  | {
      readonly op: "open";
      readonly run: Run;
      readonly producers: readonly number[];
      readonly consumers: readonly number[];
      /** A rate will be given. */
      readonly isPaced: boolean;
    }
  | { readonly op: "start"; readonly timing: Timing; readonly rate: RatePart }
  | { readonly op: "state" }
  | { readonly op: "drain" }
  | { readonly op: "collect"; readonly acked: readonly number[] | null };

/** What went on so far. */
export interface WorkerState {
  readonly acked: number;
  readonly delivered: number;
  readonly deliveredBytes: number;
}

export interface Drained {
  readonly meters: readonly MeterState[];
  /** Records sent and answered, by producer and partition: `producer * partitions + partition`. */
  readonly sent: readonly (readonly [lane: number, count: number])[];
  readonly acked: readonly (readonly [lane: number, count: number])[];
  /** How late messages were handed to the client, in µs. */
  readonly lateness: string;
}

export interface Collected {
  readonly consumers: readonly {
    readonly meter: MeterState;
    readonly partitions: readonly number[];
    readonly distinct: readonly number[];
    readonly duplicates: number;
    readonly foreign: number;
  }[];
}

const GOODBYE_MS = 500;

type AnyProducer = Awaited<ReturnType<typeof openRawProducer>> | ClientProducer;

class LoadWorker {
  private run!: Run;
  private readonly producers = new Map<number, AnyProducer>();
  private readonly consumers: AnyConsumer[] = [];
  private readonly lateness = new Histogram();
  private readonly stop = new AbortController();
  /** Started ahead, so that it is there at the start of the clock. */
  private thread: Promise<Worker> | undefined;
  private pacing: Promise<void> = Promise.resolve();
  private failure: Error | undefined;

  async open({ run, producers, consumers, isPaced }: Request & { op: "open" }): Promise<void> {
    this.run = run;
    if (isPaced && producers.length > 0) {
      this.thread = startThread();
      await this.thread;
    }
    for (const number of consumers) this.consumers.push(await openConsumer(run, number));
    const isRaw = run.payload === "pre-encoded";
    for (const number of producers) {
      this.producers.set(number, await (isRaw ? openRawProducer(run, number) : ClientProducer.open(run, number)));
    }
  }

  async start({ startUs, span }: Timing, rate: RatePart): Promise<void> {
    for (const consumer of this.consumers) await consumer.begin(span);
    const producers = [...this.producers.values()];
    if (producers.length === 0) return;
    for (const producer of producers) producer.begin(span);
    this.pacing = this.produce(producers, startUs, span, rate).catch((error: Error) => {
      this.failure ??= error;
    });
  }

  private async produce(producers: AnyProducer[], startUs: number, span: Span, rate: RatePart): Promise<void> {
    if (rate.from === 0) return await this.saturate(producers, startUs, span);
    const { phaseUs, from, to } = rate;
    const [warmUpMs, durationMs] = [(span.startUs - startUs) / 1e3, (span.endUs - span.startUs) / 1e3];
    const pace = new Pace(new Schedule({ from, to, durationMs, warmUpMs }), startUs + phaseUs);
    await this.pace(producers, pace);
    this.lateness.add(pace.lateness);
  }

  private async pace(producers: readonly AnyProducer[], pace: Pace): Promise<void> {
    await pace.run(
      (first, count) => {
        for (let index = first; index < first + count; index += 1) {
          producers[index % producers.length]?.send(pace.dueUs(index));
        }
        for (const producer of producers) producer.flush();
      },
      this.stop.signal,
      this.thread,
    );
  }

  private async saturate(producers: readonly AnyProducer[], startUs: number, span: Span): Promise<void> {
    await sleepUntil(startUs, this.stop.signal);
    for (const producer of producers) producer.saturate();
    await sleepUntil(span.endUs, this.stop.signal);
    for (const producer of producers) producer.stop();
  }

  private check(): void {
    const parts = [...this.producers.values(), ...this.consumers];
    const failure = this.failure ?? parts.find(({ failure }) => failure !== undefined)?.failure;
    if (failure !== undefined) throw failure;
  }

  state(): WorkerState {
    this.check();
    const producers = [...this.producers.values()];
    const meters = this.consumers.map(({ intake }) => intake.meter);
    return {
      acked: producers.reduce((sum, { measured }) => sum + measured.messages, 0),
      delivered: meters.reduce((sum, { messages }) => sum + messages, 0),
      deliveredBytes: meters.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }

  async drain(): Promise<Drained> {
    await this.pacing;
    this.check();
    for (const producer of this.producers.values()) await producer.finish();
    const { partitions } = this.run;
    const lanes = (of: "sent" | "acked"): [number, number][] =>
      [...this.producers].flatMap(([number, { lanes }]) =>
        lanes.flatMap((lane, partition): [number, number][] =>
          lane[of] === 0 ? [] : [[number * partitions + partition, lane[of]]],
        ),
      );
    return {
      meters: [...this.producers.values()].map(({ measured }) => measured.state()),
      sent: lanes("sent"),
      acked: lanes("acked"),
      lateness: this.lateness.encode(),
    };
  }

  /** Waits for what was acknowledged, by lane; null waits for nothing. */
  async collect(acked: readonly number[] | null): Promise<Collected> {
    for (const consumer of acked === null ? [] : this.consumers) await this.receive(consumer, acked ?? []);
    this.check();
    return {
      consumers: this.consumers.map(({ intake, partitions }) => ({
        meter: intake.meter.state(),
        partitions,
        distinct: intake.ledger.distinctByLane(),
        duplicates: intake.ledger.duplicates,
        foreign: intake.ledger.foreign,
      })),
    };
  }

  private async receive({ intake, partitions }: AnyConsumer, acked: readonly number[]): Promise<void> {
    const own = new Set(partitions);
    const expected = acked.reduce((sum, count, lane) => sum + (own.has(lane % this.run.partitions) ? count : 0), 0);
    const { ledger } = intake;
    const isDone = (): boolean => this.failure !== undefined || ledger.distinct >= expected;
    await untilDone(isDone, () => ledger.received, QUIET_MS_MAX);
  }

  async close(): Promise<void> {
    this.stop.abort();
    await this.pacing;
    for (const part of [...this.producers.values(), ...this.consumers]) await part.close();
  }
}

async function sleepUntil(atUs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && nowUs() < atUs) await Bun.sleep(Math.min(50, Math.max(1, (atUs - nowUs()) / 1e3)));
}

const worker = new LoadWorker();

async function answer(request: Request): Promise<unknown> {
  switch (request.op) {
    case "open":
      return await worker.open(request);
    case "start":
      return await worker.start(request.timing, request.rate);
    case "state":
      return worker.state();
    case "drain":
      return await worker.drain();
    case "collect":
      return await worker.collect(request.acked);
  }
}

process.on("SIGTERM", () => {
  // A goodbye to the broker, if it listens.
  void Promise.race([worker.close(), Bun.sleep(GOODBYE_MS)]).finally(() => process.exit(0));
});
await runProgram({ role: "load" }, (message) => answer(message as Request));
