import { CliError } from "../../src/cli/exit.ts";
import { plainEnvironment, runCommand } from "./command.ts";

/** Builds the core's bench binaries as the core itself is built. */

interface Artifact {
  readonly reason: string;
  readonly target?: { readonly name: string };
  readonly executable?: string | null;
}

/** The path of the executable `name` among the lines that cargo prints with --message-format=json. */
export function executableOf(lines: string, name: string): string | undefined {
  for (const line of lines.split("\n")) {
    if (!line.includes('"compiler-artifact"')) continue;
    const { target, executable } = JSON.parse(line) as Artifact;
    if (target?.name === name && executable) return executable;
  }
  return undefined;
}

/** Builds one of core/benches in release mode. Returns its path. */
export async function buildBench(name: string, signal?: AbortSignal): Promise<string> {
  const command = ["cargo", "build", "--release", "--locked", "-p", "millrace-core", "--bench", name];
  const { out } = await runCommand([...command, "--message-format=json-render-diagnostics"], {
    env: plainEnvironment(),
    ...(signal === undefined ? {} : { signal }),
  });
  const path = executableOf(out, name);
  if (path === undefined) throw new CliError("internal", `cargo built no bench ${name}`, "see core/Cargo.toml");
  return path;
}
