import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { apiPath, post, remove } from "../core/api.ts";
import { ago, plural, whole } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { go, linkTo } from "../core/router.ts";
import type { Binding, ExchangeRow } from "../core/types.ts";
import { Asked, Badge, Empty, PageHead, Panel } from "../ui/bits.tsx";
import { Confirm, Dialog, Field, type Fields, Form } from "../ui/dialog.tsx";
import { BindingsPicture } from "../ui/picture.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { say } from "../ui/toasts.tsx";
import { bindingsFrom, conditionOf, pictureOf, targetOf } from "./exchange-picture.ts";
import { TracePanel } from "./exchange-trace.tsx";
import type { PageProps } from "./index.ts";

interface Bindings {
  readonly data: ReadonlyMap<string, readonly Binding[]> | undefined;
  readonly error: unknown;
  reload(): void;
}

export function ExchangePage({ words }: PageProps): JSX.Element {
  const [space = "", name = ""] = words;
  const path = apiPath(["exchanges", space, name]);
  const exchange = useQuery<ExchangeRow>(path);
  const bindings = useBindings(space, name);
  const [reached, setReached] = useState<ReadonlySet<string> | null>(null);
  const [asked, setAsked] = useState<"bind" | "delete">();
  const close = (): void => setAsked(undefined);
  const drop = async (): Promise<void> => {
    await remove(path);
    say(`${name} is deleted`);
    go(["exchanges"]);
  };
  const { type = "", createdMs, config } = exchange.data ?? {};
  const alternate = config?.["alternate"];
  return (
    <div class="page">
      <PageHead
        title={name}
        above={<a href={linkTo(["exchanges"])}>Exchanges</a>}
        note={
          exchange.data && (
            <>
              <Badge tone="accent">{type}</Badge> created {ago(createdMs)}
              {typeof alternate === "string" && `, with ${alternate} for what no binding matches`}
            </>
          )
        }
      >
        <a class="button" href={linkTo(["publish", "exchange"], { name })}>
          Publish
        </a>
        <button type="button" onClick={() => setAsked("bind")}>
          Bind
        </button>
        <button type="button" class="danger" onClick={() => setAsked("delete")}>
          Delete
        </button>
      </PageHead>
      <TracePanel path={path} exchange={name} onReached={setReached} />
      <Panel title="Where it leads">
        <Asked query={{ data: bindings.data, error: exchange.error ?? bindings.error }}>
          {() =>
            (bindings.data?.get(name)?.length ?? 0) === 0 ? (
              <Empty>Nothing is bound to it yet.</Empty>
            ) : (
              <BindingsPicture space={space} picture={pictureOf(name, bindings.data ?? new Map())} reached={reached} />
            )
          }
        </Asked>
      </Panel>
      <BindingsPanel space={space} exchange={name} bindings={bindings} />
      {asked === "bind" && <BindDialog space={space} exchange={name} onDone={bindings.reload} onClose={close} />}
      {asked === "delete" && (
        <Confirm title="Delete this exchange?" submit="Delete" name={name} onConfirm={drop} onClose={close}>
          Its bindings go with it; the queues and topics stay.
        </Confirm>
      )}
    </div>
  );
}

function useBindings(space: string, name: string): Bindings {
  const [shown, setShown] = useState<Omit<Bindings, "reload">>({ data: undefined, error: undefined });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    bindingsFrom(space, name, abort.signal).then(
      (data) => setShown({ data, error: undefined }),
      (error: unknown) => abort.signal.aborted || setShown({ data: undefined, error }),
    );
    return () => abort.abort();
  }, [space, name, round]);
  return { ...shown, reload: () => setRound((before) => before + 1) };
}

interface BindingsPanelProps {
  readonly space: string;
  readonly exchange: string;
  readonly bindings: Bindings;
}

function BindingsPanel({ space, exchange, bindings }: BindingsPanelProps): JSX.Element | null {
  const [unbinding, setUnbinding] = useState<Binding>();
  const rows = bindings.data?.get(exchange);
  if (rows === undefined || rows.length === 0) return null;
  const columns: readonly Column<Binding>[] = [
    { title: "To", cell: (row) => targetOf(row).name, sort: (row) => targetOf(row).name },
    { title: "Kind", cell: (row) => <Badge>{targetOf(row).kind}</Badge>, width: "100px" },
    { title: "For messages with", cell: (row) => <span class="mono">{conditionOf(row) || "anything"}</span> },
    {
      title: "Act",
      cell: (row) => (
        <button type="button" onClick={() => setUnbinding(row)} aria-label={`Unbind ${targetOf(row).name}`}>
          Unbind
        </button>
      ),
      width: "96px",
    },
  ];
  const unbind = async (): Promise<void> => {
    await remove(apiPath(["bindings", space, unbinding?.id ?? ""]));
    say("The binding is gone");
    bindings.reload();
  };
  return (
    <Panel title="Bindings" note={whole(rows.length)}>
      <Table
        label="Bindings"
        rows={rows}
        columns={columns}
        keyOf={({ id }) => id}
        href={(row) => linkTo([`${targetOf(row).kind}s`, space, targetOf(row).name])}
        empty=""
      />
      {unbinding !== undefined && (
        <Confirm
          title="Remove this binding?"
          submit="Unbind"
          onConfirm={unbind}
          onClose={() => setUnbinding(undefined)}
        >
          {targetOf(unbinding).name} gets no more messages by it.
        </Confirm>
      )}
    </Panel>
  );
}

interface BindDialogProps {
  readonly space: string;
  readonly exchange: string;
  onDone(): void;
  onClose(): void;
}

function BindDialog({ space, exchange, onDone, onClose }: BindDialogProps): JSX.Element {
  const bind = async ({ kind = "queue", name = "", key, where }: Fields): Promise<void> => {
    const body = { exchange, [kind]: name, ...(key && { key }), ...(where && { where }) };
    await post(apiPath(["bindings", space]), body);
    say(`${plural(1, "binding")} made`);
    onDone();
    onClose();
  };
  return (
    <Dialog title={`Bind to ${exchange}`} onClose={onClose}>
      <Form submit="Bind" onSubmit={bind}>
        <Field label="What">
          <select name="kind">
            <option value="queue">a queue</option>
            <option value="topic">a topic</option>
            <option value="to">another exchange</option>
          </select>
        </Field>
        <Field label="Name">
          <input name="name" required autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="Routing key" hint="* is one word, # any number of words.">
          <input name="key" autoComplete="off" spellcheck={false} />
        </Field>
        <Field label="Rule" hint={'For example $.priority == "urgent"'}>
          <input name="where" autoComplete="off" spellcheck={false} />
        </Field>
      </Form>
    </Dialog>
  );
}
