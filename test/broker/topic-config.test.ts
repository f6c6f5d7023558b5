import { expect, test } from "bun:test";
import { nameFault } from "../../src/broker/names.ts";
import { checkTopicConfig, internalLogConfig, logConfigOf, parseTopicConfig } from "../../src/broker/topic-config.ts";

const DEFAULTS = {
  segmentBytes: 1 << 26,
  segmentMs: 1000,
  retentionMs: 5000,
  retentionBytes: -1,
  tombstoneRetentionMs: 100,
  messageBytesMax: 1 << 20,
};

test("errors of settings name key and range", () => {
  const fault = (config: Record<string, unknown>): string => {
    try {
      parseTopicConfig(config, 1 << 20);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  expect(fault({ retentionMs: 0 })).toMatch(/^retentionMs must be an integer from 1 to \d+, or -1/);
  expect(fault({ retentionMs: 1.5 })).toContain("retentionMs");
  expect(fault({ segmentBytes: -1 })).toBe("segmentBytes must be an integer from 65536 to 2146435072");
  expect(fault({ compact: 1 })).toBe("compact must be true or false");
  expect(fault({ messageBytesMax: 1 << 21 })).toContain("at most the broker's 1048576");
  expect(fault({ constructor: 1 })).toContain("is no topic setting");
  expect(fault({ retentionMs: -1, retentionBytes: -1, storage: "memory" })).toBe("");
});

test("a topic's own values win over the broker's, and a compacted topic keeps everything unless it says otherwise", () => {
  expect(logConfigOf({}, DEFAULTS)).toMatchObject({
    retentionMs: 5000,
    compact: false,
    durability: "written",
    internal: false,
  });
  expect(logConfigOf({ compact: true }, DEFAULTS).retentionMs).toBe(-1);
  expect(logConfigOf({ compact: true, retentionMs: 7 }, DEFAULTS).retentionMs).toBe(7);
  expect(logConfigOf({ storage: "memory" }, DEFAULTS).durability).toBe("memory");
  expect(internalLogConfig(DEFAULTS)).toMatchObject({ compact: true, retentionMs: -1, internal: true });
});

test("the storage class stays what it was", () => {
  expect(() => checkTopicConfig({ storage: "memory" }, {})).toThrow("storage");
  expect(() => checkTopicConfig({ storage: "log" }, {})).not.toThrow();
});

test("names", () => {
  for (const name of ["a", "orders.eu.created", "stock/AAPL", "a:b", "A-1_x", "x".repeat(249)])
    expect(nameFault(name)).toBeUndefined();
  for (const name of ["", "a b", "__x", "/a", "a/", "a//b", "a/../b", ".", "..", "ä", "x".repeat(250), "a\n"]) {
    expect(nameFault(name)).toBeDefined();
  }
});
