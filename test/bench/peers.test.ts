import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { isAskedFor, peersOf, worksOf } from "../../bench/peers/index.ts";
import { defaultCache, installDriver } from "../../bench/peers/install.ts";
import { consumerRate, producerRate } from "../../bench/peers/kafka.ts";
import { joinSpans, rateOf } from "../../bench/peers/messages.ts";
import { besideOthers, othersSeconds, parseStat } from "../../bench/peers/others.ts";
import { type Measured, UnavailableError, type Work } from "../../bench/peers/peer.ts";
import { perfTestResult } from "../../bench/peers/rabbitmq.ts";
import { benchmarkRate } from "../../bench/peers/redis.ts";
import { freePorts, run, ServerProcess } from "../../bench/peers/shell.ts";
import {
  bestOf,
  count,
  factTable,
  goalFigures,
  latencyTable,
  ratios,
  rateTable,
  type Row,
} from "../../bench/peers/table.ts";

const PRODUCE: Work = { name: "produce", mode: "fast", sizeBytes: 100 };
const signal = new AbortController().signal;

function row(changes: Partial<Row> & { rates?: readonly number[] }): Row {
  const { rates = [1], ...more } = changes;
  const runs = rates.map((perSecond): Measured => ({ perSecond }));
  const base = { peer: "kafka", isMillrace: false, work: PRODUCE, tool: "tool", counts: "all", isMarked: false };
  return { ...base, runs, serverUs: [], othersPercent: [], ...more };
}

describe("ratios", () => {
  test("are of the rounds, not of the medians", () => {
    const ours = row({ isMillrace: true, rates: [30, 60, 10] });
    const theirs = row({ rates: [10, 10, 20] });
    expect(ratios(ours, theirs)).toEqual([3, 6, 0.5]);
    const [figure] = goalFigures([ours, theirs]);
    expect(figure).toMatchObject({ name: "kafka_produce", value: 3, spread: [0.5, 6], goal: { atLeast: 3 } });
  });

  test("are against the peer's best client", () => {
    const rows = [
      row({ isMillrace: true, rates: [40, 40, 40] }),
      row({ tool: "slow", rates: [10, 90, 10] }),
      row({ tool: "fast", rates: [20, 20, 20] }),
    ];
    expect(goalFigures(rows)[0]).toMatchObject({ value: 2, note: expect.stringContaining("against fast") });
  });

  test("leave out marked rows, other sizes, other settings and tools that gave nothing", () => {
    const rows = [
      row({ isMillrace: true, tool: "pre-encoded", isMarked: true, rates: [900] }),
      row({ isMillrace: true, rates: [50] }),
      row({ isMillrace: true, work: { ...PRODUCE, sizeBytes: 1024 }, rates: [1000] }),
      row({ isMillrace: true, work: { ...PRODUCE, mode: "synced" }, rates: [1000] }),
      row({ rates: [10] }),
      row({ tool: "silent", rates: [Number.NaN] }),
    ];
    expect(goalFigures(rows).map(({ value }) => value)).toEqual([5]);
    expect(bestOf([row({ isMarked: true })])).toBeUndefined();
  });

  test("are missing where a side is", () => {
    expect(goalFigures([row({ isMillrace: true })])).toEqual([]);
    expect(goalFigures([row({})])).toEqual([]);
  });
});

describe("tables", () => {
  test("show medians with spreads, the ratio on the peer's line, and the mark", () => {
    const rows = [
      row({ rates: [1e6, 2e6, 3e6] }),
      row({ isMillrace: true, rates: [6e6, 6e6, 6e6] }),
      row({ isMillrace: true, tool: "raw", isMarked: true, rates: [9e6] }),
    ];
    const [theirs, ours, marked] = rateTable(rows).rows.map((cells) => cells.join(" | "));
    expect(theirs).toContain("2.00 M (1.00 M–3.00 M) | 200 | 3.00 (2.00–6.00)");
    expect(ours).toContain("Millrace, tool | 6.00 M (6.00 M–6.00 M) | 600 |  |");
    expect(marked).toContain("Millrace, raw *");
  });

  test("keep latency apart from rates", () => {
    const latencyMs = { p50: 0.1234, p90: 0.2, p99: 1, p999: Number.NaN, max: 150 };
    const work: Work = { ...PRODUCE, name: "latency1000" };
    const rows = [row({ work, runs: [{ perSecond: 1000, latencyMs }] }), row({})];
    expect(latencyTable(rows).rows).toHaveLength(1);
    expect(rateTable(rows).rows).toHaveLength(1);
    expect(latencyTable(rows).rows[0]?.slice(5, 10)).toEqual([
      "0.123 (0.123–0.123)",
      "0.200 (0.200–0.200)",
      "1.00 (1.00–1.00)",
      "–",
      "150 (150–150)",
    ]);
  });

  test("say why a peer has no rows", () => {
    const [line] = factTable([], [["kafka", "needs java, which is not here"]]).rows;
    expect(line?.slice(0, 4)).toEqual(["kafka", "not measured", "", "needs java, which is not here"]);
  });

  test("numbers are short", () => {
    expect([1_234_567, 45_678, 999, Number.NaN].map(count)).toEqual(["1.23 M", "46 k", "999", "–"]);
  });
});

describe("spans", () => {
  test("of several processes reach from the first start to the last end", () => {
    const spans = [
      { records: 10, startUs: 100, endUs: 500, touched: 3 },
      { records: 20, startUs: 200, endUs: 1_100, touched: 4 },
    ];
    expect(joinSpans(spans)).toEqual({ records: 30, startUs: 100, endUs: 1_100, touched: 7 });
    expect(rateOf(joinSpans(spans))).toBe(30_000);
  });
});

describe("other processes", () => {
  const stat = (pid: number, parent: number, times: string) =>
    `${pid} (a ) b) S ${parent} 1 1 0 -1 0 0 0 0 0 ${times} 20`;
  const of = (lines: readonly string[]) =>
    new Map(lines.map((line) => [Number.parseInt(line, 10), parseStat(Number.parseInt(line, 10), line)]));

  test("count what is not of our tree and not the kernel's, with children that ended", () => {
    const before = of([stat(10, 1, "100 0 0 0"), stat(20, 1, "5 5 0 0"), stat(30, 2, "0 0 0 0")]);
    const after = of([
      stat(10, 1, "900 0 0 0"),
      stat(11, 10, "900 0 0 0"),
      stat(12, 11, "900 0 0 0"),
      stat(20, 1, "15 10 60 15"),
      stat(21, 20, "10 0 0 0"),
      stat(30, 2, "500 0 0 0"),
    ]);
    expect(othersSeconds(before, after, 10)).toBeCloseTo((90 + 10) / 100);
  });

  test("init's children that ended are nobody's", () => {
    expect(parseStat(1, stat(1, 0, "1 2 500 500")).ticks).toBe(3);
  });

  test("what this process does is not others'", async () => {
    const own = await besideOthers(async () => {
      for (const end = performance.now() + 50; performance.now() < end;);
      return "done";
    });
    expect(own.result).toBe("done");
    expect(own.percent).toBeGreaterThanOrEqual(0);
  });
});

describe("what load tools print", () => {
  test("kafka-producer-perf-test: its last whole line, the steady state", () => {
    const text = `1000 records sent, 500.0 records/sec (0.05 MB/sec), 1.0 ms avg latency, 2.0 ms max latency.
1200 records sent, 700.5 records/sec (0.07 MB/sec), 1.0 ms avg latency, 9.0 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.
1000 steady state records sent, 812.25 records/sec (0.08 MB/sec), 1.0 ms avg latency, 9.0 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.`;
    expect(producerRate(text)).toBe(812.25);
    expect(producerRate("nothing")).toBeNaN();
  });

  test("kafka-consumer-perf-test: fetched records per second", () => {
    const line =
      "2026-01-01 00:00:00:000, 2026-01-01 00:00:01:000, 95.36, 95.36, 1000000, 1000000.0, 400, 600, 158.9, 1666666.7";
    expect(consumerRate(`noise\n${line}\n`)).toBe(1_666_666.7);
    expect(consumerRate("")).toBeNaN();
  });

  test("redis-benchmark: counted from the right, for the name holds commas", () => {
    const text = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"XADD t * d x,y","437304.12","0.2","0.1","0.207","0.3","0.487","0.9"\n`;
    expect(benchmarkRate(text)).toBe(437_304.12);
  });

  test("PerfTest: averages, and percentiles in µs", () => {
    const text = `id: test-1, time 2.0 s, sent: 1000 msg/s, received: 990 msg/s, min/median/75th/95th/99th consumer latency: 1/2/3/4/5 µs
id: test-1, consumer latency min/median/75th/95th/99th 300/600/700/900/19100 µs
id: test-1, sending rate avg: 1107 msg/s
id: test-1, receiving rate avg: 1105 msg/s`;
    expect(perfTestResult(text, "sending").perSecond).toBe(1107);
    const { perSecond, latencyMs } = perfTestResult(text, "receiving");
    expect([perSecond, latencyMs?.p50, latencyMs?.p99]).toEqual([1105, 0.6, 19.1]);
    expect(perfTestResult("id: test-2, sending rate avg: 5 msg/s", "sending").latencyMs).toBeUndefined();
  });
});

describe("what is asked for", () => {
  test("figures, peers, works, sizes and settings can be named", () => {
    const asks = (only: string[], work: Partial<Work>, peer = "kafka") =>
      isAskedFor({ ...PRODUCE, ...work }, only, peer);
    expect(asks(["kafka_produce"], {})).toBeTrue();
    expect(asks(["kafka_produce"], { sizeBytes: 1024 })).toBeFalse();
    expect(asks(["kafka_produce"], {}, "nats")).toBeFalse();
    expect(asks(["kafka"], { name: "both" })).toBeTrue();
    expect(asks(["kafka/both", "nats"], { name: "both" })).toBeTrue();
    expect(asks(["kafka/both/1024"], { name: "both" })).toBeFalse();
    expect(asks(["kafka/produce/synced"], { mode: "synced" })).toBeTrue();
  });

  test("without a word everything is, but what the disk does not change once", () => {
    const synced = worksOf("synced", undefined, "kafka").map(({ name }) => name);
    expect(new Set(synced)).toEqual(new Set(["produce", "storedLatency1000"]));
    expect(worksOf("fast", undefined, "kafka").length).toBeGreaterThan(10);
    expect(worksOf("fast", ["nats"], "kafka")).toEqual([]);
  });

  test("peers are named, and no others", () => {
    expect(peersOf("redis, nats")).toEqual(["redis", "nats"]);
    expect(peersOf(undefined)).toHaveLength(5);
    expect(() => peersOf("pulsar")).toThrow('no peer "pulsar"');
  });
});

describe("peers that cannot be had", () => {
  test("the cache lies where the user's caches lie", () => {
    expect(defaultCache({ XDG_CACHE_HOME: "/somewhere" })).toBe("/somewhere/millrace-peers");
    expect(defaultCache({})).toEndWith(join(".cache", "millrace-peers"));
  });

  test("a missing toolchain is one line", async () => {
    const { PATH } = process.env;
    process.env["PATH"] = "/nowhere";
    try {
      const failure = await installDriver("/nowhere", { signal }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(UnavailableError);
      expect((failure as Error).message).toBe("the load driver needs go, which is not here");
    } finally {
      process.env["PATH"] = PATH;
    }
  });
});

describe("processes", () => {
  test("a program that fails tells its last words, and one that is not there is unavailable", async () => {
    expect(await run(["echo", "well"], { signal })).toBe("well\n");
    await expect(run(["sh", "-c", "echo wrong >&2; exit 3"], { signal })).rejects.toThrow("sh ended with 3: wrong");
    await expect(run(["no-such-program"], { signal })).rejects.toBeInstanceOf(UnavailableError);
  });

  test("the signal ends what runs", async () => {
    const stop = new AbortController();
    const running = run(["sleep", "60"], { signal: stop.signal });
    stop.abort(new Error("Ctrl-C"));
    await expect(running).rejects.toThrow("Ctrl-C");
  });

  test("a server ends by its pid", async () => {
    const server = new ServerProcess(["sleep", "60"], { signal });
    const { pid } = server;
    expect(server.cpuSeconds()).toBeGreaterThanOrEqual(0);
    await server.stop();
    expect(() => process.kill(pid, 0)).toThrow();
    expect(server.memoryMb()).toBeNaN();
  });

  test("free ports differ", async () => {
    expect(new Set(await freePorts(4)).size).toBe(4);
  });
});
