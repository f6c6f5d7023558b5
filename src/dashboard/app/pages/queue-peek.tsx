/** Messages of a queue, shown without taking them. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath } from "../core/api.ts";
import { contentLine, type Message } from "../core/content.ts";
import { time, whole } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { linkTo } from "../core/router.ts";
import { Asked, Badge, Panel } from "../ui/bits.tsx";
import { MessageDialog } from "../ui/message.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface Peeked extends Message {
  readonly number: number;
  readonly state?: string;
  readonly deliveries?: number;
  readonly dueMs?: number | null;
  readonly timestampMs?: number;
  readonly deaths?: unknown;
}

const SHOWN = 50;

export function PeekPanel({ space, name }: { space: string; name: string }): JSX.Element {
  const [from, setFrom] = useState<number>();
  const [opened, setOpened] = useState<Peeked>();
  const query = useQuery<{ items: readonly Peeked[] }>(
    apiPath(["queues", space, name, "messages"], { limit: SHOWN, from }),
  );
  const columns: readonly Column<Peeked>[] = [
    {
      title: "Number",
      cell: (message) => (
        <button type="button" class="link" onClick={() => setOpened(message)}>
          {whole(message.number)}
        </button>
      ),
      width: "110px",
    },
    { title: "State", cell: ({ state }) => <Badge>{state}</Badge>, width: "100px" },
    { title: "Deliveries", cell: ({ deliveries }) => whole(deliveries), isFigure: true, isWide: true, width: "90px" },
    { title: "Key", cell: ({ key }) => contentLine(key), width: "18%" },
    { title: "Value", cell: ({ value }) => <span class="mono">{contentLine(value)}</span> },
    { title: "Published", cell: ({ timestampMs }) => time(timestampMs), isWide: true, width: "178px" },
  ];
  const last = query.data?.items.at(-1)?.number;
  const actions = (
    <>
      <button type="button" onClick={() => (from === undefined ? query.reload() : setFrom(undefined))}>
        {from === undefined ? "Look again" : "To the first"}
      </button>
      <button
        type="button"
        disabled={last === undefined || query.data?.items.length !== SHOWN}
        onClick={() => last !== undefined && setFrom(last + 1)}
      >
        Next
      </button>
    </>
  );
  return (
    <Panel title="Messages" note="shown, not taken" actions={actions}>
      <Asked query={query}>
        {({ items }) => (
          <Table
            label="Messages"
            rows={items}
            columns={columns}
            keyOf={({ number }) => String(number)}
            empty="Nothing is waiting."
          />
        )}
      </Asked>
      {opened !== undefined && (
        <MessageDialog
          title={`Message ${whole(opened.number)}`}
          message={opened}
          facts={[
            ["State", opened.state],
            ["Deliveries", whole(opened.deliveries)],
            ["Published", time(opened.timestampMs)],
            ["Due", time(opened.dueMs)],
          ]}
          extra={opened.deaths}
          explain={linkTo(["explain"], { queue: name, number: opened.number })}
          onClose={() => setOpened(undefined)}
        />
      )}
    </Panel>
  );
}
