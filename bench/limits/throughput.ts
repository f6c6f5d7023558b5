import type { BrokerChild, Child } from "../lib/processes.ts";
import type { LoadRequest, LoadResult, UnitRequest } from "./programs/load.ts";
import { ACKS_WRITTEN, BATCH_BYTES, PRODUCE_WRITE_BYTES, RECORD_BYTES, SINK_WRITE_BYTES } from "./sizes.ts";
import type { Measure, Stage } from "./stage.ts";

/** Bytes into the broker at full speed, beside a listener that drops them. */

const MB = 1e6;

/** Asks the load for a run. */
export async function ask(load: Child, request: LoadRequest): Promise<LoadResult> {
  return (await load.request(request)) as LoadResult;
}

/** Batches of 64 KiB of 100-byte records to one partition, acknowledged `written`. */
export const BATCHES: UnitRequest = {
  mode: "batch",
  recordBytes: RECORD_BYTES,
  batchBytes: BATCH_BYTES,
  partitions: 1,
  frames: 0,
  acks: ACKS_WRITTEN,
  writeBytes: BATCH_BYTES,
};

export const SINGLES: UnitRequest = { ...BATCHES, mode: "single" };

const wholeWrites = (bytes: number, writeBytes: number): number => Math.ceil(bytes / writeBytes) * writeBytes;

/** MB/s into a sink, with the best of the write sizes. With a folder it stores what comes, without it drops it. */
export async function bestSink(stage: Stage, load: Child, bare: Child, store?: string): Promise<number> {
  let best = 0;
  for (const writeBytes of SINK_WRITE_BYTES) {
    const bytes = wholeWrites(stage.sizes.burstBytes, writeBytes);
    await bare.request({ expectBytes: bytes, store });
    const title = `bare sink${store === undefined ? "" : " with pwrite"}, ${writeBytes / 1024} KiB writes`;
    // What a sink drops it keeps nowhere, so the sockets' memory is all it needs.
    const touchBytes = store === undefined ? 0 : bytes;
    const { seconds } = await stage.run(title, { server: bare, load: [load], touchBytes }, () =>
      ask(load, { op: "sink", port: Number(bare.info["sink"]), bytes, writeBytes }),
    );
    best = Math.max(best, bytes / MB / seconds);
  }
  await bare.request({ expectBytes: 0 });
  return best;
}

type ProduceRequest = UnitRequest & { readonly bytes: number };

/** A run of produce. */
async function produceInto(
  stage: Stage,
  broker: BrokerChild,
  load: Child,
  title: string,
  topic: string,
  request: ProduceRequest,
): Promise<LoadResult> {
  return await stage.run(title, { server: broker, load: [load], touchBytes: request.bytes }, () =>
    ask(load, { op: "produce", port: broker.port, topic, ...request }),
  );
}

/** A run of produce into a topic of its own. */
export async function produceOnce(
  stage: Stage,
  broker: BrokerChild,
  load: Child,
  title: string,
  request: ProduceRequest,
): Promise<LoadResult> {
  return await stage.withTopic(broker, { partitions: request.partitions }, (topic) =>
    produceInto(stage, broker, load, title, topic, request),
  );
}

/** The best of the write sizes, by a rate that `rateOf` takes from a run. */
async function bestProduce(
  stage: Stage,
  broker: BrokerChild,
  load: Child,
  title: string,
  request: ProduceRequest,
  rateOf: (result: LoadResult) => number,
): Promise<number> {
  let best = 0;
  for (const writeBytes of PRODUCE_WRITE_BYTES) {
    const name = `${title}, ${writeBytes / 1024} KiB writes`;
    best = Math.max(best, rateOf(await produceOnce(stage, broker, load, name, { ...request, writeBytes })));
  }
  return best;
}

export const PRODUCE_BATCHED: Measure = {
  title: "batched produce beside a bare sink",
  figures: [
    { name: "produce_batched_vs_sink", unit: "ratio", goal: { atLeast: 0.5 } },
    { name: "sink_mb_s", unit: "MB/s", note: "the best of 16, 64 and 256 KiB writes" },
    { name: "produce_batched_mb_s", unit: "MB/s", note: "64 KiB batches, written; the best of 64 and 256 KiB writes" },
    {
      name: "produce_batched_vs_sink_pwrite",
      unit: "ratio",
      note: "beside a sink that writes each chunk to a file: both copies of the kernel",
    },
    { name: "sink_pwrite_mb_s", unit: "MB/s" },
  ],
  async prepare(stage) {
    const [bare, load, broker] = [await stage.program("bare"), await stage.program("load"), await stage.broker()];
    const folder = await stage.folder();
    return async () => {
      const sink = await bestSink(stage, load, bare);
      const request = { ...BATCHES, bytes: stage.sizes.burstBytes };
      const rateOf = ({ bytes, seconds }: LoadResult): number => bytes / MB / seconds;
      const produced = await bestProduce(stage, broker, load, "batched produce", request, rateOf);
      const storing = await bestSink(stage, load, bare, folder);
      stage.add("sink_mb_s", sink);
      stage.add("produce_batched_mb_s", produced);
      stage.add("produce_batched_vs_sink", produced / sink);
      stage.add("sink_pwrite_mb_s", storing);
      stage.add("produce_batched_vs_sink_pwrite", produced / storing);
    };
  },
};

export const PRODUCE_SINGLE: Measure = {
  title: "single records",
  figures: [
    {
      name: "produce_single_msgs",
      unit: "msg/s",
      goal: { atLeast: 3e6 },
      note: "no client batching, pipelined, written, every ack received; the best of 64 and 256 KiB writes",
    },
  ],
  async prepare(stage) {
    const [load, broker] = [await stage.program("load"), await stage.broker()];
    return async () => {
      const request = { ...SINGLES, bytes: stage.sizes.singlesBytes };
      const rateOf = ({ records, seconds }: LoadResult): number => records / seconds;
      stage.add("produce_single_msgs", await bestProduce(stage, broker, load, "single records", request, rateOf));
    };
  },
};

const MANY_PARTITIONS = 1000;

export const PARTITIONS: Measure = {
  title: "1,000 partitions beside one",
  figures: [
    { name: "partitions_1000_vs_1", unit: "ratio", goal: { atLeast: 0.5 } },
    { name: "partitions_1_mb_s", unit: "MB/s", note: "as produce_batched, from a source of as many distinct batches" },
    { name: "partitions_1000_mb_s", unit: "MB/s" },
  ],
  async prepare(stage) {
    const [load, broker] = [await stage.program("load"), await stage.broker()];
    return async () => {
      // Both send from a source of 65 MB, so that only the partitions differ.
      const request = { ...BATCHES, frames: MANY_PARTITIONS, writeBytes: 256 * 1024, bytes: stage.sizes.burstBytes };
      const rate = async (partitions: number): Promise<number> => {
        const title = `batched produce, partitions: ${partitions}`;
        const topic = await stage.topic(broker, { partitions });
        const { bytes, seconds } = await produceInto(stage, broker, load, title, topic, { ...request, partitions });
        return bytes / MB / seconds;
      };
      const one = await rate(1);
      const many = await rate(MANY_PARTITIONS);
      stage.add("partitions_1_mb_s", one);
      stage.add("partitions_1000_mb_s", many);
      stage.add("partitions_1000_vs_1", many / one);
    };
  },
};
