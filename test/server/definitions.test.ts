import { describe, expect, test } from "bun:test";
import { JsonFault, JsonText } from "../../src/server/definitions/json-text.ts";
import { fromRabbitMq, isRabbitMq } from "../../src/server/definitions/rabbitmq.ts";
import { type Fields, ItemFault, planOf } from "../../src/server/definitions/shape.ts";

function lineOfFault(text: string): number {
  try {
    throw new Error(`read as ${String(new JsonText(text).value)}`);
  } catch (error) {
    if (error instanceof JsonFault) return error.line;
    throw error;
  }
}

describe("JSON that knows its lines", () => {
  test("reads what JSON.parse reads, and no more", () => {
    const values = [
      null,
      true,
      -1.5e3,
      'a"\\\u{1F600}\n',
      [],
      {},
      [1, [2, { a: [] }]],
      { "": 0, ünï: "x", __proto__x: 1 },
    ];
    for (const value of values) {
      for (const space of [0, 2]) expect(new JsonText(JSON.stringify(value, null, space)).value).toEqual(value);
    }
    const bad = [
      "",
      "{",
      "[1,]",
      "{a:1}",
      '{"a" 1}',
      "[1 2]",
      "01",
      "+1",
      "'a'",
      '"\n"',
      '"\\x"',
      "1 2",
      '{"a":1,"a":2}',
      "nul",
    ];
    for (const text of bad) expect(() => new JsonText(text)).toThrow(JsonFault);
    expect(() => new JsonText("[".repeat(100))).toThrow("deeper");
  });

  test("names the line of a fault, and of what stands at a path", () => {
    expect(lineOfFault('{\n  "a": [1,\n  2,\n  ]\n}')).toBe(4);
    const text = new JsonText('{\n  "queues": [\n    {"name": "a"},\n    {\n      "name": "b"\n    }\n  ]\n}');
    expect(text.lineOf(["queues", 0])).toBe(3);
    expect(text.lineOf(["queues", 1, "name"])).toBe(5);
    expect(text.lineOf(["queues", 1, "absent"])).toBe(4);
    expect(text.lineOf(["absent"])).toBe(1);
  });

  test("a field called __proto__ is a field", () => {
    const { value } = new JsonText('{"__proto__": {"isAdmin": true}}');
    expect(Object.keys(value as object)).toEqual(["__proto__"]);
    expect((value as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });
});

test("a plan has lists of objects and nothing unknown", () => {
  expect(planOf({ format: 1, queues: [{ name: "q" }] }).queues).toEqual([
    { fields: { name: "q" }, path: ["queues", 0] },
  ]);
  for (const file of [
    {},
    { format: 2 },
    { format: 1, queue: [] },
    { format: 1, queues: {} },
    { format: 1, queues: [1] },
  ]) {
    expect(() => planOf(file)).toThrow(ItemFault);
  }
});

/** What RabbitMQ 3.12 writes, in short. */
const FILE: Fields = {
  rabbit_version: "3.12.1",
  vhosts: [
    { name: "/", description: "Default virtual host" },
    { name: "shop", description: "" },
  ],
  users: [
    {
      name: "admin",
      password_hash: "2lCuTg==",
      hashing_algorithm: "rabbit_password_hashing_sha256",
      tags: ["administrator"],
    },
    { name: "app", password_hash: "", tags: ["management", "monitoring"] },
  ],
  permissions: [{ user: "app", vhost: "/", configure: "^$", write: ".*", read: "^orders\\.eu.*|^x" }],
  topic_permissions: [{ user: "app", vhost: "/", exchange: "amq.topic", write: "x", read: "y" }],
  policies: [
    { vhost: "/", name: "all", pattern: "^o", "apply-to": "all", priority: 0, definition: { "message-ttl": 1000 } },
    {
      vhost: "/",
      name: "ttl",
      pattern: "^orders$",
      "apply-to": "queues",
      priority: 7,
      definition: { "message-ttl": 5000, "ha-mode": "all" },
    },
  ],
  exchanges: [
    {
      name: "x",
      vhost: "/",
      type: "topic",
      durable: true,
      auto_delete: false,
      internal: false,
      arguments: { "alternate-exchange": "amq.fanout" },
    },
    { name: "hash", vhost: "shop", type: "x-consistent-hash", durable: true, arguments: { "hash-header": "id" } },
  ],
  queues: [
    {
      name: "orders",
      vhost: "/",
      durable: true,
      auto_delete: false,
      arguments: {
        "x-message-ttl": 9000,
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dead",
        "x-overflow": "reject-publish",
        "x-odd": 1,
      },
    },
    { name: "dead", vhost: "/", durable: true, auto_delete: false, arguments: {} },
  ],
  bindings: [
    { source: "x", vhost: "/", destination: "orders", destination_type: "queue", routing_key: "o.#", arguments: {} },
    {
      source: "amq.headers",
      vhost: "/",
      destination: "orders",
      destination_type: "queue",
      routing_key: "",
      arguments: { "x-match": "any", a: 1 },
    },
    {
      source: "amq.topic",
      vhost: "/",
      destination: "x",
      destination_type: "exchange",
      routing_key: "#",
      arguments: {},
    },
  ],
};

describe("RabbitMQ's file", () => {
  test("becomes namespaces, users, rules, exchanges, queues and bindings", () => {
    expect([isRabbitMq(FILE), isRabbitMq({ format: 1 })]).toEqual([true, false]);
    const { plan } = fromRabbitMq(FILE);
    const fields = (items: readonly { fields: Fields }[]): Fields[] => items.map((item) => item.fields);
    expect(fields(plan.namespaces)).toEqual([{ name: "shop", description: null }]);
    expect(fields(plan.users)).toEqual([
      { name: "admin", roles: ["administrator"], isEnabled: true, credentials: [] },
      { name: "app", roles: ["monitoring"], isEnabled: true, credentials: [] },
    ]);
    expect(plan.permissions.map((item) => [item.fields["operations"], item.fields["resource"]])).toEqual([
      [["write"], { kind: "queue", namespace: "default", name: "", match: "prefix" }],
      [["write"], { kind: "exchange", namespace: "default", name: "", match: "prefix" }],
    ]);
    expect(fields(plan.exchanges)).toEqual([
      { namespace: "default", name: "amq.fanout", type: "fanout", config: {} },
      { namespace: "default", name: "x", type: "topic", config: { alternate: "amq.fanout" } },
      { namespace: "shop", name: "hash", type: "consistent-hash", config: { hashHeader: "id" } },
      { namespace: "default", name: "amq.headers", type: "headers", config: {} },
      { namespace: "default", name: "amq.topic", type: "topic", config: {} },
    ]);
    expect(fields(plan.queues)).toEqual([
      {
        namespace: "default",
        name: "orders",
        config: { messageTtlMs: 5000, deadLetter: { exchange: "", routingKey: "dead" }, overflow: "reject" },
      },
      { namespace: "default", name: "dead", config: {} },
    ]);
    expect(fields(plan.bindings)).toEqual([
      { namespace: "default", exchange: "x", queue: "orders", key: "o.#" },
      { namespace: "default", exchange: "amq.headers", queue: "orders", key: "", match: "any", headers: { a: 1 } },
      { namespace: "default", exchange: "amq.topic", to: "x", key: "#" },
    ]);
  });

  test("names what is not taken over, and never a hash", () => {
    const notes = fromRabbitMq(FILE).notes.map(({ path, text }) => `${path.join(".")} ${text}`);
    expect(notes).toEqual([
      "users.0 the password of admin is not taken over: its hash suits no log-in here; set a new one",
      "users.1 the tags management of app have no counterpart",
      expect.stringContaining("permissions.0 read of app by the pattern"),
      expect.stringContaining("policies.0 the policy all is applied"),
      expect.stringContaining("policies.1 the policy ttl is applied"),
      "queues.0 queue orders: ha-mode is not needed here",
      "queues.0 queue orders: odd has no counterpart and is not taken over",
      "topic_permissions.0 topic_permissions have no counterpart and are not taken over",
    ]);
    expect(notes.join("\n")).not.toContain("2lCuTg");
  });

  test.each([
    [{ exchanges: [{ name: "d", vhost: "/", type: "x-delayed-message" }] }, "exchanges.0", "unknown here"],
    [
      { queues: [{ name: "s", vhost: "/", arguments: { "x-queue-type": "stream" } }] },
      "queues.0",
      "a stream is a topic",
    ],
    [{ policies: [{ name: "p", vhost: "/", pattern: "(a+)+$", definition: {} }] }, "policies.0", "repeats repetitions"],
    [{ policies: [{ name: "p", vhost: "/", pattern: "(", definition: {} }] }, "policies.0", "is no pattern"],
    [{ queues: "x" }, "queues", "must be an array"],
  ])("that asks for what is not there is refused: %j", (part, path, what) => {
    let fault: unknown;
    try {
      fromRabbitMq({ vhosts: [], ...part } as Fields);
    } catch (error) {
      fault = error;
    }
    expect(fault).toBeInstanceOf(ItemFault);
    expect([(fault as ItemFault).path.join("."), (fault as ItemFault).message]).toEqual([
      path,
      expect.stringContaining(what),
    ]);
  });
});
