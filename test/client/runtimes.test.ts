import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeBroker } from "./fake-broker.ts";

/** The client outside of Bun: bundled, in Node; and as a browser would load it. */

const source = join(import.meta.dir, "../../src/client");
const entry = join(source, "index.ts");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-client-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function bundle(target: "node" | "browser"): Promise<string> {
  const built = await Bun.build({ entrypoints: [entry], target, outdir: join(folder, target), naming: "client.mjs" });
  expect(built.success).toBe(true);
  return join(folder, target, "client.mjs");
}

const SCRIPT = `
import { connect } from "./client.mjs";
const client = await connect(process.argv[2]);
const producer = client.producer("topic", { batchBytes: 1024 });
const sends = Array.from({ length: 200 }, (_, index) =>
  producer.send({ key: "k" + index, value: "v-" + index, headers: { n: index }, partition: index % 4 }));
const results = await Promise.all(sends);
let count = 0;
for await (const message of client.consume("topic", { from: "earliest", until: "end" })) {
  if (message.text() !== "v-" + Number(message.keyText().slice(1))) throw new Error(message.text());
  count++;
}
await client.close();
console.log(results.length, count);
`;

const PAYLOADS_SCRIPT = `
import { folderStore, largePayloads } from "./payloads.mjs";
const store = folderStore("files", { keepMs: 60_000 });
const payloads = largePayloads({ store, aboveBytes: 10 });
const record = await payloads.pack({ value: "x".repeat(1000) });
const message = { headers: record.headers, value: new TextEncoder().encode(record.value) };
const { length } = await payloads.body(message);
await payloads.discard(message);
console.log(length, await payloads.body(message).catch(({ codeName }) => codeName));
`;

const AVRO_SCRIPT = `
import { openCodec, SchemaStore } from "./index.js";
const schema = JSON.stringify({ type: "record", name: "R", fields: [
  { name: "text", type: "string" }, { name: "raw", type: ["null", "bytes"] },
  { name: "price", type: { type: "bytes", logicalType: "decimal", precision: 9, scale: 2 } }] });
const registry = { register: async () => ({ id: 7, version: 1 }), get: async () => ({ schemaType: "AVRO", schema }) };
const codec = await openCodec(registry, new SchemaStore(registry), "topic", { schema });
const reader = await openCodec(registry, new SchemaStore(registry), "topic", {});
const value = codec.encode({ text: "ü", raw: Uint8Array.of(1, 2), price: "-1.5" });
const { text, raw, price } = await reader.decode({ value, headers: {} });
console.log(value.length, text, raw.join(), price);
`;

describe("the client", () => {
  test("works in Node, over its TCP sockets", async () => {
    await bundle("node");
    await Bun.write(join(folder, "node", "main.mjs"), SCRIPT);
    const broker = new FakeBroker();
    try {
      const child = Bun.spawn(["node", "main.mjs", broker.url], {
        cwd: join(folder, "node"),
        stdout: "pipe",
        stderr: "pipe",
      });
      const [output, errors] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      expect(errors).toBe("");
      expect(output.trim()).toBe("200 200");
    } finally {
      broker.stop();
    }
  });

  test("bundles for browsers without a module of Node's", async () => {
    const source = await Bun.file(await bundle("browser")).text();
    const imports = new Bun.Transpiler({ loader: "js" }).scanImports(source);
    expect(imports).toEqual([]);
  });

  test("has parts that do so too, and keeps payloads in files in Node", async () => {
    const outdir = join(folder, "parts");
    const entrypoints = ["inbox", "payloads"].map((part) => join(source, part, "index.ts"));
    const built = await Bun.build({ entrypoints, target: "browser", outdir, naming: "[dir].mjs" });
    expect(built.success).toBe(true);
    for (const { path } of built.outputs) {
      expect(new Bun.Transpiler({ loader: "js" }).scanImports(await Bun.file(path).text())).toEqual([]);
    }
    await Bun.write(join(outdir, "main.mjs"), PAYLOADS_SCRIPT);
    const child = Bun.spawn(["node", "main.mjs"], { cwd: outdir, stdout: "pipe", stderr: "inherit" });
    expect((await new Response(child.stdout).text()).trim()).toBe("1000 payload_missing");
  });

  test("has Avro, in Node too", async () => {
    const outdir = join(folder, "avro");
    const entrypoints = [join(source, "avro", "index.ts")];
    const built = await Bun.build({ entrypoints, target: "node", outdir });
    expect(built.success).toBe(true);
    await Bun.write(join(outdir, "main.mjs"), AVRO_SCRIPT);
    await Bun.write(join(outdir, "package.json"), '{"type":"module"}');
    const child = Bun.spawn(["node", "main.mjs"], { cwd: outdir, stdout: "pipe", stderr: "inherit" });
    expect((await new Response(child.stdout).text()).trim()).toBe("15 ü 1,2 -1.50");
  });
});
