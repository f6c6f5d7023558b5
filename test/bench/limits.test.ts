import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SuiteResult } from "../../bench/lib/suite.ts";
import { FIGURE_NAMES, suite } from "../../bench/limits/index.ts";

/** The names that the issue fixes; what other figures the suite has is its own business. */
const NAMES = [
  "produce_batched_vs_sink",
  "produce_sustained_vs_disk",
  "produce_single_msgs",
  "produce_synced_vs_disk",
  "consume_vs_sender",
  "both_raw_msgs",
  "both_client_msgs",
  "fanout10_vs_sender",
  "latency_p50_vs_echo",
  "latency_p99_vs_echo",
  "latency_busy_p99_ms",
  "latency_catchup_p99_ms",
  "resident_mb",
  "ready_clean_s",
  "ready_crashed_s",
  "partitions_1000_vs_1",
];
const GOALS: Readonly<Record<string, object>> = {
  produce_batched_vs_sink: { atLeast: 0.5 },
  latency_p99_vs_echo: { atMost: 4 },
  resident_mb: { atMost: 250 },
};
const SUITE_MS = 120_000;

describe("the suite limits, quick", () => {
  let workDir: string;
  let result: SuiteResult;
  const lines: string[] = [];

  beforeAll(async () => {
    workDir = await mkdtemp(join(tmpdir(), "millrace-test-"));
    const signal = new AbortController().signal;
    const progress = (line: string): void => void lines.push(line);
    result = await suite.run({ rounds: 1, quick: true, workDir, signal, progress }, {});
  }, SUITE_MS);

  afterAll(() => rm(workDir, { recursive: true, force: true }));

  test("has every figure of the table, and no other than it says", () => {
    const names = result.figures.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(NAMES));
    expect(names.toSorted()).toEqual(FIGURE_NAMES.toSorted());
    for (const { name, goal } of result.figures) if (name in GOALS) expect(goal).toEqual(GOALS[name] as never);
  });

  test("measured something everywhere", () => {
    for (const { name, value, runs } of result.figures) {
      expect({ name, isNumber: Number.isFinite(value) && value >= 0, runs: runs.length }).toEqual({
        name,
        isNumber: true,
        runs: 1,
      });
    }
  });

  test("says what each kind of run cost, and what it is doing meanwhile", () => {
    const [costs] = result.tables ?? [];
    expect(costs?.columns.length).toBe(7);
    expect(costs?.rows.map(([title]) => title)).toEqual(
      expect.arrayContaining(["bare sink, 64 KiB writes", "batched produce, 64 KiB writes"]),
    );
    expect(lines.filter((line) => line.startsWith("limits: ")).length).toBeGreaterThan(5);
  });

  test("leaves no data behind", async () => {
    expect(await readdir(workDir)).toEqual([]);
  });
});
