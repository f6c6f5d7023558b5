import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, connect, type QueueMessage } from "../../src/client/index.ts";
import {
  type FolderStore,
  folderStore,
  largePayloads,
  type LargePayloads,
  PAYLOAD_HEADER,
} from "../../src/client/payloads/index.ts";
import { FakeQueueBroker } from "./fake-queue-broker.ts";

/** Bodies over a limit go to files, and come back. */

const ABOVE = 100;

let folder: string;
let store: FolderStore;
let payloads: LargePayloads;
let broker: FakeQueueBroker;
let client: Client;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "millrace-payloads-"));
  store = folderStore(join(folder, "deep", "store"));
  payloads = largePayloads({ store, aboveBytes: ABOVE });
  broker = new FakeQueueBroker();
  client = await connect(broker.url, { payloads, reconnect: { delayMinMs: 1, delayMaxMs: 5 } });
  await client.queue("q").declare();
});

afterEach(async () => {
  await client.close();
  broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

const files = (): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(folder, name)).isFile());
const bodyOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index % 251);
const waiting = (): string[] => (broker.queues.get("q") ?? []).map(({ value }) => value);

async function one(): Promise<QueueMessage> {
  const [message] = await client.queue("q").get(1, { waitMs: 2_000 });
  return message as QueueMessage;
}

async function refusalOf(body: unknown): Promise<unknown> {
  return Promise.resolve(body).then(
    () => "no error",
    (error: { codeName?: string }) => error.codeName ?? error,
  );
}

describe("a body", () => {
  test("of up to the limit travels as ever, one byte more goes to the store; both come back whole", async () => {
    for (const length of [0, 1, ABOVE - 1, ABOVE, ABOVE + 1, 1_000_000]) {
      const body = bodyOf(length);
      const isLarge = length > ABOVE;
      const before = files().length;
      await client.queue("q").publish(body);
      expect(files().length - before).toBe(isLarge ? 1 : 0);
      const message = await one();
      const got = message.body();
      expect(got instanceof Promise).toBe(isLarge);
      expect(await got).toEqual(body);
      expect(message.value).toEqual(body);
      expect(message.body()).toEqual(body);
      message.ack();
    }
  });

  test("of text counts by its bytes, and reads as text and as JSON once it is fetched", async () => {
    const fits = "ä".repeat(ABOVE / 2);
    await client.queue("q").publish(fits);
    expect(waiting()).toEqual([fits]);
    const message = await one();
    expect(message.text()).toBe(fits);
    message.ack();
    const value = { text: "ä".repeat(ABOVE) };
    await client.queue("q").publish(JSON.stringify(value), { headers: { kind: "big" }, messageId: "7" });
    expect(files()).toHaveLength(1);
    const large = await one();
    expect(large.headers).toMatchObject({ kind: "big", "x-message-id": "7" });
    expect(large.json()).toMatchObject({ id: large.headers[PAYLOAD_HEADER], bytes: 211 });
    await large.body();
    expect(large.json()).toEqual(value);
    expect(large.text()).toBe(JSON.stringify(value));
  });

  test("keeps its place among those that are sent after it, whichever way", async () => {
    const exchange = client.exchange("");
    const large = (name: string): string => `${name} ${"x".repeat(ABOVE)}`;
    void exchange.publish("q", large("1"));
    void exchange.publish("q", "2 small");
    expect(exchange.publishNoWait("q", large("3"))).toBe(false);
    exchange.append("q", "4 small");
    const buffer = new TextEncoder().encode(large("5"));
    exchange.append("q", buffer);
    buffer.fill(0);
    await exchange.publish("q", "6 small");
    await exchange.flush();
    expect(files()).toHaveLength(3);
    const messages = await client.queue("q").get(10);
    const texts = await Promise.all(
      messages.map(async (message) => (await message.body(), message.text()?.slice(0, 1))),
    );
    expect(texts).toEqual(["1", "2", "3", "4", "5", "6"]);
  });

  test("is stored where the producer alone says so, and read through the store", async () => {
    const producer = client.produceTo({ exchange: "", mandatory: false, requireConsumer: false }, { payloads });
    await producer.send({ key: "q", value: bodyOf(500) });
    const { record } = await one();
    expect(await payloads.body(record)).toEqual(bodyOf(500));
    expect(await payloads.body({ value: null, headers: {} })).toBe(null);
  });

  test("of requests and answers is there at once", async () => {
    const responder = client.reply("upper", (message) => message.text()?.toUpperCase() ?? null);
    while (!responder.isSubscribed) await Bun.sleep(1);
    const question = "q".repeat(5_000);
    const reply = await client.request("upper", question);
    expect(reply.text()).toBe(question.toUpperCase());
    expect(files()).toHaveLength(2);
  });
});

describe("a payload", () => {
  test("that is lost is a typed error, and the message stays to be settled", async () => {
    await client.queue("q").publish(bodyOf(500));
    for (const name of files()) rmSync(join(folder, name));
    const seen: unknown[] = [];
    client.queue("q").consume(async (message) => void (await message.body()), {
      onThrow: "reject",
      onError: (error) => seen.push(error),
    });
    while (broker.rejected.length === 0) await Bun.sleep(1);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ codeName: "payload_missing", retryable: false });
  });

  test("that was changed, cut or made longer is a typed error", async () => {
    for (const spoil of [
      (bytes: Uint8Array) => bytes.with(7, 99),
      (bytes: Uint8Array) => bytes.subarray(1),
      (bytes: Uint8Array) => new Uint8Array([...bytes, 0]),
    ]) {
      await client.queue("q").publish(bodyOf(500));
      const [name] = files();
      writeFileSync(join(folder, name as string), spoil(bodyOf(500)));
      const message = await one();
      expect(await refusalOf(message.body())).toBe("payload_corrupt");
      writeFileSync(join(folder, name as string), bodyOf(500));
      expect(await message.body()).toEqual(bodyOf(500));
      await payloads.discard(message);
      message.ack();
    }
  });

  test("is named by its reference alone: one that is none, or leads elsewhere, is refused", async () => {
    writeFileSync(join(folder, "secret"), "secret");
    const sha256 = "a".repeat(64);
    for (const [id, value] of [
      ["../secret", { id: "../secret", bytes: 6, sha256 }],
      ["../../secret", { id: "../../secret", bytes: 6, sha256 }],
      [join(folder, "secret"), { id: join(folder, "secret"), bytes: 6, sha256 }],
      ["0".repeat(32), { id: "0".repeat(32), bytes: 6, sha256 }],
    ] as const) {
      broker.put("q", [JSON.stringify(value)], { [PAYLOAD_HEADER]: id });
      expect(await refusalOf((await one()).body())).toBe("payload_missing");
      expect(await store.get(id)).toBe(null);
      await store.delete(id);
    }
    expect(existsSync(join(folder, "secret"))).toBe(true);
    for (const value of ["", "no JSON", "null", "[]", '{"id":"x"}', '{"id":"x","bytes":-1,"sha256":"00"}']) {
      broker.put("q", [value], { [PAYLOAD_HEADER]: "x" });
      expect(await refusalOf((await one()).body())).toBe("payload_corrupt");
    }
    broker.put("q", [JSON.stringify({ id: "x", bytes: 2 ** 40, sha256 })], { [PAYLOAD_HEADER]: "x" });
    expect(await refusalOf((await one()).body())).toBe("message_too_large");
  });

  test("without a store is an error that says so, small bodies are not", async () => {
    await client.queue("q").publish(bodyOf(500));
    const [message] = await client.queue("q").get(1, { payloads: null });
    expect(await refusalOf(message?.body())).toBe("payload_missing");
    broker.put("q", ["small"]);
    const [small] = await client.queue("q").get(1, { payloads: null });
    expect(small?.body()).toEqual(new TextEncoder().encode("small"));
  });

  test("whose store fails fails its message alone, and what follows goes out", async () => {
    let fails = true;
    const failing = largePayloads({
      aboveBytes: ABOVE,
      bodyBytesMax: 1_000,
      store: {
        put: (bytes) => (fails ? Promise.reject(new Error("no such bucket")) : store.put(bytes)),
        get: () => Promise.reject(new Error("no such bucket")),
        delete: () => Promise.resolve(),
      },
    });
    const exchange = client.exchange("", { payloads: failing });
    const lost = exchange.publish("q", bodyOf(500)).catch((error: unknown) => error);
    const huge = exchange.publish("q", bodyOf(1_001)).catch((error: unknown) => error);
    await exchange.publish("q", "small");
    expect(await lost).toMatchObject({ codeName: "payload_store_failed", message: "no such bucket", retryable: true });
    expect(await huge).toMatchObject({ codeName: "message_too_large" });
    expect(waiting()).toEqual(["small"]);
    exchange.publishNoWait("q", bodyOf(500));
    await expect(exchange.flush()).rejects.toMatchObject({ codeName: "payload_store_failed" });
    (await one()).ack();
    fails = false;
    await exchange.publish("q", bodyOf(500));
    const [message] = await client.queue("q").get(1, { payloads: failing });
    expect(await refusalOf(message?.body())).toBe("payload_store_failed");
  });

  test("that is still being stored when the client closes fails its send", async () => {
    const gate = Promise.withResolvers<string>();
    const slow = largePayloads({
      aboveBytes: 1,
      store: { put: () => gate.promise, get: () => Promise.resolve(null), delete: () => Promise.resolve() },
    });
    const other = await connect(broker.url, { payloads: slow, closeTimeoutMs: 20 });
    const sent = other
      .queue("q")
      .publish("large")
      .catch((error: unknown) => error);
    await other.close();
    expect(await sent).toMatchObject({ codeName: "closed" });
    gate.resolve("late");
    await Bun.sleep(1);
    expect(waiting()).toEqual([]);
  });
});

describe("payloads are let go of", () => {
  test("after the ack where one consumer alone has them, not before", async () => {
    const errors: unknown[] = [];
    const own = largePayloads({
      store,
      aboveBytes: ABOVE,
      deleteAfterAck: true,
      onError: (error) => errors.push(error),
    });
    for (let index = 0; index < 3; index++) await client.queue("q").publish(bodyOf(500 + index));
    const [first, second] = await client.queue("q").get(2, { payloads: own });
    await second?.body();
    second?.ack();
    await own.flush();
    expect(files()).toHaveLength(2);
    first?.nack({ delayMs: 0 });
    await own.flush();
    expect(files()).toHaveLength(2);
    const consumer = client.queue("q").consume(async (message) => void (await message.body()), { payloads: own });
    while (broker.acked.length < 3) await Bun.sleep(1);
    await consumer.close();
    await own.flush();
    expect(files()).toEqual([]);
    expect(errors).toEqual([]);
  });

  test("not where the ack came too late: the message comes again, and needs its body", async () => {
    const errors: unknown[] = [];
    const own = largePayloads({
      store,
      aboveBytes: ABOVE,
      deleteAfterAck: true,
      onError: (error) => errors.push(error),
    });
    await client.queue("q").publish(bodyOf(500));
    const consumer = client.queue("q").consume(
      (message) => {
        if (!message.isRedelivered) broker.breakConnections();
      },
      { payloads: own, prefetch: 1 },
    );
    while (broker.acked.length === 0) await Bun.sleep(1);
    await consumer.close();
    await own.flush();
    expect(errors.length).toBeLessThanOrEqual(1);
    expect(files()).toEqual([]);
  });

  test("by age, with what was left half written", async () => {
    let nowMs = Date.now();
    const aging = folderStore(join(folder, "deep", "store"), { keepMs: 10_000, now: () => nowMs });
    const ids = await Promise.all([1, 2, 3].map((length) => aging.put(bodyOf(length))));
    const pathOf = (id: string): string => join(folder, "deep", "store", id.slice(0, 2), id);
    const left =
      pathOf(ids[0] as string)
        .replace(/.$/, "x")
        .slice(0, -1) + "0.tmp";
    writeFileSync(left, "half");
    writeFileSync(join(folder, "deep", "store", "README"), "not a payload");
    // The first put has begun a sweep, which must not meet the files half aged.
    await aging.sweep();
    const oldSeconds = nowMs / 1_000 - 11;
    utimesSync(pathOf(ids[0] as string), oldSeconds, oldSeconds);
    utimesSync(pathOf(ids[1] as string), oldSeconds, oldSeconds);
    expect(await aging.sweep()).toBe(2);
    expect(await aging.get(ids[2] as string)).toEqual(bodyOf(3));
    expect(await aging.get(ids[0] as string)).toBe(null);
    nowMs += 2 * 60 * 60 * 1_000;
    await aging.put(bodyOf(4));
    await aging.sweep();
    expect(existsSync(left)).toBe(false);
    expect(existsSync(join(folder, "deep", "store", "README"))).toBe(true);
    expect(await store.sweep()).toBe(0);
  });

  test("options that make no sense are refused", () => {
    const invalid = expect.objectContaining({ codeName: "invalid_argument" });
    expect(() => folderStore("")).toThrow(invalid);
    expect(() => folderStore(folder, { keepMs: 0 })).toThrow(invalid);
    expect(() => largePayloads({ store, aboveBytes: -1 })).toThrow(invalid);
    expect(() => largePayloads({ store, bodyBytesMax: 1.5 })).toThrow(invalid);
  });
});
