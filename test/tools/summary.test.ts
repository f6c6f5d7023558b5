import { describe, expect, test } from "bun:test";
import { countTests, failuresIn } from "./summary.mjs";

describe("the sum of what runners print", () => {
  test("adds cargo's lines, one per test binary", () => {
    const output = `running 3 tests
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s`;
    expect(countTests("cargo", output, 101)).toEqual({ passed: 7, failed: 2, skipped: 1 });
  });

  test("reads bun's lines, coloured or not, and counts errors as failures", () => {
    expect(countTests("bun", " 12 pass\n 1 skip\n 0 fail\n 40 expect() calls\n", 0)).toEqual({
      passed: 12,
      failed: 0,
      skipped: 1,
    });
    expect(countTests("bun", "\x1b[32m 2 pass\x1b[0m\n 1 error\n", 1)).toEqual({ passed: 2, failed: 1, skipped: 0 });
    expect(countTests("bun", "(pass) prints 3 pass and 4 fail\n 1 pass\n", 0)).toEqual({
      passed: 1,
      failed: 0,
      skipped: 0,
    });
  });

  test("reads verify's lines", () => {
    expect(countTests("verify", "ok   types (0.1 s)\nFAIL lint (0.2 s)\nwhat is wrong", 1)).toEqual({
      passed: 1,
      failed: 1,
      skipped: 0,
    });
  });

  test("a run that broke off or ran nothing counts as a failure", () => {
    expect(countTests("cargo", "error: could not compile", 101)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(countTests("bun", " 3 pass\n 0 fail\n", 139)).toEqual({ passed: 3, failed: 1, skipped: 0 });
    expect(countTests("bun", "", 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
});

describe("what runners say of failed tests", () => {
  test("stands before bun's line, back to the test before", () => {
    const output =
      "a.test.ts:\n(pass) one [1ms]\nerror: expected 1\n  at a.test.ts:3\n\x1b[31m(fail)\x1b[0m two [2ms]\n\n1 tests failed:\n(fail) two [2ms]\n 1 pass\n 1 fail";
    expect(failuresIn("bun", output, 1)).toEqual(["error: expected 1\n  at a.test.ts:3\n(fail) two [2ms]"]);
  });

  test("stands behind cargo's and verify's lines", () => {
    const output =
      "test a ... FAILED\nfailures:\n\n---- a stdout ----\nleft: 1\n\n---- b stdout ----\nleft: 2\n\nfailures:\n    a";
    expect(failuresIn("cargo", output, 1)).toEqual(["---- a stdout ----\nleft: 1", "---- b stdout ----\nleft: 2"]);
    expect(failuresIn("verify", "ok   a\nFAIL b (1 s)\nwrong\nok   c", 1)).toEqual(["FAIL b (1 s)\nwrong"]);
  });

  test("is cut where it is long, and nothing where all passed", () => {
    const long = `${"x\n".repeat(1000)}(fail) two [2ms]`;
    expect(failuresIn("bun", long, 1)[0]?.split("\n")).toHaveLength(40);
    expect(failuresIn("bun", "(fail) one\n".repeat(100), 1)).toHaveLength(10);
    expect(failuresIn("bun", "(pass) prints (fail) two [2ms]\n 1 pass", 0)).toEqual([]);
  });

  test("is its last lines where it broke off", () => {
    const output = `${"x\n".repeat(100)}error: could not compile\n`;
    expect(failuresIn("cargo", output, 101)[0]?.split("\n")).toHaveLength(40);
    expect(failuresIn("cargo", output, 101)[0]).toEndWith("x\nerror: could not compile");
    expect(failuresIn("bun", "(pass) one\n 1 pass\n", 139)).toEqual(["(pass) one\n 1 pass"]);
  });
});
