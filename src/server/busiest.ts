/** The topics, queues and groups in which most happens: what is worth a look when there are thousands. */
import type { Live, LiveQueue, LiveTopic } from "../metrics/index.ts";

/** @param limit of each list. */
export function busiestOf({ intervalMs, topics, queues, groups }: Live, limit: number): Live {
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
