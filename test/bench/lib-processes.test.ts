import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nowUs } from "../../bench/lib/clock.ts";
import { touchMemory } from "../../bench/lib/memory.ts";
import { Pace, Schedule } from "../../bench/lib/pace.ts";
import { ProgramError, spawnBroker, spawnProgram } from "../../bench/lib/processes.ts";
import { brokerPid } from "../../bench/load/target.ts";

/** Schedules, and programs and brokers in processes of their own. */

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a schedule knows when each event is due, at an even rate and at one that changes", () => {
  const even = new Schedule({ from: 1_000, to: 1_000, durationMs: 2_000 });
  expect(even.total).toBe(2_000);
  expect([even.dueUs(0), even.dueUs(1), even.dueUs(1_999)]).toEqual([0, 1_000, 1_999_000]);
  for (const [from, to] of [
    [1_000, 9_000],
    [9_000, 1_000],
    [100, 100_000],
  ] as const) {
    const ramp = new Schedule({ from, to, durationMs: 1_000, warmUpMs: 500 });
    expect(ramp.warmUpTotal).toBe(from / 2);
    expect(ramp.total).toBe(from / 2 + (from + to) / 2);
    const half = ramp.dueBy(1_000_000) - ramp.warmUpTotal;
    // Half the time of a rate from a to b has 3a/8 + b/8 of its events.
    expect(Math.abs(half - ((3 * from) / 8 + to / 8))).toBeLessThanOrEqual(1);
    for (let index = 1; index < ramp.total; index += 97) {
      expect(ramp.dueUs(index)).toBeGreaterThan(ramp.dueUs(index - 1));
      expect(ramp.dueBy(ramp.dueUs(index))).toBe(index + 1);
      expect(ramp.dueBy(ramp.dueUs(index) - 0.01)).toBe(index);
    }
    expect(ramp.dueBy(10e6)).toBe(ramp.total);
    expect(ramp.dueBy(-1)).toBe(0);
  }
});

test("pacing hands each event out once, never before its time, and counts how late it was", async () => {
  const pace = new Pace(new Schedule({ from: 5_000, to: 5_000, durationMs: 200, warmUpMs: 100 }), nowUs());
  let next = 0;
  let early = 0;
  await pace.run((first, count) => {
    expect(first).toBe(next);
    next += count;
    if (nowUs() < pace.dueUs(next - 1)) early += 1;
  });
  expect([next, early]).toEqual([1_500, 0]);
  // Those of the warm-up are not counted.
  expect(pace.lateness.count).toBe(1_000);
});

test("pacing ends when it is told to, while nothing is due", async () => {
  const stop = new AbortController();
  const pace = new Pace(new Schedule({ from: 0.01, to: 0.01, durationMs: 3_600_000 }), nowUs());
  let count = 0;
  await pace.run(() => {
    count += 1;
    setTimeout(() => stop.abort(), 10);
  }, stop.signal);
  expect(count).toBe(1);
});

const PROGRAM = `
import { programArgs, runProgram } from ${JSON.stringify(join(import.meta.dir, "../../bench/lib/program.ts"))};
import { nowUs } from ${JSON.stringify(join(import.meta.dir, "../../bench/lib/clock.ts"))};
await runProgram({ args: programArgs() }, async (message) => {
  if (message === "time") return nowUs();
  if (message === "work") while (process.cpuUsage().user < 100_000);
  if (message === "die") { console.error("no more"); process.exit(7); }
  if (message === "fail") throw Object.assign(new Error("it is full"), { name: "disk_full", code: 42 });
  return { got: message };
});
`;

test("a program answers line by line, refuses with its error, and its death is told", async () => {
  const path = join(folder, "program.ts");
  await Bun.write(path, PROGRAM);
  await using child = await spawnProgram(path, ["a", "--b"]);
  expect(child.info).toEqual({ args: ["a", "--b"] });
  expect(await Promise.all([child.request(1), child.request({ x: [2] })])).toEqual([{ got: 1 }, { got: { x: [2] } }]);
  const refusal = await child.request("fail").catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(ProgramError);
  expect(refusal).toMatchObject({ name: "disk_full", message: "it is full", code: 42 });
  // One clock for all processes: what it says lies between what this one says before and after.
  const before = nowUs();
  const there = (await child.request("time")) as number;
  expect(there).toBeGreaterThan(before - 50);
  expect(there).toBeLessThan(nowUs() + 50);
  await child.request("work");
  expect(child.cpuSeconds()).toBeGreaterThan(0.05);
  expect(child.rssAnonMb()).toBeGreaterThan(1);
  await expect(child.request("die")).rejects.toThrow("ended with 7: no more");
  await expect(child.request("after")).rejects.toThrow("has ended");
});

test("a broker of its own serves, is found by its address, and ends cleanly", async () => {
  const broker = await spawnBroker({ dataDir: join(folder, "data"), flags: ["--storage", "memory"] });
  expect(broker.port).toBeGreaterThan(0);
  expect((await fetch(`http://127.0.0.1:${broker.httpPort}/health/ready`)).status).toBe(200);
  expect(broker.readyMs).toBeGreaterThan(0);
  expect(brokerPid(broker.url)).toBe(broker.pid);
  expect(brokerPid("millrace://192.0.2.1:7400")).toBeUndefined();
  expect(await broker.end()).toBe(0);
  expect(brokerPid(broker.url)).toBeUndefined();
  expect(broker.cpuSeconds()).toBeNaN();
});

test("a broker that cannot start says why", async () => {
  await expect(spawnBroker({ dataDir: "/proc/none" })).rejects.toThrow("storage_failed");
});

test("memory is touched in a process that has ended when the call returns", () => {
  expect(() => touchMemory(8 * 1024 * 1024)).not.toThrow();
  expect(() => touchMemory(0)).not.toThrow();
});
