/**
 * Topics.
 *
 *     30 TOPIC_CREATE   [30, corr, {name, partitions, config: {}, ifNotExists?: bool}] -> {created: bool, partitions}
 *     31 TOPIC_ALTER    [31, corr, {name, partitions?, config?}]  a setting of nil goes back to the broker's default -> {}
 *     32 TOPIC_DESCRIBE [32, corr, {name}] -> {name, partitions, config, createdMs, offsets: [{partition, startOffset, ...}]}
 *     33 TOPIC_DELETE   [33, corr, {name}] -> {}
 *     34 TOPIC_LIST     [34, corr, {pattern?, limit?, after?}] -> {topics: [{name, partitions}], next: str|nil}  `next` is the `after` of the next page
 *     52 OFFSETS        [52, corr, {topic, partitions?, at: "earliest"|"latest"|{timestamp}}] -> {offsets: [[partition, offset, timestamp|nil]]}
 */
import type { Topic } from "../broker/index.ts";
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
import { type AnyOperation, define } from "./operation.ts";
import { namespaceResource, topicResource } from "./resources.ts";
import type { Session } from "./session.ts";

const LIST_LIMIT = 1000;
const PARTITIONS_MAX = 100_000;

function settings(value: unknown, field: string): Fields {
  if (isMap(value)) return value;
  throw invalid(field, "a map of settings");
}

export function partitionList(value: unknown, field: string): number[] {
  return asList(value, field, PARTITIONS_MAX, asPartition);
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
  resources: ({ name }, session) => [topicResource(session, name)],
  async run(session, request) {
    const { topics } = session.services;
    const created = await topics.create(session.namespace, request);
    const topic = topics.require(session.namespace, request.name);
    return { created, name: topic.name, partitions: topic.partitions, config: topics.configOf(topic) };
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
    };
  },
  resources: ({ name }, session) => [topicResource(session, name)],
  async run(session, request) {
    const { topics } = session.services;
    await topics.alter(session.namespace, request);
    const topic = topics.require(session.namespace, request.name);
    return { name: topic.name, partitions: topic.partitions, config: topics.configOf(topic) };
  },
});

const describe = define({
  op: Op.TOPIC_DESCRIBE,
  permission: "topic.describe",
  parse: (args) => ({ name: asText(fieldsAt(args, 0)["name"], "name") }),
  resources: ({ name }, session) => [topicResource(session, name)],
  run: (session, { name }) => session.services.topics.describe(session.namespace, name),
});

const remove = define({
  op: Op.TOPIC_DELETE,
  permission: "topic.delete",
  parse: (args) => ({ name: asText(fieldsAt(args, 0)["name"], "name") }),
  resources: ({ name }, session) => [topicResource(session, name)],
  async run(session, { name }) {
    await session.services.topics.delete(session.namespace, name);
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
    };
  },
  resources: (_, session) => [namespaceResource(session)],
  run(session, request) {
    const limit = Math.min(request.limit, LIST_LIMIT);
    const found = session.services.topics.list(session.namespace, { ...request, limit: limit + 1 });
    const page = found.slice(0, limit);
    return { topics: page, next: found.length > limit ? (page.at(-1)?.name ?? null) : null };
  },
});

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
  resources: ({ topic }, session) => [topicResource(session, topic)],
  run(session, request) {
    const topic = session.services.topics.require(session.namespace, request.topic);
    const partitions = request.partitions ?? Array.from({ length: topic.partitions }, (_, partition) => partition);
    return { offsets: partitions.map((partition) => offsetRow(session, topic, partition, request.at)) };
  },
});

function offsetRow(session: Session, topic: Topic, partition: number, at: At): [number, number, number | null] {
  const { engine, topics } = session.services;
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
