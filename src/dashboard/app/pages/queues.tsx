import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { apiPath, put } from "../core/api.ts";
import { perSecond, whole } from "../core/format.ts";
import { namespace } from "../core/namespace.ts";
import { type Query, useList } from "../core/query.ts";
import { useRowRates } from "../core/rates.ts";
import { go, linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import type { QueueRow } from "../core/types.ts";
import { Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { ListPage } from "../ui/list-page.tsx";
import type { Column } from "../ui/table.tsx";

const EVERY_MS = 3000;

function count(title: string, name: keyof QueueRow["counts"], isWide = false): Column<QueueRow> {
  return {
    title,
    cell: ({ counts }) => whole(counts[name]),
    sort: ({ counts }) => counts[name] ?? 0,
    isFigure: true,
    isWide,
    width: "92px",
  };
}

interface RatedQueue extends QueueRow {
  readonly rates: Readonly<Record<string, number>> | undefined;
}

function rate(title: string, name: string): Column<RatedQueue> {
  return {
    title,
    cell: ({ rates }) => perSecond(rates?.[name]),
    sort: ({ rates }) => rates?.[name] ?? 0,
    isFigure: true,
    isWide: true,
    width: "96px",
  };
}

const COLUMNS: readonly Column<RatedQueue>[] = [
  { title: "Name", cell: ({ name }) => name, sort: ({ name }) => name },
  count("Ready", "ready"),
  count("Unacked", "inFlight"),
  count("Delayed", "delayed", true),
  rate("In", "enqueued"),
  rate("Delivered", "delivered"),
  rate("Acked", "acked"),
  count("Consumers", "consumers"),
];

export function QueuesPage(): JSX.Element {
  const space = useStore(namespace);
  const query = useRated(useList<QueueRow>(apiPath(["queues"], { namespace: space }), { everyMs: EVERY_MS }));
  const [isCreating, setCreating] = useState(false);
  return (
    <ListPage
      title="Queues"
      query={query}
      columns={COLUMNS}
      keyOf={({ name }) => name}
      textOf={({ name }) => name}
      href={({ name }) => linkTo(["queues", space, name])}
      empty="There are no queues in this namespace yet."
    >
      <button type="button" onClick={() => setCreating(true)}>
        New queue
      </button>
      {isCreating && <NewQueue space={space} onClose={() => setCreating(false)} />}
    </ListPage>
  );
}

function useRated(query: Query<readonly QueueRow[]>): Query<readonly RatedQueue[]> {
  const { data } = query;
  const ratesOf = useRowRates(data, ({ name }) => name, countersOf);
  const rated = useMemo(() => data?.map((row) => ({ ...row, rates: ratesOf(row.name) })), [data]);
  return { ...query, data: rated };
}

function countersOf({ counts }: QueueRow): Readonly<Record<string, number>> {
  const { enqueued = 0, delivered = 0, acked = 0 } = counts;
  return { enqueued, delivered, acked };
}

function NewQueue({ space, onClose }: { space: string; onClose(): void }): JSX.Element {
  const create = async (fields: Fields): Promise<void> => {
    const { name = "", deliveryLimit, deadLetter, durable, ordered } = fields;
    const config = {
      durable: durable === "on",
      ...(ordered && { ordered: true }),
      ...(deliveryLimit && { deliveryLimit: Number(deliveryLimit) }),
      ...(deadLetter && { deadLetter: { exchange: "", routingKey: deadLetter } }),
    };
    await put(apiPath(["queues", space, name]), { config });
    go(["queues", space, name]);
  };
  return (
    <Dialog title="New queue" onClose={onClose}>
      <Form submit="Create" onSubmit={create}>
        <Field label="Name" isWide>
          <input name="name" required autoFocus autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="Deliveries at most" hint="Then it is a dead letter. Empty: no limit.">
          <input name="deliveryLimit" type="number" min="1" />
        </Field>
        <Field label="Queue for dead letters" hint="Empty: they are dropped.">
          <input name="deadLetter" autoComplete="off" spellcheck={false} />
        </Field>
        <label class="check full">
          <input type="checkbox" name="durable" defaultChecked /> Survives a restart of the broker
        </label>
        <label class="check full">
          <input type="checkbox" name="ordered" /> In order within each group of messages
        </label>
      </Form>
    </Dialog>
  );
}
