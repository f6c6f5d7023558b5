import type { JSX } from "preact";
import { apiPath } from "../core/api.ts";
import { ago, bytes, bytesPerSecond, duration, percent, perSecond, short, whole } from "../core/format.ts";
import { live } from "../core/live.ts";
import { useQuery } from "../core/query.ts";
import { useStore } from "../core/store.ts";
import type { Overview, StageSummary } from "../core/types.ts";
import { Asked, Badge, PageHead, Panel, Stat, Stats } from "../ui/bits.tsx";
import { Chart } from "../ui/chart.tsx";
import { Busiest } from "./overview-busiest.tsx";
import { type Column, Table } from "../ui/table.tsx";

/** The way of a message, in its order. */
const STAGES: readonly (readonly [name: string, meaning: string])[] = [
  ["receive", "taken from the socket"],
  ["append", "written to the log"],
  ["commit", "visible to readers"],
  ["dispatch", "given to a reader"],
  ["send", "handed to the socket"],
  ["total", "from socket to socket"],
];

export function OverviewPage(): JSX.Element {
  const first = useQuery<Overview>(apiPath(["overview"]));
  const { last, series } = useStore(live);
  const { times, values } = series;
  return (
    <div class="page">
      <Asked query={{ data: last ?? first.data, error: last === undefined ? first.error : undefined }}>
        {(overview) => (
          <>
            <PageHead title="Overview" note={`Millrace ${overview.version}, started ${ago(overview.startedMs)}`} />
            <Figures overview={overview} />
            <div class="charts">
              <Chart
                title="Messages"
                times={times}
                lines={[
                  { name: "in", colour: "--line-1", values: values.recordsIn },
                  { name: "out", colour: "--line-2", values: values.recordsOut },
                  { name: "queued", colour: "--line-3", values: values.enqueued },
                  { name: "acked", colour: "--line-4", values: values.acked },
                ]}
                format={perSecond}
              />
              <Chart
                title="Bytes through topics"
                times={times}
                lines={[
                  { name: "in", colour: "--line-1", values: values.bytesIn },
                  { name: "out", colour: "--line-2", values: values.bytesOut },
                ]}
                format={bytesPerSecond}
                isBytes
              />
              <Chart
                title="Latency in the broker"
                times={times}
                lines={[
                  { name: "p50", colour: "--line-1", values: values.p50 },
                  { name: "p99", colour: "--line-2", values: values.p99 },
                  { name: "p99.9", colour: "--line-3", values: values.p999 },
                ]}
                format={duration}
              />
              <Stages stages={overview.stages} />
            </div>
            <Busiest />
            <Workers workers={overview.workers} />
          </>
        )}
      </Asked>
    </div>
  );
}

function Figures({ overview }: { overview: Overview }): JSX.Element {
  const { counts, queues, storage, residentBytes } = overview;
  const { diskFreeBytes, diskBytes, failedPartitions } = storage;
  return (
    <Stats>
      <Stat name="Connections" value={whole(counts.connections)} />
      <Stat name="Topics" value={whole(counts.topics)} note={`${short(counts.partitions)} partitions`} />
      <Stat name="Queues" value={whole(counts.queues)} />
      <Stat name="Ready" value={short(queues.ready)} />
      <Stat name="Unacked" value={short(queues.inFlight)} />
      <Stat name="Dead letters" value={short(queues.deadLettered)} />
      <Stat name="Log" value={bytes(storage.logBytes)} />
      {diskFreeBytes !== undefined && (
        <Stat
          name="Disk free"
          value={bytes(diskFreeBytes)}
          note={diskBytes ? percent(diskFreeBytes / diskBytes) : undefined}
        />
      )}
      <Stat name="Memory" value={bytes(residentBytes)} />
      {failedPartitions > 0 && <Stat name="Failed partitions" value={whole(failedPartitions)} tone="bad" />}
    </Stats>
  );
}

interface StageRow extends StageSummary {
  readonly name: string;
  readonly meaning: string;
}

const STAGE_COLUMNS: readonly Column<StageRow>[] = [
  { title: "Stage", cell: ({ name, meaning }) => <span title={meaning}>{name}</span> },
  { title: "p50", cell: ({ p50Ms }) => duration(p50Ms), isFigure: true, width: "82px" },
  { title: "p99", cell: ({ p99Ms }) => duration(p99Ms), isFigure: true, width: "82px" },
  { title: "p99.9", cell: ({ p999Ms }) => duration(p999Ms), isFigure: true, width: "82px" },
];

function Stages({ stages }: { stages: Readonly<Record<string, StageSummary>> }): JSX.Element {
  const rows = STAGES.flatMap(([name, meaning]) => {
    const summary = stages[name];
    return summary === undefined ? [] : [{ name, meaning, ...summary }];
  });
  return (
    <Panel title="Where the time goes" note="the last second">
      <Table
        label="Latency by stage"
        rows={rows}
        columns={STAGE_COLUMNS}
        keyOf={({ name }) => name}
        empty="No messages yet."
      />
    </Panel>
  );
}

/** A thread whose timers run later than this is busy. */
const LATE_MS = 50;

type WorkerRow = Overview["workers"][number];

const WORKER_COLUMNS: readonly Column<WorkerRow>[] = [
  { title: "Thread", cell: ({ worker }) => worker },
  { title: "Connections", cell: ({ connections }) => whole(connections), isFigure: true },
  {
    title: "Requests under way",
    cell: ({ requestsInFlight }) => whole(requestsInFlight),
    isFigure: true,
    isWide: true,
  },
  {
    title: "Loop delay p99",
    cell: ({ delay }) => <Badge tone={delay.p99Ms > LATE_MS ? "warn" : "good"}>{duration(delay.p99Ms)}</Badge>,
    isFigure: true,
  },
];

/** One thread needs no table. */
function Workers({ workers }: { workers: readonly WorkerRow[] }): JSX.Element | null {
  if (workers.length < 2) return null;
  return (
    <Panel title="Threads">
      <Table label="Threads" rows={workers} columns={WORKER_COLUMNS} keyOf={({ worker }) => String(worker)} empty="" />
    </Panel>
  );
}
