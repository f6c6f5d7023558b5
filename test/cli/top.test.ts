import { expect, test } from "bun:test";
import { screenOf } from "../../src/cli/top-view.ts";
import { table } from "../../src/cli/table.ts";
import type { Overview } from "../../src/client/index.ts";

const OVERVIEW: Overview = {
  version: "1.2.3",
  epoch: 4,
  startedMs: 1_000_000,
  nowMs: 1_000_000 + 3 * 3_600_000,
  threads: 2,
  counts: { topics: 3, partitions: 24, queues: 2, exchanges: 1, bindings: 2, connections: 214 },
  totals: { recordsIn: 0, bytesIn: 0, recordsOut: 0, bytesOut: 0, enqueued: 0, delivered: 0, acked: 0 },
  rates: {
    recordsInPerSec: 1_234_567,
    bytesInPerSec: 2 ** 27,
    recordsOutPerSec: 2.5,
    bytesOutPerSec: 250,
    enqueuedPerSec: 10,
    deliveredPerSec: 9.25,
    ackedPerSec: 9,
  },
  queues: { ready: 12_345, inFlight: 20, delayed: 7, deferred: 0, bytes: 0, consumers: 2, deadLettered: 3 },
  stages: {
    total: { count: 12_345, p50Ms: 0.2, p90Ms: 0.5, p99Ms: 1.25, p999Ms: 20, maxMs: 33 },
    dispatch: { count: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 },
  },
  storage: {
    logBytes: 3 * 2 ** 30,
    dirtyBytes: 2 ** 20,
    failedPartitions: 0,
    diskFreeBytes: 2 ** 39,
    diskBytes: 2 ** 40,
  },
  residentBytes: 300 * 2 ** 20,
  workers: [{ worker: 0, connections: 114, requestsInFlight: 2, delay: { p50Ms: 0.12, p99Ms: 1.5, maxMs: 30 } }],
  busiest: {
    topics: [
      {
        namespace: "shop",
        topic: "orders",
        messagesInPerSec: 1_234_567,
        bytesInPerSec: 2 ** 27,
        messagesOutPerSec: 0,
        bytesOutPerSec: 0,
        logBytes: 3 * 2 ** 30,
      },
    ],
    queues: [
      {
        namespace: "default",
        queue: "mail",
        ready: 12_345,
        unacked: 20,
        consumers: 2,
        publishedPerSec: 10,
        deliveredPerSec: 9.25,
        ackedPerSec: 9,
        deadLetteredPerSec: 0.2,
      },
    ],
    groups: [{ namespace: "default", group: "billing", topic: "orders", lag: 50_000, lagMs: 90_000 }],
  },
};

const tables = {
  table: (titles: readonly string[], rows: Parameters<typeof table>[1], right?: readonly string[]) =>
    table(titles, rows, { right: right ?? [] }),
};

test("a look shows rates, storage, workers, and what is busiest; the default namespace goes without saying", () => {
  expect(screenOf(OVERVIEW, tables)).toBe(
    `millrace 1.2.3  up 3.0 h  threads 2  memory 300.0 MiB
topics  in 1,234,567/s, 128.0 MiB/s  out 2.5/s, 250 B/s
queues  in 10/s  out 9.3/s  acked 9.0/s
topics 3  partitions 24  exchanges 1  queues 2  connections 214
in queues 12,345 ready  20 unacked  7 delayed  dead letters so far 3
logs 3.0 GiB  not synced 1.0 MiB  disk 512.0 GiB free of 1.0 TiB

WORKER  CONNECTIONS  REQUESTS  LATE p50     p99      MAX
     0          114         2    0.1 ms  1.5 ms  30.0 ms

STAGE   COUNT     p50     p99    p99.9
total  12,345  0.2 ms  1.3 ms  20.0 ms

TOPIC             IN/S     BYTES IN  OUT/S  BYTES OUT      LOG
shop:orders  1,234,567  128.0 MiB/s      0      0 B/s  3.0 GiB

QUEUE   READY  UNACKED  IN/S  OUT/S  ACKS/S  DEAD/S  CONSUMERS
mail   12,345       20    10    9.3     9.0     0.2          2

GROUP    TOPIC      LAG  BEHIND
billing  orders  50,000  90.0 s
`,
  );
});

test("without rates, a disk, or anything to list it says so, or leaves it out", () => {
  const { busiest: _, ...rest } = OVERVIEW;
  const storage = { logBytes: 0, dirtyBytes: 0, failedPartitions: 2 };
  const text = screenOf({ ...rest, rates: null, storage }, tables);
  expect(text).toContain("rates come with the next look\n");
  expect(text).toContain("in memory\n");
  expect(text).toContain("FAILED PARTITIONS 2");
  expect(text).not.toContain("TOPIC ");
});
