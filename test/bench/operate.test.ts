import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SuiteResult } from "../../bench/lib/suite.ts";
import { FIGURE_NAMES, suite } from "../../bench/operate/index.ts";

/** The names and goals that the issue fixes, as far as their lines are there; other figures are the suite's own business. */
const GOALS: Readonly<Record<string, object>> = {
  abuse_p99_ratio: { atMost: 3 },
  permissions_vs_none: { atLeast: 0.98 },
  tls_vs_plain: { atLeast: 0.5 },
  dashboard_kb: { atMost: 150 },
  dashboard_interactive_s: { atMost: 1 },
};
const SUITE_MS = 120_000;

describe("the suite operate, quick", () => {
  let workDir: string;
  let result: SuiteResult;

  beforeAll(async () => {
    workDir = await mkdtemp(join(tmpdir(), "millrace-test-"));
    const { signal } = new AbortController();
    result = await suite.run({ rounds: 1, quick: true, workDir, signal, progress: () => undefined }, {});
  }, SUITE_MS);

  afterAll(() => rm(workDir, { recursive: true, force: true }));

  test("has every figure of the table with its goal, and no other than it says", () => {
    const names = result.figures.map(({ name }) => name);
    expect(names.toSorted()).toEqual(FIGURE_NAMES.toSorted());
    const goals = result.figures.flatMap(({ name, goal }) => (goal === undefined ? [] : [[name, goal] as const]));
    expect(Object.fromEntries(goals)).toEqual(GOALS);
  });

  test("measured something everywhere", () => {
    for (const { name, value, runs } of result.figures) {
      const isNumber = Number.isFinite(value) && value > 0;
      expect({ name, isNumber, runs: runs.length }).toEqual({ name, isNumber: true, runs: 1 });
    }
  });

  test("leaves no data behind", async () => {
    expect(await readdir(workDir)).toEqual([]);
  });
});
