/**
 * Load through the TypeScript client, as an application would use it: every record has a value of its own, which is encoded,
 * and of every record the value is read, checked and touched to its last byte.
 */
import { connect } from "../../../src/client/index.ts";
import { turn } from "../../lib/pace.ts";
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

/** Sends between two turns of the loop, in which acks come in. */
const RECORDS_PER_TURN = 4_000;

const sinceMs = (startMs: number): number => (performance.now() - startMs) / 1e3;

async function produce({ url, topic, records, recordBytes }: Work): Promise<number> {
  await using client = await connect(url);
  const producer = client.producer(topic);
  await producer.ready();
  const value = new Uint8Array(recordBytes).fill(0x78);
  const view = new DataView(value.buffer);
  const startMs = performance.now();
  for (let sent = 0; sent < records; sent += 1) {
    view.setUint32(0, sent);
    value[recordBytes - 1] = sent & 0xff;
    if (!producer.sendNoWait({ value })) await producer.ready();
    else if (sent % RECORDS_PER_TURN === 0) await turn();
  }
  await producer.flush();
  return sinceMs(startMs);
}

let reading: Promise<void> | undefined;

async function consume({ url, topic, records, recordBytes }: Work): Promise<void> {
  const client = await connect(url);
  const consumer = client.consume(topic, { from: "earliest", maxRecords: records });
  const read = async (): Promise<void> => {
    let next = 0;
    for await (const batch of consumer.batches()) {
      for (const { value } of batch) {
        const bytes = value as Uint8Array;
        const number =
          (((bytes[0] as number) << 24) |
            ((bytes[1] as number) << 16) |
            ((bytes[2] as number) << 8) |
            (bytes[3] as number)) >>>
          0;
        if (number !== next || bytes.length !== recordBytes || bytes[recordBytes - 1] !== (next & 0xff)) {
          throw new Error(`read record ${number} of ${bytes.length} bytes where ${next} was due`);
        }
        next += 1;
      }
    }
    if (next !== records) throw new Error(`read ${next} records of ${records}`);
    await client.close();
  };
  reading = read();
  // Whoever collects hears of it.
  reading.catch(() => undefined);
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
