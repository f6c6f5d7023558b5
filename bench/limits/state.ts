import { rm } from "node:fs/promises";
import { connect } from "../../src/client/index.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import type { Measure, Stage } from "./stage.ts";
import { ask, BATCHES } from "./throughput.ts";

/** A broker with 10 GB in 100 partitions: how soon it is ready, and what memory of its own it has. */

const TOPIC = "stored";
const PARTITIONS = 100;
const MS_PER_S = 1e3;
const SAMPLE_MS = 500;
/** Memory settles for so long before it counts as idle. */
const IDLE_MS = 2_000;
/** What takes part in 60 s of load is the same thing each time; more rounds of it would say no more. */
const LOAD_ROUNDS_MAX = 3;
const FLAGS = ["--retention-check-ms", "500"];

/** Fills the partitions evenly; resolves to the records in them. The broker is killed behind the last ack. */
async function fillAndKill(stage: Stage, load: Child, dataDir: string): Promise<number> {
  const broker = await stage.broker(FLAGS, dataDir);
  const client = await connect(broker.url);
  await client.topics.create(TOPIC, { partitions: PARTITIONS });
  const request = { ...BATCHES, partitions: PARTITIONS, frames: PARTITIONS, writeBytes: 256 * 1024 };
  const { records } = await ask(load, {
    op: "produce",
    port: broker.port,
    topic: TOPIC,
    bytes: stage.sizes.storedBytes,
    ...request,
  });
  await broker.end("SIGKILL");
  await client.close().catch(() => undefined);
  return records;
}

/** Throws unless every record is there. */
async function checkWhole(broker: BrokerChild, records: number): Promise<void> {
  await using client = await connect(broker.url);
  const ends = await client.topics.offsets(TOPIC, "latest");
  const found = ends.reduce((sum, { offset }) => sum + offset, 0);
  if (found !== records) throw new Error(`${found} records after a start, ${records} were acknowledged`);
}

/** The most memory of its own that the broker had during produce to and reading from all partitions. */
async function loadedMb(stage: Stage, broker: BrokerChild, producer: Child, reader: Child): Promise<number> {
  const { storedBytes, residentSeconds: seconds } = stage.sizes;
  await using client = await connect(broker.url);
  // What is stored stays at what it is, so that neither the disk fills nor the start of the next round.
  await client.topics.alter(TOPIC, { retentionBytes: storedBytes / PARTITIONS });
  let most = broker.rssAnonMb();
  const timer = setInterval(() => (most = Math.max(most, broker.rssAnonMb())), SAMPLE_MS);
  const to = { port: broker.port, topic: TOPIC, seconds };
  const frames = { partitions: PARTITIONS, frames: PARTITIONS, writeBytes: 256 * 1024 };
  try {
    await stage.run("load on 100 partitions", { server: broker, load: [producer, reader], touchBytes: 0 }, () =>
      Promise.all([
        ask(producer, { op: "produceFor", ...to, ...BATCHES, ...frames }),
        ask(reader, { op: "readFor", ...to }),
      ]),
    );
  } finally {
    clearInterval(timer);
  }
  return Math.max(most, broker.rssAnonMb());
}

export const STATE: Measure = {
  title: "start and memory with 10 GB in 100 partitions",
  figures: [
    {
      name: "resident_mb",
      unit: "MB",
      goal: { atMost: 250 },
      note: "RssAnon, the larger of idle and of the most in 60 s of produce and consume",
    },
    { name: "resident_idle_mb", unit: "MB" },
    { name: "resident_loaded_mb", unit: "MB" },
    { name: "ready_clean_s", unit: "s", goal: { atMost: 1 }, note: "from the start of the process to serving" },
    { name: "ready_crashed_s", unit: "s", goal: { atMost: 5 }, note: "after kill -9 behind the last ack" },
  ],
  async prepare(stage) {
    const [producer, reader] = [await stage.program("load"), await stage.program("load")];
    return async (round) => {
      const dataDir = await stage.folder();
      const records = await fillAndKill(stage, producer, dataDir);
      const crashed = await stage.broker(FLAGS, dataDir);
      await checkWhole(crashed, records);
      if ((await crashed.end()) !== 0) throw new Error(`the broker did not stop orderly: ${crashed.errors}`);
      const broker = await stage.broker(FLAGS, dataDir);
      await checkWhole(broker, records);
      await Bun.sleep(stage.context.quick ? 0 : IDLE_MS);
      const idleMb = broker.rssAnonMb();
      stage.add("ready_crashed_s", crashed.readyMs / MS_PER_S);
      stage.add("ready_clean_s", broker.readyMs / MS_PER_S);
      stage.add("resident_idle_mb", idleMb);
      if (round < LOAD_ROUNDS_MAX) {
        const loaded = await loadedMb(stage, broker, producer, reader);
        stage.add("resident_loaded_mb", loaded);
        stage.add("resident_mb", Math.max(idleMb, loaded));
      }
      await broker.end("SIGKILL");
      await rm(dataDir, { recursive: true, force: true });
    };
  },
};
