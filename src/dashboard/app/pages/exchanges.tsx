import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, put } from "../core/api.ts";
import { ago, whole } from "../core/format.ts";
import { namespace } from "../core/namespace.ts";
import { useList } from "../core/query.ts";
import { go, linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import type { ExchangeRow } from "../core/types.ts";
import { Badge } from "../ui/bits.tsx";
import { Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { ListPage } from "../ui/list-page.tsx";
import type { Column } from "../ui/table.tsx";

const EVERY_MS = 5000;
const TYPES = ["topic", "direct", "fanout", "headers", "consistent-hash"];

const COLUMNS: readonly Column<ExchangeRow>[] = [
  { title: "Name", cell: ({ name }) => name, sort: ({ name }) => name },
  { title: "Type", cell: ({ type }) => <Badge>{type}</Badge>, sort: ({ type }) => type, width: "150px" },
  {
    title: "Bindings",
    cell: ({ bindings }) => whole(bindings),
    sort: ({ bindings }) => bindings,
    isFigure: true,
    width: "100px",
  },
  {
    title: "Created",
    cell: ({ createdMs }) => ago(createdMs),
    sort: ({ createdMs }) => createdMs,
    isFigure: true,
    isWide: true,
    width: "130px",
  },
];

export function ExchangesPage(): JSX.Element {
  const space = useStore(namespace);
  const query = useList<ExchangeRow>(apiPath(["exchanges"], { namespace: space }), { everyMs: EVERY_MS });
  const [isCreating, setCreating] = useState(false);
  return (
    <ListPage
      title="Exchanges"
      query={query}
      columns={COLUMNS}
      keyOf={({ name }) => name}
      textOf={({ name, type }) => `${name} ${type}`}
      href={({ name }) => linkTo(["exchanges", space, name])}
      empty="There are no exchanges in this namespace yet. The default exchange, which routes by the name of a queue, is always there."
    >
      <button type="button" onClick={() => setCreating(true)}>
        New exchange
      </button>
      {isCreating && <NewExchange space={space} onClose={() => setCreating(false)} />}
    </ListPage>
  );
}

function NewExchange({ space, onClose }: { space: string; onClose(): void }): JSX.Element {
  const create = async ({ name = "", type, alternate }: Fields): Promise<void> => {
    await put(apiPath(["exchanges", space, name]), { type, config: alternate ? { alternate } : {} });
    go(["exchanges", space, name]);
  };
  return (
    <Dialog title="New exchange" onClose={onClose}>
      <Form submit="Create" onSubmit={create}>
        <Field label="Name" isWide>
          <input name="name" required autoFocus autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="Type">
          <select name="type">
            {TYPES.map((type) => (
              <option key={type}>{type}</option>
            ))}
          </select>
        </Field>
        <Field label="Alternate exchange" hint="Gets what no binding matches.">
          <input name="alternate" autoComplete="off" spellcheck={false} />
        </Field>
      </Form>
    </Dialog>
  );
}
