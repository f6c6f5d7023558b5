import { Histogram } from "../lib/histogram.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import { type QueueMeasure, type QueueStage, readyIn, withQueues } from "./house.ts";
import type { DelayPlan, DelayReport, DelayRequest } from "./programs/queue-delay.ts";
import type { QueueRawRequest } from "./programs/queue-raw.ts";
import { ACKS_WRITTEN, BODY_BYTES } from "./sizes.ts";

/** Messages that wait: what memory they take, and how late those that have a time come. */

const UNIT_MESSAGES = 50_000;
const MESSAGE_BYTES = BODY_BYTES * 1.3;
/** Delayed messages carry a header. */
const DELAYED_BYTES = BODY_BYTES * 1.6;
const PREFETCH = 10_000;
const MS_PER_S = 1e3;
/** What is due is looked at so long after everything was published. */
const SETTLE_MS = 1_000;
/** So long after its time a message is missed. */
const PATIENCE_MS = 2_000;

/** Publishes so many messages to the queues in turn, and has the broker count them. */
async function fill(
  stage: QueueStage,
  broker: BrokerChild,
  load: Child,
  queues: readonly string[],
  messages: number,
): Promise<void> {
  const spec = { keys: queues, isByBatch: false, isSingle: false, bodyBytes: BODY_BYTES, acks: ACKS_WRITTEN };
  const encode: QueueRawRequest = { op: "encode", messages: Math.min(messages, UNIT_MESSAGES), ...spec };
  const encoded = (await load.request(encode)) as { messages: number };
  const publish: QueueRawRequest = {
    op: "publish",
    port: broker.port,
    exchange: "",
    units: Math.ceil(messages / encoded.messages),
  };
  const cast = { server: broker, load: [load], touchBytes: messages * MESSAGE_BYTES };
  await stage.run(`${messages / 1e6} million wait in ${queues.length}`, cast, () => load.request(publish));
}

/** Memory by which a broker grows when so many messages wait in the first of some queues that get them in turn. */
async function waitingMb(stage: QueueStage, load: Child, queueCount: number): Promise<number> {
  const broker = await stage.broker();
  const { backlogMessages, restMs } = stage.sizes;
  const grown = await withQueues(broker, queueCount, async (queues, client) => {
    await Bun.sleep(restMs);
    const idleMb = broker.rssAnonMb();
    await fill(stage, broker, load, queues, backlogMessages * queueCount);
    await Bun.sleep(restMs);
    const grownMb = broker.rssAnonMb() - idleMb;
    const found = await readyIn(client, queues.slice(0, 1));
    if (found < backlogMessages) throw new Error(`${found} messages wait of ${backlogMessages}`);
    return grownMb;
  });
  await broker.end();
  return grown;
}

export const BACKLOG: QueueMeasure = {
  title: "a backlog",
  figures: [
    {
      name: "backlog10m_mb",
      unit: "MB",
      goal: { atMost: 200 },
      note: "10 million messages in one queue: RssAnon above the idle broker",
    },
    {
      name: "backlog10m_apart_mb",
      unit: "MB",
      note: "the same where every other message goes to a second queue: both hold 10 million",
    },
  ],
  async prepare(stage) {
    const load = await stage.program("queue-raw");
    return async () => {
      stage.add("backlog10m_mb", Math.max(0, await waitingMb(stage, load, 1)));
      stage.add("backlog10m_apart_mb", Math.max(0, await waitingMb(stage, load, 2)));
    };
  },
};

interface Cast {
  readonly stage: QueueStage;
  readonly broker: BrokerChild;
  readonly publisher: Child;
  readonly listener: Child;
}

/** Publishes them and waits for those that are due in the time that is looked at. */
async function delayed(cast: Cast, plan: DelayPlan): Promise<{ fromMs: number; toMs: number }> {
  const { stage, broker, publisher, listener } = cast;
  const load = [publisher, listener];
  const listen: DelayRequest = { op: "listen", prefetch: PREFETCH, ...plan };
  await listener.request(listen);
  const touchBytes = plan.messages * DELAYED_BYTES;
  const publish: DelayRequest = { op: "publish", ...plan };
  await stage.run("delayed messages, published", { server: broker, load, touchBytes }, () =>
    publisher.request(publish),
  );
  await Bun.sleep(stage.sizes.restMs);
  // Nothing is due before the plan begins.
  const fromMs = Math.max(Date.now() + SETTLE_MS, plan.fromMs);
  const toMs = fromMs + stage.sizes.delayedSeconds * MS_PER_S;
  return { fromMs, toMs };
}

export const DELAYED: QueueMeasure = {
  title: "delayed messages",
  figures: [
    {
      name: "delayed10m_mb",
      unit: "MB",
      goal: { atMost: 300 },
      note: "10 million messages with times at random: RssAnon above the idle broker",
    },
    {
      name: "delayed_p99_ms",
      unit: "ms",
      goal: { atMost: 20 },
      note: "after their times, 10,000 of them due each second for 10 s, the others waiting",
    },
    { name: "delayed_max_ms", unit: "ms" },
  ],
  async prepare(stage) {
    const [publisher, listener] = [await stage.program("queue-delay"), await stage.program("queue-delay")];
    const { delayedMessages: messages, delayedPerSecond, restMs } = stage.sizes;
    return async () => {
      const broker = await stage.broker();
      const cast: Cast = { stage, broker, publisher, listener };
      await withQueues(broker, 1, async ([queue = ""], client) => {
        await Bun.sleep(restMs);
        const idleMb = broker.rssAnonMb();
        const spanMs = (messages / delayedPerSecond) * MS_PER_S;
        // Some are due while the others are still published; those are few, and nobody looks at their times.
        const plan: DelayPlan = { url: broker.url, queue, messages, bodyBytes: BODY_BYTES, fromMs: Date.now(), spanMs };
        const { fromMs, toMs } = await delayed(cast, plan);
        const { delayed: waiting = 0 } = (await client.queue(queue).describe()).counts;
        const grownMb = Math.max(0, broker.rssAnonMb() - idleMb);
        stage.add("delayed10m_mb", grownMb);
        stage.note("delayed10m_mb", `${waiting} waited`);
        const load = [publisher, listener];
        await stage.run("delayed messages, due", { server: broker, load, touchBytes: 0 }, () =>
          Bun.sleep(toMs + PATIENCE_MS - Date.now()),
        );
        const request: DelayRequest = { op: "report", fromMs, toMs };
        const { lateness } = (await listener.request(request)) as DelayReport;
        const late = Histogram.decode(lateness);
        stage.add("delayed_p99_ms", late.percentile(99) / 1e3);
        stage.add("delayed_max_ms", late.max / 1e3);
      });
      await broker.end();
    };
  },
};
