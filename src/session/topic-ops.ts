/**
 * Topics.
 *
 *     30 TOPIC_CREATE   [30, corr, {name, partitions, config: {}, ifNotExists?: bool}] -> {created: bool, partitions}
 *     31 TOPIC_ALTER    [31, corr, {name, partitions?, config?, revision?}]  a setting of nil goes back to the broker's default -> {}
 *     32 TOPIC_DESCRIBE [32, corr, {name}] -> {name, partitions, config, createdMs, offsets: [{partition, startOffset, ...}]}
 *     33 TOPIC_DELETE   [33, corr, {name, revision?}] -> {}
 *     34 TOPIC_LIST     [34, corr, {pattern?, limit?, after?, figures?: bool}] -> {topics: [{name, partitions, records?, ...}], next: str|nil}  `next` is the `after` of the next page
 *     52 OFFSETS        [52, corr, {topic, partitions?, at: "earliest"|"latest"|{timestamp}}] -> {offsets: [[partition, offset, timestamp|nil]]}
 */
import { revisionOf, type Topic, type TopicFigures, type Topics, type TopicSummary } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import {
  asBoolean,
  asInteger,
  asList,
  asPartition,
  asText,
  type Fields,
  fieldsAt,
  invalid,
  isMap,
  optional,
} from "./arguments.ts";
import type { Caller } from "./caller.ts";
import { type AnyOperation, define } from "./operation.ts";
import { namespaceResource, topicResource } from "./resources.ts";

const LIST_LIMIT = 1000;
const PARTITIONS_MAX = 100_000;

function settings(value: unknown, field: string): Fields {
  if (isMap(value)) return value;
  throw invalid(field, "a map of settings");
}

export function partitionList(value: unknown, field: string): number[] {
  return asList(value, field, PARTITIONS_MAX, asPartition);
}

function definitionOf(topics: Topics, topic: Topic): Fields {
  const { name, partitions } = topic;
  return { name, partitions, config: topics.configOf(topic), revision: revisionOf(topic) };
}

const create = define({
  op: Op.TOPIC_CREATE,
  permission: "topic.create",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      partitions: optional(fields["partitions"], "partitions", (value, field) => asInteger(value, field, 1)) ?? 1,
      config: { ...optional(fields["config"], "config", settings) },
      ifNotExists: optional(fields["ifNotExists"], "ifNotExists", asBoolean) ?? false,
    };
  },
  resources: ({ name }, caller) => [topicResource(caller, name)],
  async run(caller, request) {
    const { topics } = caller.services;
    const created = await topics.create(caller.namespace, { ...request, createdBy: caller.principal.name });
    const topic = topics.require(caller.namespace, request.name);
    return { created, ...definitionOf(topics, topic) };
  },
});

const alter = define({
  op: Op.TOPIC_ALTER,
  permission: "topic.alter",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      partitions: optional(fields["partitions"], "partitions", (value, field) => asInteger(value, field, 1)),
      config: { ...optional(fields["config"], "config", settings) },
      revision: optional(fields["revision"], "revision", asText),
    };
  },
  resources: ({ name }, caller) => [topicResource(caller, name)],
  async run(caller, request) {
    const { topics } = caller.services;
    await topics.alter(caller.namespace, request);
    const topic = topics.require(caller.namespace, request.name);
    return definitionOf(topics, topic);
  },
});

const describe = define({
  op: Op.TOPIC_DESCRIBE,
  permission: "topic.describe",
  parse: (args) => ({ name: asText(fieldsAt(args, 0)["name"], "name") }),
  resources: ({ name }, caller) => [topicResource(caller, name)],
  run: (caller, { name }) => caller.services.topics.describe(caller.namespace, name),
});

const remove = define({
  op: Op.TOPIC_DELETE,
  permission: "topic.delete",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      name: asText(fields["name"], "name"),
      revision: optional(fields["revision"], "revision", asText),
    };
  },
  resources: ({ name }, caller) => [topicResource(caller, name)],
  async run(caller, { name, revision }) {
    await caller.services.topics.delete(caller.namespace, name, revision);
    return {};
  },
});

const list = define({
  op: Op.TOPIC_LIST,
  permission: "topic.list",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      pattern: optional(fields["pattern"], "pattern", asText),
      limit: optional(fields["limit"], "limit", (value, field) => asInteger(value, field, 1)) ?? LIST_LIMIT,
      after: optional(fields["after"], "after", asText),
      withFigures: optional(fields["figures"], "figures", asBoolean) ?? false,
    };
  },
  resources: (_, caller) => [namespaceResource(caller)],
  run(caller, request) {
    const limit = Math.min(request.limit, LIST_LIMIT);
    const isShown = (name: string): boolean => caller.isAllowed("topic.describe", topicResource(caller, name));
    const found = caller.services.topics.list(caller.namespace, { ...request, limit: limit + 1, isShown });
    const page = found.slice(0, limit);
    const rows = request.withFigures ? page.map((row) => withFigures(caller, row)) : page;
    return { topics: rows, next: found.length > limit ? (page.at(-1)?.name ?? null) : null };
  },
});

/** Of a topic that was deleted meanwhile there are none. */
function withFigures({ namespace, services }: Caller, row: TopicSummary): TopicSummary & Partial<TopicFigures> {
  const topic = services.topics.find(namespace, row.name);
  return topic === undefined ? row : { ...row, ...services.topics.figures(topic) };
}

type At = "earliest" | "latest" | { readonly timestamp: number };

function asAt(value: unknown, field: string): At {
  if (value === "earliest" || value === "latest") return value;
  if (isMap(value) && "timestamp" in value) return { timestamp: asInteger(value["timestamp"], `${field}.timestamp`) };
  throw invalid(field, '"earliest", "latest" or {timestamp}');
}

const offsets = define({
  op: Op.OFFSETS,
  permission: "topic.describe",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      topic: asText(fields["topic"], "topic"),
      partitions: optional(fields["partitions"], "partitions", partitionList),
      at: asAt(fields["at"], "at"),
    };
  },
  resources: ({ topic }, caller) => [topicResource(caller, topic)],
  run(caller, request) {
    const topic = caller.services.topics.require(caller.namespace, request.topic);
    const partitions = request.partitions ?? Array.from({ length: topic.partitions }, (_, partition) => partition);
    return { offsets: partitions.map((partition) => offsetRow(caller, topic, partition, request.at)) };
  },
});

function offsetRow(caller: Caller, topic: Topic, partition: number, at: At): [number, number, number | null] {
  const { engine, topics } = caller.services;
  topics.checkPartition(topic, partition);
  const { startOffset, highWatermark } = engine.partition(topic.id, partition);
  const offset =
    at === "earliest"
      ? startOffset
      : at === "latest"
        ? highWatermark
        : engine.offsetAt(topic.id, partition, at.timestamp);
  const timestampMs = offset < highWatermark ? engine.timestampAt(topic.id, partition, offset) : -1;
  return [partition, offset, timestampMs < 0 ? null : timestampMs];
}

export const topicOps: readonly AnyOperation[] = [create, alter, describe, remove, list, offsets];
