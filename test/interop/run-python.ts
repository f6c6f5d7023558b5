/** The Python that programs of other people run in, with the packages of requirements.txt. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");
const folder = join(root, ".cache/python");
export const python = join(folder, "bin/python3");
export const scripts = join(import.meta.dir, "python");

export async function run(
  command: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  const child = Bun.spawn(command, {
    cwd: root,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1", ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, output: out + error };
}

/** Installs it where it is not there with all that is wanted. */
export async function preparePython(): Promise<void> {
  const wanted = readFileSync(join(import.meta.dir, "requirements.txt"), "utf8");
  const mark = join(folder, "installed");
  if (existsSync(mark) && readFileSync(mark, "utf8") === wanted) return;
  const install = 'import("./test/tools/setup.mjs").then((setup) => setup.installPython())';
  const { code, output } = await run(["node", "-e", install]);
  if (code !== 0) throw new Error(`no Python for this test: ${output}`);
}
