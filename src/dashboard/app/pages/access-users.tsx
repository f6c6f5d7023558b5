import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, put, remove } from "../core/api.ts";
import { useList } from "../core/query.ts";
import type { User } from "../core/types.ts";
import { Asked, Badge, Panel } from "../ui/bits.tsx";
import { Confirm, Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";

export function UsersTab(): JSX.Element {
  const query = useList<User>(apiPath(["users"]));
  const [editing, setEditing] = useState<User | "new">();
  const [deleting, setDeleting] = useState<User>();
  const drop = async (): Promise<void> => {
    await remove(apiPath(["users", deleting?.name ?? ""]));
    say(`${deleting?.name} is deleted`);
    query.reload();
  };
  const add = (
    <button type="button" onClick={() => setEditing("new")}>
      New user
    </button>
  );
  return (
    <Panel title="Users" actions={add}>
      <Asked query={query}>
        {(users) => (
          <Table
            label="Users"
            rows={users}
            columns={columnsOf(setEditing, setDeleting)}
            keyOf={({ name }) => name}
            empty="There are no users: nobody can log in by a password."
          />
        )}
      </Asked>
      {editing !== undefined && (
        <UserDialog
          user={editing === "new" ? undefined : editing}
          onDone={query.reload}
          onClose={() => setEditing(undefined)}
        />
      )}
      {deleting !== undefined && (
        <Confirm
          title="Delete this user?"
          submit="Delete"
          name={deleting.name}
          onConfirm={drop}
          onClose={() => setDeleting(undefined)}
        >
          {deleting.name} cannot log in any more, and sessions that are open end.
        </Confirm>
      )}
    </Panel>
  );
}

function columnsOf(edit: (user: User) => void, drop: (user: User) => void): readonly Column<User>[] {
  return [
    { title: "Name", cell: ({ name }) => name, sort: ({ name }) => name },
    { title: "Roles", cell: ({ roles }) => roles.map((role) => <Badge key={role}>{role}</Badge>) },
    {
      title: "State",
      cell: ({ isEnabled }) => <Badge tone={isEnabled ? "good" : "warn"}>{isEnabled ? "may log in" : "locked"}</Badge>,
      isWide: true,
      width: "120px",
    },
    {
      title: "Act",
      cell: (user) => (
        <>
          <button type="button" aria-label={`Change ${user.name}`} onClick={() => edit(user)}>
            Change
          </button>{" "}
          <button type="button" aria-label={`Delete ${user.name}`} onClick={() => drop(user)}>
            Delete
          </button>
        </>
      ),
      width: "166px",
    },
  ];
}

interface UserDialogProps {
  /** Undefined: a new one. */
  readonly user: User | undefined;
  onDone(): void;
  onClose(): void;
}

function UserDialog({ user, onDone, onClose }: UserDialogProps): JSX.Element {
  const save = async ({ name = user?.name ?? "", password, roles = "", isEnabled }: Fields): Promise<void> => {
    await put(apiPath(["users", name]), {
      roles: roles.split(/[\s,]+/).filter(Boolean),
      isEnabled: isEnabled === "on",
      ...(password && { password }),
    });
    say(`${name} is saved`);
    onDone();
    onClose();
  };
  return (
    <Dialog title={user === undefined ? "New user" : `Change ${user.name}`} onClose={onClose}>
      <Form submit="Save" onSubmit={save}>
        {user === undefined && (
          <Field label="Name" isWide>
            <input name="name" required autoFocus autoComplete="off" autoCapitalize="none" spellcheck={false} />
          </Field>
        )}
        <Field label="Password" hint={user === undefined ? undefined : "Empty: it stays as it is."} isWide>
          <input name="password" type="password" autoComplete="new-password" required={user === undefined} />
        </Field>
        <Field
          label="Roles"
          hint="Split by spaces. administrator may do everything, monitoring sees all but messages."
          isWide
        >
          <input name="roles" defaultValue={user?.roles.join(" ")} autoComplete="off" spellcheck={false} />
        </Field>
        <label class="check full">
          <input type="checkbox" name="isEnabled" defaultChecked={user?.isEnabled ?? true} /> May log in
        </label>
      </Form>
    </Dialog>
  );
}
