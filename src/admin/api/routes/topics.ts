/** Topics. */
import { checkSame, heedConditions, ifThere, put, tagged, wantedRevision } from "../entity.ts";
import { namedPageQuery, page, pageFields, pageOf } from "../page.ts";
import {
  type Ask,
  bodyOf,
  type Fields,
  listOf,
  object,
  operation,
  ref,
  type Route,
  settings,
  timeMs,
} from "../route.ts";

const PATH = "/topics/{namespace}/{name}";
const tag = "topics";
const body = bodyOf({ partitions: { type: "integer", minimum: 1 }, config: settings });

function definitionOf({ namespace }: Ask, { name, partitions, config, revision }: Fields): Fields {
  return { namespace, name, partitions, config, revision };
}

async function describe(ask: Ask): Promise<Fields> {
  return { namespace: ask.namespace, ...(await ask.call("TOPIC_DESCRIBE", { name: ask.path["name"] })) };
}

async function lookup(ask: Ask): Promise<Fields | undefined> {
  const topic = await ifThere(() => describe(ask));
  return topic && definitionOf(ask, topic);
}

async function create(ask: Ask): Promise<unknown> {
  await heedConditions(ask, lookup);
  const { partitions, config = {} } = ask.body;
  const result = await ask.call("TOPIC_CREATE", { name: ask.path["name"], partitions, config, ifNotExists: true });
  const made = definitionOf(ask, result);
  if (result["created"] !== true) {
    const wanted = partitions === undefined ? { ...(config as Fields) } : { ...(config as Fields), partitions };
    checkSame(`the topic "${String(made["name"])}"`, wanted, {
      ...(made["config"] as Fields),
      partitions: made["partitions"],
    });
  }
  return put(ask, result["created"] === true, made);
}

async function alter(ask: Ask): Promise<unknown> {
  await heedConditions(ask, lookup);
  const topic = definitionOf(
    ask,
    await ask.call("TOPIC_ALTER", { ...ask.body, ...wantedRevision(ask), name: ask.path["name"] }),
  );
  return tagged(topic, topic);
}

function offsetRows({ offsets }: Fields): unknown {
  const rows = offsets as readonly [number, number, number | null][];
  return { items: rows.map(([partition, offset, timestampMs]) => ({ partition, offset, timestampMs })) };
}

export const topicRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/topics",
    tag,
    summary: "Lists the topics of a namespace by name",
    op: "TOPIC_LIST",
    query: namedPageQuery,
    answer: pageOf(ref("TopicRow")),
    fields: (ask) => ({ ...pageFields(ask), figures: true }),
    shape: ({ topics, next }, { namespace }) =>
      page(
        (topics as Fields[]).map((topic) => ({ namespace, ...topic })),
        next,
      ),
  }),
  {
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows a topic, its settings in force and its partitions",
    ops: ["TOPIC_DESCRIBE"],
    answer: ref("Topic"),
    run: async (ask) => {
      const topic = await describe(ask);
      return tagged(topic, definitionOf(ask, topic));
    },
  },
  {
    method: "PUT",
    path: PATH,
    tag,
    summary: "Creates a topic, or finds that it is there alike",
    ops: ["TOPIC_CREATE"],
    body,
    answer: ref("TopicDefinition"),
    alsoAnswers: { 201: "it is new" },
    isConditional: true,
    run: create,
  },
  {
    method: "PATCH",
    path: PATH,
    tag,
    summary: "Changes settings (null goes back to the broker's default) and adds partitions",
    ops: ["TOPIC_ALTER"],
    body,
    answer: ref("TopicDefinition"),
    isConditional: true,
    run: alter,
  },
  {
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Deletes a topic with all its records",
    ops: ["TOPIC_DELETE"],
    isConditional: true,
    run: async (ask) => {
      await heedConditions(ask, lookup);
      await ask.call("TOPIC_DELETE", { ...wantedRevision(ask), name: ask.path["name"] });
    },
  },
  operation({
    method: "GET",
    path: `${PATH}/offsets`,
    tag,
    summary: "Tells the first offset, the end, or the offset of a time in every partition",
    op: "OFFSETS",
    query: { at: { type: "string", enum: ["earliest", "latest"], default: "latest" }, timestampMs: timeMs },
    answer: object({ items: listOf(ref("Offset")) }),
    fields: ({ path, query }) => {
      const { at = "latest", timestampMs } = query;
      return { topic: path["name"], at: timestampMs === undefined ? at : { timestamp: timestampMs } };
    },
    shape: offsetRows,
  }),
];
