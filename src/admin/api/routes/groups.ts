/** Consumer groups. */
import { ifThere } from "../entity.ts";
import { namedPageQuery, pageByName, pageOf } from "../page.ts";
import {
  type Ask,
  bodyOf,
  type Fields,
  listOf,
  object,
  operation,
  ref,
  type Route,
  text,
  timeMs,
  whole,
} from "../route.ts";

const PATH = "/groups/{namespace}/{group}";
const tag = "groups";

type OffsetRow = readonly [string, number, number, string | null, number, number | null];

function offsetRows(offsets: unknown): Fields[] {
  return (offsets as OffsetRow[]).map(([topic, partition, offset, metadata, lag, lagMs]) => ({
    topic,
    partition,
    offset,
    metadata,
    lag,
    lagMs,
  }));
}

function groupShape({ members, offsets, ...group }: Fields, { namespace }: Ask): Fields {
  const rows = (members as (Fields & { partitions: [string, number][] })[]).map(({ partitions, ...member }) => ({
    ...member,
    partitions: partitions.map(([topic, partition]) => ({ topic, partition })),
  }));
  return { namespace, ...group, members: rows, offsets: offsetRows(offsets) };
}

/** Groups that are asked for their offsets to find those of a topic. */
const READERS_MAX = 1000;

/** A group knows its topics, and a topic not its groups. */
async function readers(ask: Ask): Promise<unknown> {
  const { groups } = await ask.call("GROUP_LIST");
  const found = await Promise.all((groups as Fields[]).slice(0, READERS_MAX).map((group) => readerOf(ask, group)));
  return { items: found.filter((reader) => reader !== undefined) };
}

async function readerOf(ask: Ask, row: Fields): Promise<Fields | undefined> {
  const { group } = row;
  const answer = await ifThere(() => ask.call("GROUP_OFFSETS", { group }));
  const offsets = offsetRows(answer?.["offsets"] ?? []).filter(({ topic }) => topic === ask.path["name"]);
  if (offsets.length === 0) return undefined;
  const ages = offsets.flatMap(({ lagMs }) => (typeof lagMs === "number" ? [lagMs] : []));
  const lag = offsets.reduce((total, each) => total + Number(each["lag"]), 0);
  return { namespace: ask.namespace, ...row, lag, lagMs: ages.length === 0 ? null : Math.max(...ages) };
}

export const groupRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/topics/{namespace}/{name}/groups",
    tag,
    summary: "Lists the groups that have read from a topic, with their lag in it",
    ops: ["GROUP_LIST", "GROUP_OFFSETS"],
    answer: object({ items: listOf(ref("TopicReader")) }),
    run: readers,
  },
  operation({
    method: "GET",
    path: "/groups",
    tag,
    summary: "Lists the groups of a namespace by name",
    op: "GROUP_LIST",
    query: namedPageQuery,
    answer: pageOf(ref("GroupRow")),
    fields: () => ({}),
    shape: ({ groups }, ask) =>
      pageByName(
        (groups as Fields[]).map((group) => ({ namespace: ask.namespace, ...group })),
        ({ group }) => String(group),
        ask,
      ),
  }),
  operation({
    method: "GET",
    path: PATH,
    tag,
    summary: "Shows a group, its members and its offsets with their lag",
    op: "GROUP_DESCRIBE",
    answer: ref("Group"),
    shape: groupShape,
  }),
  operation({
    method: "DELETE",
    path: PATH,
    tag,
    summary: "Deletes a group without members",
    op: "GROUP_DELETE",
    shape: () => undefined,
  }),
  operation({
    method: "GET",
    path: `${PATH}/offsets`,
    tag,
    summary: "Lists the offsets that a group has committed, with their lag",
    op: "GROUP_OFFSETS",
    answer: object({ items: listOf(ref("GroupOffset")) }),
    shape: ({ offsets }) => ({ items: offsetRows(offsets) }),
  }),
  operation({
    method: "POST",
    path: `${PATH}/reset`,
    tag,
    summary: "Moves the offsets of a group without members",
    op: "GROUP_RESET",
    body: bodyOf(
      {
        topic: text,
        partitions: listOf(whole),
        to: {
          description: "where to",
          oneOf: [
            { type: "string", enum: ["earliest", "latest"] },
            { ...object({ offset: whole }), additionalProperties: false },
            { ...object({ timestamp: timeMs }), additionalProperties: false },
          ],
        },
      },
      ["topic", "to"],
    ),
    answer: object({ items: listOf(object({ topic: text, partition: whole, offset: whole })) }),
    shape: ({ offsets }) => ({
      items: (offsets as [string, number, number][]).map(([topic, partition, offset]) => ({
        topic,
        partition,
        offset,
      })),
    }),
  }),
];
