import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, put, remove } from "../core/api.ts";
import { bytes, bytesPerSecond, NONE, perSecond, whole } from "../core/format.ts";
import { useList } from "../core/query.ts";
import { Asked, Badge, Meter, Panel } from "../ui/bits.tsx";
import { Confirm, Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";

const LIMITS = [
  "messagesPerSec",
  "bytesPerSec",
  "connectionsMax",
  "storageBytesMax",
  "topicsMax",
  "queuesMax",
] as const;
type Limit = (typeof LIMITS)[number];

/** Null: no limit. */
type Quota = Readonly<Record<Limit, number | null>> & {
  readonly kind: "namespace" | "user";
  readonly name: string;
  readonly burstMs: number;
  readonly used?: Readonly<Partial<Record<"connections" | "storageBytes" | "topics" | "queues", number>>>;
};

const LABELS: Readonly<Record<Limit, string>> = {
  messagesPerSec: "Messages a second",
  bytesPerSec: "Bytes a second",
  connectionsMax: "Connections",
  storageBytesMax: "Stored bytes",
  topicsMax: "Topics",
  queuesMax: "Queues",
};

const EVERY_MS = 3000;

export function QuotasPanel(): JSX.Element {
  const query = useList<Quota>(apiPath(["quotas"]), { everyMs: EVERY_MS });
  const [editing, setEditing] = useState<Quota | "new">();
  const [deleting, setDeleting] = useState<Quota>();
  const drop = async (): Promise<void> => {
    await remove(apiPath(["quotas", deleting?.kind ?? "", deleting?.name ?? ""]));
    say("The quota is gone");
    query.reload();
  };
  const add = (
    <button type="button" onClick={() => setEditing("new")}>
      New quota
    </button>
  );
  return (
    <Panel title="Quotas" note="what is used of what is allowed" actions={add}>
      <Asked query={query}>
        {(rows) => (
          <Table
            label="Quotas"
            rows={rows}
            columns={columnsOf(setEditing, setDeleting)}
            keyOf={({ kind, name }) => `${kind} ${name}`}
            empty="Nobody is limited."
          />
        )}
      </Asked>
      {editing !== undefined && (
        <QuotaDialog
          quota={editing === "new" ? undefined : editing}
          onDone={query.reload}
          onClose={() => setEditing(undefined)}
        />
      )}
      {deleting !== undefined && (
        <Confirm title="Delete this quota?" submit="Delete" onConfirm={drop} onClose={() => setDeleting(undefined)}>
          {deleting.kind} {deleting.name} would have no limits.
        </Confirm>
      )}
    </Panel>
  );
}

function columnsOf(edit: (quota: Quota) => void, drop: (quota: Quota) => void): readonly Column<Quota>[] {
  return [
    { title: "Whose", cell: ({ name }) => name, sort: ({ name }) => name },
    { title: "A", cell: ({ kind }) => <Badge>{kind}</Badge>, sort: ({ kind }) => kind, isWide: true, width: "104px" },
    { title: "Messages", cell: (row) => perSecond(row.messagesPerSec), isFigure: true, isWide: true, width: "96px" },
    { title: "Bytes", cell: (row) => bytesPerSecond(row.bytesPerSec), isFigure: true, isWide: true, width: "96px" },
    used("Connections", ({ used, connectionsMax }) => [used?.connections, connectionsMax], whole),
    used("Stored", ({ used, storageBytesMax }) => [used?.storageBytes, storageBytesMax], bytes),
    used("Topics", ({ used, topicsMax }) => [used?.topics, topicsMax], whole, true),
    used("Queues", ({ used, queuesMax }) => [used?.queues, queuesMax], whole, true),
    {
      title: "Act",
      cell: (row) => (
        <>
          <button type="button" aria-label={`Change the quota of ${row.name}`} onClick={() => edit(row)}>
            Change
          </button>{" "}
          <button type="button" aria-label={`Delete the quota of ${row.name}`} onClick={() => drop(row)}>
            Delete
          </button>
        </>
      ),
      width: "166px",
      isWide: true,
    },
  ];
}

function used(
  title: string,
  of: (quota: Quota) => readonly [now: number | undefined, max: number | null],
  show: (value: number | undefined) => string,
  isWide = false,
): Column<Quota> {
  const cell = (quota: Quota): JSX.Element | string => {
    const [now, max] = of(quota);
    if (max === null) return NONE;
    return <Meter share={max === 0 ? 1 : (now ?? 0) / max} label={`${show(now)} of ${show(max)}`} />;
  };
  return { title, cell, isFigure: true, isWide };
}

interface QuotaDialogProps {
  /** Undefined: a new one. */
  readonly quota: Quota | undefined;
  onDone(): void;
  onClose(): void;
}

function QuotaDialog({ quota, onDone, onClose }: QuotaDialogProps): JSX.Element {
  const save = async (fields: Fields): Promise<void> => {
    const { kind = quota?.kind ?? "namespace", name = quota?.name ?? "" } = fields;
    const given = LIMITS.flatMap((limit) => (fields[limit] ? [[limit, Number(fields[limit])]] : []));
    // What the form does not show stays.
    const kept = quota === undefined ? {} : { burstMs: quota.burstMs };
    await put(apiPath(["quotas", kind, name]), { ...kept, ...Object.fromEntries(given) });
    say("The quota is set");
    onDone();
    onClose();
  };
  return (
    <Dialog title={quota === undefined ? "New quota" : `Quota of ${quota.kind} ${quota.name}`} onClose={onClose}>
      <Form submit="Set" onSubmit={save}>
        {quota === undefined && (
          <>
            <Field label="Of a">
              <select name="kind">
                <option>namespace</option>
                <option>user</option>
              </select>
            </Field>
            <Field label="Named">
              <input name="name" required autoFocus autoComplete="off" spellcheck={false} />
            </Field>
          </>
        )}
        {LIMITS.map((limit) => (
          <Field key={limit} label={LABELS[limit]}>
            <input
              name={limit}
              type="number"
              min="0"
              placeholder="no limit"
              defaultValue={quota?.[limit] ?? undefined}
            />
          </Field>
        ))}
      </Form>
    </Dialog>
  );
}
