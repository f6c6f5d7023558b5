import { describe, expect, test } from "bun:test";
import { Bodies, Tally } from "../../bench/queues/bodies.ts";
import { FIGURE_NAMES, suite } from "../../bench/queues/index.ts";
import { bindingsOf, keysOf } from "../../bench/queues/routes.ts";
import { Numbers } from "../../bench/queues/taker.ts";
import { describeQuickSuite } from "./quick-suite.ts";

describeQuickSuite("queues", {
  suite,
  names: FIGURE_NAMES,
  goals: {
    queue1_msgs: { atLeast: 800_000 },
    queue8_msgs: { atLeast: 1_200_000 },
    route_topic10k_msgs: { atLeast: 2_000_000 },
    fanout100_bytes: { atMost: 16 },
    fanout100_ns: { atMost: 60 },
    backlog10m_mb: { atMost: 200 },
    delayed10m_mb: { atMost: 300 },
    delayed_p99_ms: { atMost: 20 },
    ack_latency_p99_ms: { atMost: 1 },
  },
  // A cost is a difference of two runs, which in so short ones is anything; times and memory may be too small to see.
  mayBeNone: /^fanout100_|_mb$|_ms$/,
});

describe("what the suite counts with", () => {
  const BODY_BYTES = 100;
  const read = (tally: Tally, body: Uint8Array): void => tally.read(body, 0, body.length);

  test("bodies that all came once, in any order, are whole", () => {
    const [bodies, tally] = [new Bodies(BODY_BYTES), new Tally(1_000, BODY_BYTES)];
    for (let number = 999; number >= 0; number -= 1) read(tally, bodies.make(number));
    expect(tally.isWhole).toBe(true);
    tally.check();
  });

  test("a body that came twice, one that nobody sent, one that is missing, one with another byte are found", () => {
    const [bodies, tally] = [new Bodies(BODY_BYTES), new Tally(3, BODY_BYTES)];
    read(tally, bodies.make(1));
    expect(() => read(tally, bodies.make(1))).toThrow("message 1 of 100 bytes came twice");
    expect(() => read(tally, bodies.make(3))).toThrow("message 3 of 100 bytes was never sent");
    expect(() => tally.check()).toThrow("1 messages came of 3");
    read(tally, bodies.make(0));
    const bent = bodies.make(2).slice();
    bent[50] = 1;
    read(tally, bent);
    expect(() => tally.check()).toThrow("not those that were sent");
  });

  test("a number of the broker's that comes twice is found, also far from all others", () => {
    const numbers = new Numbers();
    numbers.add(65_530, 10);
    numbers.add(2 ** 40, 1);
    expect(numbers.count).toBe(11);
    expect(() => numbers.add(65_539, 1)).toThrow("came twice");
    expect(() => numbers.add(2 ** 40, 1)).toThrow("came twice");
  });
});

describe("the routes of the topic exchange", () => {
  /** Whether a pattern matches, by the words of both: slow, and plainly right. */
  const isMatch = (pattern: readonly string[], key: readonly string[]): boolean => {
    const [first, ...rest] = pattern;
    if (first === undefined) return key.length === 0;
    if (first === "#") return key.some((_, at) => isMatch(rest, key.slice(at))) || isMatch(rest, []);
    return key.length > 0 && (first === "*" || first === key[0]) && isMatch(rest, key.slice(1));
  };

  test("a third of each kind, all keys distinct, each for one to three queues, as many as is said", () => {
    const routes = bindingsOf(90);
    expect(routes.filter(({ pattern }) => pattern.includes("#")).length).toBe(30);
    expect(routes.filter(({ pattern }) => pattern.includes("*")).length).toBe(30);
    const { keys, matches } = keysOf(1_000, 90);
    expect(new Set(keys).size).toBe(1_000);
    const found = keys.map((key) => {
      const to = routes.filter(({ pattern }) => isMatch(pattern.split("."), key.split(".")));
      return new Set(to.map(({ queue }) => queue)).size;
    });
    expect(new Set(found)).toEqual(new Set([1, 2, 3]));
    expect(found.reduce((sum, count) => sum + count, 0)).toBe(matches);
  });
});
