/**
 * Transactions: gathered on the connection, committed as a whole.
 *
 *     90 TXN_BEGIN  [90, corr, {txn, id?, epoch?, timeoutMs?}] -> {epoch: int|nil}; with an id and no epoch it takes the id over
 *     91 TXN_ADD    [91, corr, {txn, parts: [part...]}] -> {}
 *     92 TXN_COMMIT [92, corr, {txn, count, parts?}] -> {}; of one that is not open here: OK where it was committed
 *     93 TXN_ABORT  [93, corr, {txn}] -> {}
 *     94 TXN_LIST   [94, corr, {}] -> {transactions: [{txn, id, ageMs, timeoutMs, bytes, parts}]}
 *     part  ["topic", topic, partition, batch: bin]
 *           ["exchange", {exchange, mandatory?, requireConsumer?}, batch: bin]
 *           ["ack", sub, [first tag, count, ...]]
 *           ["offsets", {group, member?, generation?, offsets: as COMMIT}]
 */
import {
  type AckPart,
  type ExchangePublish,
  type OffsetsCommit,
  type Parts,
  PUBLISH_MANDATORY,
  PUBLISH_REQUIRE_CONSUMER,
  type TopicPublish,
  type TransactionName,
  transactionNotFound,
} from "../broker/index.ts";
import { Op } from "../protocol/index.ts";
import {
  asBoolean,
  asHandle,
  asInteger,
  asList,
  asPartition,
  asText,
  fieldsAt,
  invalid,
  isMap,
  optional,
} from "./arguments.ts";
import { asOffsets } from "./group-ops.ts";
import { type AnyOperation, define, defineConnected } from "./operation.ts";
import { QueueSubscription } from "./queue-subscription.ts";
import { groupResource, namespaceResource, queueResource, topicResource } from "./resources.ts";
import type { Session } from "./session.ts";
import { publishTouches, unlessOwnInbox } from "./touches.ts";
import { MillraceError } from "../errors/index.ts";

const PARTS_MAX = 10_000;
const RANGES_MAX = 20_000;
const EPOCH_MAX = Number.MAX_SAFE_INTEGER;
/** Of a row of offsets and of a tag range, about. */
const ROW_BYTES = 128;
const RANGE_BYTES = 16;

type Part =
  | { readonly kind: "topic"; readonly topic: string; readonly partition: number; readonly batch: Uint8Array }
  | { readonly kind: "exchange"; readonly exchange: string; readonly flags: number; readonly batch: Uint8Array }
  | { readonly kind: "ack"; readonly sub: number; readonly ranges: number[] }
  | { readonly kind: "offsets"; readonly commit: OffsetsCommit };

function asBytes(value: unknown, field: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw invalid(field, "bin");
}

function asExchangePart(to: unknown, batch: Uint8Array, field: string): Part {
  if (!isMap(to)) throw invalid(`${field}[1]`, "a map");
  const isMandatory = optional(to["mandatory"], "mandatory", asBoolean) ?? false;
  const needsConsumer = optional(to["requireConsumer"], "requireConsumer", asBoolean) ?? false;
  const flags = (isMandatory ? PUBLISH_MANDATORY : 0) | (needsConsumer ? PUBLISH_REQUIRE_CONSUMER : 0);
  return { kind: "exchange", exchange: asText(to["exchange"], "exchange"), flags, batch };
}

function asRanges(value: unknown, field: string): number[] {
  const ranges = asList(value, field, RANGES_MAX, (item, name) => asInteger(item, name));
  if (ranges.length % 2 !== 0) throw invalid(field, "pairs of a tag and a count");
  return ranges;
}

function asPart(value: unknown, field: string): Part {
  if (!Array.isArray(value)) throw invalid(field, "an array");
  const [kind, first, second, third] = value as unknown[];
  switch (kind) {
    case "topic":
      return {
        kind,
        topic: asText(first, `${field}[1]`),
        partition: asPartition(second, `${field}[2]`),
        batch: asBytes(third, `${field}[3]`),
      };
    case "exchange":
      return asExchangePart(first, asBytes(second, `${field}[2]`), field);
    case "ack":
      return { kind, sub: asHandle(first, `${field}[1]`), ranges: asRanges(second, `${field}[2]`) };
    case "offsets":
      if (!isMap(first)) throw invalid(`${field}[1]`, "a map");
      return { kind, commit: asOffsets(first) };
    default:
      throw invalid(field, 'one of "topic", "exchange", "ack" and "offsets"');
  }
}

function asParts(value: unknown, field: string): Part[] {
  return asList(value, field, PARTS_MAX, asPart);
}

function named(args: readonly unknown[], session: Session): TransactionName {
  return { namespace: session.namespace, txn: asText(fieldsAt(args, 0)["txn"], "txn") };
}

/** Checks what parts name, as the request that does the same by itself would. */
function resolved(session: Session, parts: readonly Part[]): Parts {
  const topics: TopicPublish[] = [];
  const exchanges: ExchangePublish[] = [];
  const acks: AckPart[] = [];
  const offsets: OffsetsCommit[] = [];
  let bytes = 0;
  for (const part of parts) {
    switch (part.kind) {
      case "topic":
        topics.push(topicPart(session, part));
        bytes += part.batch.length;
        break;
      case "exchange":
        exchanges.push(exchangePart(session, part));
        bytes += part.batch.length;
        break;
      case "ack":
        acks.push(ackPart(session, part));
        bytes += part.ranges.length * RANGE_BYTES;
        break;
      case "offsets":
        session.authorize("group.commit", groupResource(session, part.commit.group));
        offsets.push(part.commit);
        bytes += part.commit.offsets.reduce((sum, [, , , metadata]) => sum + ROW_BYTES + (metadata?.length ?? 0), 0);
        break;
    }
  }
  return { topics, exchanges, acks, offsets, bytes };
}

function topicPart(session: Session, { topic: name, partition, batch }: Part & { kind: "topic" }): TopicPublish {
  session.authorize("topic.publish", topicResource(session, name));
  const { engine, topics } = session.services;
  const topic = topics.require(session.namespace, name);
  topics.checkPartition(topic, partition);
  session.charge(engine.batchCheck(topic.id, false, batch), batch.length);
  // The frame's bytes are used again.
  return { topicId: topic.id, partition, batch: batch.slice() };
}

function exchangePart(session: Session, part: Part & { kind: "exchange" }): ExchangePublish {
  const { exchange, flags, batch } = part;
  for (const { permission, resource } of publishTouches(session, exchange)) session.authorize(permission, resource);
  const { engine, exchanges } = session.services;
  const { id, journalLogId } = exchanges.requirePublishable(session.namespace, exchange);
  session.charge(engine.batchCheck(journalLogId, true, batch), batch.length);
  const keys = exchange === "" ? session.services.authorizer.keysOf(session.principal, session.namespace) : undefined;
  if (keys !== undefined) engine.batchPermitted(batch, keys);
  return { exchangeId: id, flags, batch: batch.slice() };
}

function ackPart(session: Session, { sub, ranges }: Part & { kind: "ack" }): AckPart {
  const subscription = session.subscriptions.get(sub);
  if (!(subscription instanceof QueueSubscription)) {
    throw new MillraceError("subscription_not_found", `the subscription ${sub} is no consumer of a queue`);
  }
  const { queue } = subscription;
  session.authorize(unlessOwnInbox(session, queue.name, "queue.consume"), queueResource(session, queue.name));
  return { queueId: queue.id, connectionId: session.connectionId, sub, ranges };
}

const begin = defineConnected({
  op: Op.TXN_BEGIN,
  permission: "transaction.run",
  parse(args, session) {
    const fields = fieldsAt(args, 0);
    return {
      ...named(args, session),
      session: session.serial,
      id: optional(fields["id"], "id", asText) ?? null,
      epoch: optional(fields["epoch"], "epoch", (value, field) => asInteger(value, field, 0, EPOCH_MAX)) ?? null,
      timeoutMs: optional(fields["timeoutMs"], "timeoutMs", (value, field) => asInteger(value, field, 1)) ?? null,
    };
  },
  resources: (_, session) => [namespaceResource(session)],
  run: (session, request) => session.services.transactions.begin(request),
});

const add = defineConnected({
  op: Op.TXN_ADD,
  permission: "transaction.run",
  finishes: true,
  parse: (args, session) => ({ name: named(args, session), parts: fieldsAt(args, 0)["parts"] }),
  resources: (_, session) => [namespaceResource(session)],
  run(session, { name, parts }) {
    addTo(session, name, parts);
    return {};
  },
});

/** A part that is refused takes the whole transaction with it: what is committed must be what was meant. */
function addTo(session: Session, name: TransactionName, parts: unknown): void {
  const { transactions } = session.services;
  try {
    transactions.add(session.serial, name, resolved(session, asParts(parts, "parts")));
  } catch (error) {
    if (transactions.isOpen(session.serial, name)) transactions.abort(session.serial, name);
    throw error;
  }
}

const commit = defineConnected({
  op: Op.TXN_COMMIT,
  permission: "transaction.run",
  finishes: true,
  parse: (args, session) => ({
    name: named(args, session),
    parts: fieldsAt(args, 0)["parts"] ?? [],
    count: asInteger(fieldsAt(args, 0)["count"], "count"),
  }),
  resources: (_, session) => [namespaceResource(session)],
  async run(session, { name, parts, count }) {
    const { transactions } = session.services;
    if (transactions.isOpen(session.serial, name)) {
      addTo(session, name, parts);
      await transactions.commit(session.serial, name, count);
      session.services.turnSoon();
      return {};
    }
    if ((await transactions.outcome(name)) === "committed") return {};
    throw transactionNotFound(name.txn);
  },
});

const abort = defineConnected({
  op: Op.TXN_ABORT,
  permission: "transaction.run",
  finishes: true,
  parse: named,
  resources: (_, session) => [namespaceResource(session)],
  run(session, name) {
    session.services.transactions.abort(session.serial, name);
    return {};
  },
});

const list = define({
  op: Op.TXN_LIST,
  permission: "transaction.list",
  parse: () => null,
  resources: (_, caller) => [namespaceResource(caller)],
  async run(caller) {
    return { transactions: await caller.services.transactions.list(caller.namespace) };
  },
});

export const transactionOps: readonly AnyOperation[] = [begin, add, commit, abort, list];
