import { expect, test } from "bun:test";
import { SessionHub } from "../../src/session/hub.ts";
import type { Session } from "../../src/session/session.ts";
import { createLogger } from "../../src/stdx/index.ts";

/** What sessions are told together. */

const INTERVAL_MS = 10_000;

/** A session that is pinged when it is due and may be. */
class Pinged {
  readonly serial: number;
  readonly pingedMs: number[] = [0];

  constructor(serial: number) {
    this.serial = serial;
  }

  tick(nowMs: number, mayPing: boolean): boolean {
    if (!mayPing || nowMs - (this.pingedMs.at(-1) ?? 0) < INTERVAL_MS) return false;
    this.pingedMs.push(nowMs);
    return true;
  }
}

test("thousands of sessions that began at once are pinged over several rounds, each in its turn", () => {
  const hub = new SessionHub(createLogger("error", () => undefined));
  const sessions = Array.from({ length: 5_000 }, (_, serial) => new Pinged(serial));
  for (const session of sessions) hub.add(session as unknown as Session);
  let most = 0;
  for (let nowMs = 50; nowMs <= 3 * INTERVAL_MS; nowMs += 50) {
    hub.tick(nowMs);
    most = Math.max(most, sessions.filter(({ pingedMs }) => pingedMs.at(-1) === nowMs).length);
  }
  expect(most).toBe(100);
  const gaps = sessions.flatMap(({ pingedMs }) => pingedMs.slice(1).map((at, index) => at - (pingedMs[index] ?? 0)));
  expect(gaps.length).toBeGreaterThanOrEqual(sessions.length);
  expect(Math.max(...gaps)).toBeLessThan(INTERVAL_MS * 1.5);
});
