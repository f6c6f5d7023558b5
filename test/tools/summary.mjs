/** Counts of passed, failed and skipped tests out of what the runners print. */

/** Sums a line of output into `counts`; lines that are no summary change nothing. */
const RUNNERS = {
  /** `test result: ok. 12 passed; 0 failed; 1 ignored; …`, one line per test binary. */
  cargo(line, counts) {
    const [, passed, failed, skipped] =
      /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/.exec(line) ?? [];
    if (passed === undefined) return;
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(skipped);
  },
  /** ` 12 pass`, ` 1 fail`, ` 2 skip`, ` 1 error` on lines of their own. */
  bun(line, counts) {
    const [, count, kind] = /^ (\d+) (pass|fail|skip|todo|errors?)$/.exec(line) ?? [];
    if (kind === "pass") counts.passed += Number(count);
    else if (kind === "skip" || kind === "todo") counts.skipped += Number(count);
    else if (kind !== undefined) counts.failed += Number(count);
  },
  /** `ok   name` and `FAIL name`, as verify.mjs prints them. */
  verify(line, counts) {
    if (line.startsWith("ok   ")) counts.passed += 1;
    else if (line.startsWith("FAIL ")) counts.failed += 1;
  },
};

/**
 * @param {"cargo" | "bun" | "verify"} runner
 * @param {string} output all that the runner printed
 * @param {number} code its exit code: one that is not zero without a failed test counts as a failure (a compile error,
 *   a crash), and so does a run without any test
 */
export function countTests(runner, output, code) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  // Runners colour their output when they are told to; the codes would hide the lines.
  // oxlint-disable-next-line no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  for (const line of plain.split(/\r?\n/)) RUNNERS[runner](line, counts);
  const ran = counts.passed + counts.failed + counts.skipped;
  if ((code !== 0 && counts.failed === 0) || ran === 0) counts.failed += 1;
  return counts;
}
