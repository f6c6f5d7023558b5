/** The message browser: records of a topic by partition, offset, time or key. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath } from "../core/api.ts";
import { contentLine, type Message } from "../core/content.ts";
import { time, whole } from "../core/format.ts";
import { namespace } from "../core/namespace.ts";
import { useQuery } from "../core/query.ts";
import { go, linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import { Asked, Empty, PageHead } from "../ui/bits.tsx";
import { Field, type Fields, Form } from "../ui/dialog.tsx";
import { MessageDialog } from "../ui/message.tsx";
import { NameField } from "../ui/names.tsx";
import { type Column, Table } from "../ui/table.tsx";
import type { PageProps } from "./index.ts";

interface RecordRow extends Message {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
}

const SHOWN = 50;
const ENCODINGS = ["auto", "json", "text", "msgpack", "avro", "binary"];

/** What the address says: the search is a link that can be sent to somebody. */
function searchOf(query: URLSearchParams) {
  const said = (name: string): string | undefined => query.get(name) ?? undefined;
  return {
    topic: said("topic"),
    partition: said("partition"),
    offset: said("offset"),
    at: said("at"),
    key: said("key"),
    as: said("as"),
    from: said("from"),
    after: said("after"),
  };
}

export function MessagesPage({ query }: PageProps): JSX.Element {
  const space = useStore(namespace);
  const { topic, at, ...rest } = searchOf(query);
  const timestampMs = at === undefined ? undefined : new Date(at).getTime();
  const path =
    topic === undefined ? null : apiPath(["topics", space, topic, "messages"], { ...rest, timestampMs, limit: SHOWN });
  const records = useQuery<{ items: readonly RecordRow[]; next?: string }>(path);
  const [opened, setOpened] = useState<RecordRow>();
  const search = (fields: Fields): void => {
    const { act: _, ...given } = fields;
    go(["messages"], given);
    records.reload();
  };
  return (
    <div class="page tall">
      <PageHead title="Browse messages" note="Looking at records takes nothing away from any reader." />
      <Search key={query.toString()} query={query} onSearch={search} />
      {topic === undefined ? (
        <Empty>Choose a topic: the newest of its records come first.</Empty>
      ) : (
        <Asked query={records}>
          {({ items, next }) => (
            <>
              <Table
                label={`Records of ${topic}`}
                rows={items}
                columns={columnsOf(setOpened)}
                keyOf={({ partition, offset }) => `${partition} ${offset}`}
                empty={
                  next === undefined
                    ? "There are no such records."
                    : "None so far; the search goes on with the next page."
                }
                isTall
              />
              <Pager query={query} next={next} />
            </>
          )}
        </Asked>
      )}
      {opened !== undefined && topic !== undefined && (
        <MessageDialog
          title={`${topic}, partition ${opened.partition}, offset ${whole(opened.offset)}`}
          message={opened}
          facts={[["Time", time(opened.timestampMs)]]}
          explain={linkTo(["explain"], { topic, partition: opened.partition, offset: opened.offset })}
          onClose={() => setOpened(undefined)}
        />
      )}
    </div>
  );
}

function Pager({ query, next }: { query: URLSearchParams; next: string | undefined }): JSX.Element {
  const { after, ...first } = searchOf(query);
  return (
    <div class="actions">
      {after !== undefined && (
        <a class="button" href={linkTo(["messages"], first)}>
          To the first page
        </a>
      )}
      {next !== undefined && (
        <a class="button" href={linkTo(["messages"], { ...first, after: next })}>
          Next page
        </a>
      )}
    </div>
  );
}

function columnsOf(open: (row: RecordRow) => void): readonly Column<RecordRow>[] {
  return [
    {
      title: "Offset",
      cell: (row) => (
        <button type="button" class="link" onClick={() => open(row)}>
          {whole(row.offset)}
        </button>
      ),
      width: "110px",
    },
    { title: "Partition", cell: ({ partition }) => partition, isFigure: true, width: "80px" },
    { title: "Time", cell: ({ timestampMs }) => time(timestampMs), isWide: true, width: "178px" },
    { title: "Key", cell: ({ key }) => contentLine(key), width: "18%" },
    { title: "Value", cell: ({ value }) => <span class="mono">{contentLine(value)}</span> },
    { title: "As", cell: ({ value }) => value?.encoding, isWide: true, width: "80px" },
  ];
}

function Search({ query, onSearch }: { query: URLSearchParams; onSearch(fields: Fields): void }): JSX.Element {
  const { topic, partition, offset, at, key, as, from } = searchOf(query);
  return (
    <Form submit="Show" onSubmit={onSearch} isInline>
      <NameField label="Topic" name="topic" kind="topics" value={topic ?? ""} />
      <Field label="Partition">
        <input name="partition" type="number" min="0" defaultValue={partition} placeholder="all" />
      </Field>
      <Field label="From offset" hint="Needs its partition.">
        <input name="offset" type="number" min="0" defaultValue={offset} />
      </Field>
      <Field label="From time">
        <input name="at" type="datetime-local" step="1" defaultValue={at} />
      </Field>
      <Field label="Key">
        <input name="key" defaultValue={key} autoComplete="off" spellcheck={false} />
      </Field>
      <Field label="Order">
        <select name="from">
          <option value="">newest first</option>
          <option value="earliest" selected={from === "earliest"}>
            oldest first
          </option>
        </select>
      </Field>
      <Field label="Read values as">
        <select name="as">
          {ENCODINGS.map((name) => (
            <option key={name} selected={name === as}>
              {name}
            </option>
          ))}
        </select>
      </Field>
    </Form>
  );
}
