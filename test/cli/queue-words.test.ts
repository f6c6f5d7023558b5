import { expect, test } from "bun:test";
import { conditionOf } from "../../src/cli/exchange.ts";
import { queueConfigOf, resetsOf } from "../../src/cli/queue-settings.ts";

/** How queues and bindings are written at a shell. */

test("a queue's settings are written with units, groups of them with dots", () => {
  const config = queueConfigOf({
    config: ["retry.kind=linear", "retry.delayMs=2s", "bytesMax=1MiB", "release.window.from=09:00", "durable=false"],
    ttl: "1h",
    deliveryLimit: "5",
    deadLetter: ":dead",
  });
  expect(config).toEqual({
    durable: false,
    retry: { kind: "linear", delayMs: 2_000 },
    bytesMax: 1 << 20,
    release: { window: { from: "09:00" } } as never,
    messageTtlMs: 3_600_000,
    deliveryLimit: 5,
    deadLetter: { exchange: "", routingKey: "dead" },
  });
  expect(queueConfigOf({ deadLetter: "dead" }).deadLetter).toEqual({ exchange: "dead" });
});

test("weights of groups are written by their names, which may have dots", () => {
  expect(queueConfigOf({ config: ["fairShare=true", "weights.acme.eu=4", "weights.b=2"] })).toEqual({
    fairShare: true,
    weights: { "acme.eu": 4, b: 2 },
  });
  expect(resetsOf(["weights.acme.eu"])).toEqual({ weights: { "acme.eu": null } });
  expect(resetsOf(["weights"])).toEqual({ weights: null });
});

test("settings go back to their defaults by name, one of a group or the whole group", () => {
  expect(resetsOf(["messageTtlMs", "retry.jitter", "deadLetter"])).toEqual({
    messageTtlMs: null,
    retry: { jitter: null },
    deadLetter: null,
  });
  expect(() => resetsOf(["lenghtMax"])).toThrow(expect.objectContaining({ action: "did you mean lengthMax?" }));
});

test("what is no setting is refused with what was probably meant", () => {
  expect(() => queueConfigOf({ config: ["lenghtMax=1"] })).toThrow(
    expect.objectContaining({ action: "did you mean lengthMax?" }),
  );
  expect(() => queueConfigOf({ config: ["lengthMax"] })).toThrow();
  expect(() => queueConfigOf({ config: ["retry.jitter=much"] })).toThrow();
});

test("conditions on headers are read with their operators and types", () => {
  expect(conditionOf("format=pdf")).toEqual(["format", "pdf"]);
  expect(conditionOf("pages=100")).toEqual(["pages", 100]);
  expect(conditionOf("pages>=1e2")).toEqual(["pages", { op: ">=", value: 100 }]);
  expect(conditionOf("urgent!=true")).toEqual(["urgent", { op: "!=", value: true }]);
  expect(conditionOf("trace^=eu-")).toEqual(["trace", { op: "prefix", value: "eu-" }]);
  expect(conditionOf("trace")).toEqual(["trace", { op: "exists" }]);
  expect(conditionOf("version=1.2.3")).toEqual(["version", "1.2.3"]);
  expect(() => conditionOf("=x")).toThrow();
});
