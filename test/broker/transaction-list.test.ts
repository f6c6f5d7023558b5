/** Open transactions of several workers: a list of all of them, whenever each worker answers. */
import { expect, test } from "bun:test";
import { Mailroom } from "../../src/broker/mailroom.ts";
import { Transactions } from "../../src/broker/transactions/transactions.ts";

const LIMITS = {
  transactionsOpenMax: 10,
  transactionBytesMax: 1_000,
  transactionsBytesMax: 1_000,
  transactionTimeoutMs: 60_000,
};
/** By so much a worker that is busy answers later. */
const BUSY_MS = 100;

test("the list is in the order in which they began, also where a worker answers late", async () => {
  let clockMs = 1_000_000;
  const mailrooms: Mailroom[] = [];
  const workers = [0, 1].map((worker) => {
    const post = (to: number, bytes: Uint8Array): void => {
      // Nothing but mail makes the time pass here.
      if (to === 1) clockMs += BUSY_MS;
      queueMicrotask(() => mailrooms[to]?.deliver(bytes));
    };
    const mailroom = new Mailroom({ worker, workers: 2, post });
    mailrooms.push(mailroom);
    const unused = {} as never;
    // Each thread counts its own time from its own start.
    const monotonicMs = (): number => clockMs - 500 * worker;
    const parts = { mailroom, spaces: unused, owner: unused, limits: LIMITS, monotonicMs, nowMs: () => clockMs };
    return new Transactions(parts);
  });
  const begin = async (worker: number, txn: string): Promise<void> => {
    const request = { namespace: "default", txn, session: 1, id: null, epoch: null, timeoutMs: null };
    await workers[worker]?.begin(request);
    clockMs += 10;
  };
  await begin(0, "a");
  await begin(1, "c");
  await begin(0, "b");
  const listed = await workers[0]?.list("default");
  expect(listed?.map(({ txn, ageMs }) => [txn, ageMs])).toEqual([
    ["a", 30 + BUSY_MS],
    ["c", 20 + BUSY_MS],
    ["b", 10 + BUSY_MS],
  ]);
});
