/**
 * `npm run bench -- SUITE [flags]`: runs a suite of measurements, prints its figures, and keeps them as JSON if asked.
 * `load` and `compare` are the same commands that `millrace bench` has.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { CliError, EXIT, failureLine, failureOf, usageError } from "../src/cli/exit.ts";
import { countOf } from "../src/cli/units.ts";
import { endAll } from "./lib/processes.ts";
import { reportText, resultOf, writeResult } from "./lib/report.ts";
import type { Suite, SuiteContext } from "./lib/suite.ts";
import { runBench } from "./load/index.ts";

/** Suites by name; each is a folder whose index exports `suite`, loaded when it is asked for. */
const SUITES: Readonly<Record<string, string>> = {
  limits: "the broker beside what the machine can do at most: bare sockets, bare disk",
  peers: "the broker beside Kafka, NATS, RabbitMQ, Redis and Mosquitto",
  queues: "queues and exchanges: how fast, how much memory, how late",
  schemas: "schemas and transformation: how fast they are found, what they cost",
  operate: "what security costs, how calm the broker stays under abuse, and its dashboard",
  core: "micro-benchmarks of the Rust core and of the TypeScript codecs",
  profile: "flame graphs of the native and the JavaScript side",
};

const OTHERS = `
Also:
  load         load on any running broker: npm run bench -- load --help
  compare A B  two result files side by side
`;

const ROUNDS = "3";
const QUICK_ROUNDS = "1";
/** How long an interrupted suite may take to put things away. */
const UNWIND_MS = 10_000;

interface SuiteOptions {
  rounds?: string;
  quick?: boolean;
  only?: string;
  json?: string;
  out?: string;
  work?: string;
}

async function load(name: string): Promise<Suite> {
  const path = join(import.meta.dir, name, "index.ts");
  if (!existsSync(path)) throw new CliError("not_here", `the suite ${name} is not in this checkout`, "run another one");
  const { suite } = (await import(path)) as { suite?: Suite };
  if (suite === undefined) throw new CliError("internal", `bench/${name}/index.ts exports no suite`, "repair it");
  return suite;
}

function describe(command: Command): Command {
  return command
    .option("--rounds <count>", `how often each figure is measured (default ${ROUNDS}, with --quick ${QUICK_ROUNDS})`)
    .option("--quick", "small and short, to see that everything runs; the figures mean little")
    .option("--only <names>", "only these figures, separated by commas")
    .option("--json <file>", "write the result to this file")
    .option("--out <dir>", "write histograms, plots and flame graphs into this folder")
    .option("--work <dir>", "put data below this folder (default: the system's for temporary files)");
}

/** Runs with an abort signal that Ctrl-C sets; children are ended then, and a second one ends everything at once. */
async function interruptibly<T>(workDir: string, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const remove = (): void => rmSync(workDir, { recursive: true, force: true });
  const leave = (): never => {
    endAll();
    remove();
    process.exit(EXIT.interrupted);
  };
  const interrupted = (): void => {
    if (stop.signal.aborted) leave();
    stop.abort();
    endAll();
    setTimeout(leave, UNWIND_MS).unref();
  };
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", interrupted);
  try {
    return await run(stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    throw new CliError("interrupted", "stopped before it was complete", "nothing is kept", EXIT.interrupted);
  } finally {
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", interrupted);
    endAll();
    remove();
  }
}

async function measure(suite: Suite, options: SuiteOptions & Record<string, unknown>, words: string[]): Promise<void> {
  const quick = options.quick === true;
  const rounds = countOf("--rounds", options.rounds ?? (quick ? QUICK_ROUNDS : ROUNDS), 1);
  const outDir = options.out === undefined ? undefined : resolve(options.out);
  if (outDir !== undefined) mkdirSync(outDir, { recursive: true });
  const workDir = await mkdtemp(join(resolve(options.work ?? tmpdir()), "millrace-bench-"));
  await interruptibly(workDir, async (signal) => {
    const context: SuiteContext = {
      rounds,
      quick,
      workDir,
      signal,
      progress: (line) => void process.stderr.write(`${line}\n`),
      ...(options.only === undefined ? {} : { only: options.only.split(",").map((name) => name.trim()) }),
      ...(outDir === undefined ? {} : { outDir }),
    };
    const found = await suite.run(context, options);
    const result = resultOf(suite.name, `npm run bench -- ${words.join(" ")}`, found, workDir);
    if (options.json !== undefined) await writeResult(resolve(options.json), result);
    process.stdout.write(reportText(result));
  });
}

function program(): Command {
  const program = new Command("npm run bench --")
    .description("measures Millrace")
    .usage("SUITE [flags]")
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText("after", OTHERS);
  for (const [name, about] of Object.entries(SUITES)) program.command(name).description(about);
  return program;
}

async function runSuite(name: string, words: string[]): Promise<number> {
  const suite = await load(name);
  const command = describe(new Command(`npm run bench -- ${name}`).description(suite.about))
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  suite.addOptions?.(command);
  command.action(
    async () => await measure(suite, command.opts<SuiteOptions & Record<string, unknown>>(), [name, ...words]),
  );
  await command.parseAsync(words, { from: "user" });
  return EXIT.ok;
}

/** Errors of commander become ours; help that was asked for is none. */
function explained(error: unknown): unknown {
  if (!(error instanceof CommanderError) || error.exitCode === 0) return error;
  const message = error.message.replace(/^error: /, "");
  return usageError(message === "(outputHelp)" ? "no suite is named" : message, "see npm run bench -- --help");
}

/** Runs what the words say. Returns the exit code. */
export async function main(words: string[]): Promise<number> {
  const [name = "", ...rest] = words;
  try {
    if (name === "load") return await runBench(rest, "npm run bench -- load");
    if (name === "compare") return await runBench(words, "npm run bench --");
    if (name in SUITES) return await runSuite(name, rest);
    await program().parseAsync(words, { from: "user" });
    throw usageError(`${name === "" ? "nothing" : `"${name}"`} is no suite`, "see npm run bench -- --help");
  } catch (caught) {
    const error = explained(caught);
    if (error instanceof CommanderError) return EXIT.ok;
    const failure = failureOf(error);
    process.stderr.write(`${failureLine(failure)}\n`);
    if (failure.name === "internal") process.stderr.write(`${(error as Error).stack ?? ""}\n`);
    return failure.exit;
  }
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
