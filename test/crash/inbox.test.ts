import { test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bookedOnce } from "./inbox-scenario.ts";

test("through an inbox in SQLite a message is booked once, though consumers and the broker die before its ack", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-shop-"));
  try {
    await bookedOnce("sqlite", folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);
