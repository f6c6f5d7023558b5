/** One message, whole. */
import type { ComponentChildren, JSX } from "preact";
import { type Content, contentText, type Message, pretty } from "../core/content.ts";
import { bytes } from "../core/format.ts";
import { Badge, Code, Facts } from "./bits.tsx";
import { Dialog } from "./dialog.tsx";

interface MessageDialogProps {
  readonly title: string;
  readonly message: Message;
  readonly facts: readonly (readonly [string, ComponentChildren])[];
  /** Where it died before, for example. */
  readonly extra?: unknown;
  /** Address of its way through the broker. */
  readonly explain: string;
  onClose(): void;
}

export function MessageDialog({ title, message, facts, extra, explain, onClose }: MessageDialogProps): JSX.Element {
  const { key, value, headers } = message;
  const isExtra = extra !== undefined && extra !== null && !(Array.isArray(extra) && extra.length === 0);
  return (
    <Dialog title={title} onClose={onClose} isWide>
      <Facts rows={facts} />
      <div class="message">
        <ContentPart name="Key" content={key} />
        <ContentPart name="Value" content={value} />
        {headers && Object.keys(headers).length > 0 && <JsonPart name="Headers" value={headers} />}
        {isExtra && <JsonPart name="Dead before" value={extra} />}
        <a class="button" href={explain}>
          Explain its way
        </a>
      </div>
    </Dialog>
  );
}

function ContentPart({ name, content }: { name: string; content: Content | null | undefined }): JSX.Element {
  if (content === null || content === undefined) {
    return (
      <section>
        <h3>
          {name} <Badge>none</Badge>
        </h3>
      </section>
    );
  }
  const { encoding, schemaId, bytes: size, error, truncated } = content;
  return (
    <section>
      <h3>
        {name} <Badge tone="accent">{encoding}</Badge>
        {schemaId !== undefined && <Badge>schema {schemaId}</Badge>}
        <small>
          {bytes(size)}
          {truncated && ", of which the first are shown"}
        </small>
      </h3>
      {error !== undefined && <p class="note warn">{error}</p>}
      <Code text={contentText(content)} label={name} />
    </section>
  );
}

function JsonPart({ name, value }: { name: string; value: unknown }): JSX.Element {
  return (
    <section>
      <h3>{name}</h3>
      <Code text={pretty(value)} label={name} />
    </section>
  );
}
