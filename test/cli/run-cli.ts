import { expect } from "bun:test";
import { join } from "node:path";

/** Runs the command line as a child process. */

export interface CliResult {
  exit: number;
  out: string;
  err: string;
}

export interface CliOptions {
  env?: Record<string, string>;
  input?: string | Uint8Array;
  cwd?: string;
}

const ENTRY = join(import.meta.dir, "../../src/main.ts");

/** The environment without what a person may have set for a broker of their own. */
function environment(own: Record<string, string>): Record<string, string> {
  const rest = Object.entries(process.env).filter(([name]) => !name.startsWith("MILLRACE_"));
  return { ...(Object.fromEntries(rest) as Record<string, string>), NO_COLOR: "1", ...own };
}

/** Starts a command; its three streams are pipes. */
export function startCli(args: readonly string[], options: CliOptions = {}): Bun.Subprocess<"pipe", "pipe", "pipe"> {
  return Bun.spawn([process.execPath, ENTRY, ...args], {
    env: environment(options.env ?? {}),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** Writes the input and its end; a command that has ended before reading all of it is no fault of the test. */
async function feed(stdin: Bun.FileSink, input: string | Uint8Array | undefined): Promise<void> {
  try {
    if (input !== undefined) stdin.write(input);
    await stdin.end();
  } catch (error) {
    if ((error as { code?: string }).code !== "EPIPE") throw error;
  }
}

/** Runs a command to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = startCli(args, options);
  const [out, err] = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  await feed(child.stdin, options.input);
  return { exit: await child.exited, out: await out, err: await err };
}

/** Commands of a test file, which run with one environment. */
export interface Commands {
  /** Runs a command that must succeed; returns its output. */
  readonly ok: (...args: string[]) => Promise<string>;
  /** Runs a command that must fail with this exit code; returns its one line of error. */
  readonly refused: (exit: number, ...args: string[]) => Promise<string>;
}

/** @param env gives the environment when a command runs: the broker may start after the file is read. */
export function commands(env: () => Record<string, string>): Commands {
  return {
    async ok(...args) {
      const { exit, out, err } = await runCli(args, { env: env() });
      expect({ args, exit, err }).toEqual({ args, exit: 0, err: "" });
      return out;
    },
    async refused(exit, ...args) {
      const result = await runCli(args, { env: env() });
      expect({ args, exit: result.exit, out: result.out }).toEqual({ args, exit, out: "" });
      expect(result.err).toMatch(/^error: [a-z_]+: [^\n]+ — [^\n]+\n$/);
      return result.err;
    },
  };
}

/** The lines of an output, each parsed as JSON. */
export function jsonLines<T = Record<string, unknown>>(text: string): T[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
