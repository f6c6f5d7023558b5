import { expect, test } from "bun:test";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { encodePublish, Op } from "../../src/protocol/index.ts";
import { batchOf, publishFrame, RawClient } from "../integration/kit.ts";
import { SmallDisk } from "../integration/small-disk.ts";
import { place, ServerProcess } from "./server-process.ts";

/** The broker is killed while its disk is full. */

const DISK_BYTES = 24 << 20;
const VALUE_BYTES = 20_000;
const PARTITIONS = 3;
const FLAGS = ["--segment-bytes", String(2 << 20), "--disk-free-bytes-min", "0"];

const valueOf = (partition: number, offset: number): string => `${partition}:${offset}:`.padEnd(VALUE_BYTES, "v");

test("what was acknowledged before the disk was full survives a kill, and publishing goes on when there is space", async () => {
  using disk = new SmallDisk(DISK_BYTES);
  await using free = await place();
  const where = { ...free, dataDir: join(disk.path, "data") };
  const ends = Array.from({ length: PARTITIONS }, () => 0);
  let server = await ServerProcess.start(where, FLAGS);
  for (let round = 0; round < 3; round += 1) {
    disk.fill("filler", (12 - 4 * round) << 20);
    {
      using client = await RawClient.connect(where.port);
      if (round === 0) await client.ok(Op.TOPIC_CREATE, { name: "t", partitions: PARTITIONS, config: {} });
      await client.ok(Op.PUBLISHER_OPEN, 1, { topic: "t" });
      const full = new Set<number>();
      for (let n = 0; full.size < PARTITIONS; n += 1) {
        const partition = n % PARTITIONS;
        const offset = ends[partition] as number;
        const head = { publisher: 1, correlation: 0, partition, acks: n % 5 === 0 ? 3 : 2, condition: null };
        const outcome = await publishFrame(client, encodePublish(head, batchOf([valueOf(partition, offset)])));
        if ("error" in outcome) {
          expect(outcome.error).toBe("disk_full");
          full.add(partition);
        } else {
          expect(outcome.offset).toBe(offset);
          ends[partition] = offset + 1;
        }
      }
      // Refused publishes and torn tails on all sides, and no byte left: the kill comes now.
      disk.fill("rest");
    }
    await server.kill();
    disk.empty("rest");
    disk.empty("filler");
    server = await ServerProcess.start(where, FLAGS);
    await using client = await connect(`millrace://127.0.0.1:${where.port}`);
    for (const [partition, end] of ends.entries()) {
      let read = 0;
      for await (const message of client.consume("t", { from: "earliest", until: "end", partitions: [partition] })) {
        expect(message.offset).toBe(read);
        if (message.text() !== valueOf(partition, read)) throw new Error(`${partition}/${read} is not what was sent`);
        read += 1;
      }
      expect(read).toBe(end);
    }
  }
  expect(await server.stop()).toBe(0);
});
