import type { Client } from "../../src/client/index.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import { diskBytes, type QueueMeasure, type QueueStage, readyIn, withQueues } from "./house.ts";
import type { PublishSpan, QueueRawRequest } from "./programs/queue-raw.ts";
import { ACKS_WRITTEN, BODY_BYTES } from "./sizes.ts";

/** What each further queue costs that a message is routed to: published to one queue, and to 101. */

const MORE_QUEUES = 100;
const KEY = "news";
/** Of one length with the other. */
const OTHER_KEY = "rest";
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

/** An exchange and the queues that its messages go to. */
interface Fan {
  readonly exchange: string;
  readonly queues: readonly string[];
}

interface Load {
  readonly units: number;
  readonly share: number;
}

const held = ({ broker, dataDir }: Cast): number => broker.rssAnonMb() * MB + diskBytes(dataDir);

/** Publishes what is encoded; `share` of the messages go to all the queues. */
async function publish(cast: Cast, client: Client, to: Fan, { units, share }: Load): Promise<Spent> {
  const { stage, broker, load } = cast;
  const { exchange, queues } = to;
  const before = { bytes: held(cast), cpu: broker.cpuSeconds() };
  const touchBytes = units * UNIT_MESSAGES * MESSAGE_BYTES;
  const request: QueueRawRequest = { op: "publish", port: broker.port, exchange, units };
  const title = `fan-out to ${queues.length}${share < 1 ? ", every other message" : ""}`;
  const span = (await stage.run(title, { server: broker, load: [load], touchBytes }, () =>
    load.request(request),
  )) as PublishSpan;
  await Bun.sleep(stage.sizes.restMs);
  const messages = span.messages * share;
  const spent: Spent = {
    messages,
    seconds: (span.toUs - span.fromUs) / 1e6,
    cpuSeconds: broker.cpuSeconds() - before.cpu,
    bytes: held(cast) - before.bytes,
  };
  const found = await readyIn(client, queues);
  if (found !== messages * queues.length) throw new Error(`${found} messages wait of ${messages} in each`);
  for (const queue of queues) await client.queue(queue).purge();
  return spent;
}

/** The difference for each message and further queue. */
function more(one: Spent, many: Spent, of: (spent: Spent) => number): number {
  return (of(many) / many.messages - of(one) / one.messages) / MORE_QUEUES;
}

type Kind = "batches" | "singles" | "apart";

/** Encodes the messages of a run: all for the fan, or every other one, so that no two of its messages are neighbours. */
async function encode({ load, stage }: Cast, kind: Kind): Promise<Load> {
  const { fanoutMessages, fanoutSingles, fanoutApart } = stage.sizes;
  const all = { batches: fanoutMessages, singles: fanoutSingles, apart: fanoutApart }[kind];
  const keys = kind === "apart" ? [KEY, OTHER_KEY] : [KEY];
  const spec = { keys, isByBatch: false, isSingle: kind === "singles", bodyBytes: BODY_BYTES, acks: ACKS_WRITTEN };
  const request: QueueRawRequest = { op: "encode", messages: Math.min(UNIT_MESSAGES, all), ...spec };
  const { messages } = (await load.request(request)) as { messages: number };
  return { units: Math.ceil(all / messages), share: 1 / keys.length };
}

/** Two exchanges: one routes the fan's messages to the first queue, the other to all; the others go to a queue of theirs. */
async function fans(client: Client, queues: readonly string[]): Promise<{ few: Fan; many: Fan }> {
  const [rest = "", ...fan] = queues;
  const made: Fan[] = [
    { exchange: "fan-1", queues: fan.slice(0, 1) },
    { exchange: "fan-101", queues: fan },
  ];
  for (const { exchange, queues: own } of made) {
    await client.exchange(exchange).declare("direct");
    for (const queue of own) await client.exchange(exchange).bind({ queue }, { key: KEY });
    await client.exchange(exchange).bind({ queue: rest }, { key: OTHER_KEY });
  }
  const [few, many] = made as [Fan, Fan];
  return { few, many };
}

/** Publishes to one queue and to all, on a broker of its own: memory that others gave back would not be seen to grow. */
async function compare(stage: QueueStage, load: Child, kind: Kind): Promise<(of: (spent: Spent) => number) => number> {
  const dataDir = await stage.folder();
  const broker = await stage.broker([], dataDir);
  const cast: Cast = { stage, broker, dataDir, load };
  const result = await withQueues(broker, 2 + MORE_QUEUES, async (queues, client) => {
    const { few, many } = await fans(client, queues);
    const messages = await encode(cast, kind);
    const one = await publish(cast, client, few, messages);
    const all = await publish(cast, client, many, messages);
    return (of: (spent: Spent) => number) => more(one, all, of);
  });
  await broker.end();
  return result;
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
    {
      name: "fanout100_apart_bytes",
      unit: "bytes",
      note: "where every other message goes to another queue, so that none of a queue's are neighbours",
    },
    { name: "fanout100_apart_ns", unit: "ns" },
  ],
  async prepare(stage) {
    const load = await stage.program("queue-raw");
    const ns = ({ seconds }: Spent): number => seconds * NS_PER_S;
    const bytes = (spent: Spent): number => spent.bytes;
    return async () => {
      const batches = await compare(stage, load, "batches");
      stage.add("fanout100_bytes", batches(bytes));
      stage.add("fanout100_ns", batches(ns));
      const cpu = batches(({ cpuSeconds }) => cpuSeconds * NS_PER_S);
      stage.add("fanout100_cpu_ns", cpu);
      const singles = await compare(stage, load, "singles");
      stage.add("fanout100_single_ns", singles(ns));
      const apart = await compare(stage, load, "apart");
      stage.add("fanout100_apart_bytes", apart(bytes));
      stage.add("fanout100_apart_ns", apart(ns));
    };
  },
};
