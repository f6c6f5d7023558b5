/** Sends messages of a queue back to where they came from, after a look at what that would do. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { post } from "../core/api.ts";
import { contentLine, type Message } from "../core/content.ts";
import { plural, whole } from "../core/format.ts";
import { Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";

interface Redriven extends Message {
  readonly number: number;
  readonly queues: readonly string[];
}

interface Result {
  readonly matched: number;
  readonly moved: number;
  readonly items?: readonly Redriven[];
}

interface RedriveProps {
  /** Of the queue. */
  readonly path: string;
  onDone(): void;
  onClose(): void;
}

export function RedriveDialog({ path, onDone, onClose }: RedriveProps): JSX.Element {
  const [tried, setTried] = useState<Result>();
  const run = async ({ where, to, key, max, act }: Fields): Promise<void> => {
    const dryRun = act !== "move";
    const body = {
      dryRun,
      ...(where && { where }),
      ...(to && { to }),
      ...(key && { key }),
      ...(max && { max: Number(max) }),
    };
    const result = await post<Result>(`${path}/redrive`, body);
    if (dryRun) return setTried(result);
    say(`${plural(result.moved, "message")} moved`);
    onDone();
    onClose();
  };
  const move = (
    <button type="submit" name="act" value="move" class="danger" disabled={tried === undefined}>
      Move them
    </button>
  );
  return (
    <Dialog title="Redrive messages" onClose={onClose} isWide>
      <Form submit="Show what would move" onSubmit={run} aside={move} onEdit={() => setTried(undefined)}>
        <Field label="Only where" hint={'For example: header("x-tenant") == "a" and $.amount > 10'} isWide>
          <input name="where" spellcheck={false} autoComplete="off" />
        </Field>
        <Field label="To the exchange" hint="Empty: where each came from.">
          <input name="to" spellcheck={false} autoComplete="off" />
        </Field>
        <Field label="With the routing key" hint="Empty: its own.">
          <input name="key" spellcheck={false} autoComplete="off" />
        </Field>
        <Field label="At most">
          <input name="max" type="number" min="1" max="100000" />
        </Field>
        {tried !== undefined && <Tried result={tried} />}
      </Form>
    </Dialog>
  );
}

function Tried({ result }: { result: Result }): JSX.Element {
  const { matched, items = [] } = result;
  return (
    <section>
      <p class="note" role="status">
        {plural(matched, "message")} would move. {items.length > 0 && "The first of them:"}
      </p>
      {items.length > 0 && (
        <Table
          label="What would move"
          rows={items}
          columns={[
            { title: "Number", cell: ({ number }) => whole(number), width: "90px" },
            { title: "To", cell: ({ queues }) => queues.join(", ") },
            { title: "Key", cell: ({ key }) => contentLine(key) },
            { title: "Value", cell: ({ value }) => <span class="mono">{contentLine(value)}</span> },
          ]}
          keyOf={({ number }) => String(number)}
          empty=""
        />
      )}
    </section>
  );
}
