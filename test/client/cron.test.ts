import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nextCronTime } from "../../src/client/cron.ts";
import { messageHeaders } from "../../src/client/queue-options.ts";

const next = (schedule: string, after: string, offset = 0): string =>
  new Date(nextCronTime(schedule, Date.parse(`${after}Z`), offset)).toISOString().slice(0, 16);

describe("a cron schedule", () => {
  const TIMES: [schedule: string, after: string, expected: string][] = [
    ["* * * * *", "2026-11-21T10:00:30", "2026-11-21T10:01"],
    ["*/15 * * * *", "2026-11-21T10:45", "2026-11-21T11:00"],
    ["30 9 * * mon-fri", "2026-11-20T09:30", "2026-11-23T09:30"],
    ["0 0 1 1 *", "2026-01-01T00:00", "2027-01-01T00:00"],
    ["0 12 29 feb *", "2026-11-21T00:00", "2028-02-29T12:00"],
    ["0 0 13 * fri", "2026-11-01T00:00", "2026-11-06T00:00"],
    ["0 0 * * 7", "2026-11-21T00:00", "2026-11-22T00:00"],
    ["5,10-12/2 22 * * *", "2026-11-21T22:05", "2026-11-21T22:10"],
    ["50-59/5 23 31 12 *", "2026-12-31T23:56", "2027-12-31T23:50"],
  ];
  for (const [schedule, after, expected] of TIMES) {
    test(`${schedule} fires after ${after} at ${expected}`, () => {
      expect(next(schedule, after)).toBe(expected);
    });
  }

  test("means the clock of the place it is told", () => {
    expect(next("0 9 * * *", "2026-11-21T07:59", 60)).toBe("2026-11-21T08:00");
    expect(next("0 23 21 * *", "2026-11-21T00:00", -120)).toBe("2026-11-22T01:00");
  });

  test("that never fires is refused, also where a message is to be published by it", () => {
    for (const schedule of ["0 0 30 2 *", "0 0 31 4,6,9,11 *"]) {
      expect(() => next(schedule, "2026-01-01T00:00")).toThrow(expect.objectContaining({ codeName: "schedule_never" }));
    }
    const deliverAt = { cron: "0 0 31 feb *" };
    expect(() => messageHeaders({ deliverAt })).toThrow(expect.objectContaining({ codeName: "schedule_never" }));
    expect(messageHeaders({ deliverAt: { cron: "* * * * *" } })?.["x-deliver-at-ms"]).toBeGreaterThan(Date.now());
  });

  const BAD = [
    "",
    "* * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "*/0 * * * *",
    "5-1 * * * *",
    "a * * * *",
    "1- * * * *",
    "1,,2 * * * *",
  ];
  for (const schedule of BAD) {
    test(`"${schedule}" is none`, () => {
      expect(() => next(schedule, "2026-01-01T00:00")).toThrow(
        expect.objectContaining({ codeName: "invalid_argument" }),
      );
    });
  }

  const seed = Number(process.env["MILLRACE_TEST_SEED"] ?? Date.now() % 1_000_000);
  test(`fires at the first minute that matches, as trying each minute finds it (seed ${seed})`, () => {
    const field = (min: number, max: number): fc.Arbitrary<string> =>
      fc.oneof(
        fc.constant("*"),
        fc.integer({ min, max }).map(String),
        fc.integer({ min: 2, max: Math.min(9, max) }).map((n) => `*/${n}`),
      );
    const matches = (text: string, value: number, min: number): boolean =>
      text === "*" || (text.startsWith("*/") ? (value - min) % Number(text.slice(2)) === 0 : Number(text) === value);
    const start = Date.UTC(2026, 0, 1);
    const after = fc.integer({ min: 0, max: 5_000_000 }).map((seconds) => start + seconds * 1000);
    fc.assert(
      fc.property(field(0, 59), field(0, 23), field(0, 6), after, (minute, hour, weekday, afterMs) => {
        let at = Math.floor(afterMs / 60_000) * 60_000;
        let date = new Date(at);
        do {
          at += 60_000;
          date = new Date(at);
        } while (
          !matches(minute, date.getUTCMinutes(), 0) ||
          !matches(hour, date.getUTCHours(), 0) ||
          !matches(weekday, date.getUTCDay(), 0)
        );
        expect(nextCronTime(`${minute} ${hour} * * ${weekday}`, afterMs)).toBe(at);
      }),
      { seed, numRuns: 200 },
    );
  });
});
