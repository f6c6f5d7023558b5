import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Broker } from "../../src/server/index.ts";
import { preparePython, python, run, scripts } from "./run-python.ts";

/** A client in Python, written from the specification alone, against the vectors and a real broker. */

beforeAll(preparePython, 300_000);

describe("a client in Python", () => {
  test("reads every test vector as stated", async () => {
    const { code, output } = await run([python, join(scripts, "check_vectors.py")]);
    expect(output).toBe("vectors: all read as stated\n");
    expect(code).toBe(0);
  });

  for (const threads of [1, 2]) {
    test(`produces and consumes on a broker with threads: ${threads}`, async () => {
      const dataDir = mkdtempSync(join(tmpdir(), "millrace-python-"));
      try {
        await using broker = await Broker.start({ dataDir, port: 0, httpPort: 0, threads });
        const env = { MILLRACE_HOST: "127.0.0.1", MILLRACE_PORT: String(broker.port) };
        const { code, output } = await run([python, join(scripts, "produce_consume.py")], env);
        expect(output).toContain("consumed 2500 records, CRCs verified");
        expect(output).toContain("a group read, committed and left");
        expect(code).toBe(0);
      } finally {
        rmSync(dataDir, { recursive: true, force: true });
      }
    });
  }
});
