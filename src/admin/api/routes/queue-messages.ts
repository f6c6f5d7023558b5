/** Messages of queues: looked at, redriven, taken back. */
import { MillraceError } from "../../../errors/index.ts";
import { contentOf, ContentReader, type Encoding } from "../content.ts";
import { pageOf } from "../page.ts";
import {
  type Ask,
  bodyOf,
  type Fields,
  flag,
  listOf,
  object,
  operation,
  ref,
  type Route,
  text,
  whole,
} from "../route.ts";
import { as, CONTENT_BYTES_MAX, limit, limitOf } from "./message-parts.ts";
import { contentFields, DEFAULT_EXCHANGE } from "./publishing.ts";

const QUEUE = "/queues/{namespace}/{name}";
const tag = "messages";

async function messageShape(message: Fields, keys: ContentReader, values: ContentReader): Promise<Fields> {
  const { key, value, timestamp, ...rest } = message;
  return {
    ...rest,
    ...(timestamp !== undefined && { timestampMs: timestamp }),
    key: await keys.read(bytesOf(key)),
    value: await values.read(bytesOf(value)),
  };
}

/** The core gives a key or value that was published as text as text. */
function bytesOf(content: unknown): Uint8Array | null {
  if (content === null || content === undefined) return null;
  return content instanceof Uint8Array ? content : new TextEncoder().encode(String(content));
}

async function shown(ask: Ask, messages: unknown): Promise<Fields[]> {
  const values = new ContentReader(ask, CONTENT_BYTES_MAX, (ask.query["as"] ?? "auto") as Encoding);
  const keys = new ContentReader(ask, CONTENT_BYTES_MAX);
  const items: Fields[] = [];
  for (const message of messages as Fields[]) items.push(await messageShape(message, keys, values));
  return items;
}

async function peek(ask: Ask): Promise<unknown> {
  const max = limitOf(ask);
  const { messages } = await ask.call("QUEUE_PEEK", { name: ask.path["name"], from: ask.query["from"], max });
  const items = await shown(ask, messages);
  const last = items.at(-1)?.["number"];
  return items.length < max || last === undefined ? { items } : { items, next: String(Number(last) + 1) };
}

async function scheduled(ask: Ask): Promise<unknown> {
  const after = String(ask.query["after"] ?? "");
  const place = /^(\d{1,16})-(\d{1,16})$/.exec(after);
  if (after !== "" && place === null) throw new MillraceError("invalid_argument", "after is `next` of the page before");
  const max = limitOf(ask);
  const { messages } = await ask.call("QUEUE_SCHEDULED", {
    name: ask.path["name"],
    max,
    after: place === null ? undefined : [Number(place[1]), Number(place[2])],
  });
  const items = await shown(ask, messages);
  const last = items.at(-1);
  if (items.length < max || last === undefined) return { items };
  return { items, next: `${String(last["dueMs"])}-${String(last["number"])}` };
}

async function redrive(ask: Ask): Promise<unknown> {
  const { edit, ...body } = ask.body;
  const change = edit as Fields | undefined;
  const result = await ask.call("QUEUE_REDRIVE", {
    ...body,
    name: ask.path["name"],
    ...(body["to"] === DEFAULT_EXCHANGE && { to: "" }),
    ...(change !== undefined && { edit: { key: change["key"], value: contentOf(change), headers: change["headers"] } }),
  });
  const { messages, ...counts } = result;
  return messages === undefined ? counts : { ...counts, items: await shown(ask, messages) };
}

export const queueMessageRoutes: readonly Route[] = [
  {
    method: "GET",
    path: `${QUEUE}/messages`,
    tag,
    summary: "Shows messages of a queue as they wait, without taking them",
    ops: ["QUEUE_PEEK", "SCHEMA_GET"],
    query: { from: { ...whole, description: "the first number; `next` of the page before" }, as, limit },
    answer: pageOf(ref("QueueMessage")),
    run: peek,
  },
  {
    method: "GET",
    path: `${QUEUE}/scheduled`,
    tag,
    summary: "Shows messages of a queue that are not due yet, in the order of their times",
    ops: ["QUEUE_SCHEDULED", "SCHEMA_GET"],
    query: { after: text, as, limit },
    answer: pageOf(ref("QueueMessage")),
    run: scheduled,
  },
  operation({
    method: "POST",
    path: `${QUEUE}/scheduled/cancel`,
    tag,
    summary: "Takes messages that are not due yet back, by their numbers",
    op: "QUEUE_SCHEDULED",
    body: bodyOf({ numbers: { ...listOf(whole), maxItems: 10_000 } }, ["numbers"]),
    answer: object({ cancelled: whole }),
    fields: ({ path, body }) => ({ name: path["name"], cancel: body["numbers"] }),
  }),
  {
    method: "POST",
    path: `${QUEUE}/redrive`,
    tag,
    summary:
      "Sends waiting messages back to where they died first, or to an exchange; `dryRun` only says what would go",
    ops: ["QUEUE_REDRIVE", "SCHEMA_GET"],
    query: { as },
    body: bodyOf({
      to: { type: "string", description: `an exchange; \`${DEFAULT_EXCHANGE}\` is the default one` },
      key: { type: "string", description: "the routing key for `to`; default the message's own" },
      where: { type: "string", description: "a rule over headers and fields: only messages for which it holds" },
      max: { type: "integer", minimum: 1 },
      dryRun: flag,
      edit: bodyOf({ key: text, ...contentFields }),
    }),
    answer: object({ matched: whole, moved: whole, more: flag, items: listOf(ref("QueueMessage")) }, ["more", "items"]),
    run: redrive,
  },
];
