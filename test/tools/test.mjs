/**
 * `npm test`: sets up, runs every part, and ends with the plain line `N passed, N failed`.
 *
 *   npm test -- unit rust      only these parts
 *   npm test -- --verify       the checks of `npm run verify` as well, first
 *   npm run test:long          the long tests at their full figures (MILLRACE_LONG=1)
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import {
  buildCore,
  bun,
  installChromium,
  installPackages,
  installPostgres,
  installPrometheus,
  installPython,
  installSystemd,
  installValgrind,
  needToolchains,
  root,
  run,
} from "./setup.mjs";
import { countTests, failuresIn } from "./summary.mjs";

const words = process.argv.slice(2);
const isLong = words.includes("--long");
const PART_MINUTES_MAX = isLong ? 180 : 20;
const TEST_MS_MAX = isLong ? 7_200_000 : 180_000;
const UNIT_TEST_MS_MAX = 30_000;

/** Folders of test/ with a part of their own; all others are unit tests. */
const OWN_PARTS = new Set(["browser", "integration", "interop", "crash", "guards", "deploy"]);

/** Paths of the test files of a folder of test/ and of its folders. */
function testFiles(folder) {
  const path = join(root, "test", folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => `./${join("test", folder, name)}`)
    .sort();
}

function unitFiles() {
  const isUnit = (path) => !OWN_PARTS.has(relative("test", path).split("/")[0]);
  return testFiles("").filter(isUnit);
}

/** @param filesAtOnce how many files run side by side, each in a process of its own */
function bunPart(files, env = {}, testMsMax = TEST_MS_MAX, filesAtOnce = 1) {
  const parallel = filesAtOnce > 1 ? [`--parallel=${filesAtOnce}`] : [];
  const args = ["test", `--timeout=${testMsMax}`, ...parallel, ...files];
  return { runner: "bun", command: bun, args, env, isEmpty: files.length === 0 };
}

function cargoPart(args, env = {}) {
  return { runner: "cargo", command: "cargo", args, env, isEmpty: false };
}

function integrationPart(threads) {
  // The long form has tests that fill the machine by themselves.
  return bunPart(testFiles("integration"), { MILLRACE_TEST_THREADS: threads }, TEST_MS_MAX, isLong ? 1 : 2);
}

const LOOM = { RUSTFLAGS: "--cfg loom", CARGO_TARGET_DIR: join(root, "target/loom") };

/** How each part is run. What a part needs beyond the common set-up it brings itself. */
const PARTS = {
  verify: async () => ({ runner: "verify", command: process.execPath, args: ["test/tools/verify.mjs"], env: {} }),
  // Tests run unoptimised enough to keep overflow checks and debug assertions, which the release build has not.
  rust: async () => cargoPart(["test", "--workspace", "--no-fail-fast"]),
  loom: async () => cargoPart(["test", "--release", "-p", "millrace-core", "--lib", "ring::loom"], LOOM),
  unit: async () => bunPart(unitFiles(), {}, isLong ? TEST_MS_MAX : UNIT_TEST_MS_MAX, 2),
  integration: async () => integrationPart("1"),
  "integration-2": async () => integrationPart("2"),
  crash: async () => bunPart(testFiles("crash")),
  browser: async () =>
    bunPart(testFiles("browser"), { MILLRACE_TEST_CHROMIUM: await installChromium() }, TEST_MS_MAX, isLong ? 1 : 2),
  deploy: async () => {
    await installSystemd();
    return bunPart(testFiles("deploy"), { MILLRACE_TEST_PROMETHEUS: await installPrometheus() }, TEST_MS_MAX, 2);
  },
  guards: async () => {
    await installValgrind();
    return bunPart(testFiles("guards"));
  },
  interop: async () => {
    const files = testFiles("interop");
    if (files.length === 0) return bunPart(files);
    await installPostgres();
    return bunPart(files, { MILLRACE_TEST_PYTHON: await installPython() });
  },
};

/** Runs a part with its output passed through. Resolves to its counts and what it said of failed tests. */
function runPart({ runner, command, args, env }) {
  return new Promise((resolve) => {
    const long = isLong ? { MILLRACE_LONG: "1" } : {};
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...long, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const timer = setTimeout(() => {
      console.error(`still running after ${PART_MINUTES_MAX} minutes: ended`);
      child.kill("SIGKILL");
    }, PART_MINUTES_MAX * 60_000);
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      from.setEncoding("utf8").on("data", (text) => {
        output += text;
        to.write(text);
      });
    }
    child.on("close", (code) => {
      clearTimeout(timer);
      const exit = code ?? 1;
      resolve({ ...countTests(runner, output, exit), failures: failuresIn(runner, output, exit) });
    });
  });
}

function chosenParts() {
  const names = words.filter((word) => !word.startsWith("--"));
  const unknown = names.find((name) => !(name in PARTS));
  if (unknown !== undefined) {
    console.error(`${unknown} is no part of the tests; there are ${Object.keys(PARTS).join(", ")}`);
    process.exit(2);
  }
  if (names.length > 0) return names;
  return Object.keys(PARTS).filter((name) => name !== "verify" || words.includes("--verify"));
}

await run(async () => {
  const names = chosenParts();
  needToolchains();
  await installPackages();
  await buildCore();
  const total = { passed: 0, failed: 0, skipped: 0 };
  const report = [];
  const failures = [];
  for (const name of names) {
    const part = await PARTS[name]();
    if (part.isEmpty) {
      report.push(`${name.padEnd(14)} no tests yet`);
      continue;
    }
    console.log(`\n== ${name}`);
    const startMs = performance.now();
    const counts = await runPart(part);
    for (const kind of Object.keys(total)) total[kind] += counts[kind];
    failures.push(...counts.failures.map((failure) => `== failed in ${name}\n${failure}\n`));
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    report.push(
      `${name.padEnd(14)} ${counts.passed} ok, ${counts.failed} not ok, ${counts.skipped} left out, ${seconds} s`,
    );
  }
  // CI shows only the end of what was printed.
  console.log(`\n${failures.join("\n")}\n${report.join("\n")}`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  process.exit(total.failed > 0 ? 1 : 0);
});
