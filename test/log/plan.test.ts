import { expect, test } from "bun:test";
import { configOf } from "../../src/config/index.ts";
import type { LogConfig, TurnSink } from "../../src/log/engine.ts";
import { openEngine } from "../../src/log/native.ts";
import { engineOptions } from "../../src/server/engine-options.ts";

const LOG = 16;
const MIB = 1 << 20;

const MEMORY_LOG: LogConfig = {
  segmentBytes: MIB,
  segmentMs: 0,
  retentionMs: -1,
  retentionBytes: -1,
  compact: false,
  tombstoneRetentionMs: 0,
  durability: "written",
  messageBytesMax: MIB,
  storage: "memory",
  memoryBytesMax: 64 * MIB,
  timestampType: "create",
  deliveryPriority: "normal",
  internal: false,
};

class EndsSink implements TurnSink {
  readonly ended: string[] = [];
  readonly written = new Set<number>();

  write(connection: number): void {
    this.written.add(connection);
  }

  sourceEnd(connection: number, sub: number, source: number, code: number, nextOffset: number): void {
    this.ended.push([connection, sub, source, code, nextOffset].join());
  }

  retire(): void {}
  resume(): void {}
  close(): void {}
  mail(): void {}
  timer(): void {}
}

test("a plan that outgrows the memory it began with is carried out to its end", async () => {
  const { config } = configOf({ storage: "memory" }, import.meta.dir);
  const engine = openEngine(engineOptions(config, null));
  try {
    engine.ensureLog(LOG, 1, MEMORY_LOG);
    const sink = new EndsSink();
    // A first turn, so that the views of the plan are there before it grows.
    engine.turn(sink);
    const expected: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      const connection = engine.connectionOpen();
      engine.subscriptionOpen(connection, 1, MIB, 0);
      for (let source = 1; source <= 8_000; source += 1) {
        // Nothing lies before offset 0: each of them ends in the first turn that looks at it.
        engine.sourceAdd(connection, 1, source, LOG, 0, 0, 0);
        expected.push([connection, 1, source, 0, 0].join());
      }
    }
    while (engine.turn(sink)) {
      for (const connection of sink.written) engine.written(connection);
      sink.written.clear();
    }
    expect(sink.ended).toHaveLength(expected.length);
    expect(sink.ended.toSorted()).toEqual(expected.toSorted());
  } finally {
    await engine.close();
  }
});
