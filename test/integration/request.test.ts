/** Requests and replies over real sockets. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Client, QueueConsumer } from "../../src/client/index.ts";
import { MillraceError } from "../../src/errors/index.ts";
import type { Broker } from "../../src/server/index.ts";
import { dial, failureOf, startBroker, until } from "./harness.ts";

let broker: Broker;
let asker: Client;
let replier: Client;

beforeAll(async () => {
  broker = await startBroker();
  asker = await dial(broker);
  replier = await dial(broker);
});

afterAll(async () => {
  await asker.close();
  await replier.close();
  await broker.stop();
});

const subscribed = (consumer: QueueConsumer): Promise<unknown> => until("the responder", () => consumer.isSubscribed);

test("each request gets its own answer, from whichever responder is free", async () => {
  const answerers = ["a", "b"].map((name) =>
    replier.reply(
      "pricing",
      async (message) => {
        await Bun.sleep(Number(message.text()) % 3);
        return { value: `${message.text()}!`, headers: { by: name } };
      },
      { concurrency: 4, prefetch: 4 },
    ),
  );
  await Promise.all(answerers.map(subscribed));
  const replies = await Promise.all(Array.from({ length: 100 }, (_, index) => asker.request("pricing", String(index))));
  expect(replies.map((reply) => reply.text())).toEqual(Array.from({ length: 100 }, (_, index) => `${index}!`));
  expect(new Set(replies.map((reply) => reply.headers["by"]))).toEqual(new Set(["a", "b"]));
  await Promise.all(answerers.map((answerer) => answerer.close()));
});

test("nobody there is told at once, also when the last responder has just left", async () => {
  const startMs = performance.now();
  expect((await failureOf(asker.request("nobody", "?"))).codeName).toBe("no_responder");
  const leaving = replier.reply("leaving", () => "bye");
  await subscribed(leaving);
  expect((await asker.request("leaving", "?")).text()).toBe("bye");
  await leaving.close();
  expect((await failureOf(asker.request("leaving", "?"))).codeName).toBe("no_responder");
  await replier.queue("kept").declare();
  expect((await failureOf(asker.request("kept", "?"))).codeName).toBe("no_responder");
  expect((await replier.queue("kept").describe()).counts.ready).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(5_000);
});

test("what the responder throws reaches who asked, by its name", async () => {
  const responder = replier.reply("fails", (message) => {
    if (message.text() === "known") throw new MillraceError("limit_exceeded", "too much");
    throw new Error("broken");
  });
  await subscribed(responder);
  expect(await failureOf(asker.request("fails", "known"))).toMatchObject({
    codeName: "limit_exceeded",
    message: "too much",
  });
  expect(await failureOf(asker.request("fails", "?"))).toMatchObject({ codeName: "request_failed", message: "broken" });
  await responder.close();
});

test("a request ends with its time or its signal, and a late answer disturbs nothing", async () => {
  const responder = replier.reply(
    "slow",
    async (message) => {
      await Bun.sleep(100);
      return message.text();
    },
    { concurrency: 10 },
  );
  await subscribed(responder);
  expect((await failureOf(asker.request("slow", "1", { timeoutMs: 20 }))).codeName).toBe("timeout");
  expect((await failureOf(asker.request("slow", "2", { signal: AbortSignal.timeout(20) }))).codeName).toBe("cancelled");
  expect((await asker.request("slow", "3")).text()).toBe("3");
  await responder.close();
});

test("one request reaches many responders, and their answers are gathered", async () => {
  await asker.exchange("everyone").declare("fanout");
  const responders = await Promise.all(
    ["a", "b", "c"].map(async (name) => {
      const responder = replier.reply(`who.${name}`, () => name);
      await subscribed(responder);
      await replier.queue(`who.${name}`).bind("everyone");
      return responder;
    }),
  );
  const replies = await asker.request("who", "?", { exchange: "everyone", replies: 3 });
  expect(replies.map((reply) => reply.text()).toSorted()).toEqual(["a", "b", "c"]);
  const more = await asker.request("who", "?", { exchange: "everyone", replies: 9, timeoutMs: 200 });
  expect(more).toHaveLength(3);
  await Promise.all(responders.map((responder) => responder.close()));
});

test("the queue for answers goes with its client", async () => {
  const responder = replier.reply("echo", (message) => message.text());
  await subscribed(responder);
  const client = await dial(broker);
  expect((await client.request("echo", "x")).text()).toBe("x");
  const inboxes = async (): Promise<number> =>
    (await asker.queues.list()).filter(({ name }) => name.startsWith("_inbox.")).length;
  const before = await inboxes();
  await client.close();
  await until("the inbox is gone", async () => (await inboxes()) === before - 1);
  await responder.close();
});
