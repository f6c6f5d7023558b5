import type { BrokerChild, Child } from "../lib/processes.ts";
import type { DiskRequest } from "./programs/disk.ts";
import { ACKS_SYNCED, BATCH_BYTES } from "./sizes.ts";
import type { Measure, Stage } from "./stage.ts";
import { ask, BATCHES, produceOnce } from "./throughput.ts";

/** Bytes through the page cache to the disk, beside pwrite loops on the same file system. */

const MB = 1e6;
const KIB = 1024;
const SEGMENT_BYTES = 64 * KIB * KIB;
/** What the bare loop is tried with. */
const DISK_WRITE_BYTES = [64 * KIB, 256 * KIB, 1024 * KIB] as const;
/** A part of a group: the loop's writes are as long as the broker's batches. */
const GROUP_WRITE_BYTES = BATCH_BYTES;

async function disk(child: Child, request: DiskRequest): Promise<number> {
  return ((await child.request(request)) as { seconds: number }).seconds;
}

/** The write size that is best into the page cache, and what it reached. */
async function bestWrite(stage: Stage, child: Child, folder: string): Promise<{ writeBytes: number; rate: number }> {
  let best = { writeBytes: 0, rate: 0 };
  const bytes = stage.sizes.burstBytes;
  for (const writeBytes of DISK_WRITE_BYTES) {
    const title = `bare pwrite, ${writeBytes / KIB} KiB`;
    const seconds = await stage.run(title, { server: child, load: [], touchBytes: bytes }, () =>
      disk(child, { op: "write", folder, bytes, writeBytes }),
    );
    if (bytes / MB / seconds > best.rate) best = { writeBytes, rate: bytes / MB / seconds };
  }
  return best;
}

/** Retention that looks twice a second, so that what is deleted is used again while the machine still has its memory. */
const RETENTION_FLAGS = ["--retention-check-ms", "500"];

/** A sustained run of the broker: MB/s and the bytes behind it. The first bytes, which fill what is kept, do not count. */
async function sustainBroker(stage: Stage, broker: BrokerChild, load: Child): Promise<{ rate: number; bytes: number }> {
  const { sustainedSeconds: seconds, sustainedKeepBytes: retentionBytes, sustainedWarmBytes: bytes } = stage.sizes;
  return await stage.withTopic(broker, { retentionBytes }, async (topic) => {
    const to = { port: broker.port, topic };
    const cast = { server: broker, load: [load], touchBytes: 0 };
    await stage.run("sustained produce, filling", cast, () => ask(load, { op: "produce", bytes, ...to, ...BATCHES }));
    const produced = await stage.run("sustained produce", cast, () =>
      ask(load, { op: "produceFor", seconds, ...to, ...BATCHES }),
    );
    return { rate: produced.bytes / MB / produced.seconds, bytes: produced.bytes };
  });
}

export const SUSTAINED: Measure = {
  title: "a minute of batched produce beside a minute of pwrite",
  figures: [
    { name: "produce_sustained_vs_disk", unit: "ratio", goal: { atLeast: 0.8 } },
    {
      name: "produce_sustained_mb_s",
      unit: "MB/s",
      note: "after what is kept was filled once; the oldest segment is written over, or deleted",
    },
    { name: "disk_sustained_mb_s", unit: "MB/s", note: "pwrite of as many bytes, the oldest file deleted" },
    { name: "disk_overwrite_mb_s", unit: "MB/s", note: "pwrite of as many bytes, the oldest file written over" },
    { name: "produce_sustained_vs_overwrite", unit: "ratio" },
    {
      name: "disk_write_mb_s",
      unit: "MB/s",
      note: "a burst of pwrite into the page cache, the best of 64 KiB, 256 KiB and 1 MiB",
    },
  ],
  async prepare(stage) {
    const [load, child] = [await stage.program("load"), await stage.program("disk")];
    const broker = await stage.broker(RETENTION_FLAGS);
    const folder = await stage.folder();
    return async () => {
      const { writeBytes, rate } = await bestWrite(stage, child, folder);
      const produced = await sustainBroker(stage, broker, load);
      const { sustainedKeepBytes: keepBytes, sustainedWarmBytes: warmBytes } = stage.sizes;
      const cast = { server: child, load: [], touchBytes: 0 };
      const bare = async (title: string, isOverwriting: boolean): Promise<number> => {
        const { bytes } = produced;
        const request: DiskRequest = {
          op: "sustained",
          folder,
          warmBytes,
          bytes,
          keepBytes,
          writeBytes,
          isOverwriting,
        };
        return bytes / MB / (await stage.run(title, cast, () => disk(child, request)));
      };
      const deleting = await bare("sustained pwrite, deleting, filling included", false);
      const overwriting = await bare("sustained pwrite, overwriting, filling included", true);
      stage.add("disk_write_mb_s", rate);
      stage.add("produce_sustained_mb_s", produced.rate);
      stage.add("disk_sustained_mb_s", deleting);
      stage.add("disk_overwrite_mb_s", overwriting);
      stage.add("produce_sustained_vs_disk", produced.rate / deleting);
      stage.add("produce_sustained_vs_overwrite", produced.rate / overwriting);
    };
  },
};

/** How many syncs the broker has made. */
async function syncsOf(broker: BrokerChild): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${broker.httpPort}/metrics`)).text();
  const count = /^millrace_sync_seconds_count(?:\{[^}]*\})? (\d+)/m.exec(text)?.[1];
  if (count === undefined) throw new Error("the broker's metrics have no millrace_sync_seconds_count");
  return Number(count);
}

export const SYNCED: Measure = {
  title: "synced produce beside pwrite and fdatasync",
  figures: [
    { name: "produce_synced_vs_disk", unit: "ratio", goal: { atLeast: 0.6 } },
    { name: "produce_synced_mb_s", unit: "MB/s", note: "64 KiB batches, pipelined, every ack says synced" },
    {
      name: "disk_synced_mb_s",
      unit: "MB/s",
      note: "pwrite and fdatasync of groups as long as the broker's were; the better of files allocated before and not",
    },
    { name: "produce_synced_group_kib", unit: "KiB", note: "bytes by syncs of the broker" },
  ],
  async prepare(stage) {
    const [load, child, broker] = [await stage.program("load"), await stage.program("disk"), await stage.broker()];
    const folder = await stage.folder();
    const { syncedBytes: bytes } = stage.sizes;
    return async () => {
      const before = await syncsOf(broker);
      const request = { ...BATCHES, acks: ACKS_SYNCED, bytes };
      const produced = await produceOnce(stage, broker, load, "synced produce", request);
      const groupBytes = Math.min(SEGMENT_BYTES, produced.bytes / Math.max(1, (await syncsOf(broker)) - before));
      let best = 0;
      for (const isAllocated of [true, false]) {
        const title = `pwrite and fdatasync, ${isAllocated ? "allocated" : "growing"} files`;
        const seconds = await stage.run(title, { server: child, load: [], touchBytes: bytes }, () =>
          disk(child, { op: "synced", folder, bytes, groupBytes, writeBytes: GROUP_WRITE_BYTES, isAllocated }),
        );
        best = Math.max(best, bytes / MB / seconds);
      }
      const rate = produced.bytes / MB / produced.seconds;
      stage.add("produce_synced_mb_s", rate);
      stage.add("disk_synced_mb_s", best);
      stage.add("produce_synced_group_kib", groupBytes / KIB);
      stage.add("produce_synced_vs_disk", rate / best);
    };
  },
};
