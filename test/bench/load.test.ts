import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerChild, spawnBroker } from "../../bench/lib/processes.ts";
import { readResult } from "../../bench/lib/report.ts";
import { type Progress, runLoad, type RunResult } from "../../bench/load/run.ts";
import { type LoadFlags, settingsOf } from "../../bench/load/settings.ts";
import { type Client, connect } from "../../src/client/index.ts";

/** The load on a whole broker, for moments: what it counts and writes, not how fast anything is. */

const MAIN = join(import.meta.dir, "../../src/main.ts");
const folder = mkdtempSync(join(tmpdir(), "millrace-load-"));
let broker: BrokerChild;
let client: Client;

beforeAll(async () => {
  broker = await spawnBroker({ dataDir: join(folder, "data"), flags: ["--storage", "memory"] });
  client = await connect(broker.url);
});

afterAll(async () => {
  await client.close();
  await broker.end();
  rmSync(folder, { recursive: true, force: true });
});

const FLAGS: LoadFlags = {
  size: "100",
  batchBytes: "64KiB",
  lingerMs: "0",
  producers: "1",
  consumers: "1",
  keys: "0",
  acks: "memory",
  duration: "200ms",
  warmup: "100ms",
  rate: "0",
  payload: "client",
  rounds: "1",
};

async function load(flags: Partial<LoadFlags>, seen: Progress[] = []): Promise<RunResult> {
  const settings = settingsOf({ ...FLAGS, ...flags }, undefined);
  const { signal } = new AbortController();
  return await runLoad(broker.url, settings, { signal, progress: (progress) => seen.push(progress) });
}

/** Everything was acknowledged and delivered to so many consumers, once. */
function expectWhole(result: RunResult, copies: number): void {
  expect(result).toMatchObject({ lost: 0, duplicates: 0, foreign: 0 });
  expect(result.acked).toBe(result.sent);
  expect(result.published.messages).toBe(result.sent);
  expect(result.delivered.messages).toBe(result.sent * copies);
  const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
  expect(total(result.published.counts)).toBe(result.published.measuredMessages);
  expect(total(result.delivered.counts)).toBe(result.delivered.measuredMessages);
}

const topics = async (): Promise<string[]> => (await client.topics.list()).map(({ name }) => name);

test("at a fixed rate every message that was due is sent, delivered and timed", async () => {
  for (const payload of ["client", "pre-encoded"]) {
    const result = await load({ payload, rate: "2000", producers: "2", consumers: "2", partitions: "3" });
    expect(result.sent).toBe(600);
    expectWhole(result, 2);
    // What was due while it was measured: 400 of the 600. All of them are timed, at each consumer.
    expect(result.lateness.count).toBe(400);
    expect(result.published.latency.count).toBe(400);
    expect(result.delivered.latency.count).toBe(800);
    // Nothing is delivered before it was due.
    expect(result.delivered.latency.percentile(0)).toBeGreaterThan(0);
    expect(result.seconds).toBeCloseTo(0.2, 6);
    expect(result.published.bytes).toBe(60_000);
  }
  expect(await topics()).toEqual([]);
});

test("saturating, what is counted as acknowledged is what the broker holds", async () => {
  await client.topics.create("kept", { partitions: 4, storage: "memory" });
  for (const payload of ["client", "pre-encoded"]) {
    for (const batchBytes of ["4KiB", "0"]) {
      const before = await messagesIn("kept");
      const result = await load({ payload, batchBytes, topic: "kept" });
      expect(result.isOwnTopic).toBe(false);
      expect(result.sent).toBeGreaterThan(100);
      expectWhole(result, 1);
      expect((await messagesIn("kept")) - before).toBe(result.acked);
    }
  }
  expect(await topics()).toEqual(["kept"]);
  await client.topics.delete("kept");
});

async function messagesIn(topic: string): Promise<number> {
  return (await client.topics.offsets(topic, "latest")).reduce((sum, { offset }) => sum + offset, 0);
}

test("keys lead to partitions, sizes vary, consumers share", async () => {
  for (const payload of ["client", "pre-encoded"]) {
    const flags = { partitions: "4", keys: "50", size: "100-300", producers: "2", consumers: "3", share: true };
    const result = await load({ payload, ...flags, rate: "3000", processes: "4" });
    expect(result.sent).toBe(900);
    expectWhole(result, 1);
    const mean = result.published.bytes / result.sent;
    expect(Math.abs(mean - 200)).toBeLessThan(15);
  }
});

test("a ramp sends as many as the area under it, and linger gathers without losing any", async () => {
  for (const payload of ["client", "pre-encoded"]) {
    const result = await load({ payload, ramp: "1000:5000", lingerMs: "5ms" });
    // 100 of the warm-up at 1000/s, and 3000/s in the mean for 0.2 s.
    expect(result.sent).toBe(700);
    expectWhole(result, 1);
  }
});

test("what a topic holds is read by each consumer, and the time ends with the last message", async () => {
  await client.topics.create("backlog", { partitions: 2, storage: "memory" });
  const producer = client.producer("backlog", { acks: "memory" });
  for (let index = 0; index < 1_000; index += 1) producer.sendNoWait({ value: `value ${index}`, partition: index % 2 });
  await producer.close();
  for (const payload of ["client", "pre-encoded"]) {
    const flags = { topic: "backlog", producers: "0", consumers: "2", duration: "20s", payload };
    const [all, shared] = [await load(flags), await load({ ...flags, share: true })];
    expect([all.delivered.messages, shared.delivered.messages]).toEqual([2_000, 1_000]);
    expect(all.delivered.bytes).toBe(2 * (10 * 7 + 90 * 8 + 900 * 9));
    expect(all.seconds).toBeLessThan(15);
  }
  await client.topics.delete("backlog");
});

test("without acks what is handed over counts, and progress is told while it runs", async () => {
  const seen: Progress[] = [];
  const result = await load({ acks: "none", rate: "1000", warmup: "400ms", duration: "400ms" }, seen);
  expect([result.sent, result.acked, result.delivered.messages]).toEqual([800, 800, 800]);
  expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(["warm-up", "measuring", "draining"]));
  expect(seen.some(({ ackedPerS, deliveredPerS }) => ackedPerS > 0 && deliveredPerS > 0)).toBe(true);
});

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function bench(...words: string[]): Promise<Said> {
  const child = Bun.spawn([process.execPath, MAIN, "bench", ...words], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out, err };
}

test("millrace bench prints tables and writes figures, histograms and plots", async () => {
  const [json, out] = [join(folder, "result.json"), join(folder, "out")];
  const short = ["--url", broker.url, "--duration", "300ms", "--warmup", "100ms", "--rate", "1000", "--rounds", "2"];
  const { code, out: said, err } = await bench(...short, "--json", json, "--out", out);
  expect([code, err]).toEqual([0, ""]);
  for (const part of ["due to delivered", "schedule lateness", "CPU s per million", "p99.99"])
    expect(said).toContain(part);
  expect(said).toContain("sent 800, acknowledged 800, delivered 800: 0 lost, 0 duplicates");
  const result = readResult(json);
  expect(result.suite).toBe("load");
  const figure = (name: string) => result.figures.find((figure) => figure.name === name);
  expect(figure("published_msgs")?.runs.length).toBe(2);
  expect(figure("lost")?.value).toBe(0);
  for (const name of ["delivery_p99_ms", "ack_p50_ms", "lateness_max_ms", "broker_cpu", "load_cpu"]) {
    expect(figure(name)?.value).toBeGreaterThanOrEqual(0);
  }
  const files = [
    "due-to-acknowledged.hgrm",
    "due-to-delivered.hgrm",
    "schedule-lateness.hgrm",
    "percentiles.svg",
    "rate.svg",
  ];
  expect(files.filter((name) => !existsSync(join(out, name)))).toEqual([]);
  expect(readFileSync(join(out, "due-to-delivered.hgrm"), "utf8")).toContain("Total count    =          600]");
  const { out: compared } = await bench("compare", json, json);
  expect(compared).toMatch(/published_msgs .*\+?0\.0 % \| the same/);
});

test("what cannot work ends with one line and the command line's exit codes", async () => {
  const cases: [string[], number, string][] = [
    [["--url", "millrace://127.0.0.1:1"], 3, "error: connection_lost:"],
    [["--url", broker.url, "--size", "5"], 2, "error: usage:"],
    [["--url", broker.url, "--nonsense"], 2, "error: usage:"],
    [["--url", broker.url, "--producers", "0", "--topic", "absent"], 4, "error: topic_not_found:"],
    [["--url", "ws://127.0.0.1:1/ws", "--payload", "pre-encoded"], 2, "millrace://"],
    [["compare", "absent.json", "absent.json"], 1, "error: compare:"],
  ];
  for (const [words, code, text] of cases) {
    const said = await bench(...words);
    expect([words, said.code, said.err.trim().split("\n").length, said.out]).toEqual([words, code, 1, ""]);
    expect(said.err).toContain(text);
  }
});

test("Ctrl-C ends the load processes and removes the topic", async () => {
  const words = ["bench", "--url", broker.url, "--rate", "100", "--topic", "interrupted"];
  const child = Bun.spawn([process.execPath, MAIN, ...words], { stdout: "pipe", stderr: "pipe" });
  while (!(await topics()).includes("interrupted")) await Bun.sleep(10);
  while (childrenOf(child.pid).length < 2) await Bun.sleep(10);
  const workers = childrenOf(child.pid);
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(await new Response(child.stderr).text()).toContain("error: interrupted:");
  expect(workers.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  expect(await topics()).toEqual([]);
});

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

test("a broker that goes away ends the load with one line", async () => {
  for (const payload of ["client", "pre-encoded"]) {
    const victim = await spawnBroker({ dataDir: join(folder, `victim-${payload}`), flags: ["--storage", "memory"] });
    const words = ["bench", "--url", victim.url, "--rate", "100", "--payload", payload];
    const child = Bun.spawn([process.execPath, MAIN, ...words], { stdout: "pipe", stderr: "pipe" });
    while (childrenOf(child.pid).length < 2) await Bun.sleep(10);
    await Bun.sleep(300);
    await victim.end("SIGKILL");
    expect(await child.exited).toBe(3);
    const said = await new Response(child.stderr).text();
    expect(said).toStartWith("error: connection_lost:");
    expect(said.trim().split("\n").length).toBe(1);
  }
});
