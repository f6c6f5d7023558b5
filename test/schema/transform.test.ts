/** The steps of transforms by themselves: what each makes of a message, what each refuses, and that no input breaks them. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encode } from "msgpackr";
import { isMillraceError } from "../../src/errors/index.ts";
import {
  compileSteps,
  detect,
  type FunctionDefinition,
  functionStep,
  messagesOf,
  parseDefinition,
  type StepDefinition,
  type StepSources,
  type TransformFunction,
  TransformMessage,
} from "../../src/schema/transform/index.ts";

const utf8 = new TextEncoder();
const PLACES = { from: { queue: "in" }, to: { topic: "out" } };

/** Steps with functions by their file's name. */
function sources(functions: Readonly<Record<string, TransformFunction>> = {}): StepSources {
  const missing = (): Promise<never> => Promise.reject(new Error("no such step here"));
  return {
    function: ({ file, config = {} }: FunctionDefinition) =>
      Promise.resolve(
        functionStep(functions[file] as TransformFunction, { transform: "t", config, log: () => undefined }),
      ),
    jsonToAvro: missing,
    avroToJson: missing,
  };
}

/** The texts that a value becomes. */
async function run(
  steps: readonly StepDefinition[],
  value: string | Uint8Array | null,
  functions: Readonly<Record<string, TransformFunction>> = {},
): Promise<(string | null)[]> {
  const definition = parseDefinition({ ...PLACES, steps });
  const transform = await compileSteps(definition.steps, sources(functions));
  const bytes = typeof value === "string" ? utf8.encode(value) : value;
  return messagesOf(await transform(new TransformMessage(bytes, "key", { h: 1 }))).map((message) => message.text());
}

/** Why a message fails. */
async function failure(
  steps: readonly StepDefinition[],
  value: string | Uint8Array,
  functions: Readonly<Record<string, TransformFunction>> = {},
): Promise<string> {
  const error: unknown = await run(steps, value, functions).catch((caught: unknown) => caught);
  if (!isMillraceError(error, "transform_failed")) throw new Error(`it did not fail: ${JSON.stringify(error)}`);
  return error.message;
}

describe("xml_to_json", () => {
  test("attributes become fields, and texts numbers only where nothing is lost", async () => {
    expect(await run([{ xml_to_json: {} }], '<item id="I101" stock="50"/>')).toEqual([
      '{"item":{"id":"I101","stock":50}}',
    ]);
    const kept = '<a zip="007" price="0.10" power="1e5" big="12345678901234567890" on="true" off="FALSE">x</a>';
    expect(JSON.parse((await run([{ xml_to_json: { root: "drop" } }], kept))[0] ?? "")).toEqual({
      "#text": "x",
      zip: "007",
      price: "0.10",
      power: "1e5",
      big: "12345678901234567890",
      on: true,
      off: "FALSE",
    });
  });

  test("children of one name are an array, and a path can be one always", async () => {
    const xml = "<order><lines><line>1</line></lines><note>a</note><note>b</note></order>";
    expect(await run([{ xml_to_json: { root: "drop", arrays: ["lines.line"] } }], xml)).toEqual([
      '{"lines":{"line":[1]},"note":["a","b"]}',
    ]);
  });

  test("malformed XML is refused with its place", async () => {
    expect(await failure([{ xml_to_json: {} }], '<item id="I1"\n stock=>')).toMatch(/malformed at line \d/);
    for (const xml of ["", "text", "<a>", "<a></b>", '<a x="1" x="2"/>']) {
      expect(await failure([{ xml_to_json: {} }], xml)).toContain("step 1 (xml_to_json)");
    }
    expect(await failure([{ xml_to_json: {} }], "<a/><b/>")).toContain("more than one root");
  });

  test("a DOCTYPE, a nesting without end and names that reach a prototype are refused", async () => {
    const laughs = '<?xml version="1.0"?><!-- <a> --><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>';
    expect(await failure([{ xml_to_json: {} }], laughs)).toContain("DOCTYPE");
    const deep = "<a>".repeat(10_000) + "</a>".repeat(10_000);
    expect(await failure([{ xml_to_json: {} }], deep)).toContain("cannot be read");
    expect(await failure([{ xml_to_json: {} }], "<a><__proto__/></a>")).toContain("__proto__");
    expect(await run([{ xml_to_json: {} }], "<a><![CDATA[<!DOCTYPE html>]]></a>")).toEqual(['{"a":"<!DOCTYPE html>"}']);
  });
});

describe("json_to_xml", () => {
  test("fields become elements, or attributes where the step says so", async () => {
    const json = '{"item_id":"I101","stock":50,"tags":["a","b"],"note":null}';
    expect(await run([{ json_to_xml: { root: "item", attributes: ["item_id", "stock"] } }], json)).toEqual([
      '<item item_id="I101" stock="50"><tags>a</tags><tags>b</tags><note/></item>',
    ]);
  });

  test("what has no form in XML is refused", async () => {
    expect(await failure([{ json_to_xml: {} }], "[1]")).toContain("no object of one field");
    expect(await failure([{ json_to_xml: { root: "a" } }], '{"b c":1}')).toContain("no name of an XML element");
    const deep = `${'{"a":'.repeat(100)}1${"}".repeat(100)}`;
    expect(await failure([{ json_to_xml: {} }], deep)).toContain("deeper than");
  });

  test("flat objects come back from XML as they went", async () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/).filter((text) => !/^(constructor|prototype)$/.test(text));
    const text = fc.stringMatching(/^[ -~]{0,20}$/);
    const object = fc.dictionary(name, fc.oneof(text, fc.integer(), fc.boolean()), { minKeys: 1 });
    const steps: StepDefinition[] = [
      { json_to_xml: { root: "r", attributes: "scalars" } },
      { xml_to_json: { root: "drop", types: false } },
    ];
    const property = fc.asyncProperty(object, async (fields) => {
      const [back = ""] = await run(steps, JSON.stringify(fields));
      const texts = Object.entries(fields).map(([key, value]) => [key, String(value).trim()]);
      expect(JSON.parse(back ?? "")).toEqual(Object.fromEntries(texts));
    });
    await fc.assert(property, { numRuns: 200 });
  });
});

describe("map", () => {
  const order = '{"order_id":5,"customer":{"name":"Ann","age":"41"},"price":"12.50","note":"x"}';

  test("picks, removes, renames, converts and sets, in this order", async () => {
    const map = {
      pick: ["order_id", "customer.name", "customer.age", "price"],
      remove: ["customer.name"],
      rename: { order_id: "id", "customer.age": "age" },
      convert: { price: "number", age: "integer" },
      set: { source: "web", "meta.version": 2 },
    } as const;
    expect(await run([{ map }], order)).toEqual([
      '{"customer":{},"price":12.5,"id":5,"age":41,"source":"web","meta":{"version":2}}',
    ]);
  });

  test("renaming swaps, and a field gives way to the one that takes its name", async () => {
    expect(await run([{ map: { rename: { a: "b", b: "a" } } }], '{"a":1,"b":2}')).toEqual(['{"b":1,"a":2}']);
    expect(await run([{ map: { rename: { a: "b" } } }], '{"a":1,"b":2}')).toEqual(['{"b":1}']);
    expect(await run([{ map: { rename: { a: "b" } } }], '{"b":2}')).toEqual(['{"b":2}']);
    expect(await run([{ map: { rename: { "x.a": "x.b", "x.b": "x.a" } } }], '{"x":{"a":1,"b":2}}')).toEqual([
      '{"x":{"b":1,"a":2}}',
    ]);
  });

  test("what cannot be converted, is not there or is no object fails with the field's name", async () => {
    expect(await failure([{ map: { convert: { note: "number" } } }], order)).toContain('the field note is "x"');
    expect(await failure([{ map: { convert: { price: "integer" } } }], order)).toContain("no integer");
    expect(await failure([{ map: { require: ["customer.city"] } }], order)).toContain("customer.city is not there");
    expect(await failure([{ map: {} }], "[1]")).toContain("no JSON object");
    expect(await failure([{ map: {} }], "{")).toContain("no JSON");
  });

  test("an integer that a double would round is refused, and one in a text is not", async () => {
    expect(await failure([{ map: {} }], '{"id":12345678901234567890}')).toContain("past 2^53");
    expect(await run([{ map: {} }], '{"id":"12345678901234567890"}')).toEqual(['{"id":"12345678901234567890"}']);
    expect(await run([{ map: {} }], '{"x":0.1234567890123456789}')).toEqual([
      JSON.stringify({ x: 0.12345678901234568 }),
    ]);
  });

  test("an empty mapping gives back what any JSON object says", async () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue()).filter((value) => !Object.hasOwn(value, "__proto__"));
    const property = fc.asyncProperty(object, async (value) => {
      const text = JSON.stringify(value);
      const isSafe = !/\d{16}/.test(text);
      if (isSafe)
        expect(await run([{ map: { rename: {}, set: {} } }], text)).toEqual([JSON.stringify(JSON.parse(text))]);
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

describe("choose", () => {
  const formatOf = (value: string | Uint8Array | null, headers = {}): string =>
    detect(new TransformMessage(typeof value === "string" ? utf8.encode(value) : value, null, headers));

  test("formats are told apart by what they begin with, and by reading where that leaves it open", () => {
    expect(formatOf("\uFEFF <a/>")).toBe("xml");
    expect(formatOf(' \n{"a":1}')).toBe("json");
    expect(formatOf("{broken")).toBe("json");
    expect(formatOf("50")).toBe("json");
    expect(formatOf("50 pieces")).toBe("text");
    expect(formatOf("hello")).toBe("text");
    expect(formatOf(new Uint8Array([0, 0, 0, 0, 1, 2]))).toBe("avro");
    expect(formatOf("x", { "x-schema-id": 3 })).toBe("avro");
    expect(formatOf(encode({ a: 1 }))).toBe("msgpack");
    expect(formatOf(new Uint8Array([0xff, 0xfe, 0xfd]))).toBe("binary");
    expect(formatOf(null)).toBe("binary");
  });

  test("a message takes the steps of its format, else those of otherwise, else it fails", async () => {
    const steps = [
      { choose: { xml: [{ xml_to_json: { root: "drop" } }], json: [], otherwise: [{ map: {} }] } },
    ] as const;
    expect(await run(steps, '<a b="1"/>')).toEqual(['{"b":1}']);
    expect(await run(steps, '{"b": 1}')).toEqual(['{"b": 1}']);
    expect(await failure(steps, "hello")).toContain("step 1 (choose): step 1 (map): the value is no JSON");
    expect(await failure([{ choose: { xml: [] } }], "hello")).toContain("the value is text");
  });
});

describe("function", () => {
  const step = [{ function: { file: "f.ts" } }];
  const through = (f: TransformFunction, value = "x"): Promise<(string | null)[]> => run(step, value, { "f.ts": f });

  test("a message, parts of one, several or none go on; what is left away is inherited", async () => {
    expect(await through((message) => message)).toEqual(["x"]);
    expect(await through((message) => message.with({ value: "y" }))).toEqual(["y"]);
    expect(await through(() => ({ value: { a: 1 } }))).toEqual(['{"a":1}']);
    expect(await through(() => [{ value: "1" }, { value: null }, {}])).toEqual(["1", null, "x"]);
    expect(await through(() => null)).toEqual([]);
    expect(await through(async () => ({ value: "later" }))).toEqual(["later"]);
  });

  test("changing the object of json() does not change the message", async () => {
    const two: readonly StepDefinition[] = [{ map: { set: { b: 2 } } }, { function: { file: "f.ts" } }];
    const f: TransformFunction = (message) => {
      message.json<{ b: number }>().b = 3;
      return message;
    };
    expect(await run(two, '{"a":1}', { "f.ts": f })).toEqual(['{"a":1,"b":2}']);
  });

  test("steps behind it see each of its messages by itself", async () => {
    const steps = [{ function: { file: "f.ts" } }, { map: { rename: { a: "b" } } }];
    const shared = { a: 1 };
    const f: TransformFunction = () => [{ value: shared }, { value: shared }];
    expect(await run(steps, "x", { "f.ts": f })).toEqual(['{"b":1}', '{"b":1}']);
  });

  test("what it throws, rejects or returns that is no message is a failure that says so", async () => {
    const wrong: [TransformFunction, string][] = [
      [
        () => {
          throw new Error("no stock");
        },
        "no stock",
      ],
      [() => Promise.reject(new Error("too late")), "too late"],
      [() => 5 as never, "returned 5"],
      [() => ({ values: 1 }) as never, '"values"'],
      [() => ({ key: 5 }) as never, "the key 5"],
      [() => ({ value: () => 1 }), "no JSON"],
      [() => ({ headers: { a: {} } }) as never, "the header a"],
      [() => ({ to: {} }), "names no topic"],
      [() => Array.from({ length: 10_001 }, () => ({})), "more than 10000"],
    ];
    for (const [f, words] of wrong) expect(await failure(step, "x", { "f.ts": f })).toContain(words);
  });
});

describe("definitions", () => {
  const refused = (change: Record<string, unknown>): string => {
    try {
      parseDefinition({ ...PLACES, steps: [], ...change });
    } catch (error) {
      if (isMillraceError(error, "invalid_argument")) return error.message;
    }
    throw new Error(`${JSON.stringify(change)} was taken`);
  };

  test("a wrong field is named by its path, with what it has to be", () => {
    expect(refused({ from: {} })).toContain("from must be a map with one of topic, queue and exchange");
    expect(refused({ to: { queue: "in" } })).toContain("something else than from");
    expect(refused({ deadLetter: { queue: "in" } })).toContain("something else than from");
    expect(refused({ steps: [{ map: {}, route: {} }] })).toContain("steps[0] must be a map with one of");
    expect(refused({ steps: [{ toString: {} }] })).toContain("steps[0]");
    expect(refused({ steps: [{ map: { rename: { a: "__proto__.b" } } }] })).toContain("steps[0].map.rename.a");
    expect(refused({ steps: [{ choose: { xml: [{ map: { convert: { a: "date" } } }] } }] })).toContain(
      "steps[0].choose.xml[0].map.convert.a must be one of string, number, integer, boolean",
    );
    for (const file of ["../a.ts", "/etc/a.ts", "a/../b.ts", "a.sh", ".a.ts", ""]) {
      expect(refused({ steps: [{ function: { file } }] })).toContain("steps[0].function.file");
    }
    expect(refused({ memoryBytesMax: 1 })).toContain("memoryBytesMax");
    expect(refused({ extra: 1 })).toContain("definition.extra");
    expect(refused({ steps: [{ map: { set: { a: "x".repeat(70_000) } } }] })).toContain("at most");
  });

  test("steps nested without end are refused", () => {
    let steps: unknown = [];
    for (let depth = 0; depth < 20; depth += 1) steps = [{ choose: { xml: steps } }];
    expect(refused({ steps })).toContain("nested at most");
  });

  test("any JSON is a definition or is refused as one", () => {
    const property = fc.property(fc.jsonValue(), (value) => {
      try {
        parseDefinition(value);
      } catch (error) {
        expect(isMillraceError(error, "invalid_argument")).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 500 });
  });
});

test("whatever the bytes, a message goes through the steps or fails with words", async () => {
  const steps: StepDefinition[] = [
    {
      choose: {
        xml: [{ xml_to_json: {} }, { json_to_xml: {} }],
        json: [{ map: { rename: { a: "b.c" }, convert: { b: "number" } } }],
        otherwise: [{ set_headers: { seen: true } }],
      },
    },
  ];
  const transform = await compileSteps(parseDefinition({ ...PLACES, steps }).steps, sources());
  const start = fc.constantFrom("", "<", "<a ", '{"a":', "[", "<!--", "<?", "<![CDATA[", "\uFEFF");
  const property = fc.property(start, fc.uint8Array({ maxLength: 60 }), (head, tail) => {
    const bytes = new Uint8Array([...utf8.encode(head), ...tail]);
    try {
      messagesOf(transform(new TransformMessage(bytes)) as never).map((message) => message.value);
    } catch (error) {
      expect(isMillraceError(error, "transform_failed")).toBe(true);
    }
  });
  fc.assert(property, { numRuns: 3_000 });
});
