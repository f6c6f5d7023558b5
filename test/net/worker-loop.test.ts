import { expect, test } from "bun:test";
import { ConnectionCount } from "../../src/net/connection-count.ts";
import type { Transport } from "../../src/net/transport.ts";
import { type DataPlane, WorkerLoop } from "../../src/net/worker-loop.ts";
import { createLogger } from "../../src/stdx/index.ts";

/** A socket that takes nothing. */
class FullTransport implements Transport {
  readonly kind = "tcp";
  readonly remote = "test";
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

  connectionOpen(): number {
    return 0;
  }

  connectionClose(): void {}

  ingest(): number {
    return 0;
  }

  takeControl(): Uint8Array {
    return new Uint8Array(0);
  }

  fatalFrame(): Uint8Array {
    return new Uint8Array(0);
  }

  turn(): boolean {
    return false;
  }

  written(): boolean {
    return false;
  }

  isArena(bytes: Uint8Array): boolean {
    return bytes === this.arena;
  }

  onWake(): void {}
}

test("when the loop stops nobody holds views of maps any more, also who was only sending last bytes", () => {
  const loop = new WorkerLoop({
    engine: new FakeEngine(),
    logger: createLogger("error", () => undefined),
    connectionOutBytesMax: 1000,
    connectionCount: new ConnectionCount(),
    accept: () => ({ control() {}, sourceEnded() {}, closed() {} }),
    refusal: () => undefined,
    goodbye: () => new Uint8Array(1),
    mail: () => undefined,
  });
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
