/**
 * Consumer groups, besides SUBSCRIBE (subscribe-ops.ts), which joins one.
 *
 *     60 COMMIT          [60, corr, {group, member?, generation?, offsets: [[topic, partition, offset, metadata|nil]]}] -> {}
 *     61 GROUP_HEARTBEAT [61, corr, {group, member, generation}] -> {generation}
 *     62 RELEASE         [62, corr, {sub, generation, sources: [int]}] -> {}
 *     64 GROUP_DESCRIBE  [64, corr, {group}] -> {group, state, generation, members, offsets}
 *     65 GROUP_LIST      [65, corr, {}] -> {groups: [{group, state, members}]}
 *     66 GROUP_RESET     [66, corr, {group, topic, partitions?, to: "earliest"|"latest"|{offset}|{timestamp}}] -> {offsets: [[topic, partition, offset]]}
 *     67 GROUP_DELETE    [67, corr, {group}] -> {}
 *     68 GROUP_OFFSETS   [68, corr, {group}] -> {offsets: [[topic, partition, offset, metadata|nil, lag, lagMs|nil]]}
 */
import type { CommitRequest, OffsetsCommit, Position } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import {
  asHandle,
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
import { type AnyOperation, define, defineConnected } from "./operation.ts";
import { groupResource, namespaceResource, topicResource } from "./resources.ts";
import { partitionList } from "./topic-ops.ts";

const OFFSETS_MAX = 10_000;
const METADATA_BYTES_MAX = 4096;
const SOURCES_MAX = 100_000;

type CommitRow = CommitRequest["offsets"][number];

function asCommitRow(value: unknown, field: string): CommitRow {
  if (!Array.isArray(value)) throw invalid(field, "[topic, partition, offset, metadata]");
  const metadata = optional(value[3], `${field}[3]`, asText) ?? null;
  if (metadata !== null && metadata.length > METADATA_BYTES_MAX) {
    throw invalid(`${field}[3]`, `at most ${METADATA_BYTES_MAX} characters`);
  }
  return [
    asText(value[0], `${field}[0]`),
    asPartition(value[1], `${field}[1]`),
    asInteger(value[2], `${field}[2]`),
    metadata,
  ];
}

/** What a commit says, by itself or in a transaction. */
export function asOffsets(fields: Fields): OffsetsCommit {
  return {
    group: asText(fields["group"], "group"),
    member: optional(fields["member"], "member", asText) ?? null,
    generation: optional(fields["generation"], "generation", asHandle) ?? null,
    offsets: asList(fields["offsets"], "offsets", OFFSETS_MAX, asCommitRow),
  };
}

const commit = define({
  op: Op.COMMIT,
  permission: "group.commit",
  finishes: true,
  parse: (args, caller): CommitRequest => ({ namespace: caller.namespace, ...asOffsets(fieldsAt(args, 0)) }),
  resources: ({ group }, caller) => [groupResource(caller, group)],
  async run(caller, request) {
    await caller.services.groups.commit(request);
    return {};
  },
});

const heartbeat = define({
  op: Op.GROUP_HEARTBEAT,
  permission: "group.join",
  finishes: true,
  parse(args, caller) {
    const fields = fieldsAt(args, 0);
    return {
      namespace: caller.namespace,
      group: asText(fields["group"], "group"),
      member: asText(fields["member"], "member"),
      generation: optional(fields["generation"], "generation", asHandle) ?? null,
    };
  },
  resources: ({ group }, caller) => [groupResource(caller, group)],
  run: (caller, request) => caller.services.groups.heartbeat(request),
});

const release = defineConnected({
  op: Op.RELEASE,
  permission: "group.join",
  finishes: true,
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      sub: asHandle(fields["sub"], "sub"),
      sources: asList(fields["sources"], "sources", SOURCES_MAX, asHandle),
    };
  },
  resources: () => [],
  async run(session, { sub, sources }) {
    const subscription = session.groupSubscription(sub);
    session.authorize("group.join", groupResource(session, subscription.group));
    await subscription.release(sources);
    return {};
  },
});

function groupName(args: readonly unknown[]): { group: string } {
  return { group: asText(fieldsAt(args, 0)["group"], "group") };
}

const describe = define({
  op: Op.GROUP_DESCRIBE,
  permission: "group.describe",
  parse: groupName,
  resources: ({ group }, caller) => [groupResource(caller, group)],
  run: (caller, { group }) => caller.services.groups.describe({ namespace: caller.namespace, group }),
});

const list = define({
  op: Op.GROUP_LIST,
  permission: "group.list",
  parse: () => null,
  resources: (_, caller) => [namespaceResource(caller)],
  async run(caller) {
    const found = await caller.services.groups.list(caller.namespace);
    const shown = found.filter(({ group }) => caller.isAllowed("group.describe", groupResource(caller, group)));
    return { groups: shown.map(({ group, state, members }) => ({ group, state, members })) };
  },
});

function asPosition(value: unknown, field: string): Position {
  if (value === "earliest" || value === "latest") return value;
  if (isMap(value) && "offset" in value) return { offset: asInteger(value["offset"], `${field}.offset`) };
  if (isMap(value) && "timestamp" in value) return { timestamp: asInteger(value["timestamp"], `${field}.timestamp`) };
  throw invalid(field, '"earliest", "latest", {offset} or {timestamp}');
}

const reset = define({
  op: Op.GROUP_RESET,
  permission: "group.reset",
  parse(args, caller) {
    const fields = fieldsAt(args, 0);
    return {
      namespace: caller.namespace,
      group: asText(fields["group"], "group"),
      topic: asText(fields["topic"], "topic"),
      partitions: optional(fields["partitions"], "partitions", partitionList) ?? null,
      to: asPosition(fields["to"], "to"),
    };
  },
  resources: ({ group }, caller) => [groupResource(caller, group)],
  also: ({ topic }, caller) => [{ permission: "topic.describe", resource: topicResource(caller, topic) }],
  run: (caller, request) => caller.services.groups.reset(request),
});

const remove = define({
  op: Op.GROUP_DELETE,
  permission: "group.delete",
  parse: groupName,
  resources: ({ group }, caller) => [groupResource(caller, group)],
  async run(caller, { group }) {
    await caller.services.groups.delete({ namespace: caller.namespace, group });
    return {};
  },
});

const offsets = define({
  op: Op.GROUP_OFFSETS,
  permission: "group.describe",
  parse: groupName,
  resources: ({ group }, caller) => [groupResource(caller, group)],
  async run(caller, { group }) {
    return { offsets: await caller.services.groups.offsets({ namespace: caller.namespace, group }) };
  },
});

export const groupOps: readonly AnyOperation[] = [commit, heartbeat, release, describe, list, reset, remove, offsets];
