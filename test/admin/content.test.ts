/** How keys and values are read, whatever they hold. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { type Content, contentOf, ContentReader, type Encoding } from "../../src/admin/api/content.ts";
import { isPlainMsgpack } from "../../src/admin/api/msgpack-walk.ts";
import type { Ask, Fields } from "../../src/admin/api/route.ts";
import { MillraceError } from "../../src/errors/index.ts";

const packr = new Packr({ useRecords: false });
const SCHEMA = { type: "record", name: "R", fields: [{ name: "n", type: "long" }] };

function reader(as: Encoding = "auto", bytesMax = 1000): ContentReader {
  const call = (_: string, fields: Fields = {}): Promise<Fields> =>
    fields["id"] === 7
      ? Promise.resolve({ schemaType: "AVRO", schema: JSON.stringify(SCHEMA) })
      : Promise.reject(new MillraceError("schema_not_found", "there is no such schema"));
  return new ContentReader({ call } as unknown as Ask, bytesMax, as);
}

function read(bytes: Uint8Array | string, as?: Encoding, bytesMax?: number): Promise<Content | null> {
  return reader(as, bytesMax).read(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
}

test("whatever the bytes are, each way of reading gives an answer that is JSON", async () => {
  const encodings: readonly Encoding[] = ["auto", "json", "text", "msgpack", "avro", "binary"];
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...encodings), async (bytes, as) => {
      const content = await read(bytes, as);
      expect(content?.bytes).toBe(bytes.length);
      const asText = JSON.stringify(content, (_, value: unknown) =>
        typeof value === "bigint" ? String(value) : value,
      );
      expect(JSON.parse(asText)).toMatchObject({ bytes: bytes.length });
      if (content?.base64 !== undefined) expect(new Uint8Array(Buffer.from(content.base64, "base64"))).toEqual(bytes);
    }),
  );
});

test("what msgpack packs is plain msgpack, and cut short or followed by more it is not", () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.integer(),
      fc.double(),
      fc.string({ maxLength: 300 }),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 300 }),
      fc.array(tie("value"), { maxLength: 20 }),
      fc.dictionary(fc.string(), tie("value"), { maxKeys: 20 }),
    ),
  })).value;
  fc.assert(
    fc.property(value, fc.nat(), (each, cut) => {
      const bytes = new Uint8Array(packr.pack(each));
      expect(isPlainMsgpack(bytes)).toBe(true);
      expect(isPlainMsgpack(bytes.subarray(0, cut % bytes.length))).toBe(false);
      expect(isPlainMsgpack(new Uint8Array([...bytes, 0]))).toBe(false);
    }),
  );
});

test("extensions, unending depth and lengths that lie are no plain msgpack", () => {
  expect(isPlainMsgpack(new Uint8Array([0xd4, 1, 2]))).toBe(false);
  expect(isPlainMsgpack(new Uint8Array([0xc1]))).toBe(false);
  expect(isPlainMsgpack(new Uint8Array(100_000).fill(0x91))).toBe(false);
  expect(isPlainMsgpack(new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff]))).toBe(false);
  expect(isPlainMsgpack(new Uint8Array([0xc6, 0xff, 0xff, 0xff, 0xff, 0]))).toBe(false);
});

test("a value is what it looks like, and a number keeps its digits", async () => {
  expect(await read("{}")).toEqual({ encoding: "json", bytes: 2, json: {} });
  expect(await read("12345678901234567890")).toMatchObject({ encoding: "json", text: "12345678901234567890" });
  expect(await read("hello\nworld")).toEqual({ encoding: "text", bytes: 11, text: "hello\nworld" });
  expect(await read("a\u0001b")).toMatchObject({ encoding: "binary" });
  expect(await read("a\u0001b", "text")).toMatchObject({ encoding: "text" });
  expect(await read("plain", "json")).toMatchObject({ encoding: "binary", error: "it is no JSON" });
  expect(await reader().read(null)).toBeNull();
});

test("Avro is read by the schema that the value names; one that is unknown or does not fit is said", async () => {
  expect(await read(new Uint8Array([0, 0, 0, 0, 7, 0x54]))).toMatchObject({
    encoding: "avro",
    json: { n: 42n },
    schemaId: 7,
  });
  expect(await read(new Uint8Array([0, 0, 0, 0, 7]))).toMatchObject({ encoding: "binary", schemaId: 7 });
  expect(await read(new Uint8Array([0, 0, 0, 0, 8, 0x54]))).toMatchObject({
    encoding: "binary",
    error: "schema 8: there is no such schema",
  });
});

test("a value is published as one of the ways to write it", () => {
  expect(contentOf({ json: null })).toBe("null");
  expect(contentOf({ value: "x" })).toBe("x");
  expect(contentOf({ base64: "AQI=" })).toEqual(new Uint8Array([1, 2]));
  expect(contentOf({})).toBeNull();
  expect(() => contentOf({ value: "x", json: 1 })).toThrow(MillraceError);
});

test("a value past the limit is cut", async () => {
  const cut = await read("x".repeat(50), "auto", 10);
  expect(cut).toMatchObject({ encoding: "binary", bytes: 50, truncated: true });
  expect(Buffer.from(cut?.base64 ?? "", "base64").toString()).toBe("x".repeat(10));
});
