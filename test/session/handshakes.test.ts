import { expect, test } from "bun:test";
import { Handshakes } from "../../src/session/handshakes.ts";
import type { Session } from "../../src/session/session.ts";

/** Who has not logged in: how many there may be, and how fast they are refused. */

/** All that this needs of a session. */
class Waiting {
  hasGivenWay = false;

  giveWay(): void {
    this.hasGivenWay = true;
  }

  get session(): Session {
    return this as unknown as Session;
  }
}

test("when too many have not logged in, the oldest of them goes, and nobody who has", () => {
  const handshakes = new Handshakes({ handshakesMax: 3 }, () => 0);
  const peers = Array.from({ length: 6 }, () => new Waiting());
  const begin = (...numbers: number[]): void => {
    for (const number of numbers) handshakes.begin((peers[number] as Waiting).session);
  };
  begin(0, 1, 2);
  // It has logged in.
  handshakes.end((peers[0] as Waiting).session);
  begin(3);
  expect(peers.map(({ hasGivenWay }) => hasGivenWay)).toEqual([false, false, false, false, false, false]);
  begin(4, 5);
  expect(peers.map(({ hasGivenWay }) => hasGivenWay)).toEqual([false, true, true, false, false, false]);
});

test("a few refusals are answered at once, a flood of them at a steady pace, none later than 4 s", () => {
  let nowMs = 10_000;
  const handshakes = new Handshakes({ handshakesMax: 10 }, () => nowMs);
  const waits = (count: number): number[] => Array.from({ length: count }, () => handshakes.refusalWaitMs());
  expect(waits(40)).toEqual(Array.from({ length: 40 }, () => 0));
  expect(waits(3)).toEqual([50, 100, 150]);
  const flood = waits(1_000);
  expect(Math.max(...flood)).toBe(4_000);
  expect(flood.at(-1)).toBe(4_000);
  nowMs += 5_000;
  expect(waits(2)).toEqual([0, 0]);
});
