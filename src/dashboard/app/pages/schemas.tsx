import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { namespace } from "../core/namespace.ts";
import { useQuery } from "../core/query.ts";
import { bareName, prefixOf, registerCandidate, registryPath, type SchemaVersion } from "../core/registry.ts";
import { go, linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import { Badge } from "../ui/bits.tsx";
import { Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { ListPage } from "../ui/list-page.tsx";
import type { Column } from "../ui/table.tsx";

const EVERY_MS = 10_000;

const COLUMNS: readonly Column<SchemaVersion>[] = [
  { title: "Subject", cell: ({ subject }) => bareName(subject), sort: ({ subject }) => subject },
  { title: "Type", cell: ({ schemaType = "AVRO" }) => <Badge>{schemaType}</Badge>, width: "110px" },
  {
    title: "Latest version",
    cell: ({ version }) => version,
    sort: ({ version }) => version,
    isFigure: true,
    width: "130px",
  },
  { title: "Schema", cell: ({ id }) => id, sort: ({ id }) => id, isFigure: true, isWide: true, width: "100px" },
];

export function SchemasPage(): JSX.Element {
  const space = useStore(namespace);
  const subjectPrefix = `:.${space}:`;
  const query = useQuery<readonly SchemaVersion[]>(registryPath(["schemas"], { subjectPrefix, latestOnly: true }), {
    everyMs: EVERY_MS,
  });
  const [isCreating, setCreating] = useState(false);
  return (
    <ListPage
      title="Schemas"
      query={query}
      columns={COLUMNS}
      keyOf={({ subject }) => subject}
      textOf={({ subject }) => bareName(subject)}
      href={({ subject }) => linkTo(["schemas", space, bareName(subject)])}
      empty="No schemas are registered in this namespace yet."
    >
      <button type="button" onClick={() => setCreating(true)}>
        Register schema
      </button>
      {isCreating && <NewSubject space={space} onClose={() => setCreating(false)} />}
    </ListPage>
  );
}

function NewSubject({ space, onClose }: { space: string; onClose(): void }): JSX.Element {
  const register = async ({ name = "", schema = "", schemaType = "AVRO" }: Fields): Promise<void> => {
    await registerCandidate(prefixOf(space) + name, { schema, schemaType });
    go(["schemas", space, name]);
  };
  return (
    <Dialog title="Register a schema" onClose={onClose} isWide>
      <Form submit="Register" onSubmit={register}>
        <Field label="Subject" hint="TOPIC-value for the values of a topic.">
          <input name="name" required autoFocus autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="Type">
          <select name="schemaType">
            <option>AVRO</option>
            <option>JSON</option>
          </select>
        </Field>
        <Field label="Schema" isWide>
          <textarea name="schema" rows={14} spellcheck={false} required />
        </Field>
      </Form>
    </Dialog>
  );
}
