/**
 * Load through the TypeScript client, as an application would use it: every record has a value of its own, which is encoded,
 * and of every record the value is read, checked and touched to its last byte.
 */
import { type BatchView, connect, type Producer } from "../../../src/client/index.ts";
import { runProgram } from "../../lib/program.ts";

export type ClientLoadRequest =
  | {
      readonly op: "produce";
      readonly url: string;
      readonly topic: string;
      readonly records: number;
      readonly recordBytes: number;
    }
  /** Begins to read; `collect` resolves when all records have been read. */
  | {
      readonly op: "consume";
      readonly url: string;
      readonly topic: string;
      readonly records: number;
      readonly recordBytes: number;
    }
  | { readonly op: "collect" }
  /** Both in this process. */
  | {
      readonly op: "both";
      readonly url: string;
      readonly topic: string;
      readonly records: number;
      readonly recordBytes: number;
    };

interface Work {
  readonly url: string;
  readonly topic: string;
  readonly records: number;
  readonly recordBytes: number;
}

/** Bytes of a value behind its number and before its last. */
const FILLING = 0x78;
const NUMBER_BYTES = 4;
const BYTE_MASK = 0xff;

const sinceMs = (startMs: number): number => (performance.now() - startMs) / 1e3;

/** What all bytes of all values add up to: the filling, the number in the first four bytes, its lowest byte in the last. */
function sumOf({ records, recordBytes }: Work): number {
  let sum = records * (recordBytes - NUMBER_BYTES - 1) * FILLING;
  for (let n = 0; n < records; n += 1) {
    sum += (n >>> 24) + ((n >>> 16) & BYTE_MASK) + ((n >>> 8) & BYTE_MASK) + 2 * (n & BYTE_MASK);
  }
  return sum;
}

/**
 * Appends until there is enough under way; returns the next number. The loops over records stand in plain functions: the
 * engine compiles the bodies of async ones less well.
 */
function appendSome(producer: Producer, value: Uint8Array, first: number, end: number): number {
  const view = new DataView(value.buffer);
  let next = first;
  for (let hasRoom = true; hasRoom && next < end; next += 1) {
    view.setUint32(0, next);
    value[value.length - 1] = next & BYTE_MASK;
    hasRoom = producer.append(value);
  }
  return next;
}

async function produce({ url, topic, records, recordBytes }: Work): Promise<number> {
  await using client = await connect(url);
  const producer = client.producer(topic);
  await producer.ready();
  const value = new Uint8Array(recordBytes).fill(FILLING);
  const startMs = performance.now();
  for (let sent = 0; sent < records;) {
    sent = appendSome(producer, value, sent, records);
    if (sent < records) await producer.ready();
  }
  await producer.flush();
  return sinceMs(startMs);
}

let reading: Promise<void> | undefined;

async function consume(work: Work): Promise<void> {
  const client = await connect(work.url);
  const consumer = client.consume(work.topic, { from: "earliest" });
  reading = readAll(consumer.views(), work).finally(() => client.close());
  // Whoever collects hears of it.
  reading.catch(() => undefined);
}

/** What the bytes of a batch's values add up to. Errors: a value that is not the next one. */
function sumOfView(view: BatchView, first: number, recordBytes: number): number {
  const { bytes, length } = view;
  let sum = 0;
  for (let index = 0; index < length; index += 1) {
    const start = view.valueStart(index);
    const end = view.valueEnd(index);
    if (end - start !== recordBytes || numberAt(bytes, start) !== first + index) {
      throw new Error(`read record ${numberAt(bytes, start)} of ${end - start} bytes where ${first + index} was due`);
    }
    for (let at = start; at < end; at += 1) sum += bytes[at] as number;
  }
  return sum;
}

/** Reads every value: its number has to be the next one, and in the end every byte must have been what was sent. */
async function readAll(views: AsyncIterable<BatchView>, work: Work): Promise<void> {
  const { records, recordBytes } = work;
  let next = 0;
  let sum = 0;
  for await (const view of views) {
    sum += sumOfView(view, next, recordBytes);
    next += view.length;
    if (next >= records) break;
  }
  if (next !== records) throw new Error(`read ${next} records of ${records}`);
  if (sum !== sumOf(work)) throw new Error("the bytes that were read are not those that were sent");
}

function numberAt(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] as number) * 0x1000000;
  return high + (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
}

await runProgram({}, async (message) => {
  const request = message as ClientLoadRequest;
  if (request.op === "produce") return { seconds: await produce(request) };
  if (request.op === "consume") await consume(request);
  else if (request.op === "collect") await reading;
  else {
    await consume(request);
    const startMs = performance.now();
    await Promise.all([produce(request), reading]);
    return { seconds: sinceMs(startMs) };
  }
  return {};
});
