import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, remove } from "../core/api.ts";
import { ago, whole } from "../core/format.ts";
import { useList } from "../core/query.ts";
import type { Connection } from "../core/types.ts";
import { Badge } from "../ui/bits.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { ListPage } from "../ui/list-page.tsx";
import type { Column } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";

const EVERY_MS = 2000;

/** Of all namespaces: who closes connections looks after the whole broker. */
export function ConnectionsPage(): JSX.Element {
  const query = useList<Connection>(apiPath(["connections"]), { everyMs: EVERY_MS });
  const [closing, setClosing] = useState<Connection>();
  const close = async (): Promise<void> => {
    await remove(apiPath(["connections", String(closing?.id)]));
    say("The connection is closed");
    query.reload();
  };
  return (
    <>
      <ListPage
        title="Connections"
        query={query}
        columns={columnsOf(setClosing)}
        keyOf={({ id }) => String(id)}
        textOf={({ client, principal, remote, namespace }) => `${client} ${principal} ${remote} ${namespace}`}
        empty="No program is connected."
      />
      {closing !== undefined && (
        <Confirm
          title="Close this connection?"
          submit="Close it"
          onConfirm={close}
          onClose={() => setClosing(undefined)}
        >
          {closing.client} from {closing.remote} may connect again at once; most clients do.
        </Confirm>
      )}
    </>
  );
}

function columnsOf(close: (connection: Connection) => void): readonly Column<Connection>[] {
  return [
    { title: "Client", cell: ({ client }) => client, sort: ({ client }) => client },
    { title: "From", cell: ({ remote }) => <span class="mono">{remote}</span>, sort: ({ remote }) => remote },
    { title: "As", cell: ({ principal }) => principal, sort: ({ principal }) => principal, isWide: true },
    { title: "Namespace", cell: ({ namespace }) => namespace, sort: ({ namespace }) => namespace, isWide: true },
    { title: "By", cell: ({ transport }) => <Badge>{transport}</Badge>, isWide: true, width: "90px" },
    figure("Publishers", ({ publishers }) => publishers),
    figure("Readers", ({ subscriptions }) => subscriptions),
    {
      title: "Since",
      cell: ({ openedMs }) => ago(openedMs),
      sort: ({ openedMs }) => openedMs,
      isFigure: true,
      isWide: true,
      width: "110px",
    },
    {
      title: "Act",
      cell: (connection) => (
        <button
          type="button"
          aria-label={`Close ${connection.client} ${connection.remote}`}
          onClick={() => close(connection)}
        >
          Close
        </button>
      ),
      width: "84px",
    },
  ];
}

function figure(title: string, of: (connection: Connection) => number): Column<Connection> {
  return { title, cell: (row) => whole(of(row)), sort: of, isFigure: true, isWide: true, width: "96px" };
}
