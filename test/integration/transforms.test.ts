/** Transforms in a whole broker: what goes in comes out once, whatever the steps do and whatever ends their workers. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import type { Client, TransformDefinition, TransformDescription } from "../../src/client/index.ts";
import { type Broker, type BrokerOptions } from "../../src/server/index.ts";
import { dial, startBroker, temporaryFolder, until } from "./harness.ts";

/** Processes start and end in these tests, on machines that do other things too. */
const WAIT_MS = 60_000;
const TEST_MS = 120_000;

interface Stage extends AsyncDisposable {
  readonly broker: Broker;
  readonly client: Client;
  /** Writes a file of the functions' folder. */
  write(name: string, text: string): Promise<void>;
}

async function stage(options: BrokerOptions = {}): Promise<Stage> {
  const folder = await temporaryFolder();
  const broker = await startBroker({ transformsDir: folder.path, ...options });
  const client = await dial(broker);
  return {
    broker,
    client,
    write: async (name, text) => void (await Bun.write(join(folder.path, name), text)),
    async [Symbol.asyncDispose]() {
      await client.close();
      await broker.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function described(client: Client, name: string): Promise<TransformDescription> {
  const found = (await client.transforms.list()).find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no transform ${name}`);
  return found;
}

const textOf = (value: unknown): string =>
  value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value);

/** The bodies in a queue, and what the headers say of each. */
async function deadLetters(client: Client, queue: string): Promise<Map<string, string>> {
  const peeked = await client.queue(queue).peek(1_000);
  return new Map(peeked.map(({ value, headers }) => [textOf(value), String(headers?.["x-transform-error"])]));
}

async function topicTexts(client: Client, topic: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of client.consume(topic, { from: "earliest", until: "end" }))
    texts.push(message.text() ?? "");
  return texts;
}

async function publishAll(client: Client, queue: string, texts: readonly string[]): Promise<void> {
  await Promise.all(texts.map((text) => client.queue(queue).publish(text)));
}

async function queueToTopic(client: Client): Promise<Omit<TransformDefinition, "steps">> {
  await client.queue("in").declare();
  await client.queue("dead").declare();
  await client.topics.create("out", { partitions: 2 });
  return { from: { queue: "in" }, to: { topic: "out" }, deadLetter: { queue: "dead" } };
}

const sorted = (texts: readonly string[]): string[] => [...texts].sort();

test(
  "a topic's records come out mapped, by key in their order, with their times and headers",
  async () => {
    await using on = await stage();
    const { client } = on;
    await client.topics.create("orders", { partitions: 3 });
    await client.topics.create("out", { partitions: 2 });
    const producer = client.producer("orders");
    const count = 3_000;
    for (let id = 0; id < count; id += 1) {
      const value = JSON.stringify({ order_id: id, price: `${id}.50` });
      producer.sendNoWait({ key: `k${id % 7}`, value, headers: { id }, timestamp: 1_000 + id });
      if (id % 100 === 0) await producer.ready();
    }
    await producer.flush();
    const steps = [{ map: { rename: { order_id: "id" }, convert: { price: "number" } } }];
    expect(await client.transforms.put("t", { from: { topic: "orders" }, to: { topic: "out" }, steps })).toEqual({
      created: true,
      changed: true,
    });
    await until("all are counted", async () => (await described(client, "t")).counters?.messagesOut === count, WAIT_MS);
    const byKey = new Map<string, number[]>();
    for await (const message of client.consume("out", { from: "earliest", until: "end" })) {
      const { id, price } = message.json<{ id: number; price: number }>();
      expect([price, message.headers["id"], message.timestamp]).toEqual([id + 0.5, id, 1_000 + id]);
      const key = message.keyText() ?? "";
      byKey.set(key, [...(byKey.get(key) ?? []), id]);
    }
    expect([...byKey.values()].flat().length).toBe(count);
    for (const ids of byKey.values()) expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  },
  TEST_MS,
);

const MISCHIEF = `
export default (message) => {
  switch (message.text()) {
    case "throw": throw new Error("no such item");
    case "loop": for (;;) {}
    case "fill": { const all = []; for (;;) all.push({ a: all.length }); }
    case "exit": return process.exit(7);
    case "abort": return process.abort();
    case "odd": return 5;
    case "wait": return new Promise(() => {});
    case "nowhere": return message.with({ to: { exchange: "routes", key: "nobody" } });
    case "no-topic": return message.with({ to: { topic: "missing" } });
    case "drop": return null;
    case "two": return [message.with({ value: "two-1" }), { value: "two-2" }];
    default: return message;
  }
};
`;

test(
  "a message that throws, loops, fills memory, ends its process or goes nowhere is a dead letter; all others come out once",
  async () => {
    await using on = await stage();
    const { client, broker } = on;
    await on.write("mischief.ts", MISCHIEF);
    const places = await queueToTopic(client);
    await client.exchange("routes").declare("direct");
    const limits = { timeoutMs: 500, memoryBytesMax: 128 * 1024 * 1024 };
    await client.transforms.put("t", { ...places, ...limits, steps: [{ function: { file: "mischief.ts" } }] });
    const fine = Array.from({ length: 300 }, (_, index) => `m${index}`);
    const bad = ["throw", "loop", "fill", "exit", "abort", "odd", "wait", "nowhere", "no-topic"];
    const all = [...fine, "drop", "two"];
    for (const [index, text] of bad.entries()) all.splice(index * 30, 0, text);
    await publishAll(client, "in", all);
    await until(
      "all are done",
      async () =>
        (await client.queue("in").describe()).counts.ready === 0 &&
        (await deadLetters(client, "dead")).size === bad.length &&
        (await topicTexts(client, "out")).length >= fine.length + 2,
      WAIT_MS,
    );
    expect(sorted(await topicTexts(client, "out"))).toEqual(sorted([...fine, "two-1", "two-2"]));
    const dead = await deadLetters(client, "dead");
    const words: Record<string, string> = {
      throw: "step 1 (function): no such item",
      loop: "it took longer than 500 ms",
      fill: "it took more than 134217728 bytes of memory",
      exit: "its process ended with code 7",
      abort: "its process ended by SIGABRT",
      odd: "the function returned 5",
      wait: "it took longer than 500 ms",
      nowhere: "unroutable",
      "no-topic": "topic_not_found",
    };
    expect(sorted([...dead.keys()])).toEqual(sorted(bad));
    for (const [text, reason] of dead) expect(reason).toContain(words[text] ?? "?");
    expect((await fetch(`http://127.0.0.1:${broker.httpPort}/health/ready`)).status).toBe(200);
    const { counters } = await described(client, "t");
    expect([counters?.messagesIn, counters?.messagesOut, counters?.failed]).toEqual([
      all.length,
      fine.length + 2,
      bad.length,
    ]);
  },
  TEST_MS,
);

test(
  "workers that are killed again and again lose nothing and do nothing twice",
  async () => {
    await using on = await stage();
    const { client } = on;
    await client.topics.create("in", { partitions: 4 });
    await client.topics.create("out", { partitions: 2 });
    const count = 20_000;
    const producer = client.producer("in");
    for (let id = 0; id < count; id += 1) if (!producer.append(`{"id":${id}}`, `k${id % 50}`)) await producer.ready();
    await producer.flush();
    await on.write(
      "slowly.ts",
      "export default (m) => { for (const end = performance.now() + 0.1; performance.now() < end; ); return m; };",
    );
    const steps = [{ function: { file: "slowly.ts" } }];
    await client.transforms.put("t", { from: { topic: "in" }, to: { topic: "out" }, steps, workers: 2 });
    for (let kill = 0; kill < 5; kill += 1) {
      const pid = await until(
        "a worker runs",
        async () => (await described(client, "t")).workers?.[kill % 2]?.pid,
        WAIT_MS,
      );
      const before = (await described(client, "t")).counters?.batches ?? 0;
      await until(
        "it has done something",
        async () => {
          const { counters } = await described(client, "t");
          return (counters?.batches ?? 0) > before || counters?.messagesIn === count;
        },
        WAIT_MS,
      );
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It had ended by itself: partitions moved.
      }
    }
    await until("all have come out", async () => (await topicTexts(client, "out")).length >= count, WAIT_MS);
    const ids = (await topicTexts(client, "out")).map((text) => (JSON.parse(text) as { id: number }).id);
    expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, id) => id));
  },
  TEST_MS,
);

test(
  "a changed function takes over without a restart, and one that does not load leaves the old one at work",
  async () => {
    await using on = await stage();
    const { client } = on;
    const places = await queueToTopic(client);
    const version = (name: string): string =>
      `import { tag } from "./tag.ts";\nexport default (m) => ({ value: "${name}" + tag + m.text() });`;
    await on.write("tag.ts", 'export const tag = ":";');
    await on.write("f.ts", version("v1"));
    await client.transforms.put("t", { ...places, steps: [{ function: { file: "f.ts" } }] });
    await publishAll(client, "in", ["a"]);
    await until("the first comes out", async () => (await topicTexts(client, "out")).includes("v1:a"), WAIT_MS);
    await on.write("f.ts", "export default (m) => {{{");
    await until(
      "it is known that it does not load",
      async () => String((await described(client, "t")).reason).includes("does not load"),
      WAIT_MS,
    );
    await publishAll(client, "in", ["b"]);
    await until("the old one goes on", async () => (await topicTexts(client, "out")).includes("v1:b"), WAIT_MS);
    await on.write("tag.ts", 'export const tag = "!";');
    await on.write("f.ts", version("v2"));
    let sent = 0;
    await until(
      "the new one is at work",
      async () => {
        await publishAll(client, "in", [`c${sent++}`]);
        return (await topicTexts(client, "out")).some((text) => text.startsWith("v2!c"));
      },
      WAIT_MS,
    );
    expect((await described(client, "t")).counters?.failed).toBe(0);
  },
  TEST_MS,
);

test(
  "without dead letters a failing message holds the transform up until its code is mended",
  async () => {
    await using on = await stage();
    const { client } = on;
    const { from, to } = await queueToTopic(client);
    await using logged = await temporaryFolder();
    const attempts = join(logged.path, "attempts");
    await on.write(
      "f.ts",
      `import { appendFileSync } from "node:fs";
      export default (m, { config }) => {
        if (m.text() !== "b") return m;
        appendFileSync(config.attempts, "x");
        throw new Error("not yet");
      };`,
    );
    const steps = [{ function: { file: "f.ts", config: { attempts } } }];
    await client.transforms.put("t", { from, to, steps, timeoutMs: 50 });
    for (const text of ["a", "b", "c"]) await client.queue("in").publish(text);
    // Its waits get longer than a message's time: waiting is nobody's fault.
    await until(
      "it was tried often",
      async () =>
        (
          await Bun.file(attempts)
            .text()
            .catch(() => "")
        ).length >= 5,
      WAIT_MS,
    );
    const held = await until(
      "it is held",
      async () => {
        const found = await described(client, "t");
        return found.state === "held" ? found : null;
      },
      WAIT_MS,
    );
    expect(held.reason).toContain("not yet");
    expect(await topicTexts(client, "out")).not.toContain("c");
    await on.write("f.ts", "export default (m) => m;");
    await until("it goes on", async () => (await topicTexts(client, "out")).length >= 3, WAIT_MS);
    expect(await topicTexts(client, "out")).toHaveLength(3);
    expect((await described(client, "t")).counters?.restarts).toBe(0);
  },
  TEST_MS,
);

test(
  "a transform of an exchange reads what its binding matches, goes on after a restart, and begins anew when put again",
  async () => {
    await using data = await temporaryFolder();
    const run = async (first: boolean): Promise<void> => {
      await using on = await stage({ dataDir: data.path });
      const { client } = on;
      if (first) {
        await client.exchange("events").declare("topic");
        await client.exchange("done").declare("fanout");
        await client.queue("out").declare();
        await client.queue("out").bind("done");
        const steps = [{ map: { set: { seen: true } } }];
        await client.transforms.put("t", {
          from: { exchange: "events", key: "order.#" },
          to: { exchange: "done" },
          steps,
        });
      }
      const id = first ? 1 : 2;
      await client.exchange("events").publish("order.new", `{"id":${id}}`);
      await client.exchange("events").publish("invoice.new", `{"id":${id}}`);
      await until("it comes out", async () => (await client.queue("out").peek(10)).length === id, WAIT_MS);
      const out = await client.queue("out").peek(10);
      expect(out.map((message) => [textOf(message.key), textOf(message.value)])).toContainEqual([
        "order.new",
        `{"id":${id},"seen":true}`,
      ]);
      if (first) return;
      await client.transforms.delete("t");
      expect(await client.transforms.list()).toEqual([]);
      expect(
        await client
          .queue("transform.t")
          .describe()
          .catch((error: Error) => error.name),
      ).toBe("queue_not_found");
    };
    await run(true);
    await run(false);
  },
  TEST_MS,
);

test(
  "what cannot run is refused when it is put, with why",
  async () => {
    await using on = await stage({ transformsMax: 1 });
    const { client } = on;
    const places = await queueToTopic(client);
    const put = (definition: object, name = "t"): Promise<string> =>
      client.transforms.put(name, { ...places, steps: [], ...definition }).then(
        () => "put",
        (error: Error) => `${error.name}: ${error.message}`,
      );
    const named = (file: string): object => ({ steps: [{ function: { file } }] });
    expect(await put(named("missing.ts"))).toContain(
      'transform_failed: the transform "t" cannot run: there is no file missing.ts',
    );
    await on.write("broken.ts", "export default (");
    expect(await put(named("broken.ts"))).toContain("broken.ts does not load");
    await on.write("other.ts", "export const other = 1;");
    expect(await put(named("other.ts"))).toContain("exports no function default");
    await on.write("endless.ts", "process.exit(9);");
    expect(await put(named("endless.ts"))).toContain("its process ended with code 9");
    expect(await put(named("../x.ts"))).toContain("invalid_argument: steps[0].function.file");
    expect(await put({ to: { topic: "nowhere" } })).toContain("topic_not_found");
    expect(await put({ from: { queue: "nowhere" } })).toContain("queue_not_found");
    expect(await put({ deadLetter: { exchange: "nowhere" } })).toContain("exchange_not_found");
    expect(await put({}, "no spaces")).toContain("invalid_topic_name");
    expect(await put({})).toBe("put");
    expect(await client.transforms.put("t", { ...places, steps: [] })).toEqual({ created: false, changed: false });
    expect(await put({ steps: [{ map: {} }] })).toContain("transform_exists");
    expect(await put({}, "second")).toContain("limit_exceeded");
    const changed = await client.transforms.put("t", { ...places, steps: [{ map: {} }] }, { replace: true });
    expect(changed).toEqual({ created: false, changed: true });
    expect(await client.transforms.delete("u").catch((error: Error) => error.name)).toBe("transform_not_found");
  },
  TEST_MS,
);

test(
  "a trial shows what steps make of messages, and what goes over a limit ends only the trial",
  async () => {
    await using on = await stage();
    const { client } = on;
    await on.write("mischief.ts", MISCHIEF);
    const definition = {
      from: { queue: "a" },
      to: { queue: "b" },
      timeoutMs: 300,
      steps: [{ function: { file: "mischief.ts" } }],
    };
    const trial = await client.transforms.try(definition, [
      { value: "two", key: "k", headers: { h: 1 } },
      { value: "throw" },
      { value: "drop" },
      { value: "nowhere" },
    ]);
    const texts = trial.messages.map(({ from, value, key, to }) => [
      from,
      new TextDecoder().decode(value ?? undefined),
      key,
      to,
    ]);
    expect(texts).toEqual([
      [0, "two-1", "k", null],
      [0, "two-2", "k", null],
      [3, "nowhere", null, { exchange: "routes", key: "nobody" }],
    ]);
    expect(trial.errors).toEqual([{ from: 1, reason: "step 1 (function): no such item" }]);
    const loop = await client.transforms
      .try(definition, [{ value: "a" }, { value: "loop" }])
      .catch((error: Error) => error);
    expect(String(loop)).toContain("message 1: it took longer than 300 ms");
  },
  TEST_MS,
);

const TICK = {
  type: "record",
  name: "Tick",
  namespace: "stock",
  fields: [
    { name: "symbol", type: "string" },
    { name: "price", type: "double" },
    { name: "volume", type: ["null", "long"], default: null },
  ],
};

test(
  "JSON becomes Avro of a subject's schema and JSON again, in either framing, and what does not fit names its field",
  async () => {
    await using on = await stage();
    const { client } = on;
    for (const queue of ["in", "dead"]) await client.queue(queue).declare();
    for (const topic of ["ticks", "out"]) await client.topics.create(topic);
    const toAvro = (framing: string): object[] => [
      { choose: { json: [{ json_to_avro: { subject: "ticks-value", framing } }], avro: [] } },
    ];
    const definition = { from: { queue: "in" }, to: { topic: "ticks" }, deadLetter: { queue: "dead" } };
    const refused = await client.transforms
      .put("encode", { ...definition, steps: toAvro("prefix") as never })
      .catch((error: Error) => error.message);
    expect(refused).toContain("ticks-value");
    const { id } = await client.schemas.register("ticks-value", { schema: JSON.stringify(TICK) });
    await client.transforms.put("encode", { ...definition, steps: toAvro("prefix") as never });
    await client.transforms.put("decode", {
      from: { topic: "ticks" },
      to: { topic: "out" },
      steps: [{ avro_to_json: {} }],
    });
    await publishAll(client, "in", ['{"symbol":"AAPL","price":191.5}', '{"symbol":"MSFT","price":"dear"}', "{"]);
    await until(
      "one came out and two did not",
      async () => {
        return (await topicTexts(client, "out")).length === 1 && (await deadLetters(client, "dead")).size === 2;
      },
      WAIT_MS,
    );
    expect(await topicTexts(client, "out")).toEqual(['{"symbol":"AAPL","price":191.5,"volume":null}']);
    expect((await deadLetters(client, "dead")).get('{"symbol":"MSFT","price":"dear"}')).toContain("price");
    for await (const { value } of client.consume("ticks", { from: "earliest", maxRecords: 1 })) {
      expect([...(value ?? []).slice(0, 5)]).toEqual([0, 0, 0, 0, id]);
    }
    const both = [...toAvro("header"), { avro_to_json: {} }];
    const headers = await client.transforms.try({ ...definition, steps: toAvro("header") as never }, [
      { value: '{"symbol":"A","price":1}' },
    ]);
    expect(headers.messages[0]?.headers["x-schema-id"]).toBe(id);
    const round = await client.transforms.try({ ...definition, steps: both as never }, [
      { value: '{"symbol":"A","price":1}' },
    ]);
    expect(textOf(round.messages[0]?.value)).toBe('{"symbol":"A","price":1,"volume":null}');
    expect(round.messages[0]?.headers).toEqual({});
  },
  TEST_MS,
);

test(
  "what an enforcing topic refuses is a dead letter, and the rest of its batch is not",
  async () => {
    await using on = await stage();
    const { client } = on;
    for (const queue of ["in", "dead"]) await client.queue(queue).declare();
    const { id } = await client.schemas.register("out-value", { schema: '"string"' });
    await client.topics.create("out", { schemaEnforce: "full" });
    const framed = (text: string, length = text.length): Uint8Array =>
      new Uint8Array([0, 0, 0, 0, id, 2 * length, ...new TextEncoder().encode(text)]);
    const good = Array.from({ length: 60 }, (_, index) => framed(`m${index}`));
    const bad = [framed("short", 40), new TextEncoder().encode("bare")];
    const values = [...good.slice(0, 20), bad[0], ...good.slice(20, 40), bad[1], ...good.slice(40)] as Uint8Array[];
    await Promise.all(values.map((value) => client.queue("in").publish(value)));
    const places = { from: { queue: "in" }, to: { topic: "out" }, deadLetter: { queue: "dead" } };
    await client.transforms.put("t", { ...places, steps: [] });
    await until(
      "all are somewhere",
      async () => (await described(client, "t")).counters?.messagesIn === values.length,
      WAIT_MS,
    );
    expect(await topicTexts(client, "out")).toHaveLength(good.length);
    const reasons = [...(await deadLetters(client, "dead")).values()];
    expect(reasons.map((reason) => reason.split(":")[0])).toEqual(["schema_violation", "schema_violation"]);
  },
  TEST_MS,
);
