import { describe, expect, test } from "bun:test";
import { type CpuProfile, foldCpuProfile, isWaiting } from "../../bench/profile/cpuprofile.ts";
import { sharesOf, tidied } from "../../bench/profile/folded.ts";
import { WORKLOADS, workloadOf } from "../../bench/profile/workloads.ts";

function lines(folded: string): string[] {
  return folded.trimEnd().split("\n").sort();
}

describe("folded stacks", () => {
  test("code without symbols gets a name, its repetitions become one frame, equal stacks one line", () => {
    const folded = [
      "bun;[bun.exe];[bun.exe];[perf-123.map];[perf-123.map];ingest 10",
      "bun;[bun.exe];[perf-123.map];ingest 5",
      "bun;read;read 1",
    ].join("\n");
    expect(lines(tidied(folded))).toEqual(["bun;Bun;JavaScript;ingest 15", "bun;read;read 1"]);
  });

  test("frames may hold blanks, and lines that are no stack are left out", () => {
    expect(tidied("bun;<A as B>::call 3\n\nnothing\n")).toBe("bun;<A as B>::call 3\n");
  });

  test("shares count a frame once a stack, and not the thread's name", () => {
    const shares = sharesOf("bun;turn;copy 60\nbun;turn 20\nsync;turn;turn;copy 20\n", 10);
    expect(shares).toEqual([
      { frame: "copy", selfPercent: 80, totalPercent: 80 },
      { frame: "turn", selfPercent: 20, totalPercent: 100 },
    ]);
    expect(sharesOf("bun;a 1\nbun;b 2\n", 1).map(({ frame }) => frame)).toEqual(["b"]);
    expect(sharesOf("", 5)).toEqual([]);
  });
});

describe("cpuprofile", () => {
  const at = (functionName: string, url = "", lineNumber = -1) => ({ functionName, url, lineNumber });
  const profile: CpuProfile = {
    nodes: [
      { id: 1, callFrame: at("(root)"), children: [2, 4] },
      { id: 2, callFrame: at("data", "file:///somewhere/src/net/tcp.ts", 72), children: [3] },
      { id: 3, callFrame: at("ingest") },
      { id: 4, callFrame: at("", "file:///somewhere/bench/load/run.ts", 0) },
    ],
    samples: [3, 3, 2, 4, 1],
    timeDeltas: [100, 50, 10, 7, 1_000],
  };

  test("stacks have paths from the checkout on and weigh microseconds; the root alone is left out", () => {
    expect(lines(foldCpuProfile(profile))).toEqual([
      "(anonymous) (bench/load/run.ts:1) 7",
      "data (src/net/tcp.ts:73) 10",
      "data (src/net/tcp.ts:73);ingest 150",
    ]);
  });

  test("the process that only waits for the load's processes is known by its main file", () => {
    expect(isWaiting(profile)).toBe(false);
    const main = { id: 9, callFrame: at("(module)", "file:///somewhere/bench/main.ts", 1) };
    expect(isWaiting({ ...profile, nodes: [...profile.nodes, main] })).toBe(true);
  });
});

test("workloads are found by name, load takes flags of one's own", () => {
  expect(workloadOf([])?.name).toBe("produce-batched");
  for (const { name } of WORKLOADS) expect(workloadOf([name])?.name).toBe(name);
  expect(workloadOf(["load", "--rate", "1000"])?.flags).toEqual(["--rate", "1000"]);
  expect(workloadOf(["latency", "--rate", "1000"])).toBeUndefined();
  expect(workloadOf(["no-such"])).toBeUndefined();
});
