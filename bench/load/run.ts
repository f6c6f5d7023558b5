import { join } from "node:path";
import { type Client, connect, type TopicDescription } from "../../src/client/index.ts";
import { usageError } from "../../src/cli/exit.ts";
import { isErrorName, isMillraceError, MillraceError } from "../../src/errors/index.ts";
import { nowUs } from "../lib/clock.ts";
import { Histogram } from "../lib/histogram.ts";
import { type Child, cpuSecondsOf, ProgramError, spawnProgram } from "../lib/processes.ts";
import { clientOptions } from "./client-options.ts";
import type { Run } from "./lane.ts";
import { lostOf } from "./ledger.ts";
import type { Collected, Drained, RatePart, Request, Timing, WorkerState } from "./load-worker.ts";
import { type Joined, joinStates, type Span, spanOf } from "./meter.ts";
import type { LoadSettings } from "./settings.ts";
import { brokerPid } from "./target.ts";

/** One run of the load: processes are started, told when to begin, watched, asked what they saw. */

const WORKER = join(import.meta.dir, "load-worker.ts");
/** From the word to start to the first message, so that all processes have heard it. */
const LEAD_MS = 150;
const POLL_MS = 250;

/** What is going on, for a line on the terminal. */
export interface Progress {
  readonly phase: "warm-up" | "measuring" | "draining";
  readonly elapsedMs: number;
  /** Of the run, warm-up included. */
  readonly totalMs: number;
  /** Per second, since the last time. */
  readonly ackedPerS: number;
  readonly deliveredPerS: number;
}

export interface RunResult {
  readonly topic: string;
  readonly isOwnTopic: boolean;
  readonly partitions: number;
  /** How long was measured. */
  readonly seconds: number;
  readonly span: Span;
  /** Of all producers; no messages where there are none. */
  readonly published: Joined;
  readonly delivered: Joined;
  readonly lateness: Histogram;
  /** All of the run, warm-up included. */
  readonly sent: number;
  readonly acked: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly foreign: number;
  /** In the measured time, in CPU seconds; undefined where the broker is out of sight. */
  readonly brokerCpuS: number | undefined;
  readonly loadCpuS: number;
}

interface Part {
  readonly child: Child;
  readonly producers: readonly number[];
  readonly consumers: readonly number[];
}

export interface Hooks {
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
}

/** Numbers from 0 up, dealt to so many hands in turn. */
function deal(count: number, hands: number): number[][] {
  const dealt = Array.from({ length: hands }, (): number[] => []);
  for (let number = 0; number < count; number += 1) dealt[number % hands]?.push(number);
  return dealt;
}

/** Which process has which producers and consumers; roles are kept apart as long as there are processes enough. */
export function split(settings: Pick<LoadSettings, "producers" | "consumers" | "processes">): {
  producers: number[];
  consumers: number[];
}[] {
  const { producers, consumers } = settings;
  const roles = (producers > 0 ? 1 : 0) + (consumers > 0 ? 1 : 0);
  const processes = Math.min(settings.processes ?? roles, producers + consumers);
  if (roles === 2 && processes === 1)
    return [{ producers: deal(producers, 1)[0] ?? [], consumers: deal(consumers, 1)[0] ?? [] }];
  const share = Math.round((processes * producers) / (producers + consumers));
  const least = producers > 0 ? 1 : 0;
  const most = Math.min(producers, processes - (consumers > 0 ? 1 : 0));
  const forProducers = Math.max(least, Math.min(most, share));
  const forConsumers = Math.min(consumers, processes - forProducers);
  return [
    ...(forProducers > 0 ? deal(producers, forProducers) : []).map((numbers) => ({
      producers: numbers,
      consumers: [],
    })),
    ...(forConsumers > 0 ? deal(consumers, forConsumers) : []).map((numbers) => ({
      producers: [],
      consumers: numbers,
    })),
  ];
}

/** The topic as it is, or made; and whether it was made. */
async function topicOf(client: Client, settings: LoadSettings): Promise<{ partitions: number; isOwn: boolean }> {
  const { topic, partitions } = settings;
  const found = await client.topics.describe(topic).catch((error: unknown): TopicDescription | undefined => {
    if (isMillraceError(error, "topic_not_found") && settings.producers > 0) return undefined;
    throw error;
  });
  if (found === undefined) {
    await client.topics.create(topic, { partitions: partitions ?? 1 });
    return { partitions: partitions ?? 1, isOwn: true };
  }
  if (partitions !== undefined && partitions !== found.partitions) {
    throw usageError(`${topic} has ${found.partitions} partitions, not ${partitions}`, "leave --partitions out");
  }
  return { partitions: found.partitions, isOwn: false };
}

/** A refusal of a load process as the error that it was there. */
function asOwnError(error: unknown): unknown {
  if (!(error instanceof ProgramError) || !isErrorName(error.name)) return error;
  return new MillraceError(error.name, error.message);
}

class LoadRun {
  private readonly url: string;
  private readonly settings: LoadSettings;
  private readonly hooks: Hooks;
  private readonly parts: Part[] = [];
  private last = { atMs: 0, acked: 0, delivered: 0 };

  constructor(url: string, settings: LoadSettings, hooks: Hooks) {
    this.url = url;
    this.settings = settings;
    this.hooks = hooks;
  }

  private async ask<T>(part: Part, request: Request): Promise<T> {
    this.hooks.signal.throwIfAborted();
    return (await part.child.request(request)) as T;
  }

  private async askAll<T>(request: Request): Promise<T[]> {
    return await Promise.all(this.parts.map((part) => this.ask<T>(part, request)));
  }

  async open(run: Run): Promise<void> {
    for (const { producers, consumers } of split(this.settings)) {
      this.hooks.signal.throwIfAborted();
      const part = { child: await spawnProgram(WORKER), producers, consumers };
      this.parts.push(part);
      await this.ask(part, { op: "open", run, producers, consumers, isPaced: this.settings.rate > 0 });
    }
  }

  private rateOf(part: Part, index: number): RatePart {
    const { rate, rateEnd, producers } = this.settings;
    const share = part.producers.length / Math.max(1, producers);
    const phaseUs = rate > 0 ? (index * 1e6) / rate : 0;
    return { from: rate * share, to: rateEnd * share, phaseUs };
  }

  /** The time of the run, from now on. */
  private timing(): Timing {
    const { warmUpMs, durationMs, producers } = this.settings;
    // A whole number, as the stamps in the payloads are: what is due at the first moment is measured.
    const startUs = Math.ceil(nowUs()) + LEAD_MS * 1e3;
    // Who only reads has nothing to warm up with that would not be missing from the measured time.
    return { startUs, span: spanOf(startUs + (producers > 0 ? warmUpMs : 0) * 1e3, durationMs) };
  }

  private async begin(timing: Timing): Promise<void> {
    // Consumers stand before the first message is sent; those who read a backlog wait for the start of the clock.
    const { producers } = this.settings;
    if (producers === 0) await this.sleepUntil(timing.startUs);
    const starts = this.parts.map((part, index) =>
      this.ask(part, { op: "start", timing, rate: this.rateOf(part, index) }),
    );
    await Promise.all(starts);
  }

  private async sleepUntil(atUs: number): Promise<void> {
    while (nowUs() < atUs) {
      this.hooks.signal.throwIfAborted();
      await Bun.sleep(Math.min(POLL_MS, Math.max(1, (atUs - nowUs()) / 1e3)));
    }
  }

  private cpu(pid: number | undefined): { broker: number | undefined; load: number } {
    const load = this.parts.reduce((sum, { child }) => sum + child.cpuSeconds(), 0);
    return { broker: pid === undefined ? undefined : cpuSecondsOf(pid), load };
  }

  /** Watches until the time is over, or everything that is there was read. */
  private async watch({ startUs, span }: Timing, untilUs: number, backlog: number | undefined): Promise<void> {
    while (nowUs() < untilUs) {
      await this.sleepUntil(Math.min(untilUs, nowUs() + POLL_MS * 1e3));
      const { delivered } = await this.look(nowUs() < span.startUs ? "warm-up" : "measuring", startUs, span.endUs);
      if (backlog !== undefined && delivered >= backlog) return;
    }
  }

  private async look(phase: Progress["phase"], startUs: number, endUs: number): Promise<{ delivered: number }> {
    const states = await this.askAll<WorkerState>({ op: "state" });
    const acked = states.reduce((sum, state) => sum + state.acked, 0);
    const delivered = states.reduce((sum, state) => sum + state.delivered, 0);
    const atMs = performance.now();
    const seconds = Math.max(1e-3, (atMs - this.last.atMs) / 1e3);
    this.hooks.progress({
      phase,
      elapsedMs: (nowUs() - startUs) / 1e3,
      totalMs: (endUs - startUs) / 1e3,
      ackedPerS: (acked - this.last.acked) / seconds,
      deliveredPerS: (delivered - this.last.delivered) / seconds,
    });
    this.last = { atMs, acked, delivered };
    return { delivered };
  }

  /** @param backlog messages that consumers without producers have to read, all together */
  async measure(partitions: number, backlog: number | undefined): Promise<Omit<RunResult, "topic" | "isOwnTopic">> {
    const pid = brokerPid(this.url);
    const timing = this.timing();
    const { startUs, span } = timing;
    this.last = { atMs: performance.now(), acked: 0, delivered: 0 };
    await this.begin(timing);
    await this.watch(timing, span.startUs, undefined);
    const before = this.cpu(pid);
    await this.watch(timing, span.endUs, backlog);
    const after = this.cpu(pid);
    this.hooks.progress({ phase: "draining", elapsedMs: 0, totalMs: 0, ackedPerS: 0, deliveredPerS: 0 });
    const drained = await this.askAll<Drained>({ op: "drain" });
    const lanes = sumLanes(
      drained.map(({ acked }) => acked),
      this.settings.producers * partitions,
    );
    const collected = await this.askAll<Collected>({ op: "collect", acked: backlog === undefined ? lanes : null });
    const delivered = joinStates(collected.flatMap(({ consumers }) => consumers.map(({ meter }) => meter)));
    const isWhole = backlog !== undefined && delivered.messages >= backlog;
    const endUs = isWhole ? Math.max(delivered.measuredLastUs, startUs + 1) : span.endUs;
    const lateness = new Histogram();
    for (const each of drained) lateness.add(Histogram.decode(each.lateness));
    return {
      partitions,
      seconds: (endUs - span.startUs) / 1e6,
      span,
      published: joinStates(drained.flatMap(({ meters }) => meters)),
      delivered,
      lateness,
      sent: sumLanes(
        drained.map(({ sent }) => sent),
        this.settings.producers * partitions,
      ).reduce(add, 0),
      acked: lanes.reduce(add, 0),
      ...checked(collected, lanes, partitions, this.settings),
      brokerCpuS: before.broker === undefined || after.broker === undefined ? undefined : after.broker - before.broker,
      loadCpuS: after.load - before.load,
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.parts.map(({ child }) => child.end(this.hooks.signal.aborted ? "SIGKILL" : "SIGTERM")));
  }
}

const add = (sum: number, value: number): number => sum + value;

function sumLanes(lists: readonly (readonly (readonly [number, number])[])[], count: number): number[] {
  const sums = new Array<number>(count).fill(0);
  for (const list of lists) for (const [lane, value] of list) sums[lane] = (sums[lane] ?? 0) + value;
  return sums;
}

/** What is missing of the acknowledged records, at each consumer that should have them; and what came twice. */
function checked(
  collected: readonly Collected[],
  acked: readonly number[],
  partitions: number,
  settings: LoadSettings,
): { lost: number; duplicates: number; foreign: number } {
  const consumers = collected.flatMap((each) => each.consumers);
  const lostAt = (consumer: Collected["consumers"][number]): number => {
    const own = new Set(consumer.partitions);
    const expected = acked.map((count, lane) => (own.has(lane % partitions) ? count : 0));
    return settings.producers === 0 ? 0 : lostOf(expected, consumer.distinct);
  };
  return {
    lost: consumers.map(lostAt).reduce(add, 0),
    duplicates: consumers.map(({ duplicates }) => duplicates).reduce(add, 0),
    foreign: consumers.map(({ foreign }) => foreign).reduce(add, 0),
  };
}

async function offsetsOf(
  client: Client,
  topic: string,
  partitions: number,
  at: "earliest" | "latest",
): Promise<number[]> {
  const offsets = new Array<number>(partitions).fill(0);
  for (const { partition, offset } of await client.topics.offsets(topic, at)) offsets[partition] = offset;
  return offsets;
}

/** Messages in the topic that its consumers will read, all together. */
async function backlogOf(client: Client, settings: LoadSettings, latest: readonly number[]): Promise<number> {
  const earliest = await offsetsOf(client, settings.topic, latest.length, "earliest");
  const messages = latest.reduce((sum, offset, partition) => sum + offset - (earliest[partition] ?? 0), 0);
  return settings.isShared ? messages : messages * settings.consumers;
}

function runOf(url: string, settings: LoadSettings, partitions: number, offsets: readonly number[]): Run {
  const { topic, namespace, sizes, batchBytes, lingerMs, keys, acks, payload, producers, consumers, isShared } =
    settings;
  const id = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const what = { topic, namespace, sizes, batchBytes, lingerMs, keys, acks, payload, producers, consumers, isShared };
  return { id, url, partitions, offsets, ...what };
}

/**
 * Runs the load once. The topic is made if it is not there, and removed again then.
 *
 * Errors: connection_lost, and whatever the broker refuses with; the signal's reason.
 */
export async function runLoad(url: string, settings: LoadSettings, hooks: Hooks): Promise<RunResult> {
  const client = await connect(url, await clientOptions(url, settings.namespace));
  const load = new LoadRun(url, settings, hooks);
  let isOwn = false;
  try {
    const { topic } = settings;
    const found = await topicOf(client, settings);
    isOwn = found.isOwn;
    const offsets = await offsetsOf(client, topic, found.partitions, "latest");
    const backlog = settings.producers === 0 ? await backlogOf(client, settings, offsets) : undefined;
    await load.open(runOf(url, settings, found.partitions, offsets));
    const measured = await load.measure(found.partitions, backlog);
    return { topic, isOwnTopic: isOwn, ...measured };
  } catch (error) {
    throw asOwnError(error);
  } finally {
    await load.close();
    if (isOwn) await client.topics.delete(settings.topic).catch(() => undefined);
    await client.close();
  }
}
