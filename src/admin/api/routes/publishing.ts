/** Messages for trying something out: published one by one, or only routed. */
import { contentOf } from "../content.ts";
import {
  Answer,
  type Ask,
  bodyOf,
  flag,
  listOf,
  object,
  operation,
  ref,
  type Route,
  type Shape,
  text,
  timeMs,
  whole,
} from "../route.ts";

const BODY_BYTES_MAX = 8 * 1024 * 1024;

/** What the default exchange is called in paths; no name of an exchange has parentheses. */
export const DEFAULT_EXCHANGE = "(default)";

export function exchangeName({ path }: Ask): string {
  return path["name"] === DEFAULT_EXCHANGE ? "" : (path["name"] ?? "");
}

const headers: Shape = {
  type: "object",
  additionalProperties: { type: ["string", "number", "boolean", "null"] },
  maxProperties: 256,
};

export const contentFields: Readonly<Record<string, Shape>> = {
  value: { type: "string", description: "as text; instead of it `json` or `base64`" },
  json: { description: "any JSON, which becomes the value's text" },
  base64: { type: "string", pattern: "^[A-Za-z0-9+/]*={0,2}$" },
  headers,
};

const toTopic: Shape = bodyOf({ key: text, partition: whole, timestampMs: timeMs, ...contentFields });
const toExchange: Shape = bodyOf({ key: { type: "string", description: "the routing key" }, ...contentFields });
const toQueue: Shape = bodyOf(contentFields);

async function publishToTopic(ask: Ask): Promise<unknown> {
  const { key, partition, timestampMs: timestamp } = ask.body;
  const message = { key, partition, timestamp, value: contentOf(ask.body), headers: ask.body["headers"] };
  return new Answer(await ask.call("MESSAGE_PUBLISH", { topic: ask.path["name"], ...message }), { status: 201 });
}

async function publish(ask: Ask, exchange: string, key: unknown): Promise<unknown> {
  const message = { exchange, key, value: contentOf(ask.body), headers: ask.body["headers"] };
  const { routed } = await ask.call("MESSAGE_PUBLISH", message);
  return new Answer({ routed }, { status: routed === true ? 201 : 200 });
}

const tag = "messages";
const routed = object({ routed: { ...flag, description: "whether a queue or topic took it; else nothing is stored" } });

export const publishRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/topics/{namespace}/{name}/messages",
    tag,
    summary: "Publishes one record to a topic, and answers when it is synced",
    ops: ["MESSAGE_PUBLISH"],
    body: toTopic,
    bodyBytesMax: BODY_BYTES_MAX,
    answer: object({ partition: whole, offset: whole }),
    status: 201,
    run: publishToTopic,
  },
  {
    method: "POST",
    path: "/queues/{namespace}/{name}/messages",
    tag,
    summary: "Publishes one message to a queue, and answers when it is synced",
    ops: ["MESSAGE_PUBLISH"],
    body: toQueue,
    bodyBytesMax: BODY_BYTES_MAX,
    answer: routed,
    status: 201,
    alsoAnswers: { 200: "nothing took it" },
    run: (ask) => publish(ask, "", ask.path["name"]),
  },
  {
    method: "POST",
    path: "/exchanges/{namespace}/{name}/messages",
    tag,
    summary: "Publishes one message to an exchange, and answers when it is synced",
    ops: ["MESSAGE_PUBLISH"],
    body: toExchange,
    bodyBytesMax: BODY_BYTES_MAX,
    answer: routed,
    status: 201,
    alsoAnswers: { 200: "nothing took it" },
    run: (ask) => publish(ask, exchangeName(ask), ask.body["key"]),
  },
  operation({
    method: "POST",
    path: "/exchanges/{namespace}/{name}/route",
    tag,
    summary: "Tells where a message would go from an exchange, and by which way; nothing is published",
    op: "ROUTE_TRACE",
    body: toExchange,
    bodyBytesMax: BODY_BYTES_MAX,
    answer: object({
      destinations: listOf(ref("Destination")),
      path: listOf(object({ exchange: text, to: ref("Destination"), isAlternate: flag })),
    }),
    fields: (ask) => {
      const { key, headers: given } = ask.body;
      return { exchange: exchangeName(ask), key, headers: given, value: contentOf(ask.body) };
    },
  }),
];
