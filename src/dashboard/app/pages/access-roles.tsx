import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, put, remove } from "../core/api.ts";
import { useList } from "../core/query.ts";
import type { Role } from "../core/types.ts";
import { Asked, Panel } from "../ui/bits.tsx";
import { Confirm, Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";

export function RolesTab(): JSX.Element {
  const query = useList<Role>(apiPath(["roles"]));
  const [isCreating, setCreating] = useState(false);
  const [deleting, setDeleting] = useState<Role>();
  const create = async ({ name = "", description }: Fields): Promise<void> => {
    await put(apiPath(["roles", name]), { description });
    query.reload();
    setCreating(false);
  };
  const drop = async (): Promise<void> => {
    await remove(apiPath(["roles", deleting?.name ?? ""]));
    say(`${deleting?.name} is deleted`);
    query.reload();
  };
  const add = (
    <button type="button" onClick={() => setCreating(true)}>
      New role
    </button>
  );
  return (
    <Panel title="Roles" note="users have them, permissions are given to them" actions={add}>
      <Asked query={query}>
        {(roles) => (
          <Table
            label="Roles"
            rows={roles}
            columns={columnsOf(setDeleting)}
            keyOf={({ name }) => name}
            empty="There are none."
          />
        )}
      </Asked>
      {isCreating && (
        <Dialog title="New role" onClose={() => setCreating(false)}>
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
          title="Delete this role?"
          submit="Delete"
          name={deleting.name}
          onConfirm={drop}
          onClose={() => setDeleting(undefined)}
        >
          Who has it loses what it allows.
        </Confirm>
      )}
    </Panel>
  );
}

function columnsOf(drop: (role: Role) => void): readonly Column<Role>[] {
  return [
    { title: "Name", cell: ({ name }) => name, sort: ({ name }) => name, width: "220px" },
    { title: "For", cell: ({ description }) => description },
    {
      title: "Act",
      // Those that are built in cannot be changed.
      cell: (role) =>
        !role.isBuiltIn && (
          <button type="button" aria-label={`Delete ${role.name}`} onClick={() => drop(role)}>
            Delete
          </button>
        ),
      width: "90px",
    },
  ];
}
