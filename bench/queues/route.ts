import type { Client } from "../../src/client/index.ts";
import type { BrokerChild, Child } from "../lib/processes.ts";
import { type QueueMeasure, type QueueStage, readyIn, withQueues } from "./house.ts";
import type { QueueClientRequest, QueueSpan } from "./programs/queue-client.ts";
import type { PublishSpan, QueueRawRequest } from "./programs/queue-raw.ts";
import { bindingsOf, keysOf, QUEUES_PER_KIND } from "./routes.ts";
import { ACKS_WRITTEN, BODY_BYTES } from "./sizes.ts";

/** Published through a topic exchange with many bindings, to queues that nobody reads meanwhile. */

const EXCHANGE = "route";
const QUEUES = 3 * QUEUES_PER_KIND;
/** Requests that are under way at once. */
const BINDS_AT_ONCE = 500;
const MESSAGE_BYTES = BODY_BYTES * 1.6;

async function bindAll(client: Client, queues: readonly string[], count: number): Promise<void> {
  const exchange = client.exchange(EXCHANGE);
  await exchange.declare("topic");
  const routes = bindingsOf(count);
  for (let first = 0; first < routes.length; first += BINDS_AT_ONCE) {
    const some = routes.slice(first, first + BINDS_AT_ONCE);
    await Promise.all(
      some.map(({ queue, pattern }) => exchange.bind({ queue: queues[queue] as string }, { key: pattern })),
    );
  }
}

/** Runs it on empty queues, and has every queue count what came: what was not routed, or twice, would be seen. */
async function counted(
  { client, queues, matches, keys }: Setting,
  run: () => Promise<{ messages: number; seconds: number }>,
): Promise<number> {
  const { messages, seconds } = await run();
  const wanted = (messages / keys) * matches;
  const found = await readyIn(client, queues);
  if (found !== wanted) throw new Error(`${found} messages wait in the queues, and ${wanted} were routed`);
  for (const queue of queues) await client.queue(queue).purge();
  return messages / seconds;
}

interface Setting {
  readonly client: Client;
  readonly queues: readonly string[];
  readonly keys: number;
  readonly matches: number;
}

const secondsOf = ({ fromUs, toUs }: QueueSpan): number => (toUs - fromUs) / 1e6;

interface Cast {
  readonly stage: QueueStage;
  readonly broker: BrokerChild;
  readonly raw: Child;
  readonly client: Child;
}

async function byFrames(cast: Cast, setting: Setting): Promise<number> {
  const { stage, broker, raw } = cast;
  const units = Math.max(1, Math.round(stage.sizes.routeMessages / setting.keys));
  const touchBytes = units * setting.keys * MESSAGE_BYTES;
  return await counted(setting, () =>
    stage.run("topic exchange, frames", { server: broker, load: [raw], touchBytes }, async () => {
      const request: QueueRawRequest = { op: "publish", port: broker.port, exchange: EXCHANGE, units };
      const span = (await raw.request(request)) as PublishSpan;
      return { messages: span.messages, seconds: secondsOf(span) };
    }),
  );
}

async function byClient(cast: Cast, setting: Setting): Promise<number> {
  const { stage, broker, client } = cast;
  const messages = Math.max(1, Math.round(stage.sizes.routeMessages / setting.keys)) * setting.keys;
  return await counted(setting, () =>
    stage.run(
      "topic exchange, client",
      { server: broker, load: [client], touchBytes: messages * MESSAGE_BYTES },
      async () => {
        const request: QueueClientRequest = {
          op: "route",
          url: broker.url,
          exchange: EXCHANGE,
          keys: setting.keys,
          bindings: stage.sizes.routeBindings,
          messages,
          bodyBytes: BODY_BYTES,
        };
        return { messages, seconds: secondsOf((await client.request(request)) as QueueSpan) };
      },
    ),
  );
}

export const ROUTE: QueueMeasure = {
  title: "a topic exchange",
  figures: [
    {
      name: "route_topic10k_msgs",
      unit: "msg/s",
      goal: { atLeast: 2e6 },
      note: "10,000 bindings, 100,000 keys that match 1 to 3 queues; published and acknowledged, encoded before",
    },
    { name: "route_topic10k_client_msgs", unit: "msg/s", note: "through the client, each key and body encoded" },
    { name: "bind10k_s", unit: "s", note: "declaring the bindings, 500 requests under way" },
  ],
  async prepare(stage) {
    const broker = await stage.broker();
    const cast: Cast = {
      stage,
      broker,
      raw: await stage.program("queue-raw"),
      client: await stage.program("queue-client"),
    };
    const { routeBindings, routeKeys } = stage.sizes;
    const plan = keysOf(routeKeys, routeBindings);
    const spec = { keys: plan.keys, isByBatch: false, isSingle: false, bodyBytes: BODY_BYTES, acks: ACKS_WRITTEN };
    const encode: QueueRawRequest = { op: "encode", messages: routeKeys, ...spec };
    const encoded = (await cast.raw.request(encode)) as { messages: number };
    if (encoded.messages !== routeKeys) throw new Error(`${encoded.messages} messages for ${routeKeys} keys`);
    return async () =>
      await withQueues(broker, QUEUES, async (queues, client) => {
        const startMs = performance.now();
        await bindAll(client, queues, routeBindings);
        stage.add("bind10k_s", (performance.now() - startMs) / 1e3);
        const setting: Setting = { client, queues, keys: routeKeys, matches: plan.matches };
        stage.add("route_topic10k_msgs", await byFrames(cast, setting));
        stage.add("route_topic10k_client_msgs", await byClient(cast, setting));
        await client.exchange(EXCHANGE).delete();
      });
  },
};
