import { expect, test } from "bun:test";
import fc from "fast-check";
import { compilePattern, PatternSet, patternFault, splitWords } from "../../src/stdx/patterns.ts";

/** The meaning of a pattern, written as plainly as possible; exponential, so only for short inputs. */
function matchesModel(pattern: string[], name: string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return name.length === 0;
  if (head === "#") return matchesModel(rest, name) || (name.length > 0 && matchesModel(pattern, name.slice(1)));
  if (name.length === 0) return false;
  return (head === "*" || head === name[0]) && matchesModel(rest, name.slice(1));
}

const word = fc.constantFrom("a", "b", "c");
const name = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join("."));
const pattern = fc
  .array(fc.oneof(word, fc.constantFrom("*", "#")), { minLength: 1, maxLength: 5 })
  .map((words) => words.join("/"));

test("* is one word, # any number of words, separators are equal", () => {
  expect(compilePattern("order.*")("order.created")).toBe(true);
  expect(compilePattern("order.*")("order/created")).toBe(true);
  expect(compilePattern("order.*")("order")).toBe(false);
  expect(compilePattern("order.*")("order.eu.created")).toBe(false);
  expect(compilePattern("sensors.#")("sensors")).toBe(true);
  expect(compilePattern("sensors/#")("sensors/a/b/c")).toBe(true);
  expect(compilePattern("#.created")("orders.eu.created")).toBe(true);
});

test("a pattern matches exactly the names that its definition says", () => {
  fc.assert(
    fc.property(pattern, name, (p, n) => compilePattern(p)(n) === matchesModel(splitWords(p), splitWords(n))),
    { numRuns: 3000 },
  );
});

test("a set finds the values of all matching patterns, also after deletes", () => {
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 12 }), fc.array(fc.nat(11)), name, (patterns, deletes, n) => {
      const set = new PatternSet<number>();
      for (const [index, p] of patterns.entries()) set.add(p, index);
      const alive = new Set(patterns.keys());
      for (const index of deletes) {
        const p = patterns[index];
        if (p !== undefined) expect(set.delete(p, index)).toBe(alive.delete(index));
      }
      const expected = [...alive].filter((index) => matchesModel(splitWords(patterns[index] ?? ""), splitWords(n)));
      expect([...set.match(n)].sort()).toEqual(expected.sort());
    }),
  );
});

test("a hostile pattern costs no more than any other", () => {
  const match = compilePattern(Array.from({ length: 60 }, () => "#").join("."));
  const before = performance.now();
  expect(match(Array.from({ length: 100 }, () => "a").join("."))).toBe(true);
  expect(performance.now() - before).toBeLessThan(5_000);
});

test("faults of patterns are named", () => {
  expect(patternFault("order.*")).toBeUndefined();
  expect(patternFault("#")).toBeUndefined();
  expect(patternFault("")).toContain("1 to 249");
  expect(patternFault("a..b")).toContain("empty");
  expect(patternFault("a.b*")).toContain("whole words");
  expect(patternFault("a b")).toContain("holds only");
});
