import { connect, type Client, type Producer } from "../../src/client/index.ts";
import { BatchEncoder } from "../../src/protocol/index.ts";
import { nowUs } from "../lib/clock.ts";
import { turn } from "../lib/pace.ts";
import { runProgram } from "../lib/program.ts";
import type { ProduceRequest, Span } from "./messages.ts";
import { Maker } from "./records.ts";
import { SharedCounts } from "./shared-counts.ts";

/** Publishes a share of records through the client, and says when the first was made and when the last was acknowledged. */

/** How long the publisher rests while it is too far ahead of the readers. */
const REST_MS = 1;

let client: Client | null = null;
let producer: Producer | null = null;

async function open({ url, topic, acks, tuning }: ProduceRequest): Promise<Producer> {
  client = await connect(url);
  producer = client.producer(topic, { acks, ...tuning });
  await producer.ready();
  return producer;
}

/** Waits while the readers are further behind than the window. */
async function stayNear(counts: SharedCounts | null, sent: number, window: number): Promise<void> {
  if (counts === null) return;
  while (sent - counts.least() > window) await Bun.sleep(REST_MS);
}

/** Each record is built, encoded and checksummed; the event loop gets a turn after every few. */
async function produce(to: Producer, request: ProduceRequest): Promise<void> {
  const { records, sizeBytes, share, shares, partition, recordsPerTurn, window } = request;
  const maker = new Maker(sizeBytes);
  const counts = window === undefined ? null : new SharedCounts(window.path, window.readers);
  for (let number = share; number < records;) {
    const last = Math.min(records, number + recordsPerTurn * shares);
    for (; number < last; number += shares) {
      if (!to.append(maker.make(number), undefined, partition)) await to.ready();
    }
    await stayNear(counts, number, window?.records ?? 0);
    await turn();
  }
  await to.flush();
}

/** The same bytes over and over, encoded before the clock starts: what the client costs without its codec. */
async function produceEncoded(to: Producer, request: ProduceRequest): Promise<number> {
  const { records, sizeBytes, shares, tuning, partition = 0 } = request;
  const maker = new Maker(sizeBytes);
  const encoder = new BatchEncoder({ batchBytesMax: tuning.batchBytes ?? 64 * 1024 });
  for (let number = 0; encoder.append(Date.now(), null, maker.make(number)); number += 1);
  encoder.finish();
  const batch = encoder.batch();
  const batches = Math.ceil(records / shares / encoder.recordCount);
  const startUs = nowUs();
  for (let sent = 0; sent < batches; sent += 1) {
    await to.ready();
    void to.sendBatch(batch, partition);
    await turn();
  }
  await to.flush();
  request.records = batches * encoder.recordCount * shares;
  return startUs;
}

async function handle(message: unknown): Promise<unknown> {
  const request = message as ProduceRequest;
  if (request.op === "open") {
    await open(request);
    return {};
  }
  if (request.op === "close") {
    await client?.close();
    client = null;
    return {};
  }
  if (producer === null) throw new Error("open comes first");
  let startUs = nowUs();
  if (request.isEncoded) startUs = await produceEncoded(producer, request);
  else await produce(producer, request);
  const shareOf = Math.ceil((request.records - request.share) / request.shares);
  const span: Span = { records: shareOf, startUs, endUs: nowUs(), touched: 0 };
  return span;
}

await runProgram({}, handle);
