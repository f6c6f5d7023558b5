/** The shapes of answers, by name: `components.schemas` of the OpenAPI document. */
import { flag, listOf, nullable, object, ref, settings, type Shape, text, timeMs, whole } from "./route.ts";

const figures: Shape = { type: "object", additionalProperties: { type: "number" } };

const settingValue: Shape = {
  anyOf: [{ type: "string" }, { type: "integer" }, { type: "boolean" }, listOf(text)],
};

/** Figures that grow with versions of the broker. */
const open = (shape: Shape): Shape => ({ ...shape, additionalProperties: true });

export const SHAPES: Readonly<Record<string, Shape>> = {
  Error: object({
    error: object({ code: whole, name: text, message: text, action: text, retryable: flag }, ["action", "retryable"]),
  }),
  TopicRow: open(
    object(
      {
        namespace: text,
        name: text,
        partitions: whole,
        records: { ...whole, description: "offsets from the first to the last; compaction may have taken some" },
        bytes: whole,
        recordsIn: whole,
        bytesIn: whole,
        recordsOut: whole,
        bytesOut: whole,
      },
      ["records", "bytes", "recordsIn", "bytesIn", "recordsOut", "bytesOut"],
    ),
  ),
  Partition: open(
    object({
      partition: whole,
      startOffset: whole,
      nextOffset: whole,
      highWatermark: whole,
      syncedOffset: whole,
      bytes: whole,
      segments: whole,
      recordsIn: whole,
      bytesIn: whole,
      recordsOut: whole,
      bytesOut: whole,
      lastTimestamp: { type: "integer", minimum: -1, description: "of its newest record in ms; -1 when it is empty" },
    }),
  ),
  Topic: open(
    object({
      namespace: text,
      name: text,
      partitions: whole,
      config: settings,
      createdMs: timeMs,
      revision: text,
      offsets: listOf(ref("Partition")),
    }),
  ),
  TopicDefinition: object({ namespace: text, name: text, partitions: whole, config: settings, revision: text }),
  Offset: object({ partition: whole, offset: whole, timestampMs: nullable(timeMs) }),
  Load: open(
    object({
      topic: text,
      partitions: listOf(object({ partition: whole, messages: whole })),
      hotKeys: listOf(object({ key: text, share: { type: "number" } })),
    }),
  ),
  Explained: open(
    object(
      {
        message: settings,
        stored: settings,
        arrived: settings,
        routing: object(
          { exchange: text, key: text, destinations: listOf(object({ type: text, namespace: text, name: text })) },
          ["exchange"],
        ),
        deliveries: listOf(settings),
        acks: listOf(settings),
        state: text,
        remembersSinceMs: { type: "number", description: "who sent and got it is known from then on, ms" },
      },
      ["arrived", "routing", "state"],
    ),
  ),
  QueueCounts: { type: "object", additionalProperties: { type: "number" } },
  QueueRow: open(object({ namespace: text, name: text, counts: ref("QueueCounts") })),
  Queue: open(
    object({
      namespace: text,
      name: text,
      config: settings,
      createdMs: timeMs,
      revision: text,
      counts: ref("QueueCounts"),
    }),
  ),
  QueueDefinition: object({ namespace: text, name: text, config: settings, revision: text }),
  Exchange: open(
    object({ namespace: text, name: text, type: text, config: settings, bindings: whole, createdMs: timeMs }),
  ),
  ExchangeDefinition: object({ namespace: text, name: text, type: text, config: settings }),
  Destination: object({ kind: { type: "string", enum: ["queue", "topic", "exchange"] }, name: text }),
  Binding: open(
    object(
      {
        id: { type: "string", description: "names the binding in DELETE /bindings/{namespace}/{id}" },
        exchange: text,
        queue: text,
        topic: text,
        to: { type: "string", description: "an exchange" },
        key: text,
      },
      ["queue", "topic", "to", "key"],
    ),
  ),
  Content: open(
    object(
      {
        encoding: { type: "string", enum: ["json", "text", "msgpack", "avro", "binary"] },
        bytes: whole,
        json: { description: "the value, of json, msgpack and avro" },
        text: { type: "string", description: "also of json whose numbers JavaScript would round" },
        base64: text,
        schemaId: whole,
        error: { type: "string", description: "why it is shown as bytes" },
        truncated: flag,
      },
      ["json", "text", "base64", "schemaId", "error", "truncated"],
    ),
  ),
  RecordRow: object({
    partition: whole,
    offset: whole,
    timestampMs: timeMs,
    key: nullable(ref("Content")),
    value: nullable(ref("Content")),
    headers: settings,
  }),
  QueueMessage: open(
    object({
      number: whole,
      key: nullable(ref("Content")),
      value: nullable(ref("Content")),
      headers: nullable(settings),
    }),
  ),
  LogIn: open(
    object(
      {
        user: text,
        kind: { type: "string", enum: ["anonymous", "user", "certificate", "token", "internal"] },
        roles: listOf(text),
        authentication: { type: "string", enum: ["off", "required"] },
        csrf: text,
        expiresAtMs: timeMs,
      },
      ["csrf", "expiresAtMs"],
    ),
  ),
  Overview: open(
    object(
      {
        version: text,
        epoch: whole,
        startedMs: timeMs,
        nowMs: timeMs,
        threads: whole,
        counts: figures,
        totals: figures,
        rates: { description: "by the second; null in the first second", anyOf: [figures, { type: "null" }] },
        stages: {
          type: "object",
          description: "latencies of that time by stage of a message's way: count, p50Ms, p90Ms, p99Ms, p999Ms, maxMs",
          additionalProperties: figures,
        },
        queues: figures,
        storage: figures,
        residentBytes: whole,
        workers: listOf(settings),
        busiest: object({ topics: listOf(settings), queues: listOf(settings), groups: listOf(settings) }),
      },
      ["busiest"],
    ),
  ),
  Connection: open(
    object({
      id: text,
      worker: whole,
      client: text,
      principal: text,
      kind: text,
      namespace: text,
      remote: text,
      transport: { type: "string", enum: ["tcp", "ws"] },
      openedMs: timeMs,
      publishers: whole,
      subscriptions: whole,
      requestsInFlight: whole,
      unsentBytes: whole,
    }),
  ),
  Setting: open(
    object({
      key: text,
      value: settingValue,
      text,
      unit: text,
      default: settingValue,
      accepts: text,
      doc: text,
      isLive: { ...flag, description: "whether PATCH /config changes it" },
      isChanged: flag,
    }),
  ),
  Namespace: object({
    name: text,
    description: nullable(text),
    createdMs: nullable(timeMs),
    topics: whole,
    exchanges: whole,
    queues: whole,
    schedules: whole,
    transforms: whole,
    subjects: whole,
    storageBytes: whole,
  }),
  User: object({ name: text, roles: listOf(text), isEnabled: flag, mechanisms: listOf(text), createdMs: timeMs }),
  Credential: object({
    mechanism: { type: "string", enum: ["SCRAM-SHA-256", "SCRAM-SHA-512"] },
    salt: text,
    iterations: whole,
    storedKey: text,
    serverKey: text,
  }),
  Role: object({ name: text, description: text, isBuiltIn: flag, createdMs: timeMs }),
  PermissionResource: object(
    { kind: text, namespace: text, name: text, match: { type: "string", enum: ["literal", "prefix", "pattern"] } },
    ["namespace", "name", "match"],
  ),
  PermissionQuestion: object({ kind: text, namespace: text, name: text }, ["namespace", "name"]),
  Permission: object({
    id: text,
    principal: nullable(text),
    role: nullable(text),
    effect: { type: "string", enum: ["allow", "deny"] },
    operations: listOf(text),
    resource: ref("PermissionResource"),
  }),
  Verdict: object({ allowed: flag, rule: nullable(text) }),
  Quota: open(object({ kind: text, name: text })),
  Schedule: open(
    object({
      namespace: text,
      name: text,
      cron: text,
      timezone: nullable(text),
      exchange: text,
      key: text,
      value: nullable(ref("Content")),
      headers: nullable(settings),
      missed: text,
      nextMs: nullable(timeMs),
      lastMs: nullable(timeMs),
      error: nullable(text),
    }),
  ),
  Transform: open(object({ namespace: text, name: text, definition: settings, state: text, counters: settings })),
  Transaction: open(object({ namespace: text, txn: text, ageMs: { type: "number" }, timeoutMs: whole })),
  GroupRow: open(object({ namespace: text, group: text, state: text, members: whole })),
  TopicReader: open(
    object({ namespace: text, group: text, state: text, members: whole, lag: whole, lagMs: nullable(whole) }),
  ),
  GroupOffset: object({
    topic: text,
    partition: whole,
    offset: whole,
    metadata: nullable(text),
    lag: whole,
    lagMs: nullable(whole),
  }),
  GroupMember: open(
    object({
      member: text,
      instance: nullable(text),
      client: text,
      connected: flag,
      sessionTimeoutMs: whole,
      topics: listOf(text),
      partitions: listOf(object({ topic: text, partition: whole })),
    }),
  ),
  Group: open(
    object({
      namespace: text,
      group: text,
      state: text,
      generation: whole,
      members: listOf(ref("GroupMember")),
      offsets: listOf(ref("GroupOffset")),
    }),
  ),
};
