import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isMillraceError } from "../../src/errors/index.ts";
import {
  BatchEncoder,
  BatchView,
  BatchReader,
  encodeContent,
  encodeMessages,
  encodeSettle,
  FrameReader,
  type MessagesHead,
  numberOf,
  pack,
  readMessagesHead,
  readSettle,
  type Settle,
} from "../../src/protocol/index.ts";

const SEED = Number(process.env["MILLRACE_TEST_SEED"] ?? Date.now() % 1_000_000);
const options = { seed: SEED, numRuns: 300 };
const uint = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.maxSafeNat());

function inFrame<T>(frame: Uint8Array, read: (bytes: Uint8Array, start: number, end: number) => T): T {
  let found: T | undefined;
  new FrameReader().feed(frame, (bytes, start, end) => {
    found = read(bytes, start, end);
  });
  return found as T;
}

function batchOf(count: number): Uint8Array {
  const encoder = new BatchEncoder({ absoluteTimestamps: true });
  for (let index = 0; index < count; index++) encoder.append(1_700_000_000_000 + index, "key", `value ${index}`);
  encoder.finish();
  return encoder.batch();
}

describe(`frames of queues (seed ${SEED})`, () => {
  test("a SETTLE is read as it was written", () => {
    const range = fc.tuple(uint, fc.integer({ min: 1, max: 70_000 }));
    const settle = fc.record({
      subscription: fc.nat(),
      correlation: fc.option(fc.nat()),
      outcome: fc.integer({ min: 0, max: 7 }),
      argument: fc.option(fc.oneof(fc.nat(), fc.string(), fc.uint8Array({ maxLength: 70_000 }))),
      ranges: fc.array(range, { maxLength: 50 }).map((pairs) => pairs.flat()),
    });
    fc.assert(
      fc.property(settle, (value: Settle) => {
        expect(inFrame(encodeSettle(value), readSettle)).toEqual(value);
      }),
      options,
    );
  });

  test("the head of a MESSAGES is read as it was written, and the batch behind it", () => {
    const death = fc.record({
      queue: fc.string(),
      reason: fc.string(),
      count: fc.nat(),
      atMs: uint,
      exchange: fc.string(),
      routingKey: fc.string(),
    });
    const redelivery = fc.record({ deliveries: fc.nat(), deaths: fc.array(death, { maxLength: 3 }) });
    const head = fc.record({
      subscription: fc.nat(),
      firstTag: uint,
      numbers: fc.oneof(
        uint,
        fc.array(uint, { minLength: 3, maxLength: 3 }).map((list) => new Float64Array(list)),
      ),
      redelivered: fc.option(fc.array(fc.tuple(fc.nat(2), redelivery), { minLength: 1 }).map((rows) => new Map(rows))),
    });
    const batch = batchOf(3);
    fc.assert(
      fc.property(head, (value: Omit<MessagesHead, "batchStart">) => {
        inFrame(encodeMessages(value, batch), (bytes, start, end) => {
          const read = readMessagesHead(bytes, start, end);
          const { batchStart, ...rest } = read;
          expect(rest).toEqual(value);
          const view = new BatchView(new BatchReader(bytes, batchStart, end));
          expect([view.length, view.textAt(2), view.keyTextAt(1)]).toEqual([3, "value 2", "key"]);
          const second = typeof value.numbers === "number" ? value.numbers + 1 : value.numbers[1];
          expect(numberOf(read, 1)).toBe(second as number);
        });
      }),
      options,
    );
  });

  const BAD_SETTLES: [name: string, content: unknown[]][] = [
    ["an outcome that is none", [13, 1, null, 8, null, []]],
    ["an odd number of range values", [13, 1, null, 0, null, [1]]],
    ["an empty range", [13, 1, null, 0, null, [1, 0]]],
    ["a negative tag", [13, 1, null, 0, null, [-1, 1]]],
    ["too few values", [13, 1, null, 0, null]],
    ["too many ranges", [13, 1, null, 0, null, Array.from({ length: 8194 }, () => 1)]],
  ];
  for (const [name, content] of BAD_SETTLES) {
    test(`a SETTLE with ${name} is refused`, () => {
      expect(() => inFrame(encodeContent(pack(content)), readSettle)).toThrow();
    });
  }

  test("damaged heads are refused as malformed, or read as another head, and never end otherwise", () => {
    const value = { subscription: 4, firstTag: 300, numbers: new Float64Array([7, 5, 9]), redelivered: null };
    const frame = encodeMessages(value, batchOf(3));
    fc.assert(
      fc.property(fc.integer({ min: 5, max: 40 }), fc.nat(255), (at, byte) => {
        const damaged = frame.slice();
        damaged[at] = byte;
        try {
          readMessagesHead(damaged, 5, damaged.length);
        } catch (error) {
          expect(isMillraceError(error, "malformed_frame")).toBe(true);
        }
      }),
      options,
    );
  });
});
