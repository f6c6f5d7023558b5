/** Messages: a browser over topics and queues, and test messages. */
import { MillraceError } from "../../../errors/index.ts";
import { contentOf, ContentReader, ENCODINGS, type Encoding } from "../content.ts";
import { pageOf } from "../page.ts";
import {
  Answer,
  type Ask,
  bodyOf,
  type Fields,
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

const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 1000;
/** Of one key or value in an answer. */
const CONTENT_BYTES_MAX = 64 * 1024;
const BODY_BYTES_MAX = 8 * 1024 * 1024;
/** So many partitions are looked into for one page. */
const PARTITIONS_MAX = 100;

const limit: Shape = { type: "integer", minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT };
const as: Shape = { type: "string", enum: ENCODINGS, default: "auto", description: "how values are written" };

interface Row {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: Fields;
}

interface PartRead {
  readonly partition: number;
  readonly partitions: number;
  readonly records: readonly Row[];
  readonly next: number;
  readonly start: number;
  readonly end: number;
}

function limitOf({ query }: Ask): number {
  return Number(query["limit"] ?? LIMIT_DEFAULT);
}

// -- A topic's records ----------------------------------------------------------------------------------------------

/** Where the next page begins: an offset for each partition that has more. */
type Places = Readonly<Record<string, number>>;

function placesOf(cursor: unknown): Places | undefined {
  if (cursor === undefined) return undefined;
  try {
    const places: unknown = JSON.parse(Buffer.from(String(cursor), "base64url").toString());
    const isPlaces =
      typeof places === "object" &&
      places !== null &&
      Object.entries(places).every(
        ([partition, at]) => /^\d{1,9}$/.test(partition) && Number.isSafeInteger(at) && at >= 0,
      );
    if (isPlaces) return places as Places;
  } catch {
    // Said below.
  }
  throw new MillraceError("invalid_argument", "after is `next` of the page before");
}

function cursorOf(places: ReadonlyMap<number, number>): string | undefined {
  if (places.size === 0) return undefined;
  return Buffer.from(JSON.stringify(Object.fromEntries(places))).toString("base64url");
}

async function partitionsOf(ask: Ask, places: Places | undefined): Promise<number[]> {
  const { partition, key } = ask.query;
  if (partition !== undefined) return [Number(partition)];
  if (places !== undefined) return Object.keys(places).map(Number);
  // A key's partition is found by the operation.
  if (key !== undefined) return [-1];
  const { offsets } = await ask.call("OFFSETS", { topic: ask.path["name"], at: "latest" });
  const partitions = (offsets as [number, number, unknown][]).map(([each]) => each);
  if (partitions.length <= PARTITIONS_MAX) return partitions;
  throw new MillraceError("invalid_argument", `name a partition: the topic has ${partitions.length}`);
}

async function browse(ask: Ask): Promise<unknown> {
  const { query } = ask;
  const isBackward =
    query["offset"] === undefined && query["timestampMs"] === undefined && query["from"] !== "earliest";
  const places = placesOf(query["after"]);
  if (query["offset"] !== undefined && query["partition"] === undefined) {
    throw new MillraceError("invalid_argument", "an offset needs its partition");
  }
  const parts: PartRead[] = [];
  for (const partition of await partitionsOf(ask, places)) {
    parts.push((await ask.call("RECORD_READ", readFields(ask, partition, places, isBackward))) as unknown as PartRead);
  }
  const { rows, next } = isBackward ? newest(parts, limitOf(ask)) : oldest(parts, limitOf(ask));
  const reader = new ContentReader(ask, CONTENT_BYTES_MAX, (query["as"] ?? "auto") as Encoding);
  const keys = new ContentReader(ask, CONTENT_BYTES_MAX);
  const items: unknown[] = [];
  for (const { partition, row } of rows) {
    const { offset, timestamp: timestampMs, key, value, headers } = row;
    items.push({ partition, offset, timestampMs, key: await keys.read(key), value: await reader.read(value), headers });
  }
  return next === undefined ? { items } : { items, next };
}

function readFields({ path, query }: Ask, partition: number, places: Places | undefined, isBackward: boolean): Fields {
  const { key, offset, timestampMs } = query;
  const at = places?.[String(partition)];
  const place = isBackward
    ? { before: at ?? -1 }
    : at !== undefined
      ? { from: at }
      : timestampMs !== undefined
        ? { timestamp: timestampMs }
        : { from: offset ?? 0 };
  const max = query["limit"] ?? LIMIT_DEFAULT;
  return { topic: path["name"], key, max, ...place, ...(partition >= 0 && { partition }) };
}

type Placed = readonly { readonly partition: number; readonly row: Row }[];

function byTime(parts: readonly PartRead[]): { partition: number; row: Row }[] {
  return parts
    .flatMap(({ partition, records }) => records.map((row) => ({ partition, row })))
    .sort((a, b) => a.row.timestamp - b.row.timestamp || a.partition - b.partition || a.row.offset - b.row.offset);
}

/** The first of all partitions; what is left over of a partition comes with the next page. */
function oldest(parts: readonly PartRead[], count: number): { rows: Placed; next: string | undefined } {
  const all = byTime(parts);
  const rows = inOrder(all, count, 1);
  const places = new Map<number, number>();
  for (const { partition, records, next, end } of parts) {
    const taken = rows.filter((each) => each.partition === partition);
    const left = records[taken.length];
    const at = left?.offset ?? next;
    if (at < end) places.set(partition, at);
  }
  return { rows, next: cursorOf(places) };
}

/** The last of all partitions, the newest first. */
function newest(parts: readonly PartRead[], count: number): { rows: Placed; next: string | undefined } {
  const rows = inOrder(byTime(parts).toReversed(), count, -1);
  const places = new Map<number, number>();
  for (const { partition, records, next, start } of parts) {
    const taken = rows.filter((each) => each.partition === partition);
    const last = taken.at(-1);
    const at = taken.length < records.length ? (last?.row.offset ?? (records.at(-1)?.offset ?? 0) + 1) : next;
    if (at > start) places.set(partition, at);
  }
  return { rows, next: cursorOf(places) };
}

/**
 * So many rows by time, but of each partition in the order of its offsets: times need not rise within one, and a page
 * must not skip what the next one would not bring.
 */
function inOrder(rows: Placed, count: number, direction: 1 | -1): Placed {
  const queues = new Map<number, { partition: number; row: Row }[]>();
  for (const each of rows) queues.set(each.partition, [...(queues.get(each.partition) ?? []), each]);
  for (const queue of queues.values()) queue.sort((a, b) => direction * (a.row.offset - b.row.offset));
  return rows.slice(0, count).map(({ partition }) => queues.get(partition)?.shift() as Placed[number]);
}

// -- Messages of a queue --------------------------------------------------------------------------------------------

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

// -- Test messages --------------------------------------------------------------------------------------------------

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

const TOPIC = "/topics/{namespace}/{name}/messages";
const QUEUE = "/queues/{namespace}/{name}";
const tag = "messages";
const routed = object({ routed: { ...flag, description: "whether a queue or topic took it; else nothing is stored" } });

export const messageRoutes: readonly Route[] = [
  {
    method: "GET",
    path: TOPIC,
    tag,
    summary: "Shows records of a topic: the newest first, or from the beginning, an offset or a time on",
    description:
      "With `key` only records of that key, in its partition; a page looks at so much of the log at most, so that it may " +
      "be empty and yet have a `next`.",
    ops: ["RECORD_READ", "OFFSETS", "SCHEMA_GET"],
    query: {
      partition: whole,
      from: { type: "string", enum: ["earliest", "latest"], default: "latest" },
      offset: whole,
      timestampMs: timeMs,
      key: text,
      as,
      limit,
      after: text,
    },
    answer: pageOf(ref("RecordRow")),
    run: browse,
  },
  {
    method: "POST",
    path: TOPIC,
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
    method: "POST",
    path: `${QUEUE}/messages`,
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
];
