/** “Where would this message go?”: asks the broker to route a message without publishing it. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { post } from "../core/api.ts";
import { plural } from "../core/format.ts";
import { Badge, Panel } from "../ui/bits.tsx";
import { Field, type Fields, Form } from "../ui/dialog.tsx";
import { nodeId } from "./exchange-picture.ts";

interface Place {
  readonly kind: string;
  readonly name: string;
}

interface Trace {
  readonly destinations: readonly Place[];
  readonly path: readonly { readonly exchange: string; readonly to: Place }[];
}

interface TraceProps {
  /** Of the exchange. */
  readonly path: string;
  readonly exchange: string;
  /** Ids of the picture's nodes. */
  onReached(reached: ReadonlySet<string> | null): void;
}

export function TracePanel({ path, exchange, onReached }: TraceProps): JSX.Element {
  const [trace, setTrace] = useState<Trace>();
  const ask = async ({ key = "", headers, body }: Fields): Promise<void> => {
    const found = await post<Trace>(`${path}/route`, {
      key,
      ...(headers && { headers: headersOf(headers) }),
      ...(body && { value: body }),
    });
    setTrace(found);
    const steps = found.path.flatMap((step) => [nodeId("exchange", step.exchange), idOf(step.to)]);
    onReached(new Set([nodeId("exchange", exchange), ...steps]));
  };
  return (
    <Panel title="Where would this message go?" note="nothing is published">
      <div class="pad">
        <Form submit="Show" onSubmit={ask} isInline>
          <Field label="Routing key">
            <input name="key" autoComplete="off" spellcheck={false} />
          </Field>
          <Field label="Headers" hint="As JSON">
            <input name="headers" autoComplete="off" spellcheck={false} placeholder="{}" />
          </Field>
          <Field label="Body" hint="For rules over its fields">
            <input name="body" autoComplete="off" spellcheck={false} placeholder="{}" />
          </Field>
        </Form>
        {trace !== undefined && <Reached trace={trace} />}
      </div>
    </Panel>
  );
}

function Reached({ trace }: { trace: Trace }): JSX.Element {
  const { destinations } = trace;
  if (destinations.length === 0) {
    return (
      <p class="note warn" role="status">
        No binding takes it: it would be unroutable.
      </p>
    );
  }
  return (
    <p class="note good" role="status">
      It would go to {plural(destinations.length, "place")}:{" "}
      {destinations.map((place) => (
        <Badge key={idOf(place)} tone="good">
          {place.kind} {place.name}
        </Badge>
      ))}
    </p>
  );
}

function idOf({ kind, name }: Place): string {
  return nodeId(kind, name);
}

export function headersOf(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error("Headers are a JSON object.");
}
