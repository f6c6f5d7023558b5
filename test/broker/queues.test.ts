/** Exchanges, bindings and queues over a metadata log in memory: what is stored, what the core is told, what is refused. */
import { beforeEach, describe, expect, test } from "bun:test";
import { Definitions } from "../../src/broker/definitions.ts";
import { Exchanges } from "../../src/broker/exchanges.ts";
import { MetadataLog } from "../../src/broker/metadata-log.ts";
import { isRoutingEvent } from "../../src/broker/metadata-state.ts";
import { QueueLife } from "../../src/broker/queue-life.ts";
import { Queues } from "../../src/broker/queues.ts";
import { Spaces } from "../../src/broker/spaces.ts";
import { internalLogConfig, spaceLogConfig } from "../../src/broker/topic-config.ts";
import { Topics } from "../../src/broker/topics.ts";
import { configOf } from "../../src/config/index.ts";
import { type ErrorName, isMillraceError, MillraceError } from "../../src/errors/index.ts";
import { FakeCore, FakeEngine } from "./fake-engine.ts";

const { config } = configOf({}, "/");
const NS = "default";

/** The metadata side of one worker. */
class Worker {
  readonly metadata: MetadataLog;
  readonly topics: Topics;
  readonly spaces: Spaces;
  readonly exchanges: Exchanges;
  readonly queues: Queues;
  readonly life: QueueLife;
  announced = 0;
  readonly failures: unknown[] = [];

  constructor(core: FakeCore, worker = 0) {
    const { engine } = new FakeEngine(core, worker);
    let isLive = false;
    this.metadata = new MetadataLog(engine, internalLogConfig(config), {
      onEvent: (event) => {
        if (isRoutingEvent(event) && (isLive || worker > 0)) this.spaces.apply(event);
      },
      announce: () => void this.announced++,
    });
    this.topics = new Topics(engine, this.metadata, config);
    this.spaces = new Spaces(engine, this.metadata, spaceLogConfig(config));
    const definitions = new Definitions(engine, this.metadata, { spaces: this.spaces, limits: config });
    this.exchanges = new Exchanges(definitions);
    this.queues = new Queues(definitions);
    this.life = new QueueLife(definitions, this.queues, (error) => this.failures.push(error));
    this.metadata.catchUp();
    if (worker === 0) this.spaces.openAll();
    isLive = true;
  }

  exchange(name: string, type: string, settings: Record<string, unknown> = {}): Promise<boolean> {
    return this.exchanges.declare(NS, { name, type, config: settings, ifNotExists: true });
  }

  queue(name: string, settings: Record<string, unknown> = {}, owner = "a"): Promise<boolean> {
    return this.queues.declare(NS, { name, config: settings, ifNotExists: true, owner });
  }

  bind(exchange: string, queue: string, fields: Record<string, unknown> = {}): Promise<boolean> {
    return this.exchanges.bind(NS, { exchange, target: { kind: "queue", name: queue }, fields });
  }
}

async function refused(name: ErrorName, work: () => unknown): Promise<MillraceError> {
  try {
    await work();
  } catch (error) {
    if (isMillraceError(error, name)) return error;
    throw error;
  }
  throw new Error(`not refused with ${name}`);
}

let core: FakeCore;
let broker: Worker;

beforeEach(() => {
  core = new FakeCore();
  core.answer = (request) => (request[0] === "stats" ? { ready: 0, consumers: 0, delivered: 0 } : null);
  broker = new Worker(core);
});

const changes = (): unknown[] => core.applied.map(({ change }) => change);

describe("definitions", () => {
  test("reach the core in order, each with an id of its own", async () => {
    expect(await broker.exchange("orders", "topic")).toBe(true);
    expect(await broker.queue("eu", { lengthMax: 10 })).toBe(true);
    expect(await broker.bind("orders", "eu", { key: "eu.#" })).toBe(true);
    expect(await broker.bind("orders", "eu", { key: "eu.#" })).toBe(false);
    expect(changes()).toEqual([
      ["exchange", 2, "topic", null, { name: "orders" }],
      ["queue", 3, "eu", { durable: true, lengthMax: 10 }],
      ["bind", 2, "queue", 3, "eu.#", null],
    ]);
    expect(broker.announced).toBe(3);
  });

  test("are the same for a worker that starts later, and the core hears of each once", async () => {
    await broker.exchange("orders", "fanout");
    await broker.queue("eu");
    const other = new Worker(core, 1);
    await other.queue("us");
    await broker.bind("orders", "us");
    other.metadata.catchUp();
    expect(changes().map((change) => (change as unknown[])[0])).toEqual(["exchange", "queue", "queue", "bind"]);
    expect(
      other.queues.list(NS, { pattern: undefined, limit: undefined, after: undefined, isShown: () => true }).queues,
    ).toHaveLength(2);
  });

  test("are given to a restarted core all at once, without queues that do not outlive a restart", async () => {
    await broker.exchange("orders", "direct");
    await broker.queue("kept");
    await broker.queue("gone", { durable: false });
    await broker.queue("mine", { exclusive: true });
    await broker.bind("orders", "gone", { key: "a" });
    await broker.bind("orders", "kept", { key: "b" });
    core.opened.clear();
    core.applied.length = 0;
    const { engine } = new FakeEngine(core);
    const silent = { onEvent: () => undefined, announce: () => undefined };
    const metadata = new MetadataLog(engine, internalLogConfig(config), silent);
    const spaces = new Spaces(engine, metadata, spaceLogConfig(config));
    const definitions = new Definitions(engine, metadata, { spaces, limits: config });
    metadata.catchUp();
    await new Queues(definitions).deleteTransient();
    spaces.openAll();
    expect(changes()).toEqual([
      [
        "all",
        [
          ["exchange", 2, "direct", null, { name: "orders" }],
          ["queue", 3, "kept", { durable: true }],
          ["bind", 2, "queue", 3, "b", null],
        ],
      ],
    ]);
    expect([...spaces.logIds()]).toEqual([16, 17]);
  });

  test("that the core refuses are taken back, and the next ones work", async () => {
    await broker.exchange("orders", "direct");
    await broker.queue("q");
    core.refuse = (change) => {
      if (change[0] === "bind") throw new MillraceError("limit_exceeded", "no room");
    };
    await refused("limit_exceeded", () => broker.bind("orders", "q", { key: "a" }));
    expect(broker.exchanges.bindings(NS, { exchange: undefined, queue: undefined, after: 0 }).bindings).toEqual([]);
    core.refuse = () => undefined;
    expect(await broker.bind("orders", "q", { key: "a" })).toBe(true);
  });
});

describe("redeclaring", () => {
  test("alike is no change, whether a default is stated or not", async () => {
    await broker.queue("q", { lengthMax: 5 });
    expect(await broker.queue("q", { lengthMax: 5, durable: true, overflow: "drop-head" })).toBe(false);
    await broker.exchange("e", "direct");
    expect(await broker.exchange("e", "direct", { internal: false })).toBe(false);
  });

  test("differently names the argument that differs", async () => {
    await broker.exchange("e", "direct");
    const type = await refused("argument_mismatch", () => broker.exchange("e", "topic"));
    expect(type.details).toEqual({ argument: "type" });
    expect(type.message).toContain('"direct", not "topic"');
    await broker.queue("q", { lengthMax: 5, retry: { delayMs: 1 } });
    const length = await refused("argument_mismatch", () => broker.queue("q", { retry: { delayMs: 1 } }));
    expect(length.details).toEqual({ argument: "lengthMax" });
    const retry = await refused("argument_mismatch", () => broker.queue("q", { lengthMax: 5, retry: { delayMs: 2 } }));
    expect(retry.details).toEqual({ argument: "retry" });
  });

  test("without ifNotExists is refused", async () => {
    await broker.queue("q");
    const request = { name: "q", config: {}, ifNotExists: false, owner: "a" };
    await refused("queue_exists", () => broker.queues.declare(NS, request));
  });
});

describe("fair sharing", () => {
  test("is told to the core with its weights, which change in use", async () => {
    await broker.queue("q", { fairShare: true, weights: { a: 4, "b.c": 2 } });
    expect(changes().at(-1)).toEqual([
      "queue",
      2,
      "q",
      { durable: true, fairShare: true, weights: { a: 4, "b.c": 2 } },
    ]);
    await broker.queues.alter(NS, "q", { weights: { a: null, d: 3 } }, { owner: "a" });
    expect(broker.queues.describe(NS, "q").config.weights).toEqual({ "b.c": 2, d: 3 });
    await refused("invalid_config", () =>
      broker.queues.alter(NS, "q", { fairShare: null, weights: null }, { owner: "a" }),
    );
  });

  test("is refused with what contradicts it", async () => {
    for (const more of [{ ordered: true }, { priorityMax: 3 }, { lengthMax: 5 }, { weights: { a: 0 } }]) {
      await refused("invalid_config", () => broker.queue("q", { fairShare: true, ...more }));
    }
    await refused("invalid_config", () => broker.queue("q", { weights: { a: 2 } }));
    expect(await broker.queue("q", { fairShare: true, lengthMax: 5, overflow: "reject" })).toBe(true);
  });
});

describe("altering a queue", () => {
  const alter = (change: Record<string, unknown>, owner = "a"): Promise<void> =>
    broker.queues.alter(NS, "q", change, { owner });

  test("changes the named keys, also within a map, and nil takes one back to its default", async () => {
    await broker.exchange("dead", "fanout");
    await broker.queue("q", { lengthMax: 5, leaseMs: 100, retry: { delayMs: 1, jitter: 0.5 } });
    await alter({
      lengthMax: null,
      priorityMax: 3,
      retry: { jitter: null, kind: "fixed" },
      deadLetter: { exchange: "dead" },
    });
    const config = { leaseMs: 100, priorityMax: 3, retry: { delayMs: 1, kind: "fixed" } };
    expect(changes().at(-1)).toEqual([
      "queue",
      3,
      "q",
      { durable: true, ...config, hasDeadLetter: true, deadLetterExchange: 2 },
    ]);
    expect(broker.queues.describe(NS, "q").config).toMatchObject({ ...config, deadLetter: { exchange: "dead" } });
    await refused("in_use", () => broker.exchanges.delete(NS, "dead", false));
    await alter({ deadLetter: null });
    await broker.exchanges.delete(NS, "dead", false);
  });

  test("to what it is already tells the core nothing", async () => {
    await broker.queue("q", { lengthMax: 5 });
    const told = changes().length;
    await alter({ lengthMax: 5, durable: true, ordered: null });
    expect(changes()).toHaveLength(told);
  });

  test("is refused for keys that cannot change, with the reason, and for what is wrong", async () => {
    await broker.queue("q", { leaseMs: 100, leaseWarningMs: 10 });
    for (const change of [{ durable: false }, { exclusive: true }, { ordered: true }, { groupsMax: 5 }]) {
      const [key] = Object.keys(change);
      const error = await refused("invalid_config", () => alter(change));
      expect(error.details).toEqual({ key });
      expect(error.message).toContain(`${key} cannot be changed: `);
    }
    await refused("invalid_config", () => alter({ lenghtMax: null }));
    await refused("invalid_config", () => alter({ retry: { ["__proto__"]: { delayMs: 1 }, delay: 3 } }));
    await refused("invalid_config", () => alter({ leaseMs: null }));
    await refused("exchange_not_found", () => alter({ deadLetter: { exchange: "no" } }));
    await refused("dead_letter_loop", () => alter({ deadLetter: { exchange: "", routingKey: "q" } }));
    await refused("queue_not_found", () => broker.queues.alter(NS, "no", {}, { owner: "a" }));
    await broker.queue("mine", { exclusive: true }, "b");
    await refused("queue_exclusive", () => broker.queues.alter(NS, "mine", {}, { owner: "a" }));
    expect(broker.queues.describe(NS, "q").config).toMatchObject({ leaseMs: 100, leaseWarningMs: 10 });
  });

  test("that the core refuses leaves the queue as it was", async () => {
    await broker.queue("q", { lengthMax: 5 });
    core.refuse = (change) => {
      if ((change[3] as { lengthMax?: number }).lengthMax === 6) throw new MillraceError("limit_exceeded", "no room");
    };
    await refused("limit_exceeded", () => alter({ lengthMax: 6 }));
    expect(broker.queues.describe(NS, "q").config.lengthMax).toBe(5);
    expect(changes().at(-1)).toEqual(["queue", 2, "q", { durable: true, lengthMax: 5 }]);
  });

  test("reaches what goes by itself: a queue that no longer goes with its last consumer stays", async () => {
    await broker.queue("q", { autoDelete: true });
    const { queue } = broker.queues.require(NS, "q", "a");
    await alter({ autoDelete: null });
    await broker.life.consumerLeft(queue);
    expect(broker.queues.describe(NS, "q").config.autoDelete).toBe(false);
  });
});

describe("deleting", () => {
  test("a queue or a topic takes the bindings to it along", async () => {
    await broker.exchange("e", "topic");
    await broker.queue("q");
    await broker.topics.create(NS, { name: "t", partitions: 1, config: {}, ifNotExists: false });
    await broker.bind("e", "q", { key: "#" });
    await broker.exchanges.bind(NS, { exchange: "e", target: { kind: "topic", name: "t" }, fields: { key: "a" } });
    const logId = broker.topics.require(NS, "t").id;
    await broker.queues.delete(NS, "q", { owner: "a" });
    await broker.topics.delete(NS, "t");
    expect(changes().slice(-3)).toEqual([
      ["unbind", 2, "queue", 3, "#", null],
      ["queue_delete", 3],
      ["unbind", 2, "topic", logId, "a", null],
    ]);
    expect(broker.exchanges.bindings(NS, { exchange: "e", queue: undefined, after: 0 }).bindings).toEqual([]);
  });

  test("an exchange is refused while something names it", async () => {
    await broker.exchange("rest", "fanout");
    await broker.exchange("e", "direct", { alternate: "rest" });
    await refused("in_use", () => broker.exchanges.delete(NS, "rest", false));
    await broker.exchanges.delete(NS, "e", false);
    await broker.queue("q", { deadLetter: { exchange: "rest" } });
    await refused("in_use", () => broker.exchanges.delete(NS, "rest", false));
    await broker.queues.delete(NS, "q", { owner: "a" });
    await broker.exchanges.delete(NS, "rest", false);
    expect(broker.exchanges.list(NS)).toEqual([]);
  });

  test("a queue that holds messages or has consumers is refused when asked so", async () => {
    await broker.queue("q");
    core.answer = () => ({ ready: 1, consumers: 2 });
    await refused("not_empty", () => broker.queues.delete(NS, "q", { ifEmpty: true, owner: "a" }));
    await refused("in_use", () => broker.queues.delete(NS, "q", { ifUnused: true, owner: "a" }));
    await broker.queues.delete(NS, "q", { owner: "a" });
    await refused("queue_not_found", () => broker.queues.describe(NS, "q"));
  });

  test("gives no id a second time", async () => {
    await broker.queue("q");
    await broker.queues.delete(NS, "q", { owner: "a" });
    await broker.queue("q");
    expect(changes().at(-1)).toEqual(["queue", 3, "q", { durable: true }]);
  });
});

describe("a queue goes by itself", () => {
  const names = (): string[] =>
    broker.queues
      .list(NS, { pattern: undefined, limit: undefined, after: undefined, isShown: () => true })
      .queues.map(({ name }) => name);

  test("with the connection that it belongs to, which nobody else may use it", async () => {
    await broker.queue("mine", { exclusive: true }, "a");
    await refused("queue_exclusive", () => broker.queue("mine", { exclusive: true }, "b"));
    await refused("queue_exclusive", () => broker.queues.require(NS, "mine", "b"));
    await refused("queue_exclusive", () => broker.queues.delete(NS, "mine", { owner: "b" }));
    const { queue } = broker.queues.require(NS, "mine", "a");
    await broker.life.connectionClosed([queue.id]);
    expect(names()).toEqual([]);
    expect(broker.failures).toEqual([]);
  });

  test("after its last consumer, and not before", async () => {
    await broker.queue("q", { autoDelete: true });
    await broker.queue("stays");
    const { queue } = broker.queues.require(NS, "q", "a");
    core.answer = () => ({ consumers: 1 });
    await broker.life.consumerLeft(queue);
    expect(names()).toEqual(["q", "stays"]);
    core.answer = () => ({ consumers: 0 });
    await broker.life.consumerLeft(queue);
    await broker.life.consumerLeft(broker.queues.require(NS, "stays", "a").queue);
    expect(names()).toEqual(["stays"]);
  });

  test("when nobody has used it for long enough; a consumer and a message taken are uses", async () => {
    await broker.queue("q", { expiresMs: 1_000 });
    let now = core.nowMs;
    const later = (ms: number): Promise<void> => broker.life.sweep((now += ms));
    await later(0);
    await later(999);
    core.answer = () => ({ consumers: 1 });
    await later(5_000);
    core.answer = () => ({ consumers: 0, delivered: 1 });
    await later(999);
    await later(999);
    expect(names()).toEqual(["q"]);
    await later(1);
    expect(names()).toEqual([]);
  });
});

describe("requests name what is not there", () => {
  test("exchange, queue, topic, binding", async () => {
    await refused("exchange_not_found", () => broker.bind("no", "q"));
    await broker.exchange("e", "direct");
    await refused("queue_not_found", () => broker.bind("e", "no"));
    const topic = { exchange: "e", target: { kind: "topic", name: "no" }, fields: {} } as const;
    await refused("topic_not_found", () => broker.exchanges.bind(NS, topic));
    await broker.queue("q");
    const unbind = { exchange: "e", target: { kind: "queue", name: "q" }, fields: { key: "a" } } as const;
    await refused("binding_not_found", () => broker.exchanges.unbind(NS, unbind));
    await refused("exchange_not_found", () => broker.exchange("f", "direct", { alternate: "no" }));
    await refused("exchange_not_found", () => broker.queue("r", { deadLetter: { exchange: "no" } }));
    await refused("exchange_not_found", () => broker.exchanges.requirePublishable(NS, "no"));
    await refused("exchange_not_found", () => broker.exchanges.requirePublishable("empty", ""));
    expect(broker.exchanges.requirePublishable(NS, "").id).toBe(0);
  });
});

describe("circles", () => {
  test("an exchange bound to itself is refused, two bound to each other are not", async () => {
    await broker.exchange("a", "fanout");
    await broker.exchange("b", "fanout");
    const to = (exchange: string, name: string): Promise<boolean> =>
      broker.exchanges.bind(NS, { exchange, target: { kind: "exchange", name }, fields: {} });
    await refused("routing_cycle", () => to("a", "a"));
    expect(await to("a", "b")).toBe(true);
    expect(await to("b", "a")).toBe(true);
  });

  test("of dead letters without a way out are refused when they are closed", async () => {
    await refused("dead_letter_loop", () => broker.queue("q", { deadLetter: { exchange: "", routingKey: "q" } }));
    await broker.exchange("dead", "direct");
    await broker.queue("one", { messageTtlMs: 10, deadLetter: { exchange: "dead", routingKey: "two" } });
    await broker.queue("two", { messageTtlMs: 10, deadLetter: { exchange: "", routingKey: "one" } });
    await refused("dead_letter_loop", () => broker.bind("dead", "two", { key: "two" }));
    expect(await broker.bind("dead", "two", { key: "other" })).toBe(true);
  });

  test("of a queue and its retry queue are fine: a consumer decides in one of them", async () => {
    await broker.queue("work", { deadLetter: { exchange: "", routingKey: "retry" } });
    expect(await broker.queue("retry", { messageTtlMs: 10, deadLetter: { exchange: "", routingKey: "work" } })).toBe(
      true,
    );
  });
});
