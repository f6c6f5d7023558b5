import { expect, test } from "bun:test";
import { HotKeys, PartitionLoad } from "../../src/metrics/index.ts";

test("skew is what the fullest partition got over an even share, of the last minute or two", () => {
  const load = new PartitionLoad();
  expect(load.skew(1, [0, 0, 0, 0], 0)).toBe(0);
  expect(load.skew(1, [10, 10, 10, 10], 1_000)).toBe(1);
  expect(load.skew(1, [50, 10, 10, 10], 2_000)).toBe(2.5);
  // What happened before the window is forgotten.
  load.skew(1, [50, 10, 10, 10], 61_000);
  load.skew(1, [50, 10, 10, 10], 122_000);
  expect(load.skew(1, [50, 10, 10, 14], 122_500)).toBe(4);
  load.keep(new Set());
  expect(load.skew(1, [1, 1, 1, 1], 123_000)).toBe(1);
});

test("a key that more than its share of messages has is found among any number of others", () => {
  const keys = new HotKeys(16, 100_000);
  for (let at = 0; at < 10_000; at += 1) keys.note(at % 4 === 0 ? "hot" : at % 10 === 1 ? undefined : `cold-${at}`);
  const [first] = keys.top(3);
  expect(first?.key).toBe("hot");
  expect(first?.share).toBeGreaterThan(0.2);
  expect(first?.share).toBeLessThanOrEqual(0.25);
});

test("what is old fades", () => {
  const keys = new HotKeys(4, 64);
  for (let at = 0; at < 64; at += 1) keys.note("then");
  for (let at = 0; at < 320; at += 1) keys.note("now");
  expect(keys.top(1)[0]?.key).toBe("now");
  expect(keys.samples).toBeLessThanOrEqual(64);
});

test("where all keys are different none is hot, though each that comes takes the place of another with its count", () => {
  const keys = new HotKeys(16, 100_000);
  for (let at = 0; at < 5_000; at += 1) keys.note(`key-${at}`);
  expect(keys.top(1)[0]?.share).toBeLessThan(0.01);
});
