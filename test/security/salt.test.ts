/** Salting passwords where it costs nobody anything, and soon all the same. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { saltWhereIdle } from "../../src/log/native.ts";
import { type SaltHash, type Salter, saltInPool, saltPatiently } from "../../src/security/salt.ts";

const SALT = randomBytes(16);
const PASSWORD = Buffer.from("sésame");
const ITERATIONS = 1000;
const asked = ["sha256", PASSWORD, SALT, ITERATIONS] as const;

test("the core salts as the runtime does", async () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  const hash = fc.constantFrom<SaltHash>("sha256", "sha512");
  await fc.assert(
    fc.asyncProperty(hash, bytes, bytes, fc.integer({ min: 1, max: 300 }), async (...each) => {
      expect(Buffer.from(await saltWhereIdle(...each)).toString("hex")).toBe(
        Buffer.from(await saltInPool(...each)).toString("hex"),
      );
    }),
  );
});

test("many at once are salted, or refused at once", async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => saltWhereIdle(...asked)));
  const expected = Buffer.from(await saltInPool(...asked)).toString("hex");
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") expect(Buffer.from(outcome.value).toString("hex")).toBe(expected);
    else expect(String(outcome.reason)).toContain("too many");
  }
  expect(outcomes[0]?.status).toBe("fulfilled");
});

for (const [title, idle] of [
  ["has no processor for it", () => new Promise<never>(() => undefined)],
  ["refuses it", () => Promise.reject(new Error("too many"))],
] satisfies [string, Salter][]) {
  test(`a log-in gets in where the idle thread ${title}`, async () => {
    expect(await saltPatiently(idle)(...asked)).toEqual(await saltInPool(...asked));
  });
}

test("a log-in takes what the idle thread made", async () => {
  const made = new Uint8Array(32).fill(7);
  expect(await saltPatiently(() => Promise.resolve(made))(...asked)).toBe(made);
});
