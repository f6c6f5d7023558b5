import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/index.ts";
import { Broker } from "../../src/server/index.ts";
import { commands } from "../cli/run-cli.ts";
import { until } from "./harness.ts";

/** `millrace transform …` against a real broker. */

const WAIT_MS = 30_000;
const threads = Number(process.env["MILLRACE_TEST_THREADS"] ?? 1);
let folder: string;
let broker: Broker;
let client: Client;
let env: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-test-"));
  broker = await Broker.start({
    storage: "memory",
    port: 0,
    httpPort: 0,
    registryPort: 0,
    threads,
    transformsDir: folder,
  });
  const url = `millrace://127.0.0.1:${broker.port}`;
  client = await connect(url);
  env = { MILLRACE_URL: url };
  for (const queue of ["deliveries", "unread", "stock"]) await client.queue(queue).declare();
});

afterAll(async () => {
  await client.close();
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

const { ok, refused } = commands(() => env);

const DEFINITION = {
  from: { queue: "deliveries" },
  to: { queue: "stock" },
  steps: [{ xml_to_json: { root: "drop" } }, { map: { rename: { id: "item_id" } } }],
  deadLetter: { queue: "unread" },
};

async function write(definition: unknown): Promise<string> {
  const path = join(folder, "definition.json");
  await Bun.write(path, typeof definition === "string" ? definition : JSON.stringify(definition));
  return path;
}

test("a transform is tried, created, looked at, changed and deleted", async () => {
  const file = await write(DEFINITION);
  const item = '<item id="I101" stock="50"/>';
  expect(await ok("transform", "try", "--file", file, "-m", item)).toBe('0: {"item_id":"I101","stock":50}\n');
  expect(await ok("transform", "create", "inventory", "--file", file)).toBe("created inventory\n");
  expect(await ok("transform", "create", "inventory", "--file", file)).toBe("was there already: inventory\n");
  await client.queue("deliveries").publish(item);
  await client.queue("deliveries").publish("50 pieces");
  await until(
    "both are done",
    async () => {
      const [transform] = await client.transforms.list();
      return transform?.counters?.messagesIn === 2;
    },
    WAIT_MS,
  );
  expect(await ok("transform", "list")).toMatch(/^inventory +queue deliveries +queue stock +running +2 +1 +1 +0$/m);
  const shown = await ok("transform", "describe", "inventory");
  expect(shown).toContain("the XML is malformed");
  expect(shown).toContain('"item_id"');

  const other = await write({ ...DEFINITION, timeoutMs: 100 });
  expect(await refused(1, "transform", "create", "inventory", "--file", other)).toContain("transform_exists");
  expect(await ok("transform", "create", "inventory", "--file", other, "--replace")).toBe("changed inventory\n");
  expect(await ok("transform", "try", "inventory", "-m", item, "--json")).toBe(
    '{"messages":[{"from":0,"headers":{},"to":null,"key":null,"value":"{\\"item_id\\":\\"I101\\",\\"stock\\":50}"}],"errors":[]}\n',
  );
  expect(await ok("transform", "delete", "inventory")).toBe("deleted inventory\n");
  expect(await refused(4, "transform", "describe", "inventory")).toContain("transform_not_found");
  expect(await refused(4, "transform", "delete", "inventory")).toContain("transform_not_found");
}, 60_000);

test("what is wrong with a transform is said with what to do", async () => {
  expect(await refused(2, "transform", "create", "t", "--file", await write("{"))).toContain("no JSON");
  const file = await write({ ...DEFINITION, steps: [{ map: { rename: { a: 5 } } }] });
  expect(await refused(2, "transform", "create", "t", "--file", file)).toContain(
    "steps[0].map.rename.a must be a string",
  );
  const missing = await write({ ...DEFINITION, steps: [{ function: { file: "missing.ts" } }] });
  expect(await refused(1, "transform", "create", "t", "--file", missing)).toContain("there is no file missing.ts");
  expect(await refused(2, "transform", "try")).toContain("give its name or --file");
}, 60_000);
