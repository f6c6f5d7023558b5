/** Who reads a topic in groups, and how far behind. */
import type { JSX } from "preact";
import { apiPath } from "../core/api.ts";
import { duration, whole } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { linkTo } from "../core/router.ts";
import type { GroupRow } from "../core/types.ts";
import { Asked, Badge, Panel } from "../ui/bits.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface Reader extends GroupRow {
  readonly lag: number;
  readonly lagMs: number | null;
}

const EVERY_MS = 2000;

const COLUMNS: readonly Column<Reader>[] = [
  { title: "Group", cell: ({ group }) => group, sort: ({ group }) => group },
  {
    title: "State",
    cell: ({ state }) => <Badge tone={state === "stable" ? "good" : "plain"}>{state}</Badge>,
    width: "92px",
  },
  { title: "Members", cell: ({ members }) => members, isFigure: true, isWide: true, width: "84px" },
  { title: "Lag", cell: ({ lag }) => whole(lag), sort: ({ lag }) => lag, isFigure: true, width: "92px" },
  {
    title: "Behind",
    cell: ({ lagMs }) => duration(lagMs),
    sort: ({ lagMs }) => lagMs ?? -1,
    isFigure: true,
    width: "84px",
  },
];

export function TopicGroups({ space, topic }: { space: string; topic: string }): JSX.Element {
  const query = useQuery<{ items: readonly Reader[] }>(apiPath(["topics", space, topic, "groups"]), {
    everyMs: EVERY_MS,
  });
  return (
    <Panel title="Groups" note="and their lag">
      <Asked query={query}>
        {({ items }) => (
          <Table
            label="Groups"
            rows={items}
            columns={COLUMNS}
            keyOf={({ group }) => group}
            href={({ group }) => linkTo(["groups", space, group])}
            empty="No group has read from it."
          />
        )}
      </Asked>
    </Panel>
  );
}
