import { expect, test } from "bun:test";
import { memoryBytes, memoryLimit, nextLevel } from "../../src/server/watermarks.ts";

/** When publishers are held back, refused, and let go again. */

const MARKS = { hold: 1, refuse: 2, ease: 1.5, release: 0.8 };

test("levels go up at their marks, and down only at a distance from them", () => {
  const uses = [0.5, 0.99, 1, 0.9, 1.9, 2, 1.6, 1.4, 1.9, 0.81, 0.79, 0.99];
  const levels: number[] = [];
  for (const use of uses) levels.push(nextLevel(levels.at(-1) ?? 0, use, MARKS));
  expect(levels).toEqual([0, 0, 1, 1, 1, 2, 2, 1, 1, 1, 0, 0]);
});

test("a use may pass several levels at once, both ways", () => {
  expect(nextLevel(0, 3, MARKS)).toBe(2);
  expect(nextLevel(2, 0.1, MARKS)).toBe(0);
  expect(nextLevel(0, Number.POSITIVE_INFINITY, MARKS)).toBe(2);
});

test("the limit of memory is what was set, a share of what there is, or none", () => {
  expect(memoryLimit(12_345)).toBe(12_345);
  expect(memoryLimit(-1)).toBe(Number.POSITIVE_INFINITY);
  const limit = memoryLimit(0);
  expect(limit).toBeGreaterThan(memoryBytes());
  expect(Number.isFinite(limit)).toBe(true);
});
