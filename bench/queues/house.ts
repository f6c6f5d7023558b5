import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/index.ts";
import type { BrokerChild } from "../lib/processes.ts";
import { type House, type Measure, Stage } from "../limits/stage.ts";
import { FULL, QUICK, type Sizes } from "./sizes.ts";

/** What the suite's measurements have in common: their stage, queues for a while, and what a broker holds. */

export const HOUSE: House<Sizes> = {
  name: "queues",
  programs: join(import.meta.dir, "programs"),
  full: FULL,
  quick: QUICK,
};

export type QueueStage = Stage<Sizes>;
export type QueueMeasure = Measure<Sizes>;

const BLOCK_BYTES = 512;

let made = 0;

/** Durable queues for the time of the work. */
export async function withQueues<T>(
  broker: BrokerChild,
  count: number,
  work: (queues: readonly string[], client: Client) => Promise<T>,
): Promise<T> {
  await using client = await connect(broker.url);
  made += 1;
  // Of one length, so that frames are.
  const queues = Array.from({ length: count }, (_, at) => `work-${made}-${String(at).padStart(3, "0")}`);
  for (const queue of queues) await client.queue(queue).declare();
  try {
    return await work(queues, client);
  } finally {
    for (const queue of queues) await client.queue(queue).delete();
  }
}

/** Messages that wait in the queues together. Errors: the broker does not say. */
export async function readyIn(client: Client, queues: readonly string[]): Promise<number> {
  let sum = 0;
  for (const queue of queues) {
    const { ready } = (await client.queue(queue).describe()).counts;
    if (ready === undefined) throw new Error(`what waits in ${queue} is not told`);
    sum += ready;
  }
  return sum;
}

/** Bytes of the disk that a folder takes. */
export function diskBytes(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += diskBytes(path);
    else bytes += statSync(path).blocks * BLOCK_BYTES;
  }
  return bytes;
}
