/** The figures of each second, as the broker sends them while the dashboard is open (server-sent events). */
import { apiPath, isLoginNeeded } from "./api.ts";
import { emptySeries, grow, type Series } from "./rates.ts";
import { whoami } from "./session.ts";
import { Store } from "./store.ts";
import type { Overview, StageSummary } from "./types.ts";

const NAMES = ["recordsIn", "recordsOut", "enqueued", "acked", "bytesIn", "bytesOut", "p50", "p99", "p999"] as const;
export type LiveName = (typeof NAMES)[number];

export interface Live {
  /** Figures come. */
  readonly isOpen: boolean;
  readonly last: Overview | undefined;
  readonly series: Series<LiveName>;
}

export const live = new Store<Live>({ isOpen: false, last: undefined, series: emptySeries(NAMES) });

/** Whoever may not see figures is refused each time, and the broker takes that down. */
const RETRY_MS = 10_000;

/** Nobody gets figures before logging in, and a page that nobody sees keeps no connection: browsers have six for a host. */
function isWanted(): boolean {
  return whoami.value !== null && !isLoginNeeded.value && document.visibilityState === "visible";
}

/** Listens as long as figures are wanted, and again when they are once more. */
function listen(): void {
  if (!isWanted()) return onceItChanges(listen);
  const source = new EventSource(apiPath(["events"], { topics: "overview" }));
  let isOver = false;
  const again = (): void => {
    if (isOver) return;
    isOver = true;
    source.close();
    listen();
  };
  source.addEventListener("overview", ({ data }: MessageEvent<string>) => take(JSON.parse(data) as Overview));
  source.addEventListener("error", () => {
    live.set({ ...live.value, isOpen: false });
    // The browser tries again by itself, except where the answer was no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(again, RETRY_MS);
  });
  const check = (): void => {
    if (isOver) return;
    if (isWanted()) onceItChanges(check);
    else again();
  };
  onceItChanges(check);
}

/** Calls back at the next change of anything that `isWanted` looks at. */
function onceItChanges(run: () => void): void {
  const abort = new AbortController();
  const changed = (): void => {
    abort.abort();
    run();
  };
  const stops = [whoami.watch(changed), isLoginNeeded.watch(changed)];
  document.addEventListener("visibilitychange", changed, { signal: abort.signal });
  abort.signal.addEventListener("abort", () => stops.forEach((stop) => stop()));
}

function take(overview: Overview): void {
  const sample = sampleOf(overview);
  // By the broker's clock: events that a busy browser takes late stand where they belong.
  const { nowMs } = overview;
  live.set({ isOpen: true, last: overview, series: grow(live.value.series, (name) => sample[name], nowMs) });
}

function sampleOf({ rates, stages }: Overview): Readonly<Record<LiveName, number | null>> {
  const total: StageSummary | undefined = stages["total"];
  // Without messages there is no latency, not one of zero.
  const latency = total === undefined || total.count === 0 ? undefined : total;
  return {
    recordsIn: rates?.recordsInPerSec ?? null,
    recordsOut: rates?.recordsOutPerSec ?? null,
    enqueued: rates?.enqueuedPerSec ?? null,
    acked: rates?.ackedPerSec ?? null,
    bytesIn: rates?.bytesInPerSec ?? null,
    bytesOut: rates?.bytesOutPerSec ?? null,
    p50: latency?.p50Ms ?? null,
    p99: latency?.p99Ms ?? null,
    p999: latency?.p999Ms ?? null,
  };
}

listen();
