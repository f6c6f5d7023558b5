import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, post, remove } from "../core/api.ts";
import { duration, short, whole } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { go, linkTo } from "../core/router.ts";
import type { Group, GroupMember, GroupOffset } from "../core/types.ts";
import { Asked, Badge, PageHead, Panel, Stat, Stats } from "../ui/bits.tsx";
import { Confirm, Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";
import type { PageProps } from "./index.ts";

const EVERY_MS = 2000;

const OFFSETS: readonly Column<GroupOffset>[] = [
  { title: "Topic", cell: ({ topic }) => topic, sort: ({ topic }) => topic },
  { title: "Partition", cell: ({ partition }) => partition, isFigure: true, width: "90px" },
  { title: "Offset", cell: ({ offset }) => whole(offset), sort: ({ offset }) => offset, isFigure: true, isWide: true },
  { title: "Lag", cell: ({ lag }) => whole(lag), sort: ({ lag }) => lag, isFigure: true, width: "120px" },
  {
    title: "Behind",
    cell: ({ lagMs }) => duration(lagMs),
    sort: ({ lagMs }) => lagMs ?? -1,
    isFigure: true,
    width: "100px",
  },
];

/** `orders 0, 1, 4; prices 2` */
function partitionsOf({ partitions }: GroupMember): string {
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  return [...byTopic].map(([topic, own]) => `${topic} ${own.map(({ partition }) => partition).join(", ")}`).join("; ");
}

const MEMBERS: readonly Column<GroupMember>[] = [
  { title: "Member", cell: ({ member }) => <span class="mono">{member}</span> },
  { title: "Client", cell: ({ client }) => client, isWide: true },
  {
    title: "State",
    cell: ({ connected }) => <Badge tone={connected ? "good" : "warn"}>{connected ? "connected" : "away"}</Badge>,
    width: "110px",
  },
  {
    title: "Partitions",
    cell: partitionsOf,
  },
];

export function GroupPage({ words }: PageProps): JSX.Element {
  const [space = "", name = ""] = words;
  const path = apiPath(["groups", space, name]);
  const query = useQuery<Group>(path, { everyMs: EVERY_MS });
  const [asked, setAsked] = useState<"delete" | "reset">();
  const close = (): void => setAsked(undefined);
  const drop = async (): Promise<void> => {
    await remove(path);
    say(`${name} is deleted`);
    go(["groups"]);
  };
  return (
    <div class="page">
      <PageHead title={name} above={<a href={linkTo(["groups"])}>Consumer groups</a>}>
        <button type="button" onClick={() => setAsked("reset")}>
          Move offsets
        </button>
        <button type="button" class="danger" onClick={() => setAsked("delete")}>
          Delete
        </button>
      </PageHead>
      <Asked query={query}>{(group) => <GroupBody group={group} />}</Asked>
      {asked === "reset" && <Reset path={path} topics={topicsOf(query.data)} onClose={close} onDone={query.reload} />}
      {asked === "delete" && (
        <Confirm title="Delete this group?" submit="Delete" name={name} onConfirm={drop} onClose={close}>
          Its offsets are forgotten. It must have no members.
        </Confirm>
      )}
    </div>
  );
}

function topicsOf(group: Group | undefined): string[] {
  return [...new Set(group?.offsets.map(({ topic }) => topic))];
}

function GroupBody({ group }: { group: Group }): JSX.Element {
  const { offsets, members } = group;
  const lag = offsets.reduce((all, each) => all + each.lag, 0);
  return (
    <>
      <Stats>
        <Stat name="State" value={group.state} />
        <Stat name="Members" value={whole(members.length)} />
        <Stat name="Lag" value={short(lag)} />
        <Stat name="Furthest behind" value={duration(Math.max(0, ...offsets.map(({ lagMs }) => lagMs ?? 0)))} />
        <Stat name="Generation" value={whole(group.generation)} />
      </Stats>
      <Panel title="Members">
        <Table
          label="Members"
          rows={members}
          columns={MEMBERS}
          keyOf={({ member }) => member}
          empty="Nobody is in it now."
        />
      </Panel>
      <Panel title="Offsets">
        <Table
          label="Offsets"
          rows={offsets}
          columns={OFFSETS}
          keyOf={({ topic, partition }) => `${topic} ${partition}`}
          href={({ topic, partition, offset }) => linkTo(["messages"], { topic, partition, offset })}
          empty="It has committed nothing."
        />
      </Panel>
    </>
  );
}

interface ResetProps {
  readonly path: string;
  readonly topics: readonly string[];
  onDone(): void;
  onClose(): void;
}

function Reset({ path, topics, onDone, onClose }: ResetProps): JSX.Element {
  const reset = async ({ topic, to = "", at }: Fields): Promise<void> => {
    const target = to === "time" ? { timestamp: new Date(at ?? "").getTime() } : to;
    await post(`${path}/reset`, { topic, to: target });
    say("The offsets are moved");
    onDone();
    onClose();
  };
  return (
    <Dialog title="Move offsets" onClose={onClose}>
      <Form submit="Move" onSubmit={reset}>
        <Field label="Topic" isWide>
          <select name="topic">
            {topics.map((topic) => (
              <option key={topic}>{topic}</option>
            ))}
          </select>
        </Field>
        <Field label="To">
          <select name="to">
            <option value="earliest">the first record</option>
            <option value="latest">the end</option>
            <option value="time">a time</option>
          </select>
        </Field>
        <Field label="Time" hint="Where a time is chosen.">
          <input name="at" type="datetime-local" />
        </Field>
      </Form>
    </Dialog>
  );
}
