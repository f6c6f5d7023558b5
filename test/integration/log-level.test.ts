import { expect, test } from "bun:test";
import { type BrokerOptions } from "../../src/server/index.ts";
import { startBroker } from "./harness.ts";

/** Starts a broker, hands it to `use`, stops it, and returns the messages of its log. */
async function logOf(
  options: BrokerOptions,
  use: (httpPort: number) => Promise<void> = async () => {},
): Promise<string[]> {
  const lines: string[] = [];
  {
    await using broker = await startBroker({ ...options, log: (line) => lines.push(line) });
    await use(broker.httpPort);
  }
  return lines.map((line) => (JSON.parse(line) as { message: string }).message);
}

test("a broker says as much as its level asks for, from the start on or from a change on", async () => {
  const info = await logOf({});
  expect(info).toContain("serving");
  expect(info).toContain("stopped");
  expect(await logOf({ logLevel: "error" })).toEqual([]);
  const changed = await logOf({}, async (httpPort) => {
    const response = await fetch(`http://127.0.0.1:${httpPort}/api/v1/config`, {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ logLevel: "error" }),
    });
    expect(response.status).toBe(200);
  });
  expect(changed).toContain("serving");
  expect(changed).not.toContain("stopped");
});
