import type { JSX } from "preact";
import { apiPath } from "../core/api.ts";
import { whole } from "../core/format.ts";
import { namespace } from "../core/namespace.ts";
import { useList } from "../core/query.ts";
import { linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import type { GroupRow } from "../core/types.ts";
import { Badge } from "../ui/bits.tsx";
import { ListPage } from "../ui/list-page.tsx";
import type { Column } from "../ui/table.tsx";

const EVERY_MS = 5000;

const COLUMNS: readonly Column<GroupRow>[] = [
  { title: "Group", cell: ({ group }) => group, sort: ({ group }) => group },
  {
    title: "State",
    cell: ({ state }) => <Badge tone={state === "stable" ? "good" : "plain"}>{state}</Badge>,
    sort: ({ state }) => state,
    width: "140px",
  },
  {
    title: "Members",
    cell: ({ members }) => whole(members),
    sort: ({ members }) => members,
    isFigure: true,
    width: "110px",
  },
];

export function GroupsPage(): JSX.Element {
  const space = useStore(namespace);
  const query = useList<GroupRow>(apiPath(["groups"], { namespace: space }), { everyMs: EVERY_MS });
  return (
    <ListPage
      title="Consumer groups"
      query={query}
      columns={COLUMNS}
      keyOf={({ group }) => group}
      textOf={({ group }) => group}
      href={({ group }) => linkTo(["groups", space, group])}
      empty="No consumer group has read in this namespace yet."
    />
  );
}
