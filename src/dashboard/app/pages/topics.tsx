import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { apiPath, put } from "../core/api.ts";
import { bytes, perSecond, short, whole } from "../core/format.ts";
import { namespace } from "../core/namespace.ts";
import { type Query, useList } from "../core/query.ts";
import { useRowRates } from "../core/rates.ts";
import { go, linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import type { ListedTopic } from "../core/types.ts";
import { Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { ListPage } from "../ui/list-page.tsx";
import type { Column } from "../ui/table.tsx";

const EVERY_MS = 3000;

interface RatedTopic extends ListedTopic {
  readonly rates: Readonly<Record<string, number>> | undefined;
}

function figure(
  title: string,
  of: (topic: RatedTopic) => number | undefined,
  show = short,
  isWide = false,
): Column<RatedTopic> {
  return {
    title,
    cell: (topic) => show(of(topic)),
    sort: (topic) => of(topic) ?? -1,
    isFigure: true,
    isWide,
    width: "110px",
  };
}

const COLUMNS: readonly Column<RatedTopic>[] = [
  { title: "Name", cell: ({ name }) => name, sort: ({ name }) => name },
  figure("Partitions", ({ partitions }) => partitions, whole, true),
  figure("Records", ({ records }) => records),
  figure("Size", (topic) => topic.bytes, bytes),
  figure("In", ({ rates }) => rates?.["recordsIn"], perSecond, true),
  figure("Out", ({ rates }) => rates?.["recordsOut"], perSecond, true),
];

export function TopicsPage(): JSX.Element {
  const space = useStore(namespace);
  const query = useRated(useList<ListedTopic>(apiPath(["topics"], { namespace: space }), { everyMs: EVERY_MS }));
  const [isCreating, setCreating] = useState(false);
  return (
    <ListPage
      title="Topics"
      query={query}
      columns={COLUMNS}
      keyOf={({ name }) => name}
      textOf={({ name }) => name}
      href={({ name }) => linkTo(["topics", space, name])}
      empty="There are no topics in this namespace yet."
    >
      <button type="button" onClick={() => setCreating(true)}>
        New topic
      </button>
      {isCreating && <NewTopic space={space} onClose={() => setCreating(false)} />}
    </ListPage>
  );
}

function useRated(query: Query<readonly ListedTopic[]>): Query<readonly RatedTopic[]> {
  const { data } = query;
  const ratesOf = useRowRates(
    data,
    ({ name }) => name,
    ({ recordsIn, recordsOut }) => ({ recordsIn, recordsOut }),
  );
  const rated = useMemo(() => data?.map((row) => ({ ...row, rates: ratesOf(row.name) })), [data]);
  return { ...query, data: rated };
}

function NewTopic({ space, onClose }: { space: string; onClose(): void }): JSX.Element {
  const create = async ({ name = "", partitions, retention, compact }: Fields): Promise<void> => {
    const retentionMs = retention ? { retentionMs: Number(retention) * 3_600_000 } : {};
    const config = { ...retentionMs, ...(compact && { compact: true }) };
    await put(apiPath(["topics", space, name]), { partitions: Number(partitions), config });
    go(["topics", space, name]);
  };
  return (
    <Dialog title="New topic" onClose={onClose}>
      <Form submit="Create" onSubmit={create}>
        <Field label="Name" isWide>
          <input name="name" required autoFocus autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="Partitions" hint="They can grow later, not shrink.">
          <input name="partitions" type="number" min="1" value="1" required />
        </Field>
        <Field label="Keep for, hours" hint="Empty: the broker's default.">
          <input name="retention" type="number" min="1" />
        </Field>
        <label class="check full">
          <input type="checkbox" name="compact" /> Keep only the newest record of each key
        </label>
      </Form>
    </Dialog>
  );
}
