/**
 * `npm run verify` checks without changing a file; `npm run fix` (`--fix`) rewrites what can be rewritten.
 * Prints one line per check, and a failed check's own output below its line.
 */
import { spawnSync } from "node:child_process";
import { bun, installPackages, needToolchains, root, run } from "./setup.mjs";

const oxlint = `${root}node_modules/.bin/oxlint`;
const lint = [oxlint, "--deny-warnings", "src", "test", "bench"];

const CHECKS = [
  ["generated files are fresh", [bun, "test/tools/generate.ts", "--check"]],
  ["types", [bun, "check", "--no-pretty"]],
  ["types of the dashboard", [bun, "check", "--no-pretty", "--project", "src/dashboard/app"]],
  ["format", [bun, "fmt", "--check"]],
  ["lint", lint],
  ["layers and tidiness", [bun, "test", "./test/tidy.test.ts"]],
  ["rustfmt", ["cargo", "fmt", "--all", "--check"]],
  ["clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]],
];

const FIXES = [
  ["generated files", [bun, "test/tools/generate.ts"]],
  ["lint", [...lint, "--fix"]],
  ["format", [bun, "fmt"]],
  ["rustfmt", ["cargo", "fmt", "--all"]],
];

await run(async () => {
  needToolchains();
  await installPackages();
  const isFix = process.argv.includes("--fix");
  let failed = 0;
  for (const [name, [command, ...args]] of isFix ? FIXES : CHECKS) {
    const startMs = performance.now();
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`${status === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
    if (status === 0) continue;
    failed += 1;
    console.log(`${stdout}${stderr}`.trimEnd());
  }
  process.exit(failed > 0 ? 1 : 0);
});
