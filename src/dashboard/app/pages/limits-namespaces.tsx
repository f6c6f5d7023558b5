import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, put, remove } from "../core/api.ts";
import { bytes, whole } from "../core/format.ts";
import { NAMESPACE_DEFAULT } from "../core/namespace.ts";
import { useList } from "../core/query.ts";
import { Asked, Panel } from "../ui/bits.tsx";
import { Confirm, Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";

interface Namespace {
  readonly name: string;
  readonly description: string | null;
  readonly topics: number;
  readonly queues: number;
  readonly exchanges: number;
  readonly storageBytes: number;
}

const EVERY_MS = 5000;

export function NamespacesPanel(): JSX.Element {
  const query = useList<Namespace>(apiPath(["namespaces"]), { everyMs: EVERY_MS });
  const [isCreating, setCreating] = useState(false);
  const [deleting, setDeleting] = useState<Namespace>();
  const create = async ({ name = "", description }: Fields): Promise<void> => {
    await put(apiPath(["namespaces", name]), description ? { description } : {});
    query.reload();
    setCreating(false);
  };
  const drop = async (): Promise<void> => {
    await remove(apiPath(["namespaces", deleting?.name ?? ""]));
    say(`${deleting?.name} is deleted`);
    query.reload();
  };
  const add = (
    <button type="button" onClick={() => setCreating(true)}>
      New namespace
    </button>
  );
  return (
    <Panel title="Namespaces" actions={add}>
      <Asked query={query}>
        {(rows) => (
          <Table label="Namespaces" rows={rows} columns={columnsOf(setDeleting)} keyOf={({ name }) => name} empty="" />
        )}
      </Asked>
      {isCreating && (
        <Dialog title="New namespace" onClose={() => setCreating(false)}>
          <Form submit="Create" onSubmit={create}>
            <Field label="Name" isWide>
              <input name="name" required autoFocus autoComplete="off" spellcheck={false} />
            </Field>
            <Field label="What it is for" isWide>
              <input name="description" autoComplete="off" />
            </Field>
          </Form>
        </Dialog>
      )}
      {deleting !== undefined && (
        <Confirm
          title="Delete this namespace?"
          submit="Delete"
          name={deleting.name}
          onConfirm={drop}
          onClose={() => setDeleting(undefined)}
        >
          It must be empty: the command line deletes one with all that is in it.
        </Confirm>
      )}
    </Panel>
  );
}

function columnsOf(drop: (namespace: Namespace) => void): readonly Column<Namespace>[] {
  const figure = (title: string, of: (row: Namespace) => number, isWide = false): Column<Namespace> => {
    return { title, cell: (row) => whole(of(row)), sort: of, isFigure: true, isWide, width: "96px" };
  };
  return [
    { title: "Name", cell: ({ name }) => name, sort: ({ name }) => name },
    { title: "For", cell: ({ description }) => description, isWide: true },
    figure("Topics", ({ topics }) => topics),
    figure("Queues", ({ queues }) => queues),
    figure("Exchanges", ({ exchanges }) => exchanges, true),
    { ...figure("Stored", (row) => row.storageBytes, true), cell: ({ storageBytes }) => bytes(storageBytes) },
    {
      title: "Act",
      // It is always there.
      cell: (row) =>
        row.name !== NAMESPACE_DEFAULT && (
          <button type="button" aria-label={`Delete ${row.name}`} onClick={() => drop(row)}>
            Delete
          </button>
        ),
      width: "90px",
    },
  ];
}
