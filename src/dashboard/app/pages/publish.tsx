import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, post } from "../core/api.ts";
import { whole } from "../core/format.ts";
import { namespace } from "../core/namespace.ts";
import { go, linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import { PageHead, Panel, Tabs } from "../ui/bits.tsx";
import { Field, type Fields, Form } from "../ui/dialog.tsx";
import { NameField } from "../ui/names.tsx";
import { headersOf } from "./exchange-trace.tsx";
import type { PageProps } from "./index.ts";

const KINDS = ["topic", "queue", "exchange"] as const;
type Kind = (typeof KINDS)[number];

interface Published {
  readonly partition?: number;
  readonly offset?: number;
  readonly routed?: boolean;
}

export function PublishPage({ words, query }: PageProps): JSX.Element {
  const space = useStore(namespace);
  const kind: Kind = KINDS.find((name) => name === words[0]) ?? "topic";
  const [published, setPublished] = useState<Published & { name: string }>();
  const publish = async (fields: Fields): Promise<void> => {
    const { name = "", key, partition, headers, value = "", form } = fields;
    setPublished(undefined);
    const path = apiPath([`${kind}s`, space, name, "messages"]);
    const answer = await post<Published>(path, {
      ...contentOf(form ?? "text", value),
      ...(key && { key }),
      ...(partition && { partition: Number(partition) }),
      ...(headers && { headers: headersOf(headers) }),
    });
    setPublished({ ...answer, name });
  };
  return (
    <div class="page">
      <PageHead title="Publish a message" note="One at a time, to try something out." />
      <Tabs
        label="To what"
        tabs={KINDS.map((name) => ({
          name: `To ${name === "exchange" ? "an" : "a"} ${name}`,
          href: linkTo(["publish", name]),
          isOpen: name === kind,
        }))}
      />
      <Panel title="Message">
        <div class="pad">
          <Form submit="Publish" onSubmit={publish}>
            <NameField
              label={kind.replace(/^./, (letter) => letter.toUpperCase())}
              name="name"
              kind={`${kind}s`}
              value={query.get("name") ?? ""}
            />
            {kind !== "queue" && (
              <Field label={kind === "topic" ? "Key" : "Routing key"}>
                <input name="key" autoComplete="off" spellcheck={false} />
              </Field>
            )}
            {kind === "topic" && (
              <Field label="Partition" hint="Empty: by its key.">
                <input name="partition" type="number" min="0" />
              </Field>
            )}
            <Field label="Value is">
              <select name="form">
                <option value="text">text</option>
                <option value="json">JSON</option>
                <option value="base64">bytes in base64</option>
              </select>
            </Field>
            <Field label="Value" isWide>
              <textarea name="value" rows={8} spellcheck={false} />
            </Field>
            <Field label="Headers" hint="A JSON object of texts, numbers and booleans." isWide>
              <textarea name="headers" rows={2} spellcheck={false} placeholder="{}" />
            </Field>
            {published !== undefined && <Outcome published={published} />}
          </Form>
        </div>
      </Panel>
    </div>
  );
}

function contentOf(form: string, value: string): Readonly<Record<string, unknown>> {
  if (form === "json") return { json: JSON.parse(value) as unknown };
  return form === "base64" ? { base64: value.replaceAll(/\s/g, "") } : { value };
}

function Outcome({ published }: { published: Published & { name: string } }): JSX.Element {
  const { partition, offset, routed, name } = published;
  if (routed === false) {
    return (
      <p class="note warn" role="status">
        No queue and no topic took it: nothing is stored.
      </p>
    );
  }
  if (partition === undefined || offset === undefined) {
    return (
      <p class="note good" role="status">
        It was taken.
      </p>
    );
  }
  const show = (): void => go(["messages"], { topic: name, partition, offset });
  return (
    <p class="note good" role="status">
      It is record {whole(offset)} of partition {partition}.{" "}
      <button type="button" onClick={show}>
        Show it
      </button>
    </p>
  );
}
