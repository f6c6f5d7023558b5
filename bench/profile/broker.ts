import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../../src/cli/exit.ts";
import { plainEnvironment, root, runCommand } from "../core/command.ts";
import { BrokerChild } from "../lib/processes.ts";

/**
 * A broker to look into: its core is built with frame pointers, so that perf finds who called whom, and it runs from a
 * copy of the sources, because the sources load the core from a fixed place and the checkout's own must stay as it is.
 */

const TARGET = join(root, "target/profiling");
const START_MS_MAX = 30_000;

/** Builds the core with frame pointers. Returns the folder of a copy of the sources with it. */
export async function copyWithFramePointers(workDir: string, signal: AbortSignal): Promise<string> {
  const env = { ...plainEnvironment(), RUSTFLAGS: "-C force-frame-pointers=yes", CARGO_TARGET_DIR: TARGET };
  await runCommand(["cargo", "build", "--release", "--locked", "-p", "millrace-native"], { env, signal });
  const folder = join(workDir, "sources");
  mkdirSync(join(folder, "native"), { recursive: true });
  for (const name of ["src", "bench", "package.json"])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  cpSync(join(TARGET, "release/libmillrace_native.so"), join(folder, "native/millrace.node"));
  return folder;
}

/** Starts a broker of these sources on a data directory of its own; `flags` are Bun's. */
export async function startBroker(folder: string, dataDir: string, flags: readonly string[]): Promise<BrokerChild> {
  const serve = ["serve", "--port", "0", "--http-port", "0", "--data-dir", dataDir];
  const command = [process.execPath, ...flags, join(folder, "src/main.ts"), ...serve];
  const child = new BrokerChild(Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "pipe" }), "the broker");
  const ended = child.next() as Promise<never>;
  ended.catch(() => undefined);
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CliError("timeout", "the broker did not start", "see its log")), START_MS_MAX);
  });
  try {
    const line = await Promise.race([child.serving, ended, late]);
    child.port = Number(line["port"]);
    return child;
  } catch (error) {
    await child.end("SIGKILL");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
