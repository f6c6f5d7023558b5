/** Counts of passed, failed and skipped tests out of what the runners print, and what they print of those that failed. */

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

/** Where a runner speaks of a test that failed: the line, and whether its reasons stand before it or behind it; bun tells all of them again at `end`. */
const FAILURES = {
  cargo: { at: /^---- .+ ----$/, isBehind: true, until: /^(---- .+ ----|failures:)$/ },
  bun: { at: /^\(fail\) /, isBehind: false, until: /^\((pass|fail|skip|todo)\) /, end: /^\d+ tests failed:$/ },
  verify: { at: /^FAIL /, isBehind: true, until: /^(ok   |FAIL )/ },
};
const FAILURE_LINES_MAX = 40;
const FAILURES_MAX = 10;

/** Runners colour their output when they are told to; the codes would hide the lines. */
function plainLines(output) {
  // oxlint-disable-next-line no-control-regex
  return output.replace(/\x1b\[[0-9;]*m/g, "").split(/\r?\n/);
}

/**
 * What a runner said of the tests that failed, to be told once more at the end, where it is found.
 * @param {"cargo" | "bun" | "verify"} runner
 * @param {string} output all that the runner printed
 * @param {number} code its exit code
 * @returns {string[]} a text for each failed test, the first `FAILURES_MAX` of them; of each at most `FAILURE_LINES_MAX`
 *   lines. The last lines of all where it failed without a failed test.
 */
export function failuresIn(runner, output, code) {
  const found = failedTestsIn(runner, output);
  if (found.length > 0 || code === 0) return found;
  return [plainLines(output.trimEnd()).slice(-FAILURE_LINES_MAX).join("\n")];
}

function failedTestsIn(runner, output) {
  const { at, isBehind, until, end: again } = FAILURES[runner];
  const all = plainLines(output);
  const last = again === undefined ? -1 : all.findLastIndex((line) => again.test(line));
  const lines = last < 0 ? all : all.slice(0, last);
  const marks = lines.flatMap((line, n) => (at.test(line) ? [n] : [])).slice(0, FAILURES_MAX);
  return marks.map((mark) => {
    const step = isBehind ? 1 : -1;
    let end = mark;
    while (Math.abs(end + step - mark) < FAILURE_LINES_MAX && end + step in lines && !until.test(lines[end + step]))
      end += step;
    return lines
      .slice(Math.min(mark, end), Math.max(mark, end) + 1)
      .join("\n")
      .trim();
  });
}

/**
 * @param {"cargo" | "bun" | "verify"} runner
 * @param {string} output all that the runner printed
 * @param {number} code its exit code: one that is not zero without a failed test counts as a failure (a compile error,
 *   a crash), and so does a run without any test
 */
export function countTests(runner, output, code) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const line of plainLines(output)) RUNNERS[runner](line, counts);
  const ran = counts.passed + counts.failed + counts.skipped;
  if ((code !== 0 && counts.failed === 0) || ran === 0) counts.failed += 1;
  return counts;
}
