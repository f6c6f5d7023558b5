import { join } from "node:path";
import { type Figure, figureOf } from "../lib/figure.ts";
import { spawnProgram } from "../lib/processes.ts";
import type { Suite, SuiteContext, SuiteResult } from "../lib/suite.ts";
import { buildBench } from "./cargo.ts";
import { runCommand } from "./command.ts";
import { parseDivan } from "./divan.ts";
import { figureName, figuresOf, type Measured, tableOf } from "./figures.ts";
import { type Counts, countInstructions, recordPath, toolVersions, writeRecord } from "./instructions.ts";
import { parseWorks, type Work } from "./works.ts";

/** Suite `core`: micro-benchmarks of the Rust core (divan) and of the TypeScript codec (mitata), and instruction counts. */

const WORK_S = { full: 0.5, quick: 0.05 };
const COUNT_NOTE = "callgrind, without the kernel";
const SAMPLES = { full: 100, quick: 10 };

interface Options {
  readonly record?: boolean;
  readonly instructions?: boolean;
}

/** One round of the core's works. */
async function coreRound(micro: string, works: readonly Work[], context: SuiteContext): Promise<Measured[]> {
  const kind = context.quick ? "quick" : "full";
  const limits = ["--sample-count", String(SAMPLES[kind]), "--max-time", String(WORK_S[kind])];
  const { out } = await runCommand([micro, "--bench", "--color", "never", ...limits], { signal: context.signal });
  const rows = new Map(parseDivan(out).map((row) => [row.name, row]));
  return works.map((work) => {
    const row = rows.get(`${work.name}/${work.item}`);
    if (row === undefined) throw new Error(`divan measured no ${work.name}: ${out.slice(0, 300)}`);
    return { ...work, runNs: row.medianNs };
  });
}

/** One round of the codec's works. */
async function codecRound(context: SuiteContext): Promise<Measured[]> {
  const program = await spawnProgram(join(import.meta.dir, "codecs-program.ts"));
  try {
    return (await program.request({ workMs: WORK_S[context.quick ? "quick" : "full"] * 1e3 })) as Measured[];
  } finally {
    await program.end();
  }
}

async function count(context: SuiteContext): Promise<Counts> {
  return await countInstructions((name, found) => context.progress(`${name}: ${found} instructions`), context.signal);
}

function instructionFigures(counts: Counts): Figure[] {
  return Object.entries(counts).map(([name, found]) => {
    const [work = "", item = ""] = name.split("/");
    return figureOf(figureName("instructions", work), `per ${item}`, [found], undefined, COUNT_NOTE);
  });
}

/** Counts and writes the record that the guards compare with. */
async function recordInstructions(context: SuiteContext): Promise<SuiteResult> {
  const counts = await count(context);
  await writeRecord({ ...(await toolVersions()), counts });
  context.progress(`written to ${recordPath}`);
  return { figures: instructionFigures(counts) };
}

async function run(context: SuiteContext, options: Options): Promise<SuiteResult> {
  if (options.record) return await recordInstructions(context);
  context.progress("building core/benches");
  const micro = await buildBench("micro", context.signal);
  const lister = await buildBench("instructions", context.signal);
  const works = parseWorks((await runCommand([lister, "--works"])).out);
  const core: Measured[][] = [];
  const codec: Measured[][] = [];
  for (let round = 1; round <= context.rounds; round++) {
    context.progress(`round ${round} of ${context.rounds}: core`);
    core.push(await coreRound(micro, works, context));
    context.progress(`round ${round} of ${context.rounds}: codec`);
    codec.push(await codecRound(context));
  }
  const [coreFigures, codecFigures] = [figuresOf("core", core), figuresOf("codec", codec)];
  const figures = [...coreFigures, ...codecFigures];
  if (options.instructions) figures.push(...instructionFigures(await count(context)));
  const isAsked = ({ name }: Figure): boolean => context.only === undefined || context.only.includes(name);
  return {
    figures: figures.filter(isAsked),
    tables: [
      tableOf("Rust core", coreFigures.filter(isAsked)),
      tableOf("TypeScript codec", codecFigures.filter(isAsked)),
    ],
  };
}

export const suite: Suite = {
  name: "core",
  about: "micro-benchmarks of the Rust core and of the TypeScript codec, ns per record and GB/s",
  addOptions(command) {
    command
      .option("--instructions", "count instructions under valgrind as well")
      .option("--record", "only count instructions, and record them in bench/core/instructions.json for the guards");
  },
  run: async (context, options) => await run(context, options as Options),
};
