import { expect, test } from "bun:test";
import fc from "fast-check";
import { Connection, type ConnectionHost } from "../../src/net/connection.ts";
import type { Transport } from "../../src/net/transport.ts";

/** A socket that takes as many bytes as it is told. */
class FakeTransport implements Transport {
  kind: "tcp" | "ws" = "tcp";
  readonly remote = "test";
  readonly peer = { address: "127.0.0.1", isEncrypted: false, isInternal: false };
  readonly sent: number[] = [];
  room = 0;
  writes = 0;
  state: "open" | "ended" | "terminated" = "open";

  write(bytes: Uint8Array, start: number, length: number): number {
    this.writes += 1;
    const taken = Math.min(this.room, length);
    this.room -= taken;
    this.sent.push(...bytes.subarray(start, start + taken));
    return taken;
  }

  pause(): void {}
  resume(): void {}

  end(): void {
    this.state = "ended";
  }

  terminate(): void {
    this.state = "terminated";
  }
}

class FakeHost implements ConnectionHost {
  readonly connectionOutBytesMax = 1000;
  readonly failures: string[] = [];
  flushes = 0;
  holding = false;
  isGone = false;

  flushed(): void {
    this.flushes += 1;
  }

  holdsViews(_: Connection, holds: boolean): void {
    this.holding = holds;
  }

  fail(connection: Connection, error: string): void {
    this.failures.push(error);
    connection.close(undefined);
  }

  gone(): void {
    this.isGone = true;
  }

  ended(): void {}
}

function connect(room: number): { transport: FakeTransport; host: FakeHost; connection: Connection } {
  const transport = new FakeTransport();
  transport.room = room;
  const host = new FakeHost();
  return { transport, host, connection: new Connection(1, transport, host) };
}

test("bytes leave in the order they were given, whatever the socket takes and whatever is retired or overwritten on the way", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom("send", "arena", "view"), length: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ do: fc.constantFrom("room"), length: fc.integer({ min: 1, max: 80 }) }),
    fc.record({ do: fc.constantFrom("retire"), length: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { transport, host, connection } = connect(0);
      const expected: number[] = [];
      const arena = new Uint8Array(64);
      let map = new Uint8Array(4096);
      let mapEnd = 0;
      let next = 0;
      const write = (into: Uint8Array, start: number, length: number): void => {
        for (let at = 0; at < length; at += 1) {
          next = (next + 1) % 251;
          into[start + at] = next;
          expected.push(next);
        }
      };
      for (const { do: what, length } of steps) {
        if (connection.isClosing) return;
        if (what === "room") {
          transport.room = length;
          connection.drained();
        } else if (what === "retire") {
          connection.retire(map);
          map.fill(255);
          map = new Uint8Array(4096);
          mapEnd = 0;
        } else if (connection.unsentBytes < 900) {
          if (what === "send") {
            const frame = new Uint8Array(length);
            write(frame, 0, length);
            connection.send(frame);
          } else if (what === "arena") {
            write(arena, 0, length);
            connection.writePlanned(arena, 0, length, true);
            arena.fill(255);
          } else {
            write(map, mapEnd, length);
            connection.writePlanned(map, mapEnd, length, false);
            mapEnd += length;
          }
        }
      }
      transport.room = 100_000;
      connection.drained();
      expect(transport.sent).toEqual(expected);
      expect(connection.unsentBytes).toBe(0);
      expect(host.holding).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test("a peer that does not read is closed as a slow consumer when its control frames pile up", () => {
  const { transport, host, connection } = connect(0);
  for (let round = 0; round < 20; round += 1) connection.send(new Uint8Array(100));
  expect(host.failures).toEqual(["slow_consumer"]);
  expect(connection.isClosing).toBe(true);
  expect(connection.unsentBytes).toBeLessThanOrEqual(1100);
  connection.terminate();
  expect(transport.state).toBe("terminated");
});

test("a writable socket that takes nothing again and again is a fault, not pressure", () => {
  const { transport, host, connection } = connect(0);
  connection.send(new Uint8Array(100));
  for (let round = 0; round < 50; round += 1) connection.drained();
  expect(host.failures).toEqual(["internal"]);
  expect(transport.state).toBe("terminated");
});

test("a WebSocket whose queue shrinks slowly takes nothing for a while, and that is no fault", () => {
  const transport = new FakeTransport();
  transport.kind = "ws";
  const host = new FakeHost();
  const connection = new Connection(0, transport, host);
  connection.writePlanned(new Uint8Array(100), 0, 100, false);
  for (let n = 0; n < 100; n += 1) connection.drained();
  transport.room = 100;
  connection.drained();
  expect([host.failures, host.flushes, transport.sent.length]).toEqual([[], 1, 100]);
});

test("a flush is reported only when everything is out", () => {
  const { transport, host, connection } = connect(10);
  connection.writePlanned(new Uint8Array(30), 0, 30, true);
  expect(connection.unsentBytes).toBe(20);
  transport.room = 10;
  connection.drained();
  expect(host.flushes).toBe(0);
  transport.room = 10;
  connection.drained();
  expect(host.flushes).toBe(1);
});

test("the last frame goes out before the socket ends, and nothing after it", () => {
  const { transport, host, connection } = connect(0);
  connection.send(Uint8Array.of(1));
  connection.close(Uint8Array.of(2));
  connection.send(Uint8Array.of(3));
  expect(host.isGone).toBe(true);
  expect(transport.state).toBe("open");
  transport.room = 10;
  connection.drained();
  expect(transport.sent).toEqual([1, 2]);
  expect(transport.state).toBe("ended");
  connection.terminate();
});
