import { expect, test } from "bun:test";
import { Latencies, liveOf, Looks, type MetricsSnapshot, STAGES, type Stages } from "../../src/metrics/index.ts";

const NO_STAGES = Object.fromEntries(STAGES.map((stage) => [stage, Latencies.NONE])) as unknown as Stages;

function snapshot(atMs: number, recordsIn: number, published: number): MetricsSnapshot {
  const topic = { namespace: "default", topic: "t", segments: 1, partitions: 2, skew: 1, hotKeyShare: 0 };
  const place = {
    namespace: "default",
    queue: "q",
    ready: 4,
    unacked: 1,
    delayed: 0,
    deferred: 0,
    bytes: 0,
    consumers: 2,
  };
  const ends = { acked: 0, expired: 0, rejected: 0, dropped: 0, deadLettered: 0 };
  return {
    atMs,
    startedMs: 0,
    version: "1",
    epoch: 1,
    topics: [{ ...topic, recordsIn, bytesIn: recordsIn * 10, recordsOut: 0, bytesOut: 0, logBytes: 5 }],
    queues: [{ ...place, published, delivered: 0, redelivered: 0, ...ends }],
    workers: [],
    groups: [],
    quotas: [],
    stages: NO_STAGES,
    namespaces: [],
    syncLatencyMs: [],
    syncSumMs: 0,
    failedPartitions: 0,
    unroutable: 0,
    deadLetterLoops: 0,
    schemaViolations: 0,
    dirtyBytes: 0,
    mappedSegments: 0,
    openFiles: 0,
    residentBytes: 0,
    pressure: undefined,
  };
}

test("rates are of the time since the look before, and 0 without one", () => {
  const [first, second, third] = [snapshot(1_000, 100, 10), snapshot(3_000, 300, 10), snapshot(4_000, 300, 15)];
  expect(liveOf(first)).toMatchObject({ intervalMs: 0, topics: [{ messagesInPerSec: 0, bytesInPerSec: 0 }] });
  expect(liveOf(second, first)).toMatchObject({
    intervalMs: 2_000,
    topics: [{ messagesInPerSec: 100, bytesInPerSec: 1_000 }],
    queues: [{ ready: 4, unacked: 1, consumers: 2, publishedPerSec: 0 }],
  });
  expect(liveOf(third, second).queues[0]?.publishedPerSec).toBe(5);
});

test("a topic that was deleted and made again has no negative rate", () => {
  expect(liveOf(snapshot(2_000, 30, 0), snapshot(1_000, 100, 0)).topics[0]?.messagesInPerSec).toBe(30);
});

test("rates are of a look at least 900 ms before, however often somebody looks, and of none after a minute's pause", () => {
  const looks = new Looks();
  const since = (atMs: number): number | undefined => looks.before(snapshot(atMs, 0, 0))?.atMs;
  expect([0, 100, 1_000, 1_100, 2_000, 100_000, 100_950].map(since)).toEqual([
    undefined,
    undefined,
    0,
    0,
    1_000,
    undefined,
    100_000,
  ]);
});

test("a clock that was set back begins anew", () => {
  const looks = new Looks();
  const since = (atMs: number): number | undefined => looks.before(snapshot(atMs, 0, 0))?.atMs;
  expect([50_000, 51_000, 10_000, 11_000].map(since)).toEqual([undefined, 50_000, undefined, 10_000]);
});
