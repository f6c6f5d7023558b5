/**
 * A producer and a consumer that behave, beside everybody who does not: nothing of theirs is lost, nobody who only waits or
 * works is thrown out, guesses of passwords come to nothing, and the broker's memory stays where it is. How late the pair
 * gets is printed; `npm run bench -- operate` holds it against its goal.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnBroker, spawnProgram, type Child } from "../../bench/lib/processes.ts";
import { type AbuseResult, issue, runAbuse } from "../../bench/operate/abuse.ts";
import { GREEDY_QUOTA_BYTES } from "../../bench/operate/quota.ts";

const IS_LONG = process.env["MILLRACE_LONG"] === "1";
const PROGRAMS = join(import.meta.dir, "../../bench/operate/programs");
const CROWD = { idle: 2_000, busy: 200, slow: 100, strangers: 50 };
const SIZES = { crowd: CROWD, quietSeconds: 2, abuseSeconds: IS_LONG ? 300 : 24, perSecond: 500 };
const RUN_MS = (SIZES.abuseSeconds + 120) * 1_000;
/** What a quota lets through beyond its rate: its burst, and what was read before the sender was held back. */
const SLACK_BYTES = 4_000_000;
const GROWTH_MB_MAX = 100;

let folder: string;
const children: Child[] = [];
let result: AbuseResult;
let elapsedS: number;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-test-"));
  const { flags, token } = await issue(folder);
  const broker = await spawnBroker({ dataDir: join(folder, "data"), flags });
  const [pair, crowd] = [await program("pair"), await program("crowd")];
  children.push(broker);
  const startMs = performance.now();
  result = await runAbuse({ broker, pair, crowd, token }, SIZES, (line) => console.log(line));
  elapsedS = (performance.now() - startMs) / 1e3;
}, RUN_MS);

async function program(name: string): Promise<Child> {
  const child = await spawnProgram(join(PROGRAMS, `${name}.ts`));
  children.push(child);
  return child;
}

afterAll(async () => {
  for (const child of children) await child.end("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

test("what the well-behaved producer was told is stored reaches the consumer, once", () => {
  const { sent, acknowledged, received, twice } = result.pair;
  expect(sent).toBeGreaterThan(SIZES.perSecond * SIZES.abuseSeconds);
  expect({ acknowledged, received, twice }).toEqual({ acknowledged: sent, received: sent, twice: 0 });
});

test("connections that wait, work or read slowly stay", () => {
  const { idleOpen, busyOpen, slowOpen, busyAcked, busyRefused } = result.crowd;
  expect({ idleOpen, busyOpen, slowOpen, busyRefused }).toEqual({
    idleOpen: CROWD.idle,
    busyOpen: CROWD.busy,
    slowOpen: CROWD.slow,
    busyRefused: 0,
  });
  expect(busyAcked).toBeGreaterThan(0);
});

test("a publisher past its quota gets what the quota allows", () => {
  const { greedyAckedBytes, greedyOfferedBytes } = result.crowd;
  expect(greedyAckedBytes).toBeGreaterThan(0);
  expect(greedyAckedBytes).toBeLessThan(GREEDY_QUOTA_BYTES * elapsedS + SLACK_BYTES);
  expect(greedyOfferedBytes).toBeGreaterThan(greedyAckedBytes);
});

test("every guess of a password is refused, and nonsense ends its connection", () => {
  const { guessesRefused, guessesUnanswered, babblersEnded } = result.crowd;
  expect(guessesRefused).toBeGreaterThan(0);
  expect(babblersEnded).toBeGreaterThan(0);
  expect(guessesUnanswered).toBe(0);
});

test("the broker's memory does not grow with the time that this lasts", () => {
  const { early, late } = result.memoryMb;
  console.log("memory in MB", result.memoryMb);
  expect(late - early).toBeLessThan(GROWTH_MB_MAX);
});
