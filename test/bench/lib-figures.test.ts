import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changes, compareFiles } from "../../bench/lib/compare.ts";
import { figureOf, median, meetsGoal } from "../../bench/lib/figure.ts";
import { Histogram } from "../../bench/lib/histogram.ts";
import { percentilesSvg, rateSvg } from "../../bench/lib/plot.ts";
import { figuresTable, formatNumber, markdown, percentileTable, readResult, resultOf } from "../../bench/lib/report.ts";
import { writeResult } from "../../bench/lib/report.ts";

/** Figures, histograms, what is printed of them, and the files. */

test("a figure is the median of its runs, with the lowest and the highest", () => {
  const figure = figureOf("rate", "msg/s", [30, 10, 20, 100], { atLeast: 20 });
  expect(figure).toMatchObject({ value: 25, spread: [10, 100], runs: [30, 10, 20, 100] });
  expect(median([3, 1, 2])).toBe(2);
  expect(median([])).toBeNaN();
  expect(meetsGoal(figure)).toBe(true);
  expect(meetsGoal(figureOf("rate", "x", [19], { atLeast: 20 }))).toBe(false);
  expect(meetsGoal(figureOf("late", "ms", [6], { atMost: 5 }))).toBe(false);
  expect(meetsGoal(figureOf("rate", "x", [1]))).toBeUndefined();
});

test("a histogram keeps three digits, its exact maximum, and goes through a pipe unchanged", () => {
  const histogram = new Histogram();
  for (let us = 1; us <= 10_000; us += 1) histogram.record(us);
  histogram.record(123_456.789, 3);
  const copy = Histogram.decode(histogram.encode());
  for (const each of [histogram, copy]) {
    expect(each.count).toBe(10_003);
    expect(each.max).toBeCloseTo(123_456.789, 3);
    expect(Math.abs(each.percentile(50) - 5_001) / 5_001).toBeLessThan(0.002);
    expect(Math.abs(each.percentile(99) - 9_903) / 9_903).toBeLessThan(0.002);
    expect(each.percentiles()).toEqual(histogram.percentiles());
  }
  const sum = new Histogram();
  sum.add(histogram);
  sum.add(copy);
  expect(sum.count).toBe(20_006);
});

test("small times keep their digits; what a clock of another process puts before zero is zero", () => {
  const histogram = new Histogram();
  histogram.record(12.345);
  expect(histogram.percentile(50)).toBeCloseTo(12.345, 1);
  histogram.record(-3);
  expect(histogram.percentile(1)).toBe(0);
  expect(new Histogram().percentile(50)).toBeNaN();
});

test("a closed loop's long time stands for those that it kept from being measured", () => {
  const histogram = new Histogram();
  histogram.recordCorrected(1_000, 100);
  // 1000, and 900, 800 … 100 of those that should have begun meanwhile.
  expect(histogram.count).toBe(10);
  expect(histogram.percentile(50)).toBeCloseTo(500, -1);
});

test(".hgrm is in ms, and ends with the maximum and the count", () => {
  const histogram = new Histogram();
  for (let us = 1_000; us <= 2_000; us += 1) histogram.record(us);
  const text = histogram.hgrm();
  expect(text).toMatch(/^\s+Value\s+Percentile\s+TotalCount\s+1\/\(1-Percentile\)/);
  expect(text).toMatch(/#\[Max\s+=\s+2\.00\d, Total count\s+=\s+1001\]/);
});

test("tables are markdown, with numbers to the right and goals where there are some", () => {
  const figures = [
    figureOf("fast", "msg/s", [1_234_567, 2_000_000], { atLeast: 3e6 }),
    figureOf("slow", "ms", [0.01234]),
  ];
  const text = markdown(figuresTable(figures));
  expect(text).toContain("| fast   | 1,617,284 | msg/s | 1,234,567–2,000,000 | ≥ 3,000,000 | no  |");
  expect(text).toContain("| slow   |    0.0123 | ms    |");
  const histogram = new Histogram();
  histogram.record(1_500);
  const [row] = percentileTable("", [["acks", histogram]]).rows;
  expect(row).toEqual(["acks", "1.50", "1.50", "1.50", "1.50", "1.50", "1.50", "1"]);
  expect([0, 0.001234, 12.34, 123.4, 1234.5, Number.NaN].map(formatNumber)).toEqual([
    "0.00",
    "0.00123",
    "12.3",
    "123",
    "1,235",
    "-",
  ]);
});

test("plots are SVG with the data in them, also of nothing", () => {
  const histogram = new Histogram();
  for (let us = 1; us < 1_000; us += 1) histogram.record(us);
  const svg = percentilesSvg("of a run", [["delivered", histogram]]);
  expect(svg).toStartWith("<svg");
  for (const part of ["of a run", "delivered", "99.9 %", "percentile"]) expect(svg).toContain(part);
  const rate = rateSvg("rates", [{ name: "published", counts: [100, 200, 150], intervalMs: 100 }]);
  expect(rate).toContain("published");
  expect(rate.match(/<path/g)?.length).toBeGreaterThan(0);
  expect(percentilesSvg("nothing", [["none", new Histogram()]])).toStartWith("<svg");
});

test("a result says what was measured where, and compare reads two of them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-compare-"));
  try {
    const [before, after] = [join(folder, "a.json"), join(folder, "b.json")];
    const old = [figureOf("rate", "msg/s", [100, 110, 120]), figureOf("gone", "s", [1])];
    const now = [figureOf("rate", "msg/s", [220, 200, 210]), figureOf("new", "s", [1])];
    await writeResult(before, resultOf("limits", "npm run bench -- limits", { figures: old }));
    await writeResult(after, resultOf("limits", "npm run bench -- limits --quick", { figures: now }));
    const result = readResult(before);
    expect(result).toMatchObject({ suite: "limits", command: "npm run bench -- limits", figures: old, tables: [] });
    expect(result.machine.cores).toBeGreaterThan(0);
    expect(result.machine.filesystem).not.toBe("");
    const text = compareFiles(before, after);
    expect(text).toMatch(/\| rate\s+\| msg\/s \|\s+110 \|\s+210 \| \+90\.9 % \| outside the spread \|/);
    expect(text).toContain("only before: gone");
    expect(text).toContain("only after: new");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a change is told from chance by whether the spreads have values in common", () => {
  const of = (...runs: number[]) => [figureOf("x", "s", runs)];
  expect(changes(of(1, 2, 3), of(3, 4, 5))[0]).toMatchObject({ percent: 100, overlap: true });
  expect(changes(of(1, 2, 3), of(4, 5, 6))[0]).toMatchObject({ percent: 150, overlap: false });
  expect(changes(of(1), [figureOf("x", "ms", [1])])).toEqual([]);
});

test("compare says in one line what is wrong with a file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-compare-"));
  try {
    const path = join(folder, "x.json");
    await Bun.write(path, "{}");
    expect(() => readResult(path)).toThrow('"figures" is missing');
    await Bun.write(path, "{");
    expect(() => readResult(path)).toThrow("is no JSON");
    expect(() => readResult(join(folder, "none"))).toThrow("ENOENT");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
