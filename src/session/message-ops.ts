/**
 * Messages for those who look at them or try something out, one request each: no subscription, no publisher. Who wants
 * many subscribes and publishes.
 *
 *     147 ROUTE_TRACE     [147, corr, {exchange, key?, value?, headers?}]
 *                         -> {destinations: [{kind, name}], path: [{exchange, to: {kind, name}, isAlternate}]}: nothing is published
 *     157 RECORD_READ     [157, corr, {topic, partition?, key?, from?: int, before?: int, timestamp?: int, max?: 100}]
 *                         -> {partition, partitions, records: [{offset, timestamp, key, value, headers}], next: int, start: int, end: int}
 *     158 MESSAGE_PUBLISH [158, corr, {topic, partition?, key?, value?, headers?, timestamp?} | {exchange, key?, value?, headers?}]
 *                         -> {partition, offset} | {routed: bool}
 *
 * RECORD_READ reads forward from an offset or a time, or with `before` the last records in front of an offset (-1: the end).
 * With `key` it gives the records of that key, and looks at so many bytes of the log at most: `next` is where to go on.
 */
import type { Destination } from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import { asInteger, asPartition, asText, type Fields, fieldsAt, invalid, isMap, optional } from "./arguments.ts";
import type { Caller } from "./caller.ts";
import { publishToExchange, publishToTopic, traceMessage } from "./message-publish.ts";
import { type ReadRequest, readRecords } from "./message-read.ts";
import { type AnyOperation, define } from "./operation.ts";
import { exchangeResource, namespaceResource, topicResource } from "./resources.ts";
import { publishTouches } from "./touches.ts";

const READ = 100;
const READ_MAX = 1000;
const HEADERS_MAX = 256;

export type Content = string | Uint8Array;

function asContent(value: unknown, field: string): Content {
  if (typeof value === "string") return value;
  // The frame's bytes are used again.
  if (value instanceof Uint8Array) return value.slice();
  throw invalid(field, "text or bytes");
}

function asOffset(value: unknown, field: string): number {
  return asInteger(value, field);
}

const read = define<ReadRequest>({
  op: Op.RECORD_READ,
  permission: "topic.consume",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      topic: asText(fields["topic"], "topic"),
      partition: optional(fields["partition"], "partition", asPartition),
      key: optional(fields["key"], "key", asContent),
      from: optional(fields["from"], "from", asOffset),
      before: optional(fields["before"], "before", (value, field) => asInteger(value, field, -1)),
      timestamp: optional(fields["timestamp"], "timestamp", asOffset),
      max: optional(fields["max"], "max", (value, field) => asInteger(value, field, 1, READ_MAX)) ?? READ,
    };
  },
  resources: ({ topic }, caller) => [topicResource(caller, topic)],
  run: readRecords,
});

export type HeaderValues = Readonly<Record<string, string | number | boolean | null | Uint8Array>>;

function asHeaders(value: unknown, field: string): HeaderValues {
  if (!isMap(value)) throw invalid(field, "a map");
  const entries = Object.entries(value);
  if (entries.length > HEADERS_MAX) throw invalid(field, `at most ${HEADERS_MAX} headers`);
  for (const [name, header] of entries) {
    const isScalar =
      header === null || header instanceof Uint8Array || ["string", "number", "boolean"].includes(typeof header);
    if (!isScalar) throw invalid(`${field}.${name}`, "nil, true, false, a number, text or bytes");
  }
  return value as HeaderValues;
}

export interface Published {
  readonly key: Content | null;
  readonly value: Content | null;
  readonly headers: HeaderValues | null;
}

interface PublishRequest extends Published {
  readonly to: { readonly topic: string } | { readonly exchange: string };
  readonly partition: number | undefined;
  readonly timestamp: number | undefined;
}

function targetOf(fields: Fields): PublishRequest["to"] {
  const exchange = optional(fields["exchange"], "exchange", asText);
  if (exchange === undefined) return { topic: asText(fields["topic"], "topic") };
  if (optional(fields["topic"], "topic", asText) !== undefined) throw invalid("topic", "absent beside an exchange");
  return { exchange };
}

/** A key that is no UTF-8 names no queue. */
function textOf(key: Content | null): string {
  return typeof key === "string" ? key : new TextDecoder().decode(key ?? new Uint8Array());
}

const publish = define<PublishRequest>({
  op: Op.MESSAGE_PUBLISH,
  permission: ({ to }) => ("topic" in to ? "topic.publish" : "exchange.publish"),
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      to: targetOf(fields),
      partition: optional(fields["partition"], "partition", asPartition),
      key: optional(fields["key"], "key", asContent) ?? null,
      value: optional(fields["value"], "value", asContent) ?? null,
      headers: optional(fields["headers"], "headers", asHeaders) ?? null,
      timestamp: optional(fields["timestamp"], "timestamp", asOffset),
    };
  },
  resources: ({ to }, caller) => ("topic" in to ? [topicResource(caller, to.topic)] : []),
  also: ({ to, key }, caller) => ("topic" in to ? [] : publishTouches(caller, to.exchange, textOf(key))),
  run: (caller: Caller, { to, ...message }) =>
    "topic" in to ? publishToTopic(caller, to.topic, message) : publishToExchange(caller, to.exchange, message),
});

function mayDescribe(caller: Caller, { kind, name }: Destination): boolean {
  if (kind === "exchange" && name === "") return true;
  return caller.isAllowed(`${kind}.describe`, { kind, namespace: caller.namespace, name });
}

const trace = define({
  op: Op.ROUTE_TRACE,
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      exchange: asText(fields["exchange"], "exchange"),
      key: optional(fields["key"], "key", asContent) ?? null,
      value: optional(fields["value"], "value", asContent) ?? null,
      headers: optional(fields["headers"], "headers", asHeaders) ?? null,
    };
  },
  // Nobody has rights on the default exchange: they are those on the queues behind it.
  permission: ({ exchange }) => (exchange === "" ? "exchange.list" : "exchange.describe"),
  resources: ({ exchange }, caller) => [
    exchange === "" ? namespaceResource(caller) : exchangeResource(caller, exchange),
  ],
  run(caller, { exchange, ...message }) {
    const { destinations, path } = traceMessage(caller, exchange, message);
    const isShown = (to: Destination): boolean => mayDescribe(caller, to);
    return {
      destinations: destinations.filter(isShown),
      path: path.filter(({ exchange: name, to }) => isShown({ kind: "exchange", name }) && isShown(to)),
    };
  },
});

export const messageOps: readonly AnyOperation[] = [trace, read, publish];
