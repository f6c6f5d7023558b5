import { join } from "node:path";
import { CliError } from "../../src/cli/exit.ts";

/** Runs other people's tools: cargo, valgrind, perf. */

export const root: string = join(import.meta.dir, "../..");

const ERROR_TEXT_MAX = 2_000;

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
  readonly cwd?: string;
  /** Given to its standard input. */
  readonly input?: Uint8Array | Blob;
}

export interface Output {
  readonly out: string;
  readonly errors: string;
}

/** The environment without what would change the code that cargo builds (loom's flags, a sanitizer's). */
export function plainEnvironment(): Record<string, string | undefined> {
  const { RUSTFLAGS: _, ...env } = process.env;
  return env;
}

/**
 * Runs a command to its end.
 *
 * @throws CliError `not_here` when there is no such program, `command_failed` with the end of what it said
 */
export async function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<Output> {
  const [name = ""] = command;
  if (Bun.which(name) === null) throw new CliError("not_here", `${name} is not on the PATH`, `install ${name}`);
  const child = Bun.spawn([...command], {
    cwd: options.cwd ?? root,
    env: options.env ?? process.env,
    stdin: options.input ?? "ignore",
    stdout: "pipe",
    stderr: "pipe",
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const [out, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  options.signal?.throwIfAborted();
  if (code !== 0) {
    const said = errors.slice(-ERROR_TEXT_MAX).trim();
    throw new CliError("command_failed", `${command.join(" ")} ended with ${code}: ${said}`, "see what it said");
  }
  return { out, errors };
}
