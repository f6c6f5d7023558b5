import { expect, test } from "bun:test";
import { ConnectionCount } from "../../src/net/connection-count.ts";
import type { Transport } from "../../src/net/transport.ts";
import { type DataPlane, WorkerLoop } from "../../src/net/worker-loop.ts";
import { createLogger } from "../../src/stdx/index.ts";

/** A socket that takes nothing. */
class FullTransport implements Transport {
  readonly kind = "tcp";
  readonly remote = "test";
  readonly peer = { address: "127.0.0.1", isEncrypted: false, isInternal: false };
  writes = 0;
  state: "open" | "ended" | "terminated" = "open";

  write(): number {
    this.writes += 1;
    return 0;
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

class FakeEngine implements DataPlane {
  readonly arena = new Uint8Array(8);
  opened = 0;
  turns = 0;
  flags = 0;

  connectionOpen(): number {
    this.opened += 1;
    return this.opened - 1;
  }

  connectionClose(): void {}

  ingest(): number {
    return this.flags;
  }

  takeControl(): Uint8Array {
    return new Uint8Array(0);
  }

  fatalFrame(): Uint8Array {
    return new Uint8Array(0);
  }

  turn(): boolean {
    this.turns += 1;
    return false;
  }

  written(): boolean {
    return false;
  }

  isArena(bytes: Uint8Array): boolean {
    return bytes === this.arena;
  }

  onWake(): void {}

  now(): number {
    return performance.now();
  }
}

function loopOver(engine: FakeEngine): WorkerLoop {
  return new WorkerLoop({
    engine,
    logger: createLogger("error", () => undefined),
    connectionOutBytesMax: 1000,
    connectionCount: new ConnectionCount(),
    accept: () => ({ control() {}, sourceEnded() {}, closed() {} }),
    refusal: () => undefined,
    goodbye: () => new Uint8Array(1),
    mail: () => undefined,
  });
}

test("much input is followed by a turn at once, little waits for the loop, and nothing to do is no turn", async () => {
  const engine = new FakeEngine();
  const loop = loopOver(engine);
  const connection = loop.attach(new FullTransport());
  if (connection === undefined) throw new Error("refused");
  const quarter = new Uint8Array(64 * 1024);
  engine.flags = 2; // TURN
  for (let chunks = 0; chunks < 3; chunks += 1) loop.received(connection, quarter);
  expect(engine.turns).toBe(0);
  loop.received(connection, quarter);
  expect(engine.turns).toBe(1);
  loop.received(connection, quarter);
  await new Promise((resolve) => setImmediate(resolve));
  expect(engine.turns).toBe(2);
  // One that ran early does not run again.
  loop.received(connection, new Uint8Array(256 * 1024));
  expect(engine.turns).toBe(3);
  await new Promise((resolve) => setImmediate(resolve));
  expect(engine.turns).toBe(3);
  engine.flags = 0;
  loop.received(connection, new Uint8Array(1024 * 1024));
  expect(engine.turns).toBe(3);
  loop.stop();
});

test("while memory is low those for whom much waits are ended, and nobody else", () => {
  const loop = loopOver(new FakeEngine());
  const [patient, slow] = [new FullTransport(), new FullTransport()];
  loop.attach(patient)?.send(new Uint8Array(200));
  loop.shed(200);
  expect(patient.state).toBe("open");
  loop.attach(slow)?.send(new Uint8Array(201));
  loop.shed(200);
  expect([patient.state, slow.state]).toEqual(["open", "terminated"]);
  loop.stop();
});

test("when the loop stops nobody holds views of maps any more, also who was only sending last bytes", () => {
  const loop = loopOver(new FakeEngine());
  const transport = new FullTransport();
  const connection = loop.attach(transport);
  const map = new Uint8Array(100);
  loop.write(0, map, 0, map.length);
  connection?.close(new Uint8Array(1));
  expect(transport.state).toBe("open");
  loop.stop();
  expect(transport.state).toBe("terminated");
  const { writes } = transport;
  connection?.drained();
  expect(transport.writes).toBe(writes);
});

test("a timer runs a turn at its time, once, and a new one replaces it, be it earlier or later", async () => {
  const engine = new FakeEngine();
  const loop = loopOver(engine);
  const startMs = engine.now();
  loop.timer(startMs + 60_000);
  loop.timer(startMs + 5);
  while (engine.turns === 0 && engine.now() < startMs + 5_000) await Bun.sleep(1);
  expect(engine.now() - startMs).toBeGreaterThanOrEqual(5);
  expect(engine.turns).toBe(1);
  await Bun.sleep(30);
  expect(engine.turns).toBe(1);
  // The engine found in a turn that the first time had passed, and asks for the next.
  const againMs = engine.now();
  loop.timer(againMs + 2);
  loop.timer(againMs + 20);
  while (engine.turns === 1 && engine.now() < againMs + 5_000) await Bun.sleep(1);
  expect(engine.now() - againMs).toBeGreaterThanOrEqual(20);
  loop.timer(engine.now() + 5);
  loop.stop();
  await Bun.sleep(20);
  expect(engine.turns).toBe(2);
});

test("a timer that runs before its time on the engine's clock waits on", async () => {
  const engine = new FakeEngine();
  const loop = loopOver(engine);
  const startMs = engine.now();
  let nowMs = startMs;
  engine.now = () => nowMs;
  loop.timer(startMs + 5);
  await Bun.sleep(30);
  expect(engine.turns).toBe(0);
  nowMs = startMs + 5;
  for (let wait = 0; engine.turns === 0 && wait < 5_000; wait += 1) await Bun.sleep(1);
  expect(engine.turns).toBe(1);
  loop.stop();
});
