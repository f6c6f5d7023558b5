import type { BrokerChild, Child } from "../lib/processes.ts";
import { type QueueMeasure, type QueueStage, withQueues } from "./house.ts";
import type { QueueClientRequest, QueueSpan } from "./programs/queue-client.ts";
import type { QueueRawRequest } from "./programs/queue-raw.ts";
import { ACKS_WRITTEN, BODY_BYTES } from "./sizes.ts";

/** Work queues: published durably, delivered, read and acked at once, as fast as it goes. */

const PREFETCH = 1_000;
/** Each connection consumes from every queue, so these are the consumers of a queue. */
const CONSUMERS = 4;
/** Bytes of page cache for a message, its frame and its settlement. */
const MESSAGE_BYTES = BODY_BYTES * 1.3;
const UNIT_MESSAGES = 40_000;

interface Cast {
  readonly stage: QueueStage;
  readonly broker: BrokerChild;
  readonly publisher: Child;
  readonly consumers: Child;
}

const seconds = (published: QueueSpan, collected: QueueSpan): number => (collected.toUs - published.fromUs) / 1e6;

const sizeOf = ({ stage }: Cast, queues: number): number => Math.floor(stage.sizes.workMessages / queues);

/** Both at once; the result is messages a second, from the first publish to the last ack in the broker's log. */
async function atOnce(cast: Cast, title: string, messages: number, publish: unknown): Promise<number> {
  const { stage, broker, publisher, consumers } = cast;
  const load = [publisher, consumers];
  return await stage.run(title, { server: broker, load, touchBytes: messages * MESSAGE_BYTES }, async () => {
    const [published, collected] = (await Promise.all([
      publisher.request(publish),
      consumers.request({ op: "collect" }),
    ])) as [QueueSpan, QueueSpan];
    return messages / seconds(published, collected);
  });
}

async function byClient(cast: Cast, count: number, isMixed: boolean): Promise<number> {
  const { broker, consumers } = cast;
  return await withQueues(broker, count, async (queues) => {
    const messages = sizeOf(cast, count);
    const work = { url: broker.url, queues, messages, bodyBytes: BODY_BYTES };
    const consume: QueueClientRequest = { op: "consume", connections: CONSUMERS, prefetch: PREFETCH, ...work };
    await consumers.request(consume);
    const publish: QueueClientRequest = { op: "publish", isMixed, ...work };
    const title = `client, queues: ${count}${isMixed && count > 1 ? ", mixed" : ""}`;
    return await atOnce(cast, title, messages * count, publish);
  });
}

async function byFrames(cast: Cast, count: number, isMixed: boolean): Promise<number> {
  const { broker, consumers, publisher } = cast;
  return await withQueues(broker, count, async (queues) => {
    const spec = { keys: queues, isByBatch: !isMixed, isSingle: false, bodyBytes: BODY_BYTES, acks: ACKS_WRITTEN };
    const encode: QueueRawRequest = { op: "encode", messages: UNIT_MESSAGES, ...spec };
    const encoded = (await publisher.request(encode)) as { messages: number };
    const units = Math.max(1, Math.round((sizeOf(cast, count) * count) / encoded.messages));
    const all = units * encoded.messages;
    const common = { port: broker.port, queues, connections: CONSUMERS, prefetch: PREFETCH };
    const take: QueueRawRequest = { op: "take", messages: all / count, ...common };
    await consumers.request(take);
    const publish: QueueRawRequest = { op: "publish", port: broker.port, exchange: "", units };
    const title = `frames, queues: ${count}${isMixed && count > 1 ? ", mixed" : ""}`;
    return await atOnce(cast, title, all, publish);
  });
}

async function castOf(stage: QueueStage, program: string): Promise<Cast> {
  const [publisher, consumers] = [await stage.program(program), await stage.program(program)];
  return { stage, broker: await stage.broker(), publisher, consumers };
}

const HOW = "publish, deliver, ack; durable, prefetch 1,000, 4 consumers a queue";

export const WORK: QueueMeasure = {
  title: "work queues through the client",
  figures: [
    {
      name: "queue1_msgs",
      unit: "msg/s",
      goal: { atLeast: 800_000 },
      note: `${HOW}; each body distinct, encoded, and read to its last byte`,
    },
    { name: "queue8_msgs", unit: "msg/s", goal: { atLeast: 1.2e6 }, note: "8 queues, a publisher for each" },
    { name: "queue8_mixed_msgs", unit: "msg/s", note: "one publisher, whose messages go to the queues in turn" },
  ],
  async prepare(stage) {
    const cast = await castOf(stage, "queue-client");
    return async () => {
      stage.add("queue1_msgs", await byClient(cast, 1, false));
      stage.add("queue8_msgs", await byClient(cast, 8, false));
      stage.add("queue8_mixed_msgs", await byClient(cast, 8, true));
    };
  },
};

export const WORK_RAW: QueueMeasure = {
  title: "work queues by frames",
  figures: [
    { name: "queue1_raw_msgs", unit: "msg/s", note: "encoded before; counted by their numbers, bodies not read" },
    { name: "queue8_raw_msgs", unit: "msg/s", note: "batches to the queues in turn" },
    { name: "queue8_mixed_raw_msgs", unit: "msg/s", note: "messages to the queues in turn" },
  ],
  async prepare(stage) {
    const cast = await castOf(stage, "queue-raw");
    return async () => {
      stage.add("queue1_raw_msgs", await byFrames(cast, 1, false));
      stage.add("queue8_raw_msgs", await byFrames(cast, 8, false));
      stage.add("queue8_mixed_raw_msgs", await byFrames(cast, 8, true));
    };
  },
};
