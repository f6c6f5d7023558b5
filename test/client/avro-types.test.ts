import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DeclarationOptions, declarationsOf } from "../../src/client/avro/index.ts";
import { record } from "./avro-kit.ts";

/** TypeScript of schemas: its text, and that TypeScript takes it. */

const root = join(import.meta.dir, "../..");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-types-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The declarations of one schema, without what stands above them. */
async function typesOf(schema: unknown, options: DeclarationOptions = {}): Promise<string> {
  const all = await declarationsOf([{ from: "x-value, version 1", schema: JSON.stringify(schema) }], {
    constants: false,
    ...options,
  });
  const [head, ...rest] = all.split("\n");
  expect(head).toBe("// Written by `millrace schema types` from x-value, version 1. Change the schema, not this.");
  return rest.join("\n").trim();
}

/** What TypeScript says of a module beside those that were written; empty where nothing is wrong. */
async function typeErrors(files: { [name: string]: string }): Promise<string> {
  const options = {
    strict: true,
    noEmit: true,
    module: "preserve",
    target: "esnext",
    lib: ["esnext"],
    types: [],
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    paths: { "millrace/client/avro": [join(root, "src/client/avro/index.ts")] },
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: Object.keys(files) }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const tsc = Bun.spawn([join(root, "node_modules/.bin/tsc"), "--project", folder, "--pretty", "false"], {
    cwd: folder,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([new Response(tsc.stdout).text(), new Response(tsc.stderr).text()]);
  // Of the client's sources this project has not the types of Bun; what they lack is not looked at.
  const own = out.split("\n").filter((line) => Object.keys(files).some((name) => line.startsWith(name)));
  return `${own.join("\n")}${err}`;
}

describe("declarations", () => {
  test("have an interface for each record, in the order in which they are named", async () => {
    const line = { ...record("Line", ["count", "int"]), doc: "A line." };
    const order = record("shop.Order", ["id", "long"], ["lines", { type: "array", items: line }], ["last", "Line"]);
    expect(await typesOf(order)).toBe(
      [
        "export interface Order {",
        "  id: number;",
        "  lines: Line[];",
        "  last: Line;",
        "}",
        "",
        "/** A line. */",
        "export interface Line {",
        "  count: number;",
        "}",
      ].join("\n"),
    );
  });

  test("have enums as unions of their symbols, and unions as those of their branches", async () => {
    const side = { type: "enum", name: "Side", symbols: ["BUY", "SELL"] };
    const schema = record(
      "Trade",
      ["side", side],
      ["note", ["null", "string"], null],
      ["tags", { type: "array", items: ["null", "string"] }],
      ["by", { type: "map", values: ["int", "boolean"] }],
      ["either", ["null", record("A", ["x", "int"]), record("B", ["x", "int"])]],
    );
    const text = await typesOf(schema);
    expect(text).toContain('export type Side = "BUY" | "SELL";');
    expect(text).toContain("  note: null | string;");
    expect(text).toContain("  tags: (null | string)[];");
    expect(text).toContain("  by: { [key: string]: number | boolean };");
    expect(text).toContain('  either: null | { "A": A } | { "B": B };');
  });

  test("have logical types as they stand in values, and say what a string holds", async () => {
    const schema = record(
      "Times",
      ["at", { type: "long", logicalType: "timestamp-millis" }],
      ["micros", { type: "long", logicalType: "timestamp-micros" }],
      ["day", ["null", { type: "int", logicalType: "date" }]],
      ["price", { type: "bytes", logicalType: "decimal", precision: 8, scale: 2 }],
      ["raw", "bytes"],
      ["key", { type: "fixed", name: "Key", size: 8 }],
    );
    expect(await typesOf(schema, { longs: "bigint" })).toBe(
      [
        "export interface Times {",
        "  at: Date;",
        "  micros: bigint;",
        '  /** A day, such as "2026-11-21". */',
        "  day: null | string;",
        '  /** A decimal, such as "12.50". */',
        "  price: string;",
        "  raw: Uint8Array;",
        "  key: Uint8Array;",
        "}",
      ].join("\n"),
    );
  });

  test("name types by their namespaces where the short name is another's, or TypeScript's", async () => {
    const schema = record(
      "shop.Item",
      ["other", record("stock.Item", ["x", "int"])],
      ["date", record("shop.Date", ["x", "int"])],
      ["small", record("shop.lower", ["x", "int"])],
    );
    const names = [...(await typesOf(schema)).matchAll(/^export interface (\w+)/gm)].map(([, name]) => name);
    expect(names).toEqual(["ShopItem", "StockItem", "ShopDate", "Lower"]);
  });

  test("have docs as comments that they cannot get out of", async () => {
    const schema = { ...record("A", ["x", "int"]), doc: "One.\n\nTwo */ export const evil = 1; /*" };
    expect(await typesOf(schema)).toStartWith(
      "/**\n * One.\n *\n * Two *\\/ export const evil = 1; /*\n */\nexport interface A {",
    );
    const all = await declarationsOf([{ from: "a\nexport const evil = 1;", schema: '"int"' }]);
    expect(all).not.toContain("\nexport const evil");
  });

  test("of several schemas share what is the same, and refuse what differs under one name", async () => {
    const item = record("Item", ["x", "int"]);
    const first = { from: "a", schema: JSON.stringify(record("A", ["item", item])) };
    const second = { from: "b", schema: JSON.stringify(record("B", ["item", item])) };
    const text = await declarationsOf([first, second]);
    expect(text.match(/export interface Item/g)).toHaveLength(1);
    const other = { from: "c", schema: JSON.stringify(record("Item", ["x", "string"])) };
    await expect(declarationsOf([first, other])).rejects.toThrow("differ in what Item is");
  });

  test("are TypeScript that types what is written and read", async () => {
    const schema = record(
      "stock.Tick",
      ["symbol", "string"],
      ["price", ["null", "double"], null],
      ["at", { type: "long", logicalType: "timestamp-millis" }],
      ["next", ["null", "stock.Tick"], null],
      ["empty", record("Empty")],
    );
    const ticks = await declarationsOf([
      { from: "ticks-value, version 1", schema: JSON.stringify(schema) },
      { from: "counts-value, version 1", schema: '"long"', references: [{ name: "n", subject: "s", version: 1 }] },
    ]);
    const use = `
import { avroTopic, type AvroTopic } from "millrace/client/avro";
import { numberSchema, type Tick, tickSchema } from "./ticks.ts";
export async function use(client: Parameters<typeof avroTopic>[0]): Promise<void> {
  const ticks = await avroTopic(client, "ticks", { ...tickSchema, framing: "header" });
  const typed: AvroTopic<Tick> = ticks;
  const counts: AvroTopic<number> = await avroTopic(client, "counts", numberSchema);
  await typed.send({ symbol: "A", price: null, at: new Date(), next: null, empty: {} });
  await counts.send(1);
  for await (const { value } of ticks.consume()) value?.next?.price?.toFixed(2);
  // @ts-expect-error a price is no text
  await ticks.send({ symbol: "A", price: "1", at: new Date(), next: null, empty: {} });
  // @ts-expect-error there is no such field
  for await (const { value } of ticks.consume()) value?.size;
}
`;
    expect(await typeErrors({ "ticks.ts": ticks, "use.ts": use })).toBe("");
    expect(await typeErrors({ "bad.ts": "export const x: number = 'a';" })).toContain("bad.ts");
  }, 60_000);
});
