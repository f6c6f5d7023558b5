import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import type { CreateTopicOptions } from "../../src/client/topics.ts";
import { type Figure, figureOf, type Goal, median } from "../lib/figure.ts";
import { type BrokerChild, type Child, spawnBroker, spawnProgram } from "../lib/processes.ts";
import type { SuiteContext, Table } from "../lib/suite.ts";
import type { Sizes } from "./sizes.ts";
import { machineSeconds, quiet } from "./quiet.ts";
import { warmPages } from "./warm.ts";

/** What a measurement works with: programs, brokers, topics, memory touched before each run, and where its runs go. */

/** No run takes longer, a sustained one on a slow disk included. */
const RUN_MS_MAX = 300_000;
const QUICK_RUN_MS_MAX = 30_000;

/** What a suite's stage is made of. */
export interface House<S> {
  /** The suite's name, which its folders and topics begin with. */
  readonly name: string;
  /** The folder of its programs. */
  readonly programs: string;
  /** How much its measurements move, and that with `--quick`. */
  readonly full: S;
  readonly quick: S;
}

export interface FigureSpec {
  readonly name: string;
  readonly unit: string;
  readonly goal?: Goal;
  readonly note?: string;
}

/** One entry of a suite: what it measures, and how. */
export interface Measure<S = Sizes> {
  readonly title: string;
  readonly figures: readonly FigureSpec[];
  /** Prepares what all rounds use; the stage ends what it was asked for. The result is one round. */
  prepare(stage: Stage<S>): Promise<Round>;
}

export type Round = (round: number) => Promise<void>;

/** What a run cost: seconds of the clock, and of the processor for both sides. */
interface Cost {
  readonly seconds: number;
  readonly brokerSeconds: number;
  readonly loadSeconds: number;
  /** Of everything else on the machine: kernel threads, other people's programs, and what the host took. */
  readonly otherSeconds: number;
}

/** What takes part in a run. */
export interface Cast {
  /** The broker, or the bare program in its place. */
  readonly server?: Child;
  readonly load: readonly Child[];
  /** Page cache to have in hand before; 0 where the run needs none. */
  readonly touchBytes: number;
}

/** Rejects when the work takes too long; whoever hears of it ends the programs that do it. */
export async function inTime<T>(title: string, limitMs: number, work: Promise<T>): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${title} took longer than ${limitMs / 1e3} s`)), limitMs);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export class Stage<S = Sizes> implements AsyncDisposable {
  readonly context: SuiteContext;
  readonly sizes: S;
  readonly #house: House<S>;
  readonly #runs = new Map<string, number[]>();
  readonly #notes = new Map<string, string>();
  readonly #costs = new Map<string, Cost[]>();
  readonly #children: Child[] = [];
  readonly #folders: string[] = [];

  constructor(context: SuiteContext, house: House<S>) {
    this.context = context;
    this.#house = house;
    this.sizes = context.quick ? house.quick : house.full;
  }

  /** Takes down a figure's run. */
  add(name: string, value: number): void {
    if (!Number.isFinite(value)) throw new Error(`${name} is ${value}`);
    const runs = this.#runs.get(name);
    if (runs) runs.push(value);
    else this.#runs.set(name, [value]);
  }

  /** Says something about a figure that was found out on the way. */
  note(name: string, text: string): void {
    this.#notes.set(name, text);
  }

  runsOf(name: string): readonly number[] {
    return this.#runs.get(name) ?? [];
  }

  /** A folder of its own on the disk that is measured. */
  async folder(): Promise<string> {
    const path = await mkdtemp(join(this.context.workDir, `${this.#house.name}-`));
    this.#folders.push(path);
    return path;
  }

  async program(name: string): Promise<Child> {
    this.context.signal.throwIfAborted();
    const child = await spawnProgram(join(this.#house.programs, `${name}.ts`));
    this.#children.push(child);
    return child;
  }

  /** A broker on a folder; a fresh one where none is given. */
  async broker(flags: readonly string[] = [], dataDir?: string): Promise<BrokerChild> {
    this.context.signal.throwIfAborted();
    const child = await spawnBroker({ dataDir: dataDir ?? (await this.folder()), flags });
    this.#children.push(child);
    return child;
  }

  /** Has memory in hand for a run of so many bytes. */
  warm(bytes: number): void {
    warmPages(bytes);
  }

  /**
   * Warms the page cache, does the work, and takes down what it cost. The result is the work's.
   *
   * @param title names the line of the table of costs
   * @throws when it takes longer than anything here may
   */
  async run<T>(title: string, cast: Cast, work: () => Promise<T>): Promise<T> {
    this.context.signal.throwIfAborted();
    if (!this.context.quick && !(await quiet()))
      this.context.progress(`  the machine is busy with something else: ${title}`);
    if (cast.touchBytes > 0) this.warm(cast.touchBytes);
    const { server, load } = cast;
    const loadSeconds = (): number => load.reduce((sum, child) => sum + child.cpuSeconds(), 0);
    const spent = () => ({ server: server?.cpuSeconds() ?? 0, load: loadSeconds(), all: machineSeconds() });
    const before = spent();
    const startMs = performance.now();
    const result = await inTime(title, this.context.quick ? QUICK_RUN_MS_MAX : RUN_MS_MAX, work());
    const seconds = (performance.now() - startMs) / 1e3;
    const after = spent();
    const brokerSeconds = after.server - before.server;
    const loadCost = after.load - before.load;
    const otherSeconds = Math.max(0, after.all - before.all - brokerSeconds - loadCost);
    const cost: Cost = { seconds, brokerSeconds, loadSeconds: loadCost, otherSeconds };
    const costs = this.#costs.get(title);
    if (costs) costs.push(cost);
    else this.#costs.set(title, [cost]);
    return result;
  }

  /** A topic that stays as long as its broker. */
  async topic(broker: BrokerChild, options: CreateTopicOptions): Promise<string> {
    await using client = await connect(broker.url);
    const topic = `${this.#house.name}-${crypto.randomUUID()}`;
    await client.topics.create(topic, options);
    return topic;
  }

  /** A topic for the time of the work. */
  async withTopic<T>(
    broker: BrokerChild,
    options: CreateTopicOptions,
    work: (topic: string) => Promise<T>,
  ): Promise<T> {
    await using client = await connect(broker.url);
    const topic = await this.topic(broker, options);
    try {
      return await work(topic);
    } finally {
      await client.topics.delete(topic);
    }
  }

  /** Ends programs and brokers and removes their data: at the end of a measurement. */
  async clear(): Promise<void> {
    for (const child of this.#children.splice(0)) await child.end("SIGKILL");
    for (const path of this.#folders.splice(0)) await rm(path, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.clear();
  }

  /** The figures that have runs. */
  figures(specs: readonly FigureSpec[]): Figure[] {
    return specs
      .filter(({ name }) => this.#runs.has(name))
      .map(({ name, unit, goal, note }) => {
        const said = [note, this.#notes.get(name)].filter((text) => text !== undefined).join("; ");
        return figureOf(name, unit, this.runsOf(name), goal, said === "" ? undefined : said);
      });
  }

  /** Where the time went: medians by kind of run. Load at nearly all of a core means that the load is the limit. */
  costTable(): Table {
    const of = (costs: readonly Cost[], pick: (cost: Cost) => number): number => median(costs.map(pick));
    const rows = [...this.#costs].map(([title, costs]) => {
      const seconds = of(costs, (cost) => cost.seconds);
      const broker = of(costs, (cost) => cost.brokerSeconds);
      const load = of(costs, (cost) => cost.loadSeconds);
      const share = (part: number): string => `${((part / seconds) * 100).toFixed(0)} %`;
      const others = of(costs, (cost) => cost.otherSeconds).toFixed(2);
      return [title, seconds.toFixed(2), broker.toFixed(2), share(broker), load.toFixed(2), share(load), others];
    });
    return {
      title: "CPU seconds of a run (medians)",
      columns: ["run", "s", "broker or bare program, CPU s", "of a core", "load, CPU s", "of a core", "others, CPU s"],
      rows,
    };
  }
}
