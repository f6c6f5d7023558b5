import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { avroTopic } from "../../src/client/avro/index.ts";
import { type Client } from "../../src/client/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { jsonLines, runCli } from "../cli/run-cli.ts";
import { dial, startBroker, temporaryFolder } from "./harness.ts";

/** The command line against a real broker: schemas, their types, and Avro as JSON. */

const field = (name: string, type: unknown, missing?: unknown): object => ({
  name,
  type,
  ...(missing === undefined ? {} : { default: missing }),
});
/** A schema as the registry writes it. */
function record(fullName: string, ...fields: object[]): string {
  const [namespace, name] = fullName.split(".");
  return JSON.stringify({ type: "record", name, namespace, fields });
}

const TICK = record(
  "stock.Tick",
  field("symbol", "string"),
  field("price", "double"),
  field("volume", "long", 0),
  field("at", ["null", { type: "long", logicalType: "timestamp-millis" }], null),
);

let broker: Broker;
let client: Client;
let env: Record<string, string>;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeAll(async () => {
  broker = await startBroker();
  client = await dial(broker);
  env = { MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` };
  folder = await temporaryFolder();
});

afterAll(async () => {
  await folder[Symbol.asyncDispose]();
  await client.close();
  await broker.stop();
});

/** Runs a command that must succeed; returns its output. */
async function ok(args: readonly string[], input?: string): Promise<string> {
  const { exit, out, err } = await runCli(args, { env, ...(input === undefined ? {} : { input }) });
  expect({ args, exit, err }).toEqual({ args, exit: 0, err: "" });
  return out;
}

/** Runs a command that must fail; returns its one line of error. */
async function refused(exit: number, args: readonly string[], input?: string): Promise<string> {
  const result = await runCli(args, { env, ...(input === undefined ? {} : { input }) });
  expect({ args, exit: result.exit, out: result.out }).toEqual({ args, exit, out: "" });
  expect(result.err).toMatch(/^error: [a-z_]+: [^\n]+ — [^\n]+\n$/);
  return result.err;
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder.path, name);
  await writeFile(path, text);
  return path;
}

describe("schema", () => {
  test("registers, shows, lists and deletes", async () => {
    const path = await file("tick.avsc", TICK);
    expect(await ok(["schema", "register", "life-value", "--file", path])).toMatch(
      /^life-value version 1 has id \d+\n$/,
    );
    const wider = record("stock.Tick", field("symbol", "string"), field("venue", "string", ""));
    const { id, version } = JSON.parse(await ok(["schema", "register", "life-value", "--json"], wider));
    expect(version).toBe(2);
    expect(JSON.parse(await ok(["schema", "get", "life-value"]))).toEqual(JSON.parse(wider));
    expect(JSON.parse(await ok(["schema", "get", "life-value", "-v", "1"]))).toEqual(JSON.parse(TICK));
    expect(JSON.parse(await ok(["schema", "get", "--id", String(id), "--json"]))).toMatchObject({
      id,
      schemaType: "AVRO",
      subjects: [["life-value", 2]],
    });
    const list = await ok(["schema", "list", "life-value"]);
    expect(list.split("\n")[1]).toMatch(new RegExp(`^life-value {2}1,2 +${id} {2}BACKWARD$`));
    expect(await ok(["schema", "delete", "life-value", "-v", "1"])).toBe("deleted version 1 of life-value\n");
    expect(await ok(["schema", "delete", "life-value"])).toBe("deleted version 2 of life-value\n");
    expect(await refused(4, ["schema", "get", "life-value"])).toContain("subject_not_found");
    expect(JSON.parse(await ok(["schema", "list", "life-value", "--deleted", "--json"]))).toMatchObject([
      { versions: [1, 2] },
    ]);
    expect(await ok(["schema", "delete", "life-value", "--permanent"])).toBe("forgot version 1, 2 of life-value\n");
    expect(JSON.parse(await ok(["schema", "list", "life-value", "--deleted", "--json"]))).toEqual([]);
  });

  test("check says what stands in the way, and its exit code whether anything does", async () => {
    await ok(["schema", "register", "check-value"], TICK);
    const good = record("stock.Tick", field("symbol", "string"), field("price", "double"), field("x", "int", 1));
    expect(await ok(["schema", "check", "check-value"], good)).toBe("compatible with check-value\n");
    const bad = record("stock.Tick", field("symbol", "string"), field("price", "int"), field("x", "int"));
    const { exit, out, err } = await runCli(["schema", "check", "check-value"], { env, input: bad });
    expect([exit, err]).toEqual([1, ""]);
    const [verdict, ...messages] = out.trimEnd().split("\n");
    expect(verdict).toBe("not compatible with check-value");
    expect(messages.some((line) => line.includes("price"))).toBe(true);
    expect(messages.some((line) => line.includes('"x"'))).toBe(true);
    expect(await refused(1, ["schema", "register", "check-value"], bad)).toContain("schema_incompatible");
  });

  test("config and mode show what holds, set it, and take it back", async () => {
    const level = async (...args: string[]): Promise<string> =>
      JSON.parse(await ok(["schema", "config", "config-value", ...args, "--json"])).compatibility;
    expect(await level()).toBe("BACKWARD");
    expect(await level("--compatibility", "full_transitive")).toBe("FULL_TRANSITIVE");
    expect(await level()).toBe("FULL_TRANSITIVE");
    expect(await level("--unset")).toBe("BACKWARD");
    expect(await ok(["schema", "config"])).toBe("subject        all\ncompatibility  BACKWARD\n");
    expect(await ok(["schema", "mode", "config-value", "--set", "READONLY"])).toContain("READONLY");
    expect(await refused(1, ["schema", "register", "config-value"], '"int"')).toContain("schema_mode");
    expect(await ok(["schema", "mode", "config-value", "--unset"])).toContain("READWRITE");
  });

  test("that is wrong is refused with what to do", async () => {
    expect(await refused(1, ["schema", "register", "x"], '{"type":"strong"}')).toContain("schema_invalid");
    expect(await refused(2, ["schema", "register", "x"], "")).toContain("--file");
    expect(await refused(2, ["schema", "register", "x", "--type", "xml"], '"int"')).toContain("AVRO, JSON");
    expect(await refused(2, ["schema", "register", "x", "--reference", "a=b"], '"int"')).toContain("shop.Item=");
    expect(await refused(2, ["schema", "get"])).toContain("--id");
    expect(await refused(4, ["schema", "get", "--id", "4000000000"])).toContain("schema_not_found");
    expect(await refused(2, ["schema", "config", "--compatibility", "SOME"])).toContain("BACKWARD");
    expect(await refused(2, ["schema", "types"])).toContain("subject");
  });

  test("types writes TypeScript of subjects with what they refer to, and of files", async () => {
    await ok(["schema", "register", "item-value"], record("shop.Item", field("id", "int")));
    const order = record("shop.Order", field("items", { type: "array", items: "shop.Item" }));
    await ok(["schema", "register", "order-value", "--reference", "shop.Item=item-value:1"], order);
    const types = await ok(["schema", "types", "order-value"]);
    expect(types).toContain("from order-value, version 1.");
    expect(types).toContain("export interface Order {\n  items: Item[];\n}\n");
    expect(types).toContain("export interface Item {\n  id: number;\n}\n");
    expect(types).toContain("export const orderSchema: AvroSchema<Order> = {");
    expect(types).toContain('references: [{"name":"shop.Item","subject":"item-value","version":1}]');
    const out = join(folder.path, "tick.ts");
    const path = await file("types.avsc", TICK);
    const offline = await runCli(["schema", "types", "--file", path, "--out", out, "--longs", "bigint"]);
    expect(offline).toEqual({ exit: 0, out: `wrote ${out}\n`, err: "" });
    expect(await Bun.file(out).text()).toContain("  volume: bigint;\n  at: null | Date;\n");
    expect(await refused(4, ["schema", "types", "item-value@7"])).toContain("version_not_found");
  });
});

describe("Avro", () => {
  test("is written of JSON with a subject's schema, and shown as JSON by its id", async () => {
    await ok(["topic", "create", "ticks"]);
    await ok(["schema", "register", "ticks-value"], TICK);
    const lines = [
      '{"symbol":"A","price":1.5,"volume":9007199254740993,"at":"2026-11-21T12:00:00Z"}',
      '{"symbol":"B","price":2}',
      '{"symbol":"C","price":3,"at":{"long":0}}',
      "null",
    ];
    await ok(["produce", "ticks", "--schema", "--key", "symbol"], `${lines.slice(0, 2).join("\n")}\n`);
    await ok(["produce", "ticks", "--schema", "ticks-value", "--framing", "header"], `${lines.slice(2).join("\n")}\n`);
    const out = await ok(["consume", "ticks"]);
    const shown = jsonLines<{ key: string; value: unknown; schemaId?: number; headers: object }>(out);
    const { schemaId } = shown[0] as { schemaId: number };
    expect(out).toContain('"volume":9007199254740993,');
    expect(shown.map(({ key, value, headers }) => [key, value, headers]).slice(1)).toEqual([
      ["B", { symbol: "B", price: 2, volume: 0, at: null }, {}],
      [null, { symbol: "C", price: 3, volume: 0, at: "1970-01-01T00:00:00.000Z" }, { "x-schema-id": schemaId }],
      [null, null, {}],
    ] as never);
    const east = { env: { ...env, TZ: "Asia/Tokyo" }, input: '{"symbol":"E","price":5,"at":"2026-11-21T12:00"}\n' };
    expect((await runCli(["produce", "ticks", "--schema"], east)).err).toBe("");
    expect(await ok(["consume", "ticks", "--from", "4"])).toContain('"at":"2026-11-21T12:00:00.000Z"');
    const [raw] = jsonLines<{ valueEncoding?: string; value: string }>(
      await ok(["consume", "ticks", "--raw", "-n", "1"]),
    );
    expect(raw?.valueEncoding).toBe("base64");
    const ticks = await avroTopic<{ symbol: string }>(client, "ticks", { version: "latest", longs: "bigint" });
    for await (const { value } of ticks.consume({ from: "earliest" })) {
      expect(value?.symbol).toBe("A");
      break;
    }
  });

  test("of a record that does not fit is refused by its number and field", async () => {
    await ok(["topic", "create", "fits"]);
    const path = await file("fits.avsc", TICK);
    const produce = ["produce", "fits", "--schema-file", path];
    const good = '{"symbol":"A","price":1}\n';
    for (const [line, complaint] of [
      ['{"symbol":"A","price":"1"}', 'record 2: the record does not fit its schema: price: "1" is no double'],
      ['{"symbol":"A"}', "price: is missing"],
      ['{"symbol":"A","price":1,"prize":2}', "prize: is no field"],
      ['{"symbol":"A","price":1,"volume":9223372036854775808}', "volume: "],
      ["[]", "[] is no record stock.Tick"],
    ]) {
      expect(await refused(1, produce, `${good}${line}\n`)).toContain(complaint as string);
    }
    expect(await refused(2, [...produce, "--format", "lines"], good)).toContain("ndjson");
    expect(await refused(4, ["produce", "fits", "--schema", "nowhere"], good)).toContain("subject_not_found");
    const stored = jsonLines<{ value: { symbol: string } }>(await ok(["consume", "fits"]));
    expect(stored.map(({ value }) => value.symbol)).toEqual(["A", "A", "A", "A", "A"]);
  });

  test("is shown by queue peek, and what only looks like it is shown as bytes", async () => {
    await client.queue("looks").declare();
    const { id } = await client.schemas.register("looks-value", { schema: '{"type":"array","items":"int"}' });
    const prefix = [0, id >>> 24, (id >>> 16) & 255, (id >>> 8) & 255, id & 255];
    for (const body of [[4, 2, 4, 0], [255], []]) {
      await client.queue("looks").publish(Uint8Array.from([...prefix, ...body]));
    }
    await client.queue("looks").publish(Uint8Array.of(0, 255, 255, 255, 255, 0));
    const shown = jsonLines<{ value: unknown; schemaId?: number; valueEncoding?: string }>(
      await ok(["queue", "peek", "looks"]),
    );
    expect(shown[0]).toMatchObject({ value: [1, 2], schemaId: id });
    expect(shown.slice(1).map(({ schemaId }) => schemaId)).toEqual([undefined, undefined, undefined]);
    expect(shown[3]).toMatchObject({ value: "AP////8A", valueEncoding: "base64" });
  });
  test("is told apart from JSON Schema, whose values are JSON behind the prefix", async () => {
    await ok(["topic", "create", "documents"]);
    const { id } = JSON.parse(
      await ok(["schema", "register", "documents-value", "--type", "json", "--json"], '{"type":"object"}'),
    );
    const json = new TextEncoder().encode('{"a":12345678901234567890}');
    await client.producer("documents").send({ value: Uint8Array.from([0, 0, 0, id >> 8, id & 255, ...json]) });
    expect(await ok(["consume", "documents"])).toContain(`"value":{"a":12345678901234567890},"schemaId":${id}`);
    expect(await refused(1, ["schema", "types", "documents-value"])).toContain("schema_unsupported");
  });

  test("is enforced, filtered and read by another version where the command line asks for it", async () => {
    await ok(["topic", "create", "watched", "--schema-enforce", "full"]);
    await ok(["schema", "register", "watched-value", "--file", await file("watched.avsc", TICK)]);
    const lines = ["AAPL", "MSFT", "AAPL"].map((symbol, index) => JSON.stringify({ symbol, price: 189 + index }));
    await ok(["produce", "watched", "--schema", "watched-value"], lines.join("\n"));
    expect(await refused(1, ["produce", "watched"], "no Avro\n")).toContain("schema_violation");
    const venue = record("stock.Tick", field("symbol", "string"), field("venue", "string", "XNAS"));
    await ok(["schema", "register", "watched-value"], venue);
    const rule = 'price > 190 and symbol == "AAPL"';
    const found = jsonLines<{ value: object }>(await ok(["consume", "watched", "--filter", rule]));
    expect(found).toMatchObject([{ offset: 2, value: { symbol: "AAPL", price: 191 } }]);
    const newer = jsonLines<{ value: object }>(await ok(["consume", "watched", "--reader-schema", "2"]));
    expect(newer.map(({ value }) => value)).toEqual(
      ["AAPL", "MSFT", "AAPL"].map((symbol) => ({ symbol, venue: "XNAS" })),
    );
    expect(await refused(2, ["consume", "watched", "--filter", "price >"])).toContain("bad_expression");
    expect(await refused(2, ["topic", "create", "other", "--schema-enforce", "mostly"])).toContain("schemaEnforce");
  });
});
