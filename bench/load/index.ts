import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { examples } from "../../src/cli/command.ts";
import { Context, onInterrupt } from "../../src/cli/context.ts";
import { CliError, EXIT, failureLine, failureOf, usageError } from "../../src/cli/exit.ts";
import { standardError, standardOutput } from "../../src/cli/output.ts";
import { isMillraceError } from "../../src/errors/index.ts";
import { compareFiles } from "../lib/compare.ts";
import { resultOf, writeResult } from "../lib/report.ts";
import { figuresOf, progressLine, resultText, writeFiles } from "./output.ts";
import { type Progress, runLoad, type RunResult } from "./run.ts";
import { type LoadFlags, type LoadSettings, settingsOf } from "./settings.ts";
import { addressOf } from "./target.ts";

/** The load that users point at a running broker: `millrace bench`, and `npm run bench -- load`. */

interface Flags extends LoadFlags {
  url?: string;
  namespace?: string;
}

const CLEAR_LINE = "\r\x1b[2K";

function addFlags(command: Command): Command {
  return command
    .option("--url <url>", "address of the broker (default: MILLRACE_URL, else this machine at MILLRACE_PORT or 7400)")
    .option("--namespace <name>", "namespace of the topic (default: MILLRACE_NAMESPACE)")
    .option("--topic <name>", "made if it is not there, and removed again then (default: a name of its own)")
    .option("--size <bytes>", "size of the values: 100, evenly 100-1000, or exponential with a mean, exp:300", "100")
    .option("--batch-bytes <size>", "size of a batch; 0 publishes record by record", "64KiB")
    .option("--linger-ms <ms>", "how long a record may wait for others in its batch", "0")
    .option("--producers <count>", "producers, each with a connection of its own; 0 reads what the topic holds", "1")
    .option("--consumers <count>", "consumers, each reads everything", "1")
    .option("--share", "consumers share the partitions, instead of each reading all")
    .option("--partitions <count>", "of the topic, if it is made (default 1)")
    .option("--keys <count>", "give each record one of so many keys; 0 gives none", "0")
    .option("--acks <level>", "what an acknowledgement means: none, memory, written, synced", "written")
    .option("--duration <time>", "how long is measured; of reading, at most", "10s")
    .option("--warmup <time>", "how long runs before that", "2s")
    .option("--rate <per second>", "messages of all producers, on a fixed schedule (open loop); 0 saturates", "0")
    .option("--ramp <from:to>", "a rate that grows, or falls, evenly while it is measured")
    .option("--payload <kind>", "client: each record through the client; pre-encoded: bytes made beforehand", "client")
    .option("--processes <count>", "load processes (default: one of producers, one of consumers)")
    .option("--rounds <count>", "how often all of it is done", "1")
    .option("--json <file>", "write the figures to this file")
    .option("--out <dir>", "write .hgrm files, and plots of percentiles and of the rate over time, into this folder");
}

/** A line on the terminal that shows how far it is; nothing where there is no terminal. */
function progressOn(round: number, rounds: number): { show(progress: Progress): void; end(): void } {
  const { stderr } = process;
  if (!stderr.isTTY) return { show: () => undefined, end: () => undefined };
  const head = rounds > 1 ? `round ${round + 1} of ${rounds}  ` : "";
  return {
    show: (progress) => {
      // A terminal that does not know its width says 0.
      const width = (stderr.columns || 80) - 1;
      stderr.write(CLEAR_LINE + (head + progressLine(progress)).slice(0, width));
    },
    end: () => void stderr.write(CLEAR_LINE),
  };
}

async function measure(url: string, settings: LoadSettings): Promise<RunResult[]> {
  const stop = new AbortController();
  const undo = onInterrupt(() => stop.abort());
  const results: RunResult[] = [];
  try {
    for (let round = 0; round < settings.rounds; round += 1) {
      const { show, end } = progressOn(round, settings.rounds);
      try {
        results.push(await runLoad(url, settings, { signal: stop.signal, progress: show }));
      } finally {
        end();
      }
    }
    return results;
  } catch (error) {
    if (stop.signal.aborted) {
      throw new CliError("interrupted", "stopped before it was complete", "run it again", EXIT.interrupted);
    }
    if (isMillraceError(error, "connection_lost", "timeout") && results.length === 0) throw unreachable(error);
    throw error;
  } finally {
    undo();
  }
}

function unreachable(error: Error): CliError {
  const action = "start a broker with `millrace serve`, or give its address with --url or MILLRACE_URL";
  return new CliError(error.name, error.message, action, EXIT.unreachable);
}

/** Acknowledged and not delivered is what must never be, so it is no success. */
function verify(settings: LoadSettings, results: readonly RunResult[]): void {
  const sum = (of: (result: RunResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  const lost = settings.acks === "none" ? 0 : sum(({ lost }) => lost);
  const duplicates = sum(({ duplicates }) => duplicates);
  if (lost + duplicates === 0) return;
  const what = `${lost} acknowledged messages were not delivered, ${duplicates} were delivered twice`;
  throw new CliError("lost", what, "look at the topic's retention, and at the broker's log", EXIT.failed);
}

/** Before anything is measured, so that it is not measured in vain. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new CliError(
      "file",
      `${path} cannot be a folder: ${(error as Error).message}`,
      "name another one with --out",
    );
  }
}

async function load(flags: Flags, commandLine: string): Promise<void> {
  const options = {
    ...(flags.url === undefined ? {} : { url: flags.url }),
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
  };
  const { url, env } = new Context(standardOutput(), standardError(), process.env, options);
  const namespace = flags.namespace ?? (env["MILLRACE_NAMESPACE"] || undefined);
  const settings = settingsOf(flags, namespace);
  if (settings.payload === "pre-encoded") addressOf(url);
  if (flags.out !== undefined) makeFolder(resolve(flags.out));
  const results = await measure(url, settings);
  process.stdout.write(resultText(url, settings, results));
  if (typeof flags.json === "string") {
    const result = resultOf("load", commandLine, { figures: figuresOf(settings, results) });
    await writeResult(resolve(flags.json), result);
  }
  if (flags.out !== undefined) {
    const names = await writeFiles(resolve(flags.out), settings, results);
    process.stdout.write(`wrote ${names.join(", ")} to ${flags.out}\n`);
  }
  verify(settings, results);
}

function program(name: string, words: readonly string[]): Command {
  const command = addFlags(new Command(name).description("puts load on a running broker, and measures it"))
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .allowExcessArguments(false);
  examples(command, [
    [name, "saturate the broker at the default address for 10 s"],
    [`${name} --rate 10000 --out results`, "latency at 10,000 msg/s, with histograms and plots"],
    [`${name} --ramp 1000:200000 --duration 60s`, "where latency begins to grow"],
    [`${name} --payload pre-encoded --batch-bytes 0`, "single records as fast as they go"],
    [`${name} --producers 0 --topic orders`, "how fast a topic that is there can be read"],
  ]);
  command.action(async () => await load(command.opts<Flags>(), [name, ...words].join(" ")));
  command
    .command("compare")
    .description("what changed between two files that --json wrote")
    .argument("<before>")
    .argument("<after>")
    .action((before: string, after: string) => {
      try {
        process.stdout.write(compareFiles(before, after));
      } catch (error) {
        throw new CliError("compare", (error as Error).message, "give two files that --json wrote");
      }
    });
  return command;
}

/**
 * Runs the words of `millrace bench`.
 *
 * @param name how the command is called, for its help
 * @returns the exit code, as all commands have it
 */
export async function runBench(words: string[], name: string): Promise<number> {
  try {
    await program(name, words).parseAsync(words, { from: "user" });
    return EXIT.ok;
  } catch (caught) {
    if (caught instanceof CommanderError && caught.exitCode === 0) return EXIT.ok;
    const error =
      caught instanceof CommanderError
        ? usageError(caught.message.replace(/^error: /, ""), `see ${name} --help`)
        : caught;
    const failure = failureOf(error);
    process.stderr.write(`${failureLine(failure)}\n`);
    if (failure.name === "internal") process.stderr.write(`${(error as Error).stack ?? ""}\n`);
    return failure.exit;
  }
}
