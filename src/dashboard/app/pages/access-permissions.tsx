import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, put, remove } from "../core/api.ts";
import { useList } from "../core/query.ts";
import type { Permission } from "../core/types.ts";
import { Asked, Badge, Panel } from "../ui/bits.tsx";
import { Confirm, Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";

export const RIGHTS = ["configure", "write", "read", "admin"] as const;
export const KINDS = ["topic", "queue", "exchange", "group", "subject", "transform", "namespace", "broker"] as const;

export function PermissionsTab(): JSX.Element {
  const query = useList<Permission>(apiPath(["permissions"]));
  const [isCreating, setCreating] = useState(false);
  const [deleting, setDeleting] = useState<Permission>();
  const drop = async (): Promise<void> => {
    await remove(apiPath(["permissions", deleting?.id ?? ""]));
    say("The rule is deleted");
    query.reload();
  };
  const add = (
    <button type="button" onClick={() => setCreating(true)}>
      New rule
    </button>
  );
  return (
    <Panel title="Rules" actions={add}>
      <Asked query={query}>
        {(rules) => (
          <Table
            label="Rules"
            rows={rules}
            columns={columnsOf(setDeleting)}
            keyOf={({ id }) => id}
            empty="There are none: only administrators may do anything."
          />
        )}
      </Asked>
      {isCreating && <RuleDialog onDone={query.reload} onClose={() => setCreating(false)} />}
      {deleting !== undefined && (
        <Confirm title="Delete this rule?" submit="Delete" onConfirm={drop} onClose={() => setDeleting(undefined)}>
          {sentenceOf(deleting)} would not hold any more. Readers and writers who lose their right by it are stopped.
        </Confirm>
      )}
    </Panel>
  );
}

/** “role traders: allow read, write on topics prices.* of default” */
function sentenceOf({ principal, role, effect, operations, resource }: Permission): string {
  const whom = role === null ? principal : `role ${role}`;
  return `${whom}: ${effect} ${operations.join(", ")} on ${resource.kind} ${resource.name} of ${resource.namespace}`;
}

function columnsOf(drop: (rule: Permission) => void): readonly Column<Permission>[] {
  return [
    {
      title: "Whom",
      cell: ({ principal, role }) =>
        role === null ? (
          principal
        ) : (
          <>
            {role} <Badge>role</Badge>
          </>
        ),
      sort: ({ principal, role }) => role ?? principal ?? "",
    },
    {
      title: "Effect",
      cell: ({ effect }) => <Badge tone={effect === "allow" ? "good" : "bad"}>{effect}</Badge>,
      sort: ({ effect }) => effect,
      width: "90px",
    },
    { title: "Rights", cell: ({ operations }) => operations.join(", ") },
    {
      title: "On",
      cell: ({ resource: { kind, name, match } }) => (
        <>
          {kind} <span class="mono">{match === "prefix" ? `${name}…` : name}</span>
        </>
      ),
      sort: ({ resource }) => `${resource.kind} ${resource.name}`,
    },
    {
      title: "Namespace",
      cell: ({ resource }) => <span class="mono">{resource.namespace}</span>,
      isWide: true,
      width: "120px",
    },
    { title: "Rule", cell: ({ id }) => id, sort: ({ id }) => id, isWide: true },
    {
      title: "Act",
      cell: (rule) => (
        <button type="button" aria-label={`Delete rule ${rule.id}`} onClick={() => drop(rule)}>
          Delete
        </button>
      ),
      width: "90px",
    },
  ];
}

function RuleDialog({ onDone, onClose }: { onDone(): void; onClose(): void }): JSX.Element {
  const save = async (fields: Fields): Promise<void> => {
    const { id = "", whom = "", who = "principal", effect, kind, name, match, space } = fields;
    await put(apiPath(["permissions", id]), {
      [who]: whom,
      effect,
      operations: RIGHTS.filter((right) => fields[right] === "on"),
      resource: { kind, namespace: space, name, match },
    });
    say("The rule is saved");
    onDone();
    onClose();
  };
  return (
    <Dialog title="New rule" onClose={onClose}>
      <Form submit="Save" onSubmit={save}>
        <Field label="Name of the rule" isWide>
          <input name="id" required autoFocus autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="About a">
          <select name="who">
            <option value="role">role</option>
            <option value="principal">principal</option>
          </select>
        </Field>
        <Field label="Named">
          <input name="whom" required autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="Effect">
          <select name="effect">
            <option>allow</option>
            <option>deny</option>
          </select>
        </Field>
        <Field label="On">
          <select name="kind">
            <option value="*">everything</option>
            {KINDS.map((kind) => (
              <option key={kind}>{kind}</option>
            ))}
          </select>
        </Field>
        <Field label="Whose name">
          <select name="match">
            <option value="pattern">fits the pattern</option>
            <option value="literal">is</option>
            <option value="prefix">begins with</option>
          </select>
        </Field>
        <Field label="Name" hint="In patterns * is one word, # any number.">
          <input name="name" defaultValue="#" autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="In the namespace" hint="A pattern; # is all.">
          <input name="space" defaultValue="default" required autoComplete="off" spellcheck={false} />
        </Field>
        <section class="checks">
          {RIGHTS.map((right) => (
            <label key={right} class="check">
              <input type="checkbox" name={right} defaultChecked={right === "read"} /> {right}
            </label>
          ))}
        </section>
      </Form>
    </Dialog>
  );
}
