/**
 * Writes the files that are generated from a data file:
 *
 * - src/errors/catalogue.json  -> src/errors/codes.generated.ts and core/error_codes.rs
 * - src/protocol/ops.json      -> src/protocol/ops.generated.ts and core/wire/ops.rs
 *
 * and Grafana's dashboard, src/metrics/grafana/millrace.json, from the panels in dashboard-panels.ts.
 *
 * `bun test/tools/generate.ts` writes them, `--check` writes nothing and fails when one is stale.
 */
import { fileURLToPath } from "node:url";
import { dashboard } from "./generate-dashboard.ts";
import { checkCatalogue, errorsRust, errorsTypeScript, type CatalogueEntry } from "./generate-errors.ts";
import { checkOps, opsRust, opsTypeScript, type OpEntry } from "./generate-ops.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

async function format(path: string, text: string): Promise<string> {
  const command = path.endsWith(".rs")
    ? ["rustfmt", "--edition", "2024", "--emit", "stdout", "--config-path", root]
    : [process.execPath, "fmt", "--stdin-filepath", path];
  const child = Bun.spawn(command, { cwd: root, stdin: new Blob([text]), stdout: "pipe", stderr: "inherit" });
  const formatted = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`cannot format ${path}`);
  return formatted;
}

/** Every generated file by its path, as it should be. */
async function generated(): Promise<Map<string, string>> {
  const catalogue = (await Bun.file(`${root}src/errors/catalogue.json`).json()) as CatalogueEntry[];
  const ops = (await Bun.file(`${root}src/protocol/ops.json`).json()) as OpEntry[];
  const faults = [...checkCatalogue(catalogue), ...checkOps(ops)];
  if (faults.length > 0) throw new Error(faults.join("\n"));
  const texts = {
    "src/errors/codes.generated.ts": errorsTypeScript(catalogue),
    "core/error_codes.rs": errorsRust(catalogue),
    "src/protocol/ops.generated.ts": opsTypeScript(ops),
    "core/wire/ops.rs": opsRust(ops),
    "src/metrics/grafana/millrace.json": JSON.stringify(dashboard()),
  };
  const entries = Object.entries(texts).map(async ([path, text]) => [path, await format(path, text)] as const);
  return new Map(await Promise.all(entries));
}

async function main(): Promise<void> {
  const check = process.argv.includes("--check");
  const stale: string[] = [];
  for (const [path, text] of await generated()) {
    const file = Bun.file(root + path);
    if ((await file.exists()) && (await file.text()) === text) continue;
    stale.push(path);
    if (!check) await Bun.write(root + path, text);
  }
  for (const path of stale) console.log(check ? `stale: ${path} (npm run generate)` : `wrote ${path}`);
  process.exit(check && stale.length > 0 ? 1 : 0);
}

await main();
