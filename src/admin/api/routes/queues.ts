/** Queues. */
import { contentOf, ContentReader } from "../content.ts";
import { heedConditions, ifThere, put, tagged, wantedRevision } from "../entity.ts";
import { namedPageQuery, page, pageFields, pageOf } from "../page.ts";
import {
  type Ask,
  bodyOf,
  type Fields,
  flag,
  nullable,
  object,
  operation,
  ref,
  type Route,
  settings,
  text,
  whole,
} from "../route.ts";

const PATH = "/queues/{namespace}/{name}";
const SESSION = `${PATH}/sessions/{session}`;
const tag = "queues";
const body = bodyOf({ config: settings });

function definitionOf({ namespace }: Ask, { name, config, revision }: Fields): Fields {
  return { namespace, name, config, revision };
}

async function describe(ask: Ask): Promise<Fields> {
  return { namespace: ask.namespace, ...(await ask.call("QUEUE_DESCRIBE", { name: ask.path["name"] })) };
}

async function lookup(ask: Ask): Promise<Fields | undefined> {
  const queue = await ifThere(() => describe(ask));
  return queue && definitionOf(ask, queue);
}

const STATE_BYTES_MAX = 64 * 1024;

async function sessionShape({ state }: Fields, ask: Ask): Promise<Fields> {
  return { state: await new ContentReader(ask, STATE_BYTES_MAX).read(state as Uint8Array | null) };
}

export const queueRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/queues",
    tag,
    summary: "Lists the queues of a namespace by name, with their counts",
    op: "QUEUE_LIST",
    query: namedPageQuery,
    answer: pageOf(ref("QueueRow")),
    fields: pageFields,
    shape: ({ queues, next }, { namespace }) =>
      page(
        (queues as Fields[]).map((queue) => ({ namespace, ...queue })),
        next,
      ),
  }),
  {
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows a queue, its settings and its counts",
    ops: ["QUEUE_DESCRIBE"],
    answer: ref("Queue"),
    run: async (ask) => {
      const queue = await describe(ask);
      return tagged(queue, definitionOf(ask, queue));
    },
  },
  {
    method: "PUT",
    path: PATH,
    tag,
    summary: "Declares a queue, or finds that it is there alike",
    ops: ["QUEUE_DECLARE"],
    body,
    answer: ref("QueueDefinition"),
    alsoAnswers: { 201: "it is new" },
    isConditional: true,
    run: async (ask) => {
      await heedConditions(ask, lookup);
      const result = await ask.call("QUEUE_DECLARE", { ...ask.body, name: ask.path["name"] });
      return put(ask, result["created"] === true, definitionOf(ask, result));
    },
  },
  {
    method: "PATCH",
    path: PATH,
    tag,
    summary: "Changes settings: a merge patch, where null takes a key back to its default",
    ops: ["QUEUE_ALTER"],
    body,
    answer: ref("QueueDefinition"),
    isConditional: true,
    run: async (ask) => {
      await heedConditions(ask, lookup);
      const { config = {} } = ask.body;
      const queue = definitionOf(
        ask,
        await ask.call("QUEUE_ALTER", { ...wantedRevision(ask), name: ask.path["name"], config }),
      );
      return tagged(queue, queue);
    },
  },
  {
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Deletes a queue with its messages",
    ops: ["QUEUE_DELETE"],
    query: { ifEmpty: flag, ifUnused: flag },
    isConditional: true,
    run: async (ask) => {
      await heedConditions(ask, lookup);
      await ask.call("QUEUE_DELETE", { ...ask.query, ...wantedRevision(ask), name: ask.path["name"] });
    },
  },
  operation({
    method: "POST",
    path: `${PATH}/purge`,
    tag,
    summary: "Drops what waits in a queue",
    op: "QUEUE_PURGE",
    answer: object({ purged: whole }),
  }),
  operation({
    method: "GET",
    path: SESSION,
    tag,
    summary: "Shows the state of a session of an ordered queue",
    op: "QUEUE_SESSION",
    answer: object({ state: nullable(ref("Content")) }),
    shape: sessionShape,
  }),
  operation({
    method: "PUT",
    path: SESSION,
    tag,
    summary: "Sets the state of a session of an ordered queue",
    op: "QUEUE_SESSION",
    body: bodyOf({ value: text, json: {}, base64: text }),
    answer: object({ state: nullable(ref("Content")) }),
    fields: ({ path, body: given }) => ({
      name: path["name"],
      session: path["session"],
      state: contentOf(given) ?? "",
    }),
    shape: sessionShape,
  }),
  operation({
    method: "DELETE",
    path: SESSION,
    tag,
    summary: "Removes the state of a session of an ordered queue",
    op: "QUEUE_SESSION",
    fields: ({ path }) => ({ name: path["name"], session: path["session"], remove: true }),
    shape: () => undefined,
  }),
];
