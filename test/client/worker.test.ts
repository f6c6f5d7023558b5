import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Client, connect, type QueueMessage } from "../../src/client/index.ts";
import { FakeQueueBroker } from "./fake-queue-broker.ts";
import { until } from "../until.ts";

let broker: FakeQueueBroker;
let client: Client;

beforeEach(async () => {
  broker = new FakeQueueBroker();
  client = await connect(broker.url, { reconnect: { delayMinMs: 1, delayMaxMs: 5 } });
  await client.queue("q").declare();
});

afterEach(async () => {
  await client.close();
  broker.stop();
});

const values = (count: number): string[] => Array.from({ length: count }, (_, index) => `m${index}`);
const waiting = (): string[] => (broker.queues.get("q") ?? []).map(({ value }) => value);

describe("a worker", () => {
  test("handles as many messages side by side as it may, and holds twice as many", async () => {
    broker.put("q", values(20));
    let most = 0;
    const worker = client.worker(
      "q",
      async () => {
        most = Math.max(most, worker.running);
        expect(broker.consumers[0]?.prefetch).toBe(6);
        await Bun.sleep(1);
      },
      { concurrency: 3 },
    );
    await until("acks", () => broker.acked.length === 20);
    expect(most).toBe(3);
    await worker.stop();
    await worker.done;
    expect(worker.running).toBe(0);
  });

  test("that is stopped ends what it handles, and gives the rest back", async () => {
    broker.put("q", values(10));
    const gate = Promise.withResolvers<void>();
    const signals: AbortSignal[] = [];
    const worker = client.worker(
      "q",
      async (_, signal) => {
        signals.push(signal);
        await gate.promise;
      },
      { concurrency: 2 },
    );
    await until("handlers", () => worker.running === 2);
    const stopped = worker.stop();
    await Bun.sleep(10);
    expect(broker.acked).toEqual([]);
    expect(signals.every(({ aborted }) => aborted)).toBe(false);
    gate.resolve();
    await stopped;
    expect(broker.acked).toEqual(["m0", "m1"]);
    expect(waiting()).toEqual(values(10).slice(2));
  });

  test("does not wait for ever: the handler hears of it, and its message is for others", async () => {
    broker.put("q", ["slow"]);
    const errors: unknown[] = [];
    const heard = Promise.withResolvers<void>();
    const worker = client.worker(
      "q",
      (_, signal) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            heard.resolve();
            resolve(undefined);
          });
        }),
      { drainTimeoutMs: 10, onError: (error) => errors.push(error) },
    );
    await until("the handler", () => worker.running === 1);
    await worker.stop();
    await heard.promise;
    expect(errors[0]).toMatchObject({ codeName: "timeout" });
    expect(broker.acked).toEqual([]);
    expect(waiting()).toEqual(["slow"]);
  });

  test("tells what its handlers throw, and what ended it", async () => {
    broker.put("q", ["a", "b"]);
    const errors: string[] = [];
    const options = { onThrow: "reject", onError: (error: unknown) => errors.push(String(error)) } as const;
    const fail = (message: QueueMessage): Promise<never> => {
      if (message.text() === "a") return Promise.reject(new Error("later"));
      throw new Error("at once");
    };
    const worker = client.worker("q", fail, options);
    await until("rejections", () => broker.rejected.length === 2);
    expect(errors.toSorted()).toEqual(["Error: at once", "Error: later"]);
    expect(worker.running).toBe(0);
    const lost = client.worker("missing", () => undefined);
    await expect(lost.done).rejects.toMatchObject({ codeName: "queue_not_found" });
  });

  test("drains on the process's signal, and the program ends by itself", async () => {
    broker.put("q", values(50));
    const program = [process.execPath, join(import.meta.dir, "worker-program.ts"), broker.url];
    const child = Bun.spawn(program, { stdout: "pipe", stderr: "inherit" });
    await until("acks", () => broker.acked.length > 3);
    child.kill("SIGTERM");
    const output = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    const lines = output.trim().split("\n");
    const named = (what: string): string[] =>
      lines
        .filter((line) => line.startsWith(what))
        .map((line) => line.slice(what.length))
        .toSorted();
    expect(named("begins ")).toEqual(named("ends "));
    expect(broker.acked.toSorted()).toEqual(named("ends "));
    expect(waiting()).toHaveLength(50 - broker.acked.length);
    expect(lines.at(-1)).toBe("running 0");
  });

  test("leaves no listener behind", async () => {
    const before = process.listenerCount("SIGTERM");
    const worker = client.worker("q", () => undefined, { signals: ["SIGTERM", "SIGINT"] });
    expect(process.listenerCount("SIGTERM")).toBe(before + 1);
    await worker.stop();
    await worker.done;
    expect(process.listenerCount("SIGTERM")).toBe(before);
  });
});
