import { type Client, connect } from "../../src/client/index.ts";
import { nowUs } from "../lib/clock.ts";
import { runProgram } from "../lib/program.ts";
import type { ConsumeRequest, Span } from "./messages.ts";
import { Toucher } from "./records.ts";
import { SharedCounts } from "./shared-counts.ts";

/** Reads a topic through the client, with one or several readers, and touches each value. */

let clients: Client[] = [];
let reading: Promise<Toucher[]> | null = null;
let startUs = 0;

/** Reads until the reader has its records. */
async function read(client: Client, request: ConsumeRequest, index: number): Promise<Toucher> {
  const { topic, records, partitions, creditBytes, counts } = request;
  const shared = counts === undefined ? null : new SharedCounts(counts.path, counts.readers);
  const toucher = new Toucher();
  const options = { from: "earliest", creditBytes } as const;
  const consumer = client.consume(topic, { ...options, ...(partitions === undefined ? {} : { partitions }) });
  for await (const view of consumer.views()) {
    const { bytes, length } = view;
    for (let at = 0; at < length; at += 1) toucher.touch(bytes, view.valueStart(at), view.valueEnd(at));
    shared?.set((counts?.first ?? 0) + index, toucher.count);
    if (toucher.count >= records) break;
  }
  return toucher;
}

async function start(request: ConsumeRequest): Promise<void> {
  clients = await Promise.all(Array.from({ length: request.readers }, () => connect(request.url)));
  startUs = nowUs();
  const all = clients.map((client, index) => read(client, request, index));
  reading = Promise.all(all);
  // Whoever asks for the end hears of a failure.
  reading.catch(() => undefined);
}

async function finish(): Promise<Span> {
  if (reading === null) throw new Error("start comes first");
  const touchers = await reading;
  const endUs = nowUs();
  await Promise.all(clients.map((client) => client.close()));
  const records = touchers.reduce((sum, { count }) => sum + count, 0);
  return { records, startUs, endUs, touched: touchers.reduce((sum, { total }) => sum + total, 0) };
}

async function handle(message: unknown): Promise<unknown> {
  const request = message as ConsumeRequest;
  if (request.op === "finish") return await finish();
  await start(request);
  return {};
}

await runProgram({}, handle);
