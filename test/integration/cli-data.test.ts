import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { partitionOf } from "../../src/protocol/index.ts";
import { Broker } from "../../src/server/index.ts";
import { jsonLines, runCli, startCli } from "../cli/run-cli.ts";
import { until } from "../until.ts";

/** `produce`, `consume` and `log inspect` against a real broker, with the command line as a child process. */

interface Line {
  topic: string;
  partition: number;
  offset: number;
  timestamp: number;
  key: string | null;
  value: unknown;
  headers: Record<string, unknown>;
}

const flightsFile = join(import.meta.dir, "../../node_modules/vega-datasets/data/flights-200k.json");
const folder = mkdtempSync(join(tmpdir(), "millrace-cli-"));
const threads = Number(process.env["MILLRACE_TEST_THREADS"] ?? 1);
let broker: Broker;
let env: Record<string, string>;

beforeAll(async () => {
  broker = await Broker.start({ dataDir: join(folder, "data"), port: 0, httpPort: 0, threads });
  env = { MILLRACE_URL: `millrace://127.0.0.1:${broker.port}` };
});

afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command that must succeed; returns its output. */
async function ok(args: readonly string[], input?: string | Uint8Array): Promise<string> {
  const { exit, out, err } = await runCli(args, input === undefined ? { env } : { env, input });
  expect({ args, exit, err }).toEqual({ args, exit: 0, err: "" });
  return out;
}

/** A new topic with the lines as its records. */
async function topicOf(name: string, partitions: number, lines: readonly string[] = []): Promise<string> {
  await ok(["topic", "create", name, "--partitions", String(partitions)]);
  if (lines.length > 0) await ok(["produce", name], lines.map((line) => `${line}\n`).join(""));
  return name;
}

async function consumed(...args: string[]): Promise<Line[]> {
  return jsonLines<Line>(await ok(["consume", ...args]));
}

interface Reader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
}

/** Reads from a child's output until `count` lines have come; returns the lines. */
async function linesOf(reader: Reader, count: number): Promise<Line[]> {
  let text = "";
  while (text.split("\n").length <= count) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    text += Buffer.from(value).toString();
  }
  return jsonLines<Line>(text);
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

describe("produce", () => {
  test("publishes lines as they are, from standard input and from a file", async () => {
    await topicOf("lines", 1);
    const bytes = Buffer.concat([Buffer.from("one\r\n\n"), Buffer.from([0xff, 0x00, 0x0a]), Buffer.from("last")]);
    expect(await ok(["produce", "lines", "-H", "source=test"], bytes)).toMatch(/^produced 4 records, 9 B to lines in /);
    const path = join(folder, "lines.txt");
    writeFileSync(path, "from a file\n");
    await ok(["produce", "lines", "--file", path, "--acks", "synced", "--compression", "zstd"]);
    const records = await consumed("lines");
    expect(records.map(({ value }) => value)).toEqual(["one", "", "/wA=", "last", "from a file"]);
    expect(records[0]).toMatchObject({
      topic: "lines",
      partition: 0,
      offset: 0,
      key: null,
      headers: { source: "test" },
    });
    expect(records[2]).toMatchObject({ valueEncoding: "base64" });
    expect(await ok(["consume", "lines", "-o", "value", "--max", "2"])).toBe("one\n\n");
  });

  test("picks partitions by key as every Kafka client does, or the one it is given", async () => {
    await topicOf("keyed", 5);
    const rows = numbers(500).map((id) => JSON.stringify({ id: `user ${id}`, deep: { n: Number(id) } }));
    const summary = await ok(["produce", "keyed", "--key", "id", "--json"], rows.join("\n"));
    expect(jsonLines(summary)).toMatchObject([
      { topic: "keyed", partitions: 5, records: 500, recordsWithoutKey: 0, acks: "written" },
    ]);
    for (const { key, partition } of await consumed("keyed")) {
      const bytes = Buffer.from(key ?? "");
      expect(partition).toBe(partitionOf(bytes, 0, bytes.length, 5));
    }
    await ok(["produce", "keyed", "--key", "deep.n", "--partition", "3"], '{"deep":{"n":77}}\n');
    const tail = await consumed("keyed", "--partitions", "3");
    expect(tail.at(-1)).toMatchObject({ key: "77", value: { deep: { n: 77 } } });
  });

  test("reads a large JSON array in a stream, keyed, in order per key, each value byte for byte", async () => {
    await topicOf("flights", 8);
    const summary = jsonLines<{ records: number; recordsPerSecond: number }>(
      await ok(["produce", "flights", "--file", flightsFile, "--key", "distance", "--json"]),
    );
    expect(summary).toMatchObject([{ records: 200_000 }]);
    const sent = Map.groupBy(JSON.parse(readFileSync(flightsFile, "utf8")) as { distance: number }[], ({ distance }) =>
      String(distance),
    );
    const records = await consumed("flights");
    expect(records.length).toBe(200_000);
    const seen = Map.groupBy(records, ({ key }) => key as string);
    expect(seen.size).toBe(sent.size);
    for (const [key, values] of sent) expect(seen.get(key)?.map(({ value }) => value)).toEqual(values);
  }, 120_000);

  test("says which record is wrong, and fails for a topic that is not there", async () => {
    await topicOf("strict", 1);
    const bad = await runCli(["produce", "strict", "--format", "ndjson"], { env, input: '{"a":1}\n{oops\n' });
    expect(bad.exit).toBe(1);
    expect(bad.err).toMatch(/^error: bad_input: line 2 is no JSON: [^\n]+ — [^\n]+\n$/);
    const missing = await runCli(["produce", "nowhere"], { env, input: "a\n" });
    expect(missing).toMatchObject({ exit: 4, out: "" });
    expect(missing.err).toContain("topic_not_found");
    const partition = await runCli(["produce", "strict", "--partition", "9"], { env, input: "a\n" });
    expect(partition).toMatchObject({ exit: 4, out: "" });
    const file = await runCli(["produce", "strict", "--file", join(folder, "none")], { env });
    expect(file).toMatchObject({ exit: 1, out: "" });
    expect(file.err).toMatch(/^error: file: .* does not exist/);
    const usages = [
      ["--acks", "maybe"],
      ["--format", "xml"],
      ["--format", "lines", "--key", "id"],
      ["--batch-bytes", "much"],
      ["-H", "x"],
    ];
    for (const extra of usages)
      expect((await runCli(["produce", "strict", ...extra], { env, input: "" })).exit).toBe(2);
  });

  test("refuses a line that no record may hold, without gathering it", async () => {
    await topicOf("narrow", 1);
    const { exit, err } = await runCli(["produce", "narrow"], { env, input: "x".repeat(3 << 20) });
    expect(exit).toBe(1);
    expect(err).toContain("line 1 is longer than 1048576 bytes");
  });

  test("stops at an interruption with everything acknowledged that it has read", async () => {
    await topicOf("interrupted", 1);
    const child = startCli(["produce", "interrupted", "--json"], { env });
    child.stdin.write("a\nb\nc\nhalf");
    child.stdin.flush();
    await using client = await connect(env["MILLRACE_URL"] as string);
    await until("three records", async () => (await client.topics.offsets("interrupted", "latest"))[0]?.offset === 3);
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(jsonLines(await new Response(child.stdout).text())).toMatchObject([{ records: 3 }]);
    expect((await consumed("interrupted")).length).toBe(3);
  });
});

describe("consume", () => {
  test("begins at an end, an offset or a time, and stops at the end or the maximum", async () => {
    const topic = await topicOf("places", 1, numbers(50));
    await Bun.sleep(5);
    const between = new Date();
    await Bun.sleep(5);
    await ok(["produce", topic], "late\n");
    const values = async (...args: string[]): Promise<unknown[]> =>
      (await consumed(topic, ...args)).map(({ value }) => value);
    expect((await values()).length).toBe(51);
    expect(await values("--from", "earliest", "--max", "2")).toEqual([0, 1]);
    expect(await values("--from", "48")).toEqual([48, 49, "late"]);
    expect(await values("--from", between.toISOString())).toEqual(["late"]);
    expect(await values("--from", "latest", "--until", "end")).toEqual([]);
    for (const extra of [
      ["--from", "tomorrow"],
      ["--until", "noon"],
      ["--until", "end", "--follow"],
      ["--max", "0"],
      ["--group", "g", "--partitions", "0"],
    ]) {
      expect((await runCli(["consume", topic, ...extra], { env })).exit).toBe(2);
    }
    expect((await runCli(["consume", "nowhere"], { env })).exit).toBe(4);
    expect((await runCli(["consume", "nowhere", "--group", "g"], { env })).exit).toBe(4);
    const outside = await runCli(["consume", topic, "--from", "1000"], { env });
    expect(outside).toMatchObject({ exit: 1, out: "" });
    expect(outside.err).toContain("offset_out_of_range");
  });

  test("writes key, value, headers and tombstones of every kind", async () => {
    await ok(["topic", "create", "kinds"]);
    await using client = await connect(env["MILLRACE_URL"] as string);
    const producer = client.producer("kinds");
    const headers = { text: "x", number: 1.5, no: null, yes: true, bytes: Uint8Array.of(1, 2) };
    await producer.send({ key: Uint8Array.of(0xff), value: null, headers });
    await producer.send({ key: "k", value: '{"big":12345678901234567890}', timestamp: 5 });
    const text = await ok(["consume", "kinds"]);
    const [first, second] = jsonLines<Line>(text);
    expect(first).toMatchObject({
      key: "/w==",
      keyEncoding: "base64",
      value: null,
      tombstone: true,
      headers: { ...headers, bytes: "AQI=" },
    });
    expect(second).toMatchObject({ key: "k", timestamp: 5, offset: 1 });
    expect(text).toContain('"value":{"big":12345678901234567890}');
  });

  test("follows what is published later, and stops cleanly at an interruption", async () => {
    const topic = await topicOf("followed", 2, ["before"]);
    const child = startCli(["consume", topic, "--follow"], { env });
    const reader = child.stdout.getReader();
    expect(await linesOf(reader, 1)).toMatchObject([{ value: "before" }]);
    await ok(["produce", topic], "after\n");
    expect(await linesOf(reader, 1)).toMatchObject([{ value: "after" }]);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stderr).text()).toBe("");
  });

  test("ends quietly when the reader of its output has gone", async () => {
    const child = startCli(["consume", "flights"], { env });
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stderr).text()).toBe("");
  });

  test("as a group reads each record once over several runs, and commits at an interruption", async () => {
    const topic = await topicOf("shared", 3, numbers(300));
    expect((await consumed(topic, "--group", "once", "--max", "100")).length).toBe(100);
    expect((await consumed(topic, "--group", "once")).length).toBe(200);
    expect(await consumed(topic, "--group", "once")).toEqual([]);
    const child = startCli(["consume", topic, "--group", "once", "--follow"], { env });
    await ok(["produce", topic], "more\nand more\n");
    const read = await linesOf(child.stdout.getReader(), 2);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    expect(read.map(({ value }) => value)).toEqual(["more", "and more"]);
    const [group] = jsonLines(await ok(["group", "describe", "once", "--json"]));
    expect(group).toMatchObject({ lag: 0, members: [] });
  });

  test("commits only what was written out when the reader has gone", async () => {
    const child = startCli(["consume", "flights", "--group", "cut"], { env });
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    expect(await child.exited).toBe(0);
    const rest = (await consumed("flights", "--group", "cut")).length;
    expect(rest).toBeGreaterThan(100_000);
    expect(rest).toBeLessThanOrEqual(200_000);
  }, 120_000);

  test("as three members shares the partitions and stops when the group is at the end", async () => {
    const members = [0, 1, 2].map(() => runCli(["consume", "flights", "--group", "three"], { env }));
    const results = await Promise.all(members);
    expect(results.map(({ exit }) => exit)).toEqual([0, 0, 0]);
    const places = new Set<string>();
    let count = 0;
    for (const { out } of results) {
      for (const { partition, offset } of jsonLines<Line>(out)) {
        places.add(`${partition}/${offset}`);
        count++;
      }
    }
    expect(places.size).toBe(200_000);
    // A partition that moves while it is read is committed first, so nothing is read twice.
    expect(count).toBe(200_000);
  }, 120_000);
});

test("log inspect walks the segments of a broker that is running", async () => {
  const logs = join(folder, "data", "logs");
  const files = readdirSync(logs, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".log"));
  expect(files.length).toBeGreaterThan(10);
  let records = 0;
  for (const file of files) {
    const { exit, out, err } = await runCli(["log", "inspect", "--summary", "--json", join(logs, file)]);
    expect({ file, exit, err }).toEqual({ file, exit: 0, err: "" });
    records += jsonLines<{ records: number }>(out)[0]?.records ?? 0;
  }
  expect(records).toBeGreaterThan(200_000);
}, 120_000);
