import { expect, test } from "bun:test";
import fc from "fast-check";
import { recordReader } from "../../src/cli/input.ts";
import { type InputFormat, splitterOf } from "../../src/cli/splitters.ts";

/** The records that an input is cut into when it comes in chunks of the given lengths (cycled). */
function split(
  format: InputFormat,
  input: string | Uint8Array,
  chunkBytes: readonly number[],
  limit = 1 << 20,
): string[] {
  const records: string[] = [];
  const splitter = splitterOf(
    format,
    (bytes, start, end) => records.push(Buffer.from(bytes.subarray(start, end)).toString()),
    limit,
  );
  const bytes = Buffer.from(input);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = chunkBytes[turn % chunkBytes.length] as number;
    splitter.push(bytes.subarray(at, at + length));
    at += length;
  }
  splitter.end();
  return records;
}

const chunks = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

test("lines come out whole however the input is cut, with both line ends and without a last one", () => {
  expect(split("lines", "a\nb\r\n\nlast", [3])).toEqual(["a", "b", "", "last"]);
  expect(split("lines", "", [1])).toEqual([]);
  expect(split("lines", "one\n", [1])).toEqual(["one"]);
  const line = fc.string({ maxLength: 60 }).map((text) => text.replace(/[\r\n]/g, "_"));
  fc.assert(
    fc.property(fc.array(line), chunks, (lines, cuts) => {
      const input = lines.map((text) => `${text}\n`).join("");
      expect(split("lines", input, cuts)).toEqual(lines);
    }),
  );
});

test("elements of an array come out byte for byte however the input is cut and spaced", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), chunks, fc.constantFrom(undefined, 1, 2), (values, cuts, space) => {
      const records = split("json-array", JSON.stringify(values, null, space), cuts);
      expect(records.map((text) => JSON.parse(text) as unknown)).toEqual(
        JSON.parse(JSON.stringify(values)) as unknown[],
      );
    }),
  );
  expect(split("json-array", '\ufeff [ 1.0 ,{"a" : "]},\\"[" }, "\\\\" ] \n', [1])).toEqual([
    "1.0",
    '{"a" : "]},\\"[" }',
    '"\\\\"',
  ]);
  expect(split("json-array", "[]", [1])).toEqual([]);
});

test("an array that is broken is refused with the place of the fault", () => {
  const faults = [
    ["", "is empty"],
    ['{"a":1}', "no JSON array"],
    ["[1,2", "ends inside element 2"],
    ['["abc', "ends inside element 1"],
    ["[1,,2]", "element 2 of the array is empty"],
    ["[1,]", "element 2 of the array is empty"],
    ["[1}]", "one closing brace too many"],
    ["[1] [2]", "more behind the array's end"],
  ] as const;
  for (const [input, message] of faults) expect(() => split("json-array", input, [2])).toThrow(message);
});

test("a record over the limit is refused instead of being gathered", () => {
  const input = `short\n${"x".repeat(5000)}\n`;
  expect(() => split("lines", input, [100], 1000)).toThrow("line 2 is longer than 1000 bytes");
  expect(() => split("json-array", `["${"x".repeat(5000)}"]`, [100], 1000)).toThrow("element 1 of the array is longer");
});

/** Keys and values that a format and a key field give. */
function read(format: InputFormat, key: string | undefined, input: string): [string | null, string][] {
  const taken: [string | null, string][] = [];
  const emit = recordReader(format, key, (found, value) => taken.push([found, Buffer.from(value).toString()]));
  const splitter = splitterOf(format, emit, 1 << 20);
  splitter.push(Buffer.from(input));
  splitter.end();
  return taken;
}

test("a key is a field's text, by name or path, and absent where the field is", () => {
  const input = ['{"id":7,"a":{"b":"x"}}', "", '{"id":null}', '{"a.b":true,"a":{"b":1}}', "5"].join("\n");
  const values = ['{"id":7,"a":{"b":"x"}}', '{"id":null}', '{"a.b":true,"a":{"b":1}}', "5"];
  expect(read("ndjson", "id", input)).toEqual([
    ["7", values[0]],
    [null, values[1]],
    [null, values[2]],
    [null, values[3]],
  ] as never);
  expect(read("ndjson", "a.b", input).map(([key]) => key)).toEqual(["x", null, "true", null]);
  expect(read("lines", undefined, "a b\n")).toEqual([[null, "a b"]]);
});

test("values go as they were written, so that no number is rounded", () => {
  const records = read("json-array", "k", '[{"k":1.50,"n":12345678901234567890}]');
  expect(records).toEqual([["1.5", '{"k":1.50,"n":12345678901234567890}']]);
  expect(() => read("ndjson", "n", '{"n":12345678901234567890}')).toThrow("2^53");
});

test("a line that is no JSON is named", () => {
  expect(() => read("ndjson", undefined, '{"a":1}\n{oops}\n')).toThrow("line 2 is no JSON");
  expect(() => read("json-array", undefined, "[1,2 3]")).toThrow("element 2 is no JSON");
});
