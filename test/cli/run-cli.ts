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

/** The lines of an output, each parsed as JSON. */
export function jsonLines<T = Record<string, unknown>>(text: string): T[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
