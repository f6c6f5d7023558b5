import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, remove } from "../core/api.ts";
import { ago, bytes, short, time, whole } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { useRates } from "../core/rates.ts";
import { go, linkTo } from "../core/router.ts";
import type { Partition, Topic } from "../core/types.ts";
import { Asked, PageHead, Panel, Stat, Stats } from "../ui/bits.tsx";
import { Chart } from "../ui/chart.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { SettingsPanel } from "../ui/settings.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";
import type { PageProps } from "./index.ts";
import { TopicGroups } from "./topic-groups.tsx";
import { TopicKeys } from "./topic-keys.tsx";

const EVERY_MS = 1000;

export function TopicPage({ words }: PageProps): JSX.Element {
  const [space = "", name = ""] = words;
  const path = apiPath(["topics", space, name]);
  const query = useQuery<Topic>(path, { everyMs: EVERY_MS });
  const [isDeleting, setDeleting] = useState(false);
  const drop = async (): Promise<void> => {
    await remove(path);
    say(`${name} is deleted`);
    go(["topics"]);
  };
  return (
    <div class="page">
      <PageHead title={name} above={<a href={linkTo(["topics"])}>Topics</a>}>
        <a class="button" href={linkTo(["messages"], { topic: name })}>
          Browse
        </a>
        <a class="button" href={linkTo(["publish", "topic"], { name })}>
          Publish
        </a>
        <button type="button" class="danger" onClick={() => setDeleting(true)}>
          Delete
        </button>
      </PageHead>
      <Asked query={query}>{(topic) => <TopicBody topic={topic} etag={query.etag} onChange={query.reload} />}</Asked>
      {isDeleting && (
        <Confirm
          title="Delete this topic?"
          submit="Delete"
          name={name}
          onConfirm={drop}
          onClose={() => setDeleting(false)}
        >
          All records of {name} go with it, for every reader.
        </Confirm>
      )}
    </div>
  );
}

interface TopicBodyProps {
  readonly topic: Topic;
  readonly etag: string | null;
  onChange(): void;
}

function TopicBody({ topic, etag, onChange }: TopicBodyProps): JSX.Element {
  const { offsets } = topic;
  const sum = (of: (partition: Partition) => number): number => offsets.reduce((all, each) => all + of(each), 0);
  const rates = useRates(topic, { in: sum((each) => each.recordsIn), out: sum((each) => each.recordsOut) });
  const newestMs = Math.max(-1, ...offsets.map(({ lastTimestamp }) => lastTimestamp));
  return (
    <>
      <Stats>
        <Stat name="Records" value={short(sum((each) => each.highWatermark - each.startOffset))} />
        <Stat name="Size" value={bytes(sum((each) => each.bytes))} />
        <Stat name="Partitions" value={whole(topic.partitions)} />
        <Stat name="Segments" value={whole(sum((each) => each.segments))} />
        <Stat name="Newest record" value={ago(newestMs)} />
        <Stat name="Created" value={ago(topic.createdMs)} />
      </Stats>
      <Chart
        title="Records per second"
        times={rates.times}
        lines={[
          { name: "in", colour: "--line-1", values: rates.values.in },
          { name: "out", colour: "--line-2", values: rates.values.out },
        ]}
        format={short}
      />
      <div class="grid-2">
        <TopicGroups space={topic.namespace} topic={topic.name} />
        <TopicKeys space={topic.namespace} topic={topic.name} />
      </div>
      <Panel title="Partitions">
        <Table
          label="Partitions"
          rows={offsets}
          columns={partitionColumns(Math.max(1, ...offsets.map((each) => each.bytes)))}
          keyOf={({ partition }) => String(partition)}
          href={({ partition }) => linkTo(["messages"], { topic: topic.name, partition })}
          empty="There are none."
        />
      </Panel>
      <SettingsPanel
        path={apiPath(["topics", topic.namespace, topic.name])}
        config={topic.config}
        etag={etag}
        onChange={onChange}
      />
    </>
  );
}

function partitionColumns(bytesMax: number): readonly Column<Partition>[] {
  return [
    { title: "Partition", cell: ({ partition }) => partition, sort: ({ partition }) => partition, width: "90px" },
    {
      title: "From",
      cell: ({ startOffset }) => whole(startOffset),
      sort: ({ startOffset }) => startOffset,
      isFigure: true,
    },
    {
      title: "To",
      cell: ({ highWatermark }) => whole(highWatermark),
      sort: ({ highWatermark }) => highWatermark,
      isFigure: true,
    },
    {
      title: "Size",
      cell: (each) => <SizeBar bytes={each.bytes} bytesMax={bytesMax} />,
      sort: (each) => each.bytes,
      isFigure: true,
    },
    {
      title: "Segments",
      cell: ({ segments }) => segments,
      sort: ({ segments }) => segments,
      isFigure: true,
      isWide: true,
    },
    { title: "Newest record", cell: ({ lastTimestamp }) => time(lastTimestamp), isFigure: true, isWide: true },
  ];
}

/** Beside each other the bars show how evenly keys are spread. */
function SizeBar({ bytes: size, bytesMax }: { bytes: number; bytesMax: number }): JSX.Element {
  return (
    <span class="meter">
      <span class="track" aria-hidden="true">
        <span style={{ width: `${(100 * size) / bytesMax}%` }} />
      </span>
      {bytes(size)}
    </span>
  );
}
