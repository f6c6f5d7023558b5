/** Keys that many of a topic's messages have: they fill one partition, however many there are. */
import type { JSX } from "preact";
import { apiPath } from "../core/api.ts";
import { percent } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { linkTo } from "../core/router.ts";
import { Asked, Meter, Panel } from "../ui/bits.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface HotKey {
  readonly key: string;
  /** Of the messages that were looked at lately, 0 to 1. */
  readonly share: number;
}

const EVERY_MS = 5000;
const SHOWN = 8;

const COLUMNS: readonly Column<HotKey>[] = [
  { title: "Key", cell: ({ key }) => key },
  {
    title: "Share",
    cell: ({ share }) => <Meter share={share} label={percent(share)} />,
    isFigure: true,
    width: "150px",
  },
];

export function TopicKeys({ space, topic }: { space: string; topic: string }): JSX.Element {
  const query = useQuery<{ hotKeys: readonly HotKey[] }>(apiPath(["topics", space, topic, "load"]), {
    everyMs: EVERY_MS,
  });
  return (
    <Panel title="Frequent keys" note="of a sample, lately">
      <Asked query={query}>
        {({ hotKeys }) => (
          <Table
            label="Frequent keys"
            rows={hotKeys.slice(0, SHOWN)}
            columns={COLUMNS}
            keyOf={({ key }) => key}
            href={({ key }) => linkTo(["messages"], { topic, key })}
            empty="No key stands out."
          />
        )}
      </Asked>
    </Panel>
  );
}
