/**
 * What became of one message, as far as log and memory tell it.
 *
 *     155 EXPLAIN [155, corr, {topic, partition?: 0, offset}] or [155, corr, {queue, number}] -> {message, stored, arrived?,
 *                 routing?, deliveries, acks, state?, remembersSinceMs}
 *                 [155, corr, {topic}] -> {topic, partitions: [{partition, messages}], hotKeys: [{key, share}]}: its load
 *
 * `message`, `stored`, a group's progress and what a queue's message was routed to are read from the logs. Who sent it, whom it
 * was delivered to and when stand in the flight recorders: in memory, bounded by `flightRecorderBytes`, gone with the process.
 */
import type { Topic } from "../broker/index.ts";
import { MillraceError } from "../errors/index.ts";
import { BatchReader, compressionOf, Op, readUtf8, type Record as StoredRecord } from "../protocol/index.ts";
import { asInteger, asText, fieldsAt, invalid, optional } from "./arguments.ts";
import type { Caller } from "./caller.ts";
import { type AnyOperation, define } from "./operation.ts";
import { queueResource, topicResource } from "./resources.ts";
import type { Address, Trace } from "./tracer.ts";

type Request =
  | { readonly loadOf: string }
  | { readonly topic: string; readonly partition: number; readonly offset: number }
  | { readonly queue: string; readonly number: number };

interface Found {
  readonly message: Readonly<Record<string, unknown>>;
  readonly stored: Readonly<Record<string, unknown>>;
  readonly key: Uint8Array | null;
}

/** Groups whose progress is told; the others are not looked at. */
const GROUPS_MAX = 100;
const COMPRESSIONS = ["none", "zstd"];

const explain = define<Request>({
  op: Op.EXPLAIN,
  permission: (request) => ("queue" in request ? "queue.peek" : "topic.consume"),
  parse(args) {
    const fields = fieldsAt(args, 0);
    const topic = optional(fields["topic"], "topic", asText);
    const queue = optional(fields["queue"], "queue", asText);
    if ((topic === undefined) === (queue === undefined)) throw invalid("topic", "there, or queue, and not both");
    if (queue !== undefined) return { queue, number: asInteger(fields["number"], "number") };
    if (topic !== undefined && fields["offset"] === undefined) return { loadOf: topic };
    const partition = optional(fields["partition"], "partition", (value, name) => asInteger(value, name)) ?? 0;
    return { topic: topic ?? "", partition, offset: asInteger(fields["offset"], "offset") };
  },
  resources: (request, caller) => [
    "queue" in request
      ? queueResource(caller, request.queue)
      : topicResource(caller, "topic" in request ? request.topic : request.loadOf),
  ],
  run(caller, request) {
    if ("loadOf" in request) return explainLoad(caller, request.loadOf);
    if ("topic" in request) return explainRecord(caller, request);
    return explainMessage(caller, request.queue, request.number);
  },
});

/** How messages spread over partitions since the broker started, and over keys lately. */
async function explainLoad(caller: Caller, name: string): Promise<unknown> {
  const { engine, topics, hotKeys } = caller.services;
  const { id, partitions } = topics.require(caller.namespace, name);
  const rows = Array.from({ length: partitions }, (_, partition) => {
    return { partition, messages: engine.partition(id, partition).recordsIn };
  });
  return { topic: name, partitions: rows, hotKeys: await hotKeys(id) };
}

async function explainRecord(
  caller: Caller,
  { topic: name, partition, offset }: Extract<Request, { topic: string }>,
): Promise<unknown> {
  const { topics, tracer } = caller.services;
  const topic = topics.require(caller.namespace, name);
  topics.checkPartition(topic, partition);
  const { message, stored } = read(caller, topic.id, partition, offset);
  const trace = await tracer.trace(topic.id, partition, offset);
  return {
    message,
    stored: { log: "topic", topic: name, ...stored },
    ...told(trace),
    acks: await progress(caller, topic, partition, offset),
  };
}

async function explainMessage(caller: Caller, name: string, number: number): Promise<unknown> {
  const { queues, tracer } = caller.services;
  const { state, destinations, handed, became, sinceMs, journalLogId } = queues.explain(
    caller.namespace,
    name,
    number,
    caller.owner,
  );
  const { message, stored, key } = read(caller, journalLogId, 0, number);
  const trace = await tracer.trace(journalLogId, 0, number);
  const deliveries = handed.map(async ([atMs, deliveriesBefore, address]) => ({
    atMs,
    queue: name,
    redeliveries: deliveriesBefore,
    ...(await tracer.who(address)),
  }));
  const acks = became.map(async ([atMs, outcome, address]) => ({
    atMs,
    queue: name,
    outcome,
    ...(await by(caller, address)),
  }));
  return {
    message,
    stored: { log: "journal", ...stored },
    ...told(trace),
    ...(destinations === null ? {} : { routing: { ...routedBy(trace, key), destinations } }),
    deliveries: await Promise.all(deliveries),
    acks: await Promise.all(acks),
    state,
    remembersSinceMs: Math.max(trace.sinceMs, sinceMs),
  };
}

/** The exchange is known while its publisher is there; the key of a journal's message is its routing key. */
function routedBy({ arrived }: Trace, key: Uint8Array | null): { exchange?: string; key: string } {
  const exchange = arrived?.target;
  return { ...(exchange === undefined ? {} : { exchange }), key: key === null ? "" : readUtf8(key, 0, key.length) };
}

async function by(caller: Caller, address: Address | null): Promise<object> {
  return address === null ? {} : await caller.services.tracer.who(address);
}

function told({ arrived, deliveries, sinceMs }: Trace) {
  return { ...(arrived === undefined ? {} : { arrived }), deliveries, remembersSinceMs: sinceMs };
}

/** The record without its value, and where it lies. @throws offset_out_of_range, record_not_found where compaction took it. */
function read(caller: Caller, logId: number, partition: number, offset: number): Found {
  const { engine } = caller.services;
  const { startOffset, highWatermark, syncedOffset } = engine.partition(logId, partition);
  if (offset < startOffset || offset >= highWatermark) {
    throw new MillraceError("offset_out_of_range", `offset ${offset} is outside [${startOffset}, ${highWatermark})`, {
      details: { offset: startOffset },
    });
  }
  const bytes = engine.read(logId, partition, offset, 1);
  const batch = new BatchReader(bytes, 0, bytes.length);
  const { header } = batch;
  const record = [...batch].find((one) => one.offset === offset);
  return {
    message: record === undefined ? { isGone: true } : described(record),
    key: record?.key ?? null,
    stored: {
      partition,
      offset,
      batchOffset: header.baseOffset,
      batchRecords: header.recordCount,
      batchBytes: bytes.length,
      compression: COMPRESSIONS[compressionOf(header.attributes)] ?? "unknown",
      producerId: header.producerId,
      ...engine.locate(logId, partition, offset),
      isVisible: true,
      isSynced: offset < syncedOffset,
    },
  };
}

function described(record: StoredRecord): Readonly<Record<string, unknown>> {
  const { timestamp, key, headers } = record;
  return { timestampMs: timestamp, key, headers, bytes: record.value?.length ?? 0 };
}

/** How far the groups have come that read the topic. */
async function progress(caller: Caller, topic: Topic, partition: number, offset: number): Promise<unknown[]> {
  const { groups } = caller.services;
  const { namespace } = caller;
  const lags = await groups.lags();
  const names = lags.filter((lag) => lag.namespace === namespace && lag.topic === topic.name).map(({ group }) => group);
  const rows = [...new Set(names)].slice(0, GROUPS_MAX).map(async (group) => {
    const offsets = await groups.offsets({ namespace, group });
    const [, , committed = 0] = offsets.find(([name, index]) => name === topic.name && index === partition) ?? [];
    return { group, committedOffset: committed, outcome: committed > offset ? "committed" : "not committed" };
  });
  return await Promise.all(rows);
}

export const explainOps: readonly AnyOperation[] = [explain];
