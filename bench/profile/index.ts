import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { usageError } from "../../src/cli/exit.ts";
import { countOf } from "../../src/cli/units.ts";
import { connect } from "../../src/client/index.ts";
import { buildBench } from "../core/cargo.ts";
import { root, runCommand } from "../core/command.ts";
import { touchMemory } from "../lib/memory.ts";
import type { BrokerChild } from "../lib/processes.ts";
import type { Suite, SuiteContext, SuiteResult, Table } from "../lib/suite.ts";
import { copyWithFramePointers, startBroker } from "./broker.ts";
import { type CpuProfile, foldCpuProfile, isWaiting } from "./cpuprofile.ts";
import { sharesOf, tidied } from "./folded.ts";
import { canSample, drawFlames, foldPerf, hasDebian, installInferno, SAMPLES_PER_S } from "./tools.ts";
import { FILL_FLAGS, WORKLOADS, type Workload, workloadOf } from "./workloads.ts";

/** Suite `profile`: flame graphs of a workload, of the broker's and the load's native code and JavaScript. */

const TOPIC = "profile";
const ROWS_MAX = 15;
const TOUCHED_BYTES = 8e9;
const NEAREST_RUNS = 200;

interface Look {
  readonly context: SuiteContext;
  readonly workload: Workload;
  readonly seconds: number;
  readonly folder: string;
  readonly sources: string;
  readonly inferno: string;
}

/** The words that run the load against a broker; `bunFlags` look into it. */
function loadCommand(port: number, flags: readonly string[], seconds: number, outDir?: string): string[] {
  const duration = flags.includes("--duration") ? [] : ["--duration", `${seconds}s`];
  const out = outDir === undefined ? [] : ["--out", outDir];
  const url = ["--url", `millrace://127.0.0.1:${port}`];
  return [process.execPath, join(root, "bench/main.ts"), "load", ...url, ...flags, ...duration, ...out];
}

/** Makes and fills the topic of a workload that reads. Returns the flags of the load. */
async function prepare(broker: BrokerChild, { context, workload, seconds }: Look): Promise<readonly string[]> {
  if (workload.isReading !== true) return workload.flags;
  const client = await connect(broker.url);
  await client.topics.create(TOPIC);
  await client.close();
  context.progress("filling the topic");
  await runCommand(loadCommand(broker.port, [...FILL_FLAGS, "--topic", TOPIC], seconds), { signal: context.signal });
  return [...workload.flags, "--topic", TOPIC];
}

/** Runs `work` beside a broker of its own. */
async function withBroker(
  look: Look,
  name: string,
  bunFlags: readonly string[],
  work: (broker: BrokerChild) => Promise<void>,
): Promise<void> {
  const broker = await startBroker(look.sources, join(look.context.workDir, `data-${name}`), bunFlags);
  try {
    await work(broker);
  } finally {
    await broker.end();
  }
}

function tableOf(title: string, folded: string): Table {
  const number = (percent: number): string => percent.toFixed(1);
  const rows = sharesOf(folded, ROWS_MAX).map(({ frame, selfPercent, totalPercent }) => [
    frame,
    number(selfPercent),
    number(totalPercent),
  ]);
  return { title, columns: ["frame", "self %", "with callees %"], rows };
}

/** Writes the graph and the folded stacks, and sums them up. */
async function publish(look: Look, side: string, kind: "native" | "js", folded: string): Promise<Table> {
  const { context, workload, folder, inferno } = look;
  const name = `${workload.name}-${side}-${kind}`;
  await Bun.write(join(folder, `${name}.folded`), folded);
  const about = {
    title: `${workload.name}: ${side}, ${kind === "native" ? "native code" : "JavaScript"}`,
    subtitle: workload.about,
    unit: kind === "native" ? "samples" : "µs",
  };
  const path = join(folder, `${name}.svg`);
  await Bun.write(path, await drawFlames(inferno, folded, about, context.signal));
  context.progress(path);
  return tableOf(about.title, folded);
}

/** Native code of broker and load, sampled while the load runs. */
async function lookNative(look: Look): Promise<Table[]> {
  const { context, seconds, folder } = look;
  const data = (side: string): string => join(folder, `${side}.perf.data`);
  const record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", String(SAMPLES_PER_S), "-g"];
  await withBroker(look, "native", [], async (broker) => {
    const flags = await prepare(broker, look);
    const watcher = Bun.spawn([...record, "-o", data("broker"), "-p", String(broker.pid)], { stderr: "ignore" });
    try {
      const load = loadCommand(broker.port, flags, seconds);
      const { out } = await runCommand([...record, "-o", data("load"), "--", ...load], { signal: context.signal });
      context.progress(out.trim());
    } finally {
      // It writes what it has when it is interrupted.
      watcher.kill("SIGINT");
      await watcher.exited;
    }
  });
  const tables: Table[] = [];
  for (const side of ["broker", "load"]) {
    const folded = tidied(await foldPerf(look.inferno, data(side), context.signal));
    tables.push(await publish(look, side, "native", folded));
  }
  return tables;
}

async function foldFolder(folder: string): Promise<string> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"));
  const profiles = await Promise.all(names.map((name) => Bun.file(join(folder, name)).json() as Promise<CpuProfile>));
  return profiles
    .filter((profile) => !isWaiting(profile))
    .map(foldCpuProfile)
    .join("");
}

/** JavaScript of broker and load, in a run of its own: Bun's sampling would be seen in the native one. */
async function lookJs(look: Look): Promise<Table[]> {
  const { context, seconds, folder } = look;
  const flagsFor = (side: string): string[] => ["--cpu-prof", `--cpu-prof-dir=${join(folder, side)}`];
  for (const side of ["broker", "load"]) mkdirSync(join(folder, side), { recursive: true });
  await withBroker(look, "js", flagsFor("broker"), async (broker) => {
    const flags = await prepare(broker, look);
    // The load's processes are started by the load itself; Bun takes these for every one of them.
    const env = { ...process.env, BUN_OPTIONS: flagsFor("load").join(" ") };
    await runCommand(loadCommand(broker.port, flags, seconds), { env, signal: context.signal });
  });
  const tables: Table[] = [];
  for (const side of ["broker", "load"]) {
    const folded = await foldFolder(join(folder, side));
    if (folded === "") context.progress(`Bun wrote no profile of the ${side}`);
    else tables.push(await publish(look, side, "js", folded));
  }
  return tables;
}

/** Where perf may not look: functions of the core's nearest work, as callgrind counts them. */
async function lookByCounting({ context, workload, folder }: Look): Promise<Table[]> {
  const { signal } = context;
  if (!(await hasDebian("valgrind", "valgrind", signal))) {
    context.progress("neither perf nor valgrind can be used here: no native side");
    return [];
  }
  const binary = await buildBench("instructions", signal);
  const file = join(folder, `${workload.name}-callgrind.out`);
  const run = [binary, workload.nearest, String(NEAREST_RUNS)];
  await runCommand(["valgrind", "--tool=callgrind", `--callgrind-out-file=${file}`, ...run], { signal });
  const { out } = await runCommand(["callgrind_annotate", "--inclusive=yes", file], { signal });
  const path = join(folder, `${workload.name}-callgrind.txt`);
  await Bun.write(path, out);
  context.progress(`perf may not look here; instructions of the work ${workload.nearest} instead: ${path}`);
  return [];
}

async function run(context: SuiteContext, words: readonly string[], seconds: number): Promise<SuiteResult> {
  const workload = workloadOf(words);
  if (workload === undefined) {
    const names = WORKLOADS.map(({ name }) => name).join(", ");
    throw usageError(`there is no workload "${words.join(" ")}"`, `choose one of ${names}, or load with its flags`);
  }
  const folder = context.outDir ?? join(root, ".cache/profile", workload.name);
  mkdirSync(folder, { recursive: true });
  context.progress("building the core with frame pointers");
  const sources = await copyWithFramePointers(context.workDir, context.signal);
  const inferno = await installInferno(context.signal);
  touchMemory(context.quick ? TOUCHED_BYTES / 8 : TOUCHED_BYTES);
  const look: Look = { context, workload, seconds, folder, sources, inferno };
  const isSampled = await canSample(context.workDir, context.signal);
  const native = isSampled ? await lookNative(look) : await lookByCounting(look);
  return { figures: [], tables: [...native, ...(await lookJs(look))] };
}

let profileCommand: Command | undefined;

export const suite: Suite = {
  name: "profile",
  about: "flame graphs of the native and the JavaScript side of a workload",
  addOptions(command) {
    const list = WORKLOADS.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join("\n");
    command
      .argument("[workload...]", "one of those below, or load and its flags (default: produce-batched)")
      .option("--seconds <count>", "how long the load is looked at (default 10, with --quick 2)")
      .allowUnknownOption()
      .addHelpText("after", `\nWorkloads:\n${list}\n  load FLAGS       as npm run bench -- load, without --url\n`);
    profileCommand = command;
  },
  async run(context, options) {
    const asked = options["seconds"] as string | undefined;
    const seconds = countOf("--seconds", asked ?? (context.quick ? "2" : "10"), 1);
    return await run(context, profileCommand?.args ?? [], seconds);
  },
};
