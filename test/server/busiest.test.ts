import { expect, test } from "bun:test";
import type { Live } from "../../src/metrics/index.ts";
import { busiestOf } from "../../src/server/busiest.ts";

const TOPIC = { namespace: "n", bytesInPerSec: 0, bytesOutPerSec: 0, skew: 0, hotKeyShare: 0 };
const QUEUE = {
  namespace: "n",
  delayed: 0,
  deferred: 0,
  consumers: 0,
  redeliveredPerSec: 0,
  ackedPerSec: 0,
  deadLetteredPerSec: 0,
};

test("flow comes first, then what lies there; groups go by time, then by messages; lists are cut", () => {
  const topics = [
    { ...TOPIC, topic: "small", messagesInPerSec: 0, messagesOutPerSec: 0, logBytes: 1 },
    { ...TOPIC, topic: "large", messagesInPerSec: 0, messagesOutPerSec: 0, logBytes: 2 },
    { ...TOPIC, topic: "read", messagesInPerSec: 1, messagesOutPerSec: 9, logBytes: 0 },
    { ...TOPIC, topic: "written", messagesInPerSec: 8, messagesOutPerSec: 0, logBytes: 0 },
  ];
  const queues = [
    { ...QUEUE, queue: "waits", ready: 9, unacked: 0, publishedPerSec: 0, deliveredPerSec: 0 },
    { ...QUEUE, queue: "held", ready: 0, unacked: 10, publishedPerSec: 0, deliveredPerSec: 0 },
    { ...QUEUE, queue: "flows", ready: 0, unacked: 0, publishedPerSec: 1, deliveredPerSec: 0 },
  ];
  const group = { namespace: "n", topic: "t" };
  const groups = [
    { ...group, group: "few", lag: 5, lagMs: 10 },
    { ...group, group: "many", lag: 500, lagMs: 10 },
    { ...group, group: "late", lag: 1, lagMs: 60_000 },
  ];
  const live = { intervalMs: 1000, topics, queues, groups } satisfies Live;
  const all = busiestOf(live, 10);
  expect(all.topics.map(({ topic }) => topic)).toEqual(["read", "written", "large", "small"]);
  expect(all.queues.map(({ queue }) => queue)).toEqual(["flows", "held", "waits"]);
  expect(all.groups.map((each) => each.group)).toEqual(["late", "many", "few"]);
  expect(busiestOf(live, 1).topics).toHaveLength(1);
});
