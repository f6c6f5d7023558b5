import { expect, test } from "bun:test";
import { failureLine, failureOf, EXIT, usageError } from "../../src/cli/exit.ts";
import { progressLine } from "../../src/cli/progress.ts";
import { contentJson, headersJson } from "../../src/cli/record-line.ts";
import { table } from "../../src/cli/table.ts";
import { topicConfigOf } from "../../src/cli/topic.ts";
import { countOf, durationOf, partitionsOf, positionOf, roundBytes, roundMs, sizeOf } from "../../src/cli/units.ts";
import { ERRORS, type ErrorName, MillraceError } from "../../src/errors/index.ts";

test("sizes, durations, counts and partitions are read as people write them", () => {
  expect(sizeOf("x", "64KiB")).toBe(65536);
  expect(sizeOf("x", "-1")).toBe(-1);
  expect(durationOf("x", "7d")).toBe(7 * 86_400_000);
  expect(partitionsOf("x", "0,2,5-7,2")).toEqual([0, 2, 5, 6, 7]);
  for (const read of [
    () => sizeOf("x", "much"),
    () => durationOf("x", "-5s"),
    () => countOf("x", "1.5"),
    () => countOf("x", "0", 1),
    () => partitionsOf("x", "3-1"),
  ]) {
    expect(read).toThrow();
  }
});

test("a position is an end, an offset or a time, which is UTC without a zone", () => {
  expect(positionOf("x", "earliest")).toBe("earliest");
  expect(positionOf("x", "1500")).toEqual({ offset: 1500 });
  const noon = Date.UTC(2026, 0, 31, 12);
  for (const text of [
    "2026-01-31T12:00:00Z",
    "2026-01-31 12:00",
    "2026-01-31T13:00+01:00",
    "2026-01-31T12:00:00.000",
  ]) {
    expect(positionOf("x", text)).toEqual({ timestamp: noon });
  }
  expect(positionOf("x", "2026-01-31")).toEqual({ timestamp: Date.UTC(2026, 0, 31) });
  for (const text of ["yesterday", "-1", "2026-13-01", "12:00", ""])
    expect(() => positionOf("x", text)).toThrow("no position");
});

test("measures are rounded to a unit that a person reads", () => {
  expect([roundBytes(0), roundBytes(1536), roundBytes(5 * 1024 ** 3)]).toEqual(["0 B", "1.5 KiB", "5.0 GiB"]);
  expect([roundMs(350), roundMs(12_500), roundMs(3 * 3600e3), roundMs(5 * 86400e3)]).toEqual([
    "350 ms",
    "12.5 s",
    "3.0 h",
    "5.0 d",
  ]);
});

test("a table aligns texts to the left and numbers to the right", () => {
  expect(
    table(
      ["NAME", "COUNT"],
      [
        ["a", 1],
        ["longer", 1000],
        ["wide 字", null],
      ],
    ),
  ).toBe("NAME     COUNT\na            1\nlonger    1000\nwide 字      -\n");
  expect(table(["NAME"], [])).toBe("NAME\n");
});

test("a progress line shows the share and the rest where the total is known", () => {
  const state = { records: 500, bytes: 2048, total: 100, done: 50 };
  expect(progressLine("work", state, 1000)).toBe(
    "work  ████████████░░░░░░░░░░░░ 50%  500 records  2.0 KiB  500/s  1.0 s left",
  );
  expect(progressLine("work", { ...state, total: null }, 1000)).toBe("work  500 records  2.0 KiB  500/s  1.0 s");
});

/** The members of a record's line, parsed. */
function content(key: Uint8Array | null, value: Uint8Array | null): unknown {
  const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());
  return JSON.parse(
    `{"x":0${contentJson(
      text(key),
      () => key,
      text(value),
      () => value,
      "{}",
    )}}`,
  );
}

test("a value is JSON where it parses, else text, else base64; a key is text or base64", () => {
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const rest = { x: 0, headers: {} };
  expect(content(bytes("7"), bytes('{"a":[1]}'))).toEqual({ ...rest, key: "7", value: { a: [1] } });
  expect(content(null, bytes("plain \ufffd text"))).toEqual({ ...rest, key: null, value: "plain \ufffd text" });
  const binary = Uint8Array.of(0xff, 0x00, 0x80);
  expect(content(binary, binary)).toEqual({
    ...rest,
    key: "/wCA",
    keyEncoding: "base64",
    value: "/wCA",
    valueEncoding: "base64",
  });
  expect(content(null, null)).toEqual({ ...rest, key: null, value: null, tombstone: true });
  expect(content(null, bytes(""))).toEqual({ ...rest, key: null, value: "" });
  expect(content(null, bytes("{broken"))).toEqual({ ...rest, key: null, value: "{broken" });
});

test("JSON goes into the line as it was written, on one line", () => {
  const value = '{\n  "n": 12345678901234567890,\r\n  "f": 1.0\n}';
  const json = contentJson(
    null,
    () => null,
    value,
    () => null,
    "{}",
  );
  expect(json).toContain('{   "n": 12345678901234567890,   "f": 1.0 }');
  expect(json).not.toContain("\n");
});

test("headers of bytes become base64", () => {
  expect(headersJson({ a: "x", b: 1, c: null, d: Uint8Array.of(1, 2), e: true })).toBe(
    '{"a":"x","b":1,"c":null,"d":"AQI=","e":true}',
  );
});

test("every error of the catalogue becomes one line that says what to do", () => {
  for (const name of Object.keys(ERRORS) as ErrorName[]) {
    const failure = failureOf(new MillraceError(name));
    expect(failure.exit).toBeGreaterThan(0);
    expect(failureLine(failure)).toMatch(new RegExp(`^error: ${name}: [^\\n]+ — [^\\n]+[^.]$`));
  }
  expect(failureOf(new MillraceError("topic_not_found")).exit).toBe(EXIT.notFound);
  expect(failureOf(new MillraceError("connection_lost")).exit).toBe(EXIT.unreachable);
  expect(failureOf(usageError("a", "b")).exit).toBe(EXIT.usage);
  expect(failureLine(failureOf(new MillraceError("invalid_config", "one\ntwo")))).toContain("one two — ");
});

test("topic settings take units and name the nearest setting for a wrong one", () => {
  const options = {
    config: ["segmentBytes=16MiB", "compact=true", "retentionMs=-1"],
    retentionBytes: "1GiB",
    durability: "synced",
  };
  expect(topicConfigOf(options)).toEqual({
    segmentBytes: 16 * 2 ** 20,
    compact: true,
    retentionMs: -1,
    retentionBytes: 2 ** 30,
    durability: "synced",
  });
  expect(() => topicConfigOf({ config: ["segmentBites=1"] })).toThrow("no topic setting");
  expect(() => topicConfigOf({ config: ["compact=maybe"] })).toThrow("neither true nor false");
  expect(() => topicConfigOf({ config: ["compact"] })).toThrow("no key=value");
});
