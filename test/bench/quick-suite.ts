/** What every bench suite has to keep, shown by one quick run of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Suite, SuiteResult } from "../../bench/lib/suite.ts";

export interface Promised {
  readonly suite: Suite;
  readonly names: readonly string[];
  /** The names and goals that are fixed from outside; other figures are the suite's own business. */
  readonly goals: Readonly<Record<string, object>>;
  /** Figures that may be nothing or less in so short a run. Default: none. */
  readonly mayBeNone?: RegExp;
}

const SUITE_MS = 120_000;
const NONE = /(?!)/;

export function describeQuickSuite(name: string, { suite, names, goals, mayBeNone = NONE }: Promised): void {
  describe(`the suite ${name}, quick`, () => {
    let workDir: string;
    let result: SuiteResult;

    beforeAll(async () => {
      workDir = await mkdtemp(join(tmpdir(), "millrace-test-"));
      const { signal } = new AbortController();
      result = await suite.run({ rounds: 1, quick: true, workDir, signal, progress: () => undefined }, {});
    }, SUITE_MS);

    afterAll(() => rm(workDir, { recursive: true, force: true }));

    test("has every figure of the table with its goal, and no other than it says", () => {
      expect(result.figures.map((figure) => figure.name).toSorted()).toEqual(names.toSorted());
      const found = result.figures.flatMap((figure) => (figure.goal ? [[figure.name, figure.goal] as const] : []));
      expect(Object.fromEntries(found)).toEqual(goals);
    });

    test("measured something everywhere", () => {
      for (const figure of result.figures) {
        const isNumber = Number.isFinite(figure.value) && (figure.value > 0 || mayBeNone.test(figure.name));
        expect({ name: figure.name, isNumber, runs: figure.runs.length }).toEqual({
          name: figure.name,
          isNumber: true,
          runs: 1,
        });
      }
    });

    test("leaves no data behind", async () => {
      expect(await readdir(workDir)).toEqual([]);
    });
  });
}
