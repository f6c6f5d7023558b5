import { expect, test } from "bun:test";
import { createLogger, type LogLevel, silentLogger } from "../../src/stdx/index.ts";

function said(level: LogLevel | (() => LogLevel)): { lines: string[]; all: () => string[] } {
  const lines: string[] = [];
  const logger = createLogger(level, (line) => lines.push(line)).with({ worker: 1 });
  const all = (): string[] => {
    lines.length = 0;
    for (const each of ["debug", "info", "warn", "error", "always"] as const) logger[each](each, { figure: 7 });
    return lines.map((line) => (JSON.parse(line) as { message: string }).message);
  };
  return { lines, all };
}

test("lines below the level are left out, but for those that are always written", () => {
  expect(said("debug").all()).toEqual(["debug", "info", "warn", "error", "always"]);
  expect(said("info").all()).toEqual(["info", "warn", "error", "always"]);
  expect(said("error").all()).toEqual(["error", "always"]);
});

test("the level is asked for with each line, of loggers that were made before too", () => {
  let level: LogLevel = "error";
  const { all } = said(() => level);
  expect(all()).toEqual(["error", "always"]);
  level = "warn";
  expect(all()).toEqual(["warn", "error", "always"]);
});

test("a line is JSON: its level first, then the time, the fields of all lines, its own, and the message", () => {
  const { lines, all } = said("info");
  all();
  expect(lines[0]).toMatch(
    /^\{"level":"info","time":"\d{4}-\d\d-\d\dT[^"]+Z","worker":1,"figure":7,"message":"info"\}\n$/,
  );
  expect(lines.at(-1)).toStartWith('{"level":"info",');
});

test("an error is told with its message and stack, and the silent logger says nothing", () => {
  const lines: string[] = [];
  createLogger("info", (line) => lines.push(line)).error("it failed", { error: new Error("a reason") });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "error",
    error: { message: "a reason", stack: expect.any(String) },
  });
  silentLogger.always("x");
});
