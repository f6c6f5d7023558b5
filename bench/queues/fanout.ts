import type { Client } from "../../src/client/index.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import { diskBytes, type QueueMeasure, type QueueStage, readyIn, withQueues } from "./house.ts";
import type { PublishSpan, QueueRawRequest } from "./programs/queue-raw.ts";
import { ACKS_WRITTEN, BODY_BYTES } from "./sizes.ts";

/** What each further queue costs that a message is routed to: published to one queue, and to 101. */

const MORE_QUEUES = 100;
const KEY = "news";
const UNIT_MESSAGES = 10_000;
const MESSAGE_BYTES = BODY_BYTES * 1.3;
const NS_PER_S = 1e9;
const MB = 1e6;

interface Cast {
  readonly stage: QueueStage;
  readonly broker: BrokerChild;
  readonly dataDir: string;
  readonly load: Child;
}

/** What publishing so many messages came to. */
interface Spent {
  readonly messages: number;
  readonly seconds: number;
  /** Of the broker. */
  readonly cpuSeconds: number;
  /** Memory of its own and bytes on the disk, by which the broker grew. */
  readonly bytes: number;
}

const held = ({ broker, dataDir }: Cast): number => broker.rssAnonMb() * MB + diskBytes(dataDir);

async function publish(
  cast: Cast,
  client: Client,
  exchange: string,
  queues: readonly string[],
  units: number,
): Promise<Spent> {
  const { stage, broker, load } = cast;
  const before = { bytes: held(cast), cpu: broker.cpuSeconds() };
  const touchBytes = units * UNIT_MESSAGES * MESSAGE_BYTES;
  const request: QueueRawRequest = { op: "publish", port: broker.port, exchange, units };
  const span = (await stage.run(`fan-out to ${queues.length}`, { server: broker, load: [load], touchBytes }, () =>
    load.request(request),
  )) as PublishSpan;
  await Bun.sleep(stage.sizes.restMs);
  const spent: Spent = {
    messages: span.messages,
    seconds: (span.toUs - span.fromUs) / 1e6,
    cpuSeconds: broker.cpuSeconds() - before.cpu,
    bytes: held(cast) - before.bytes,
  };
  const found = await readyIn(client, queues);
  if (found !== span.messages * queues.length) throw new Error(`${found} messages wait of ${span.messages} in each`);
  for (const queue of queues) await client.queue(queue).purge();
  return spent;
}

/** The difference for each message and further queue. */
function more(one: Spent, many: Spent, of: (spent: Spent) => number): number {
  return (of(many) / many.messages - of(one) / one.messages) / MORE_QUEUES;
}

async function encode({ load, stage }: Cast, isSingle: boolean): Promise<number> {
  const messages = Math.min(UNIT_MESSAGES, isSingle ? stage.sizes.fanoutSingles : stage.sizes.fanoutMessages);
  const spec = { keys: [KEY], isByBatch: true, isSingle, bodyBytes: BODY_BYTES, acks: ACKS_WRITTEN };
  const request: QueueRawRequest = { op: "encode", messages, ...spec };
  await load.request(request);
  return Math.round((isSingle ? stage.sizes.fanoutSingles : stage.sizes.fanoutMessages) / messages);
}

export const FANOUT: QueueMeasure = {
  title: "a fan-out to 101 queues beside one to one",
  figures: [
    {
      name: "fanout100_bytes",
      unit: "bytes",
      goal: { atMost: 16 },
      note: "for each message and further queue: the broker's own memory and its disk",
    },
    {
      name: "fanout100_ns",
      unit: "ns",
      goal: { atMost: 60 },
      note: "for each message and further queue, by the clock; batches of 500",
    },
    { name: "fanout100_cpu_ns", unit: "ns", note: "the same in the broker's processor time" },
    { name: "fanout100_single_ns", unit: "ns", note: "by the clock, published one by one" },
  ],
  async prepare(stage) {
    const dataDir = await stage.folder();
    const cast: Cast = {
      stage,
      broker: await stage.broker([], dataDir),
      dataDir,
      load: await stage.program("queue-raw"),
    };
    return async () =>
      await withQueues(cast.broker, 1 + MORE_QUEUES, async (queues, client) => {
        const one = client.exchange("fan-1");
        const many = client.exchange("fan-101");
        for (const exchange of [one, many]) await exchange.declare("fanout");
        const first = queues.slice(0, 1);
        await one.bind({ queue: first[0] as string });
        for (const queue of queues) await many.bind({ queue });
        for (const isSingle of [false, true]) {
          const units = await encode(cast, isSingle);
          const few = await publish(cast, client, one.name, first, units);
          const all = await publish(cast, client, many.name, queues, units);
          const ns = more(few, all, ({ seconds }) => seconds * NS_PER_S);
          stage.add(isSingle ? "fanout100_single_ns" : "fanout100_ns", ns);
          if (isSingle) continue;
          stage.add(
            "fanout100_cpu_ns",
            more(few, all, ({ cpuSeconds }) => cpuSeconds * NS_PER_S),
          );
          stage.add(
            "fanout100_bytes",
            more(few, all, ({ bytes }) => bytes),
          );
        }
        for (const exchange of [one, many]) await exchange.delete();
      });
  },
};
