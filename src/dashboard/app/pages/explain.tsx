/** The way of one message through the broker: where it came in, how it was routed, where it lies, who got it. */
import type { ComponentChildren, JSX } from "preact";
import { apiPath } from "../core/api.ts";
import { bytes, exactTime, plural, whole } from "../core/format.ts";
import { namespace } from "../core/namespace.ts";
import { useQuery } from "../core/query.ts";
import { go, linkTo } from "../core/router.ts";
import { useStore } from "../core/store.ts";
import { Asked, Badge, Empty, Facts, PageHead, Tabs } from "../ui/bits.tsx";
import { Field, type Fields, Form } from "../ui/dialog.tsx";
import { NameField } from "../ui/names.tsx";
import type { PageProps } from "./index.ts";

interface Peer {
  readonly worker?: number;
  readonly remote?: string;
  readonly client?: string;
  readonly principal?: string;
}

interface Explained {
  /** Without these where compaction took the record since. */
  readonly message: { readonly timestampMs?: number; readonly bytes?: number };
  readonly stored: {
    readonly log: string;
    readonly topic?: string;
    readonly partition: number;
    readonly offset: number;
    readonly batchOffset: number;
    readonly batchRecords: number;
    readonly batchBytes: number;
    readonly compression: string;
    readonly segmentOffset: number;
    readonly position: number;
    readonly isVisible: boolean;
    readonly isSynced: boolean;
  };
  /** Absent where the broker does not remember it any more. */
  readonly arrived?: Peer & { readonly receivedMs: number; readonly appendedMs: number };
  readonly routing?: {
    /** Absent where its publisher is gone. */
    readonly exchange?: string;
    readonly key: string;
    readonly destinations: readonly { readonly type: string; readonly name: string }[];
  };
  readonly deliveries: readonly (Peer & {
    readonly atMs: number;
    readonly group?: string;
    readonly queue?: string;
  })[];
  readonly acks: readonly {
    readonly atMs?: number;
    readonly queue?: string;
    readonly group?: string;
    readonly outcome: string;
  }[];
  readonly state?: string;
  readonly remembersSinceMs: number;
}

export function ExplainPage({ query }: PageProps): JSX.Element {
  const space = useStore(namespace);
  const [topic, queue] = [query.get("topic"), query.get("queue")];
  const isQueue = queue !== null;
  const path = pathOf(space, query);
  const explained = useQuery<Explained>(path);
  const ask = ({ name = "", ...place }: Fields): void =>
    go(["explain"], { [isQueue ? "queue" : "topic"]: name, ...place });
  return (
    <div class="page">
      <PageHead title="Explain a message" note="What the broker knows of its way." />
      <Tabs
        label="Of what"
        tabs={[
          { name: "A record of a topic", href: linkTo(["explain"]), isOpen: !isQueue },
          { name: "A message of a queue", href: `${linkTo(["explain"])}?queue=`, isOpen: isQueue },
        ]}
      />
      <Form key={query.toString()} submit="Explain" onSubmit={ask} isInline>
        <NameField
          label={isQueue ? "Queue" : "Topic"}
          name="name"
          kind={isQueue ? "queues" : "topics"}
          value={topic ?? queue ?? ""}
        />
        {!isQueue && <NumberField label="Partition" name="partition" value={query.get("partition") ?? "0"} />}
        <NumberField
          label={isQueue ? "Number" : "Offset"}
          name={isQueue ? "number" : "offset"}
          value={query.get(isQueue ? "number" : "offset") ?? ""}
        />
      </Form>
      {path === null ? (
        <Empty>The message browser and the pages of queues lead here, too.</Empty>
      ) : (
        <Asked query={explained}>{(answer) => <Way explained={answer} space={space} />}</Asked>
      )}
    </div>
  );
}

function pathOf(space: string, query: URLSearchParams): string | null {
  const [topic, queue] = [query.get("topic"), query.get("queue")];
  const [offset, number] = [query.get("offset"), query.get("number")];
  if (queue && number) return apiPath(["explain"], { namespace: space, queue, number });
  if (!topic || !offset) return null;
  return apiPath(["explain"], { namespace: space, topic, partition: query.get("partition") ?? "0", offset });
}

function NumberField({ label, name, value }: { label: string; name: string; value: string }): JSX.Element {
  return (
    <Field label={label}>
      <input name={name} type="number" min="0" required defaultValue={value} />
    </Field>
  );
}

function Way({ explained, space }: { explained: Explained; space: string }): JSX.Element {
  const { arrived, routing, deliveries, acks, state, remembersSinceMs } = explained;
  return (
    <ol class="way">
      <Step title="It came in" when={arrived?.receivedMs ?? explained.message.timestampMs}>
        {arrived === undefined ? (
          <p class="muted">The broker remembers arrivals since {exactTime(remembersSinceMs)} only.</p>
        ) : (
          <Facts rows={[...peerFacts(arrived), ["Thread", arrived.worker]]} />
        )}
      </Step>
      {routing !== undefined && (
        <Step title="It was routed">
          <p>
            By{" "}
            {routing.exchange === "" ? (
              "the default exchange"
            ) : routing.exchange === undefined ? (
              "an exchange"
            ) : (
              <a href={linkTo(["exchanges", space, routing.exchange])}>{routing.exchange}</a>
            )}{" "}
            with the key <code>{routing.key}</code> to{" "}
            {routing.destinations.map(({ type, name }) => (
              <a key={`${type} ${name}`} class="badge accent" href={linkTo([`${type}s`, space, name])}>
                {type} {name}
              </a>
            ))}
          </p>
        </Step>
      )}
      <Stored explained={explained} />
      <Step title={deliveries.length === 0 ? "It was not delivered, as far as is remembered" : "It was delivered"}>
        {deliveries.map((delivery, index) => (
          <p key={index}>
            {exactTime(delivery.atMs)} to {delivery.client ?? "a client"} <span class="mono">{delivery.remote}</span>
            {delivery.group !== undefined && ` of the group ${delivery.group}`}
            {delivery.principal !== undefined && ` (${delivery.principal})`}
          </p>
        ))}
      </Step>
      <Step title={acks.length === 0 ? "No acknowledgement is known" : "It was acknowledged"}>
        {state !== undefined && (
          <p>
            In the queue it is <Badge tone="accent">{state}</Badge>
          </p>
        )}
        {acks.map((ack, index) => (
          <p key={index}>
            {ack.atMs !== undefined && `${exactTime(ack.atMs)} `}
            {ack.group ?? ack.queue}: <Badge>{ack.outcome}</Badge>
          </p>
        ))}
      </Step>
    </ol>
  );
}

function peerFacts({ client, remote, principal }: Peer): [string, ComponentChildren][] {
  return [
    ["Client", client],
    ["From", <span class="mono">{remote}</span>],
    ["As", principal],
  ];
}

function Stored({ explained }: { explained: Explained }): JSX.Element {
  const { stored, arrived, message } = explained;
  return (
    <Step title="It was stored" when={arrived?.appendedMs}>
      <Facts
        rows={[
          ["In", stored.log === "topic" ? `topic ${stored.topic ?? ""}` : "the journal of queues"],
          ["Partition", whole(stored.partition)],
          ["Offset", whole(stored.offset)],
          ["Size", bytes(message.bytes)],
          [
            "Batch",
            `${plural(stored.batchRecords, "record")}, ${bytes(stored.batchBytes)}, from ${whole(stored.batchOffset)}`,
          ],
          ["Compression", stored.compression],
          ["Segment", `${whole(stored.segmentOffset)}, at byte ${whole(stored.position)}`],
          ["Visible", stored.isVisible ? "yes" : "not yet"],
          ["On the disk", stored.isSynced ? "yes" : "not yet"],
        ]}
      />
    </Step>
  );
}

interface StepProps {
  readonly title: string;
  readonly when?: number | undefined;
  readonly children?: ComponentChildren;
}

function Step({ title, when, children }: StepProps): JSX.Element {
  return (
    <li>
      <h2>{title}</h2>
      {when !== undefined && <span class="muted">{exactTime(when)}</span>}
      {children}
    </li>
  );
}
