import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { BrokerChild, Child } from "../lib/processes.ts";
import type { ClientLoadRequest } from "./programs/client-load.ts";
import { RECORD_BYTES, SEND_WRITE_BYTES } from "./sizes.ts";
import type { Measure, Stage } from "./stage.ts";
import { ask, BATCHES } from "./throughput.ts";
import { batchUnit, unitsFor } from "./units.ts";

/** Bytes out of the broker at full speed, beside a sender that writes views of a mapped file; and both ways at once. */

const MB = 1e6;
const CHUNK_BYTES = 16 * 1024 * 1024;
const SUBSCRIBERS = 10;

/** A file for the bare sender, freshly in the page cache, as a topic's segments are after produce. */
async function freshFile(folder: string, bytes: number): Promise<string> {
  const path = join(folder, "sent");
  await rm(path, { force: true });
  const writer = Bun.file(path).writer();
  const chunk = new Uint8Array(CHUNK_BYTES).fill(0x78);
  for (let done = 0; done < bytes; done += CHUNK_BYTES) {
    writer.write(chunk.subarray(0, Math.min(CHUNK_BYTES, bytes - done)));
    await writer.flush();
  }
  await writer.end();
  return path;
}

interface Bare {
  readonly stage: Stage;
  readonly bare: Child;
  readonly load: Child;
  readonly folder: string;
}

/** MB/s of the bare sender: at the first read of a file, and when the pages are mapped already. */
async function sendBare({ stage, bare, load, folder }: Bare, bytes: number): Promise<{ first: number; again: number }> {
  const path = await freshFile(folder, bytes);
  const send = async (title: string): Promise<number> => {
    const { seconds } = await stage.run(title, { server: bare, load: [load], touchBytes: 0 }, () =>
      ask(load, { op: "drain", port: Number(bare.info["sender"]), bytes, connections: 1 }),
    );
    return bytes / MB / seconds;
  };
  await bare.request({ path, writeBytes: SEND_WRITE_BYTES });
  const first = await send("bare sender, first read");
  const again = await send("bare sender, again");
  return { first, again };
}

export const CONSUME: Measure = {
  title: "catch-up beside a bare sender",
  figures: [
    {
      name: "consume_vs_sender",
      unit: "ratio",
      goal: { atLeast: 0.7 },
      note: "pages in the cache, not yet mapped by either",
    },
    { name: "consume_again_vs_sender", unit: "ratio", note: "the same read a second time by both" },
    { name: "sender_mb_s", unit: "MB/s", note: "views of a map in 256 KiB writes" },
    { name: "sender_again_mb_s", unit: "MB/s" },
    { name: "consume_mb_s", unit: "MB/s" },
    { name: "consume_again_mb_s", unit: "MB/s" },
  ],
  async prepare(stage) {
    const [bare, load, broker] = [await stage.program("bare"), await stage.program("load"), await stage.broker()];
    const folder = await stage.folder();
    return async () => {
      const sender = await sendBare({ stage, bare, load, folder }, stage.sizes.burstBytes);
      const [first, again] = await stage.withTopic(broker, {}, async (topic) => {
        const { port } = broker;
        const bytes = stage.sizes.burstBytes;
        const { batchBytes } = await ask(load, { op: "produce", port, topic, bytes, ...BATCHES });
        const read = async (title: string): Promise<number> => {
          const { seconds } = await stage.run(title, { server: broker, load: [load], touchBytes: 0 }, async () => {
            await load.request({ op: "subscribe", port, topic, connections: 1 });
            return await ask(load, { op: "collect", bytes: batchBytes });
          });
          return batchBytes / MB / seconds;
        };
        return [await read("catch-up, first read"), await read("catch-up, again")];
      });
      stage.add("sender_mb_s", sender.first);
      stage.add("sender_again_mb_s", sender.again);
      stage.add("consume_mb_s", first as number);
      stage.add("consume_again_mb_s", again as number);
      stage.add("consume_vs_sender", (first as number) / sender.first);
      stage.add("consume_again_vs_sender", (again as number) / sender.again);
    };
  },
};

export const FANOUT: Measure = {
  title: "one topic to ten subscribers",
  figures: [
    { name: "fanout10_vs_sender", unit: "ratio", goal: { atLeast: 0.6 }, note: "bytes out, while they are published" },
    { name: "fanout10_mb_s", unit: "MB/s", note: "bytes out to ten connections" },
    {
      name: "fanout10_sender_mb_s",
      unit: "MB/s",
      note: "the bare sender to one connection, the better of first read and again",
    },
    { name: "fanout10_sender10_mb_s", unit: "MB/s", note: "the bare sender to ten connections at once" },
  ],
  async prepare(stage) {
    const [bare, readers, producer] = [
      await stage.program("bare"),
      await stage.program("load"),
      await stage.program("load"),
    ];
    const broker = await stage.broker();
    const folder = await stage.folder();
    const bytes = stage.sizes.fanoutBytes;
    return async () => {
      const sender = await sendBare({ stage, bare, load: readers, folder }, stage.sizes.burstBytes);
      await bare.request({ path: await freshFile(folder, bytes), writeBytes: SEND_WRITE_BYTES });
      const cast = { server: bare, load: [readers], touchBytes: 0 };
      const ten = await stage.run("bare sender to ten", cast, () =>
        ask(readers, { op: "drain", port: Number(bare.info["sender"]), bytes, connections: SUBSCRIBERS }),
      );
      const out = await publishTo(stage, broker, [producer, readers], bytes, SUBSCRIBERS, "fan-out to ten");
      const best = Math.max(sender.first, sender.again);
      stage.add("fanout10_mb_s", out.deliveredBytes / MB / out.seconds);
      stage.add("fanout10_sender_mb_s", best);
      stage.add("fanout10_sender10_mb_s", ten.bytes / MB / ten.seconds);
      stage.add("fanout10_vs_sender", out.deliveredBytes / MB / out.seconds / best);
    };
  },
};

/** Publishes while so many connections read, in two processes; the time is from the first byte in to the last one out. */
async function publishTo(
  stage: Stage,
  broker: BrokerChild,
  [producer, readers]: readonly [Child, Child],
  bytes: number,
  connections: number,
  title: string,
): Promise<{ seconds: number; deliveredBytes: number; records: number }> {
  return await stage.withTopic(broker, {}, async (topic) => {
    const { port } = broker;
    const planned = unitsFor(batchUnit({ ...BATCHES, frames: 1 }), bytes);
    await readers.request({ op: "subscribe", port, topic, connections });
    const cast = { server: broker, load: [producer, readers], touchBytes: bytes };
    return await stage.run(title, cast, async () => {
      const startMs = performance.now();
      const [{ records }, read] = await Promise.all([
        ask(producer, { op: "produce", port, topic, bytes, ...BATCHES }),
        ask(readers, { op: "collect", bytes: planned.batchBytes }),
      ]);
      return { seconds: (performance.now() - startMs) / 1e3, deliveredBytes: read.batchBytes, records };
    });
  });
}

export const BOTH_RAW: Measure = {
  title: "produce and consume at once, pre-encoded",
  figures: [
    { name: "both_raw_msgs", unit: "msg/s", goal: { atLeast: 5e6 }, note: "the better of one load process and two" },
    { name: "both_raw_one_msgs", unit: "msg/s", note: "producer and consumer in one process" },
    { name: "both_raw_two_msgs", unit: "msg/s", note: "in a process each" },
  ],
  async prepare(stage) {
    const [producer, reader, broker] = [await stage.program("load"), await stage.program("load"), await stage.broker()];
    const bytes = stage.sizes.burstBytes;
    return async () => {
      const two = await publishTo(stage, broker, [producer, reader], bytes, 1, "both, two load processes");
      const one = await stage.withTopic(broker, {}, (topic) =>
        stage.run("both, one load process", { server: broker, load: [producer], touchBytes: bytes }, () =>
          ask(producer, { op: "both", port: broker.port, topic, bytes, ...BATCHES }),
        ),
      );
      stage.add("both_raw_two_msgs", two.records / two.seconds);
      stage.add("both_raw_one_msgs", one.records / one.seconds);
      stage.add("both_raw_msgs", Math.max(two.records / two.seconds, one.records / one.seconds));
    };
  },
};

export const BOTH_CLIENT: Measure = {
  title: "produce and consume at once through the client",
  figures: [
    {
      name: "both_client_msgs",
      unit: "msg/s",
      goal: { atLeast: 2.5e6 },
      note: "each record encoded distinct, each value read; the better of one load process and two",
    },
    { name: "both_client_one_msgs", unit: "msg/s", note: "producer and consumer in one process" },
    { name: "both_client_two_msgs", unit: "msg/s", note: "in a process each" },
  ],
  async prepare(stage) {
    const [producer, reader] = [await stage.program("client-load"), await stage.program("client-load")];
    const broker = await stage.broker();
    const { clientRecords: records } = stage.sizes;
    return async () => {
      const work = (topic: string) => ({ url: broker.url, topic, records, recordBytes: RECORD_BYTES });
      const touchBytes = records * RECORD_BYTES * 1.2;
      const request = (child: Child, message: ClientLoadRequest) => child.request(message);
      const two = await stage.withTopic(broker, {}, async (topic) => {
        await request(reader, { op: "consume", ...work(topic) });
        const cast = { server: broker, load: [producer, reader], touchBytes };
        return await stage.run("both by client, two load processes", cast, async () => {
          const startMs = performance.now();
          await Promise.all([request(producer, { op: "produce", ...work(topic) }), request(reader, { op: "collect" })]);
          return (performance.now() - startMs) / 1e3;
        });
      });
      const one = await stage.withTopic(broker, {}, (topic) =>
        stage.run("both by client, one load process", { server: broker, load: [producer], touchBytes }, async () => {
          const { seconds } = (await request(producer, { op: "both", ...work(topic) })) as { seconds: number };
          return seconds;
        }),
      );
      stage.add("both_client_two_msgs", records / two);
      stage.add("both_client_one_msgs", records / one);
      stage.add("both_client_msgs", records / Math.min(one, two));
    };
  },
};
