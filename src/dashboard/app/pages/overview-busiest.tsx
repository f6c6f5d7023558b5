/** The topics and queues in which most happens, of all namespaces. */
import type { JSX } from "preact";
import { apiPath } from "../core/api.ts";
import { perSecond, short } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { linkTo } from "../core/router.ts";
import { Asked, Panel } from "../ui/bits.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface BusyTopic {
  readonly namespace: string;
  readonly topic: string;
  readonly messagesInPerSec: number;
  readonly messagesOutPerSec: number;
}

interface BusyQueue {
  readonly namespace: string;
  readonly queue: string;
  readonly ready: number;
  readonly publishedPerSec: number;
  readonly ackedPerSec: number;
}

interface Answer {
  readonly busiest: { readonly topics: readonly BusyTopic[]; readonly queues: readonly BusyQueue[] };
}

const EVERY_MS = 2000;
const SHOWN = 6;

function rate<T>(title: string, of: (row: T) => number): Column<T> {
  return { title, cell: (row) => perSecond(of(row)), isFigure: true, width: "92px" };
}

const TOPICS: readonly Column<BusyTopic>[] = [
  { title: "Topic", cell: ({ topic }) => topic },
  { title: "Namespace", cell: ({ namespace }) => namespace, isWide: true, width: "110px" },
  rate("In", ({ messagesInPerSec }) => messagesInPerSec),
  rate("Out", ({ messagesOutPerSec }) => messagesOutPerSec),
];

const QUEUES: readonly Column<BusyQueue>[] = [
  { title: "Queue", cell: ({ queue }) => queue },
  { title: "Ready", cell: ({ ready }) => short(ready), isFigure: true, width: "84px" },
  rate("In", ({ publishedPerSec }) => publishedPerSec),
  rate("Acked", ({ ackedPerSec }) => ackedPerSec),
];

export function Busiest(): JSX.Element {
  const query = useQuery<Answer>(apiPath(["overview"], { busiest: SHOWN }), { everyMs: EVERY_MS });
  return (
    <Asked query={query}>
      {({ busiest: { topics, queues } }) => (
        <div class="grid-2">
          <Panel title="Busiest topics">
            <Table
              label="Busiest topics"
              rows={topics}
              columns={TOPICS}
              keyOf={({ namespace, topic }) => `${namespace} ${topic}`}
              href={({ namespace, topic }) => linkTo(["topics", namespace, topic])}
              empty="There are no topics."
            />
          </Panel>
          <Panel title="Busiest queues">
            <Table
              label="Busiest queues"
              rows={queues}
              columns={QUEUES}
              keyOf={({ namespace, queue }) => `${namespace} ${queue}`}
              href={({ namespace, queue }) => linkTo(["queues", namespace, queue])}
              empty="There are no queues."
            />
          </Panel>
        </div>
      )}
    </Asked>
  );
}
