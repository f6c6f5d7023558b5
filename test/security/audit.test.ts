/** The audit log: what stands in a line, and that nobody can fill a disk by asking. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { audited } from "../../src/security/acts.ts";
import { AuditLog, type Principal, type Resource } from "../../src/security/index.ts";
import { MillraceError } from "../../src/errors/index.ts";
import { createLogger } from "../../src/stdx/index.ts";

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const ann: Principal = { name: "ann", namespace: "default", roles: [], kind: "user" };
const orders: Resource = { kind: "topic", namespace: "default", name: "orders" };

function opened(): { log: AuditLog; lines: () => Record<string, unknown>[]; clock: { nowMs: number }; file: string } {
  const folder = mkdtempSync(join(tmpdir(), "millrace-audit-"));
  folders.push(folder);
  const file = join(folder, "audit.log");
  const clock = { nowMs: Date.UTC(2026, 0, 1) };
  const logger = createLogger("info", () => undefined);
  const log = new AuditLog({ file, logger, now: () => clock.nowMs });
  const lines = (): Record<string, unknown>[] =>
    readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines, clock, file };
}

test("an act is one line, of a file that only its owner reads", async () => {
  const { log, lines, file } = opened();
  const act = { operation: "topic.create", resources: [orders] } as const;
  expect(await audited(log, ann, act, () => Promise.resolve(7))).toBe(7);
  const fails = (): Promise<never> => Promise.reject(new MillraceError("topic_exists"));
  expect(await Promise.resolve(audited(log, ann, act, fails)).catch((error: Error) => error.name)).toBe("topic_exists");
  expect(lines()).toEqual([
    {
      time: "2026-01-01T00:00:00.000Z",
      principal: "ann",
      kind: "user",
      namespace: "default",
      event: "act",
      operation: "topic.create",
      resources: [orders],
      outcome: "done",
    },
    expect.objectContaining({ event: "act", outcome: "failed", error: "topic_exists" }),
  ]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("refusals are held to a rate for each principal, and the next line counts those left out", () => {
  const { log, lines, clock } = opened();
  for (let count = 0; count < 1000; count += 1) log.refused(ann, "topic.publish", orders);
  log.refused({ ...ann, name: "bob" }, "topic.publish", orders);
  const before = lines().length;
  expect(before).toBeLessThan(50);
  clock.nowMs += 1000;
  log.refused(ann, "topic.publish", orders);
  const after = lines();
  expect(after).toHaveLength(before + 1);
  expect(after.at(-1)).toMatchObject({ event: "refused", principal: "ann", leftOut: 1001 - before });
});

test("a log that cannot be written is told of, and fails nobody's request", () => {
  const told: string[] = [];
  const logger = createLogger("info", (line) => told.push(line));
  const log = new AuditLog({ file: join(tmpdir(), "nowhere-millrace", "audit.log"), logger, now: () => 0 });
  log.acted(ann, { operation: "topic.delete", resources: [orders], error: undefined });
  expect(told.join("")).toContain("the audit log could not be written");
});
