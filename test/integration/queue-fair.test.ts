/** Groups that share one queue. */
import { expect, test } from "bun:test";
import { dial, startBroker, temporaryFolder, until } from "./harness.ts";

test("groups that share take turns by their weights, also after a restart; another's backlog holds up nobody", async () => {
  await using folder = await temporaryFolder();
  {
    await using first = await startBroker({ dataDir: folder.path });
    await using before = await dial(first);
    const queue = before.queue("tenants");
    await queue.declare({ fairShare: true, weights: { big: 3 } });
    const exchange = before.exchange("");
    for (let n = 0; n < 5_000; n += 1) exchange.publishNoWait("tenants", "x", { group: "big" });
    await exchange.flush();
  }
  await using second = await startBroker({ dataDir: folder.path });
  await using after = await dial(second);
  const queue = after.queue("tenants");
  for (const group of ["a", "a", "b"]) await queue.publish("x", { group });
  const groups = async (count: number): Promise<unknown[]> => {
    const messages = await queue.get(count, { waitMs: 5_000, min: count });
    for (const message of messages) message.ack();
    return messages.map((message) => message.headers["x-group"]);
  };
  expect(await groups(10)).toEqual(["big", "big", "big", "a", "b", "big", "big", "big", "a", "big"]);
  await until("acks", async () => (await queue.describe()).counts.acked === 10);
});
