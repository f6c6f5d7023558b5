/** The registry's handler by itself: what it answers while the broker is not ready, and when something is broken. */
import { expect, test } from "bun:test";
import { type Phase, registryHandler } from "../../src/admin/index.ts";
import type { Schemas } from "../../src/broker/index.ts";
import { AccessState, anonymous, Authorizer, noAudit, type Principal } from "../../src/security/index.ts";
import { createLogger } from "../../src/stdx/index.ts";

async function ask(options: { phase: Phase; schemas?: Schemas; isOpen?: boolean; lines?: string[] }): Promise<unknown> {
  const { phase, schemas, isOpen = true, lines = [] } = options;
  const logger = createLogger("info", (line) => lines.push(line));
  const authorizer = new Authorizer({ state: new AccessState(), isOpen, audit: noAudit, catchUp: () => undefined });
  const authenticate = (): Promise<Principal> => Promise.resolve(anonymous("default"));
  const handler = registryHandler({
    phase: () => phase,
    schemas: () => schemas,
    authorizer: () => authorizer,
    authenticate,
    logger,
  });
  const response = await handler(new Request("http://localhost/subjects"), "/subjects", "127.0.0.1");
  return { status: response.status, body: await response.json() };
}

const broken = {
  get state(): never {
    throw new TypeError("a fault of ours");
  },
} as unknown as Schemas;

test("while the broker recovers or stops, the answer is 503", async () => {
  expect(await ask({ phase: "recovering" })).toMatchObject({ status: 503, body: { error_code: 503 } });
  expect(await ask({ phase: "stopping", schemas: broken })).toMatchObject({ status: 503, body: { error_code: 503 } });
});

test("a fault of ours is 50001, says nothing of itself, and is logged", async () => {
  const lines: string[] = [];
  expect(await ask({ phase: "ready", schemas: broken, lines })).toEqual({
    status: 500,
    body: { error_code: 50001, message: "internal error" },
  });
  expect(lines.join("")).toContain("a fault of ours");
});

test("whoever may not read is told so", async () => {
  expect(await ask({ phase: "ready", schemas: broken, isOpen: false })).toMatchObject({
    status: 403,
    body: { error_code: 403, message: expect.stringContaining("(schema.list)") },
  });
});
