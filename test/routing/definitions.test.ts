/** What may be declared, and what errors name. */
import { describe, expect, test } from "bun:test";
import { Unpackr } from "msgpackr";
import { isMillraceError } from "../../src/errors/index.ts";
import { matchesWords } from "../../src/routing/dead-letters.ts";
import {
  bindingIdentity,
  type Change,
  ChangeEncoder,
  coreQueueConfig,
  parseBinding,
  parseExchangeConfig,
  parseExchangeKind,
  parseQueueConfig,
  shownQueueConfig,
} from "../../src/routing/index.ts";

/** `name: key or field` of what `work` is refused with. */
function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isMillraceError(error)) return `${error.codeName} ${error.details?.["key"] ?? error.details?.["field"] ?? ""}`;
    throw error;
  }
  return "taken";
}

describe("a queue's configuration", () => {
  const BAD: [config: Record<string, unknown>, refusal: string][] = [
    [{ lengthMx: 1 }, "invalid_config lengthMx"],
    [{ lengthMax: 0 }, "invalid_config lengthMax"],
    [{ lengthMax: 1.5 }, "invalid_config lengthMax"],
    [{ lengthMax: "1" }, "invalid_config lengthMax"],
    [{ priorityMax: 32 }, "invalid_config priorityMax"],
    [{ durable: 1 }, "invalid_config durable"],
    [{ overflow: "drop-tail" }, "invalid_config overflow"],
    [{ overflow: "dead-letter" }, "invalid_config overflow"],
    [{ deadLetter: {} }, "invalid_config deadLetter.exchange"],
    [{ deadLetter: { exchange: "e", key: "k" } }, "invalid_config deadLetter.key"],
    [{ retry: { kind: "quadratic" } }, "invalid_config retry.kind"],
    [{ retry: { delayMs: 10, delayMaxMs: 5 } }, "invalid_config retry.delayMaxMs"],
    [{ retry: { jitter: 2 } }, "invalid_config retry.jitter"],
    [{ retry: { classes: { timeout: { delayMs: -1 } } } }, "invalid_config retry.classes.timeout.delayMs"],
    [{ retry: { classes: { timeout: { classes: {} } } } }, "invalid_config retry.classes.timeout.classes"],
    [{ leaseWarningMs: 5 }, "invalid_config leaseWarningMs"],
    [{ leaseMs: 100, leaseWarningMs: 100 }, "invalid_config leaseWarningMs"],
    [{ sessionLockMs: 1000 }, "invalid_config sessionLockMs"],
    [{ dedupEntriesMax: 5 }, "invalid_config dedupEntriesMax"],
    [{ release: { window: { from: "8:00", to: "09:00" } } }, "invalid_config release.window.from"],
    [{ release: { window: { from: "08:00", to: "24:00" } } }, "invalid_config release.window.to"],
    [{ release: { window: { from: "08:00", to: "08:00" } } }, "schedule_never "],
    [{ release: { ratePerSec: 0.5 } }, "invalid_config release.ratePerSec"],
    [{ release: 5 }, "invalid_config release"],
  ];
  for (const [config, expected] of BAD) {
    test(`${JSON.stringify(config)} is refused: ${expected}`, () => {
      expect(refusal(() => parseQueueConfig(config))).toBe(expected);
    });
  }

  test("keeps what is given, and shows the defaults", () => {
    const config = parseQueueConfig({ durable: true, lengthMax: 7, expiresMs: null, retry: { kind: "linear" } });
    expect(config).toEqual({ lengthMax: 7, retry: { kind: "linear" } });
    expect(shownQueueConfig(config)).toMatchObject({ durable: true, overflow: "drop-head", lengthMax: 7 });
  });

  test("reaches the core with ids and minutes", () => {
    const config = parseQueueConfig({
      deadLetter: { exchange: "dead", routingKey: "k" },
      release: { ratePerSec: 5, window: { from: "22:30", to: "06:00", utcOffsetMinutes: 60 } },
    });
    expect(coreQueueConfig(config, 9)).toEqual({
      durable: true,
      hasDeadLetter: true,
      deadLetterExchange: 9,
      deadLetterRoutingKey: "k",
      release: { ratePerSec: 5, window: { fromMinute: 22 * 60 + 30, toMinute: 360, utcOffsetMinutes: 60 } },
    });
  });
});

describe("an exchange", () => {
  test("has a known type, and settings that go with it", () => {
    expect(refusal(() => parseExchangeKind("x-topic"))).toBe("invalid_argument type");
    expect(refusal(() => parseExchangeConfig("topic", { hashHeader: "x" }))).toBe("invalid_config config.hashHeader");
    expect(refusal(() => parseExchangeConfig("topic", { durable: true }))).toBe("invalid_config config.durable");
    expect(parseExchangeConfig("consistent-hash", { hashHeader: "x", internal: false })).toEqual({ hashHeader: "x" });
  });
});

describe("a binding", () => {
  test("is refused with the field that is wrong", () => {
    expect(refusal(() => parseBinding("direct", { key: 5 }))).toBe("invalid_argument key");
    expect(refusal(() => parseBinding("direct", { key: "x".repeat(256) }))).toBe("invalid_argument key");
    expect(refusal(() => parseBinding("topic", { key: ".".repeat(128) }))).toBe("invalid_argument key");
    expect(refusal(() => parseBinding("consistent-hash", { key: "0" }))).toBe("invalid_argument key");
    expect(refusal(() => parseBinding("consistent-hash", { where: "x" }))).toBe("invalid_argument where");
    expect(refusal(() => parseBinding("direct", { headers: { a: 1 } }))).toBe("invalid_argument headers");
    expect(refusal(() => parseBinding("headers", { headers: [] }))).toBe("invalid_argument headers");
    expect(refusal(() => parseBinding("headers", { headers: { a: 1 }, match: "some" }))).toBe("invalid_argument match");
    expect(refusal(() => parseBinding("headers", { headers: { a: { op: "~", value: 1 } } }))).toBe(
      "invalid_argument headers.a.op",
    );
    expect(refusal(() => parseBinding("headers", { headers: { a: { op: "prefix", value: 1 } } }))).toBe(
      "invalid_argument headers.a.value",
    );
    expect(refusal(() => parseBinding("headers", { headers: { a: 1 }, where: "x" }))).toBe("invalid_argument where");
    expect(refusal(() => parseBinding("direct", { where: " " }))).toBe("invalid_argument where");
  });

  test("is the same whatever the order of its headers, and another with another value", () => {
    const identity = (fields: Record<string, unknown>): string =>
      bindingIdentity({ kind: "queue", id: 1 }, parseBinding("headers", fields));
    const both = identity({ headers: { a: 1, b: { op: ">", value: 2 } } });
    expect(identity({ headers: { b: { value: 2, op: ">" }, a: 1 }, match: "all", key: "" })).toBe(both);
    expect(identity({ headers: { a: "1", b: { op: ">", value: 2 } } })).not.toBe(both);
    expect(identity({ headers: { a: 1, b: { op: ">", value: 2 } }, match: "any" })).not.toBe(both);
  });

  test("weighs 1 in a consistent hash unless it says otherwise", () => {
    expect(parseBinding("consistent-hash", {}).key).toBe("1");
    expect(parseBinding("fanout", {})).toEqual({ key: "", arguments: null });
  });
});

test("changes go out with whole numbers, also past 32 bits, and without what is undefined", () => {
  const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "number" });
  const change: Change = ["queue", 3, "q", { lengthMax: 2 ** 40, leaseMs: undefined }];
  const bytes = new ChangeEncoder().encode(change);
  expect(unpackr.unpack(bytes)).toEqual(["queue", 3, "q", { lengthMax: 2 ** 40 }]);
  expect(Buffer.from(bytes).includes(0xcb)).toBe(false);
});

test("words match as topic exchanges match them", () => {
  const matches = (pattern: string, key: string): boolean => matchesWords(pattern.split("."), key.split("."));
  expect(matches("a.*", "a.b")).toBe(true);
  expect(matches("a.*", "a")).toBe(false);
  expect(matches("a.#", "a")).toBe(true);
  expect(matches("#.c.#", "a.b.c")).toBe(true);
  expect(matches("*.*", "a.b.c")).toBe(false);
  expect(matches("#.#", "a.b.c")).toBe(true);
});
