import { existsSync } from "node:fs";
import { join } from "node:path";
import { runCommand, root } from "../core/command.ts";

/** The tools that a profile needs: perf, inferno's flame graphs. Installed where they are missing. */

const CACHE = join(root, ".cache/profile");
const INFERNO_VERSION = "0.12.8";
/** Samples of perf's processor clock, a second; odd, so that nothing regular keeps step with it. */
export const SAMPLES_PER_S = 499;

/** Installs a Debian package unless its command is there. Returns whether the command is there in the end. */
export async function hasDebian(command: string, name: string, signal: AbortSignal): Promise<boolean> {
  if (Bun.which(command) !== null) return true;
  if (Bun.which("apt-get") === null) return false;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await runCommand(["apt-get", "update", "-qq"], { env, signal }).catch(() => undefined);
  await runCommand(["apt-get", "install", "-y", "-qq", name], { env, signal }).catch(() => undefined);
  signal.throwIfAborted();
  return Bun.which(command) !== null;
}

/** Whether perf may take samples here: kernels and containers can refuse it. */
export async function canSample(workDir: string, signal: AbortSignal): Promise<boolean> {
  if (!(await hasDebian("perf", "linux-perf", signal))) return false;
  const trial = ["perf", "record", "-q", "-e", "cpu-clock", "-o", join(workDir, "trial.data"), "--", "true"];
  return await runCommand(trial, { signal }).then(
    () => true,
    () => (signal.throwIfAborted(), false),
  );
}

/** Installs inferno into the cache. Returns the folder of its commands. */
export async function installInferno(signal: AbortSignal): Promise<string> {
  const folder = join(CACHE, `inferno-${INFERNO_VERSION}`);
  const commands = join(folder, "bin");
  if (existsSync(join(commands, "inferno-flamegraph"))) return commands;
  const features = ["--no-default-features", "--features", "cli"];
  const install = ["cargo", "install", "inferno", "--version", INFERNO_VERSION, "--locked", ...features];
  await runCommand([...install, "--root", folder], { signal });
  return commands;
}

/** Folded stacks out of what perf recorded. */
export async function foldPerf(inferno: string, data: string, signal: AbortSignal): Promise<string> {
  // Inlined frames would need a look-up of debug information for each address, which takes minutes.
  const { out } = await runCommand(["perf", "script", "--no-inline", "-i", data], { signal });
  return (await runCommand([join(inferno, "inferno-collapse-perf")], { input: new Blob([out]), signal })).out;
}

/** A flame graph as SVG. */
export async function drawFlames(
  inferno: string,
  folded: string,
  about: { readonly title: string; readonly subtitle: string; readonly unit: string },
  signal: AbortSignal,
): Promise<string> {
  const { title, subtitle, unit } = about;
  const colours = unit === "samples" ? "rust" : "js";
  const words = [
    "--title",
    title,
    "--subtitle",
    subtitle,
    "--countname",
    unit,
    "--colors",
    colours,
    "--minwidth",
    "0.05",
  ];
  return (await runCommand([join(inferno, "inferno-flamegraph"), ...words], { input: new Blob([folded]), signal })).out;
}
