import { ACKS_WRITTEN, BATCH_BYTES, RECORD_BYTES } from "../limits/sizes.ts";
import type { Stage } from "../limits/stage.ts";
import type { OperateMeasure } from "./house.ts";
import type { ProduceRequest, ProduceResult } from "./programs/produce.ts";
import type { Sizes } from "./sizes.ts";

/** What a second worker thread brings where the machine has as many cores as this one, and the load takes its share. */

const MB = 1e6;
/** Enough that the kernel gives both threads some of them. */
const CONNECTIONS = 8;

/** MB/s of batches that a broker of so many threads takes from all connections. */
async function produced(stage: Stage<Sizes>, threads: number): Promise<number> {
  const load = await stage.program("produce");
  const broker = await stage.broker(["--threads", String(threads)]);
  const request: ProduceRequest = {
    port: broker.port,
    connections: CONNECTIONS,
    bytes: stage.sizes.threadsBytes,
    recordBytes: RECORD_BYTES,
    batchBytes: BATCH_BYTES,
    acks: ACKS_WRITTEN,
  };
  const cast = { server: broker, load: [load], touchBytes: request.bytes * CONNECTIONS };
  const work = async (): Promise<ProduceResult> => (await load.request(request)) as ProduceResult;
  const { bytes, seconds } = await stage.run(`produce, threads: ${threads}`, cast, work);
  await stage.clear();
  return bytes / MB / seconds;
}

export const THREADS: OperateMeasure = {
  title: "one worker thread and two",
  figures: [
    {
      name: "threads2_vs_1",
      unit: "ratio",
      note: `batched produce on ${CONNECTIONS} connections, a partition each; the load has one process of its own`,
    },
    { name: "threads1_mb_s", unit: "MB/s" },
    { name: "threads2_mb_s", unit: "MB/s" },
  ],
  async prepare(stage) {
    return async (round) => {
      const order = round % 2 === 0 ? [1, 2] : [2, 1];
      const rates = new Map<number, number>();
      for (const threads of order) rates.set(threads, await produced(stage, threads));
      const [one = Number.NaN, two = Number.NaN] = [rates.get(1), rates.get(2)];
      stage.add("threads1_mb_s", one);
      stage.add("threads2_mb_s", two);
      stage.add("threads2_vs_1", two / one);
    };
  },
};
