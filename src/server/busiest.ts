/** The topics, queues and groups in which most happens: what is worth a look when there are thousands. */
import { type Live, liveOf, type LiveQueue, type LiveTopic, type MetricsSnapshot } from "../metrics/index.ts";

/** Rates are of at least so long; who looks more often gets those of a look before. */
const RATE_MS_MIN = 900;
/** What is older says nothing about now. */
const RATE_MS_MAX = 60_000;

export type Busiest = Pick<Live, "intervalMs" | "topics" | "queues" | "groups">;

export class BusiestFigures {
  /** Rates are from `#before` to now; `#last` takes its place once it is old enough. */
  #before: MetricsSnapshot | undefined;
  #last: MetricsSnapshot | undefined;

  /** @param limit of each list. Rates are 0 where there was no look within the minute before. */
  read(now: MetricsSnapshot, limit: number): Busiest {
    if (this.#last === undefined || now.atMs - this.#last.atMs >= RATE_MS_MIN) {
      this.#before = this.#last;
      this.#last = now;
    }
    const before = this.#before;
    const isFresh = before !== undefined && now.atMs - before.atMs <= RATE_MS_MAX;
    return busiestOf(liveOf(now, isFresh ? before : now), limit);
  }
}

export function busiestOf({ intervalMs, topics, queues, groups }: Live, limit: number): Busiest {
  return {
    intervalMs,
    topics: most(topics, limit, flowOf, ({ logBytes }) => logBytes),
    queues: most(queues, limit, turnoverOf, ({ ready, unacked }) => ready + unacked),
    groups: most(
      groups,
      limit,
      ({ lagMs }) => lagMs,
      ({ lag }) => lag,
    ),
  };
}

function flowOf({ messagesInPerSec, messagesOutPerSec }: LiveTopic): number {
  return messagesInPerSec + messagesOutPerSec;
}

function turnoverOf({ publishedPerSec, deliveredPerSec }: LiveQueue): number {
  return publishedPerSec + deliveredPerSec;
}

/** Those with the largest `first`, among equals with the largest `second`; the order of the list decides the rest. */
function most<T>(all: readonly T[], limit: number, first: (one: T) => number, second: (one: T) => number): T[] {
  return all.toSorted((a, b) => first(b) - first(a) || second(b) - second(a)).slice(0, limit);
}
