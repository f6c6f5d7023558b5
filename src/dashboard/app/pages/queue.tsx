import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiPath, post, remove } from "../core/api.ts";
import { ago, bytes, plural, short, whole } from "../core/format.ts";
import { useQuery } from "../core/query.ts";
import { useRates } from "../core/rates.ts";
import { go, linkTo } from "../core/router.ts";
import type { Queue } from "../core/types.ts";
import { Asked, PageHead, Stat, Stats } from "../ui/bits.tsx";
import { Chart } from "../ui/chart.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { SettingsPanel } from "../ui/settings.tsx";
import { say } from "../ui/toasts.tsx";
import type { PageProps } from "./index.ts";
import { PeekPanel } from "./queue-peek.tsx";
import { RedriveDialog } from "./queue-redrive.tsx";

const EVERY_MS = 1000;

export function QueuePage({ words }: PageProps): JSX.Element {
  const [space = "", name = ""] = words;
  const path = apiPath(["queues", space, name]);
  const query = useQuery<Queue>(path, { everyMs: EVERY_MS });
  const [asked, setAsked] = useState<"delete" | "purge" | "redrive">();
  const close = (): void => setAsked(undefined);
  const purge = async (): Promise<void> => {
    const { purged } = await post<{ purged: number }>(`${path}/purge`);
    say(`${plural(purged, "message")} dropped`);
    query.reload();
  };
  const drop = async (): Promise<void> => {
    await remove(path);
    say(`${name} is deleted`);
    go(["queues"]);
  };
  return (
    <div class="page">
      <PageHead title={name} above={<a href={linkTo(["queues"])}>Queues</a>}>
        <a class="button" href={linkTo(["publish", "queue"], { name })}>
          Publish
        </a>
        <button type="button" onClick={() => setAsked("redrive")}>
          Redrive
        </button>
        <button type="button" class="danger" onClick={() => setAsked("purge")}>
          Purge
        </button>
        <button type="button" class="danger" onClick={() => setAsked("delete")}>
          Delete
        </button>
      </PageHead>
      <Asked query={query}>{(queue) => <QueueBody queue={queue} etag={query.etag} onChange={query.reload} />}</Asked>
      {asked === "redrive" && <RedriveDialog path={path} onClose={close} onDone={query.reload} />}
      {asked === "purge" && (
        <Confirm title="Drop what waits?" submit="Purge" onConfirm={purge} onClose={close}>
          {plural(query.data?.counts.ready ?? 0, "waiting message")} of {name} would be gone. What consumers hold stays.
        </Confirm>
      )}
      {asked === "delete" && (
        <Confirm title="Delete this queue?" submit="Delete" name={name} onConfirm={drop} onClose={close}>
          Its messages and its bindings go with it.
        </Confirm>
      )}
    </div>
  );
}

interface QueueBodyProps {
  readonly queue: Queue;
  readonly etag: string | null;
  onChange(): void;
}

function QueueBody({ queue, etag, onChange }: QueueBodyProps): JSX.Element {
  const { counts, config, createdMs, namespace, name } = queue;
  const { enqueued = 0, delivered = 0, acked = 0 } = counts;
  const rates = useRates(queue, { enqueued, delivered, acked });
  return (
    <>
      <Stats>
        <Stat name="Ready" value={short(counts.ready)} />
        <Stat name="Unacked" value={short(counts.inFlight)} />
        <Stat name="Delayed" value={short(counts.delayed)} />
        <Stat name="Deferred" value={short(counts.deferred)} />
        <Stat name="Consumers" value={whole(counts.consumers)} />
        <Stat name="Size" value={bytes(counts["bytes"])} />
        <Stat name="Created" value={ago(createdMs)} />
      </Stats>
      <Chart
        title="Messages per second"
        times={rates.times}
        lines={[
          { name: "in", colour: "--line-1", values: rates.values.enqueued },
          { name: "delivered", colour: "--line-2", values: rates.values.delivered },
          { name: "acked", colour: "--line-3", values: rates.values.acked },
        ]}
        format={short}
      />
      <PeekPanel space={namespace} name={name} />
      <SettingsPanel path={apiPath(["queues", namespace, name])} config={config} etag={etag} onChange={onChange} />
    </>
  );
}
