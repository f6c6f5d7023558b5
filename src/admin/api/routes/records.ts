/** A browser over the records of topics. */
import { MillraceError } from "../../../errors/index.ts";
import { ContentReader, type Encoding } from "../content.ts";
import { pageOf } from "../page.ts";
import { type Ask, type Fields, ref, type Route, text, timeMs, whole } from "../route.ts";
import { as, CONTENT_BYTES_MAX, limit, limitOf } from "./message-parts.ts";

/** So many partitions are looked into for one page. */
const PARTITIONS_MAX = 100;

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

function readFields(ask: Ask, partition: number, places: Places | undefined, isBackward: boolean): Fields {
  const { path, query } = ask;
  const { key, offset, timestampMs } = query;
  const at = places?.[String(partition)];
  const place = isBackward
    ? { before: at ?? -1 }
    : at !== undefined
      ? { from: at }
      : timestampMs !== undefined
        ? { timestamp: timestampMs }
        : { from: offset ?? 0 };
  const max = limitOf(ask);
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

export const recordRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/topics/{namespace}/{name}/messages",
    tag: "messages",
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
];
