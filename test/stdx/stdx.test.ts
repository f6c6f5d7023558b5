import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  editDistance,
  formatBytes,
  formatMilliseconds,
  ManualClock,
  nearestName,
  parseBytes,
  parseMilliseconds,
  systemClock,
} from "../../src/stdx/index.ts";

describe("units", () => {
  test.each([
    ["1024", 1024],
    ["16 MiB", 16 * 2 ** 20],
    ["1.5kib", 1536],
    ["1MB", 1_000_000],
    ["-1", -1],
  ])("%s is read as bytes", (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  test.each(["", "MiB", "1 XiB", "1.5", "0.1 kib", "1e3", "9999999 TiB", "1 MiB 2"])("%p is no size", (text) =>
    expect(parseBytes(text)).toBeUndefined(),
  );

  test.each([
    ["250", 250],
    ["1.5s", 1500],
    ["10m", 600_000],
    ["7d", 604_800_000],
  ])("%s is read as a span", (text, ms) => expect(parseMilliseconds(text)).toBe(ms));

  test("what is formatted reads back as the same number", () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 50), max: 2 ** 50 }), (value) => {
        expect(parseBytes(formatBytes(value))).toBe(value);
        expect(parseMilliseconds(formatMilliseconds(value))).toBe(value);
      }),
    );
    expect([formatBytes(64 * 2 ** 20), formatBytes(1000), formatBytes(0)]).toEqual(["64 MiB", "1000 B", "0"]);
  });
});

describe("nearest name", () => {
  const names = ["port", "httpPort", "dataDir", "segmentBytes"];

  test("a slip of the finger leads to the name that was meant", () => {
    expect(nearestName("prot", names)).toBe("port");
    expect(nearestName("datadir", names)).toBe("dataDir");
    expect(nearestName("segmentBites", names)).toBe("segmentBytes");
  });

  test("a name unlike all of them leads to none", () => {
    expect(nearestName("colour", names)).toBeUndefined();
    expect(nearestName("x", names)).toBeUndefined();
  });

  test("the distance is that of a symmetric metric with swaps", () => {
    expect([editDistance("", "abc"), editDistance("abcd", "abdc"), editDistance("kitten", "sitting")]).toEqual([
      3, 1, 3,
    ]);
    const text = fc.string({ maxLength: 8 });
    fc.assert(fc.property(text, text, (a, b) => editDistance(a, b) === editDistance(b, a)));
    fc.assert(fc.property(text, (a) => editDistance(a, a) === 0));
  });
});

describe("clocks", () => {
  test("a manual clock stands until it is moved, and never goes back", () => {
    const clock = new ManualClock(5);
    clock.advance(10);
    expect([clock.now(), clock.now()]).toEqual([15, 15]);
    expect(() => clock.advance(-1)).toThrow(RangeError);
  });

  test("the system clock gives milliseconds since the epoch", () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1000);
  });
});
