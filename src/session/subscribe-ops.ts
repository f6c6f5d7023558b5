/**
 * Subscriptions.
 *
 *     50 SUBSCRIBE   [50, corr, sub, {topic? | pattern? | group? + topics?, partitions?: [int], from, until?, creditBytes,
 *                     bufferBytesMax?, member?, instance?, sessionTimeoutMs?, filter?: str, readerSchema?, subject?: str}]
 *                    -> {sources: [[source, topic, partition, offset]], member?, generation?}
 *                    [50, corr, sub, {queue, prefetch, priority?, exclusive?, leaseMs?}] -> {queue, prefetch}
 *     51 UNSUBSCRIBE [51, corr, sub] -> {}
 *
 *     from  = "earliest" | "latest" | {offset} | {timestamp} | {offsets: {partition: offset}}     default "latest", for a group "earliest"
 *     until = "end" (where the partition ends now) | {offset}
 *
 *     readerSchema = a version | "latest" | {id}     of `subject`, default the topic's
 *
 * `pattern` is ephemeral and at most once: from now on, with `bufferBytesMax` for how far it may fall behind.
 * With `group` the sources come by ASSIGNMENT; a member that comes back names its `member`.
 */
import { nameFault, qualify, type ReaderSchema, type ViewRequest } from "../broker/index.ts";
import { MillraceError } from "../errors/index.ts";
import { Op } from "../protocol/index.ts";
import { compilePattern, patternFault } from "../stdx/index.ts";
import type { Resource } from "../security/index.ts";
import {
  asBoolean,
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
import { type GroupSubscribeRequest, GroupSubscription } from "./group-subscription.ts";
import { type AnyOperation, defineConnected } from "./operation.ts";
import { type QueueSubscribeRequest, subscribeToQueue } from "./queue-subscription.ts";
import { groupResource, namespaceResource, queueResource, subjectResource, topicResource } from "./resources.ts";
import type { Session } from "./session.ts";
import { type From, PatternSubscription, type SourceRow, TopicSubscription } from "./subscriptions.ts";
import { partitionList } from "./topic-ops.ts";
import { type Touch, unlessOwnInbox } from "./touches.ts";

const TOPICS_MAX = 1000;
const SESSION_TIMEOUT_MS_MIN = 100;
const SESSION_TIMEOUT_MS_MAX = 300_000;
const PRIORITY_MAX = 1_000;
const LEASE_MS_MAX = 100 * 366 * 86_400_000;

interface Common {
  readonly sub: number;
  readonly creditBytes: number;
  readonly view: ViewRequest | undefined;
}

type LogSubscribeRequest = Common &
  (
    | {
        readonly kind: "topic";
        readonly topic: string;
        readonly partitions: number[] | undefined;
        readonly from: From;
        readonly until: "end" | { offset: number } | undefined;
      }
    | { readonly kind: "pattern"; readonly pattern: string; readonly bufferBytesMax: number }
    | ({ readonly kind: "group" } & GroupSubscribeRequest)
  );

type SubscribeRequest = LogSubscribeRequest | ({ readonly kind: "queue" } & QueueSubscribeRequest);

function asFrom(value: unknown, field: string): From {
  if (value === "earliest" || value === "latest") return value;
  if (isMap(value)) {
    if ("offset" in value) return { offset: asInteger(value["offset"], `${field}.offset`) };
    if ("timestamp" in value) return { timestamp: asInteger(value["timestamp"], `${field}.timestamp`) };
    if (isMap(value["offsets"])) return { offsets: asOffsets(value["offsets"], `${field}.offsets`) };
  }
  throw invalid(field, '"earliest", "latest", {offset}, {timestamp} or {offsets}');
}

/** Keys may be ints or their decimal strings: not every language has maps with int keys. */
function asOffsets(value: Fields, field: string): Map<number, number> {
  return new Map(
    Object.entries(value).map(([partition, offset]) => [
      asPartition(Number(partition), `${field} key`),
      asInteger(offset, `${field}[${partition}]`),
    ]),
  );
}

function asUntil(value: unknown, field: string): "end" | { offset: number } {
  if (value === "end") return value;
  if (isMap(value)) return { offset: asInteger(value["offset"], `${field}.offset`) };
  throw invalid(field, '"end" or {offset}');
}

function asName(value: unknown, field: string): string {
  const name = asText(value, field);
  const fault = nameFault(name);
  if (fault !== undefined) throw new MillraceError("invalid_argument", `${field}: ${fault}`, { details: { field } });
  return name;
}

function parse(args: readonly unknown[], session: Session): SubscribeRequest {
  const sub = asHandle(args[0], "sub");
  const fields = fieldsAt(args, 1);
  const { limits } = session.services;
  const given = ["topic", "pattern", "group", "queue"].filter(
    (field) => fields[field] !== undefined && fields[field] !== null,
  );
  if (given.length !== 1) throw invalid("subscribe", 'for one of "topic", "pattern", "group" and "queue"');
  if (given[0] === "queue") return { kind: "queue", sub, ...parseQueue(fields, limits.prefetchMax) };
  const creditBytes = asInteger(fields["creditBytes"], "creditBytes", 0, limits.subscriptionCreditBytesMax);
  const common: Common = { sub, creditBytes, view: parseView(fields, session) };
  switch (given[0]) {
    case "topic":
      return {
        ...common,
        kind: "topic",
        topic: asText(fields["topic"], "topic"),
        partitions: optional(fields["partitions"], "partitions", partitionList),
        from: optional(fields["from"], "from", asFrom) ?? "latest",
        until: optional(fields["until"], "until", asUntil),
      };
    case "pattern":
      return { ...common, kind: "pattern", ...parsePattern(fields, session) };
    default:
      return { ...common, kind: "group", ...parseGroup(fields, session) };
  }
}

function parseView(fields: Fields, session: Session): ViewRequest | undefined {
  const filter = optional(fields["filter"], "filter", asText);
  const readerSchema = optional(fields["readerSchema"], "readerSchema", asReaderSchema);
  if (filter === undefined && readerSchema === undefined) return undefined;
  const subject = optional(fields["subject"], "subject", asText);
  return { filter, readerSchema, subject: subject === undefined ? undefined : qualify(session.namespace, subject) };
}

function asReaderSchema(value: unknown, field: string): ReaderSchema {
  if (value === "latest") return value;
  if (isMap(value)) return { id: asInteger(value["id"], `${field}.id`, 1) };
  return asInteger(value, field, 1);
}

function parsePattern(fields: Fields, session: Session): { pattern: string; bufferBytesMax: number } {
  const pattern = asText(fields["pattern"], "pattern");
  const fault = patternFault(pattern);
  if (fault !== undefined) throw new MillraceError("invalid_argument", `pattern: ${fault}`);
  const max = session.services.limits.patternBufferBytesMax;
  const asBuffer = (value: unknown, field: string): number => asInteger(value, field, 1, max);
  return { pattern, bufferBytesMax: optional(fields["bufferBytesMax"], "bufferBytesMax", asBuffer) ?? max };
}

function parseQueue(fields: Fields, prefetchMax: number): Omit<QueueSubscribeRequest, "sub"> {
  const asPriority = (value: unknown, field: string): number => asInteger(value, field, -PRIORITY_MAX, PRIORITY_MAX);
  const asLease = (value: unknown, field: string): number => asInteger(value, field, 1, LEASE_MS_MAX);
  return {
    queue: asText(fields["queue"], "queue"),
    prefetch: asInteger(fields["prefetch"], "prefetch", 1, prefetchMax),
    priority: optional(fields["priority"], "priority", asPriority) ?? 0,
    isExclusive: optional(fields["exclusive"], "exclusive", asBoolean) ?? false,
    leaseMs: optional(fields["leaseMs"], "leaseMs", asLease) ?? 0,
  };
}

function parseGroup(fields: Fields, session: Session): Omit<GroupSubscribeRequest, "view"> {
  const asTimeout = (value: unknown, field: string): number =>
    asInteger(value, field, SESSION_TIMEOUT_MS_MIN, SESSION_TIMEOUT_MS_MAX);
  const topics = [...new Set(asList(fields["topics"], "topics", TOPICS_MAX, asName))];
  if (topics.length === 0) throw invalid("topics", "at least one topic");
  const from = optional(fields["from"], "from", asFrom) ?? "earliest";
  if (typeof from === "object" && !("timestamp" in from)) {
    throw invalid("from", '"earliest", "latest" or {timestamp} for a group: it goes on from its committed offsets');
  }
  return {
    group: asName(fields["group"], "group"),
    topics,
    from,
    member: optional(fields["member"], "member", asName) ?? null,
    instance: optional(fields["instance"], "instance", asName) ?? null,
    sessionTimeoutMs:
      optional(fields["sessionTimeoutMs"], "sessionTimeoutMs", asTimeout) ?? session.services.limits.sessionTimeoutMs,
  };
}

const PERMISSIONS = {
  topic: "topic.consume",
  pattern: "pattern.subscribe",
  group: "group.join",
} as const;

function resources(request: SubscribeRequest, session: Session): Resource[] {
  switch (request.kind) {
    case "topic":
      return [topicResource(session, request.topic)];
    case "pattern":
      return [namespaceResource(session)];
    case "queue":
      return [queueResource(session, request.queue)];
    case "group":
      return [groupResource(session, request.group)];
  }
}

function also(request: SubscribeRequest, session: Session): Touch[] {
  if (request.kind === "queue") return [];
  const topics = request.kind === "group" ? request.topics : [];
  const { subject } = request.view ?? {};
  return [
    ...topics.map((topic): Touch => ({ permission: "topic.consume", resource: topicResource(session, topic) })),
    ...(subject === undefined ? [] : [{ permission: "schema.read", resource: subjectResource(subject) } as const]),
  ];
}

function run(session: Session, request: SubscribeRequest): unknown {
  if (request.kind === "queue") {
    subscribeToQueue(session, request);
    return { queue: request.queue, prefetch: request.prefetch };
  }
  const { engine } = session.services;
  if (session.subscriptions.has(request.sub)) {
    throw new MillraceError("subscription_exists", `the subscription ${request.sub} is open`);
  }
  const bufferBytesMax = request.kind === "pattern" ? request.bufferBytesMax : 0;
  engine.subscriptionOpen(session.connectionId, request.sub, request.creditBytes, bufferBytesMax);
  try {
    const filter = request.view?.filter;
    if (filter !== undefined) engine.subscriptionFilter(session.connectionId, request.sub, filter);
    switch (request.kind) {
      case "topic":
        return openTopic(session, request);
      case "pattern":
        return openPattern(session, request);
      case "group":
        return openGroup(session, request);
    }
  } catch (error) {
    session.dropSubscription(request.sub);
    throw error;
  }
}

function openTopic(session: Session, request: Extract<SubscribeRequest, { kind: "topic" }>): { sources: SourceRow[] } {
  const topic = session.services.topics.require(session.namespace, request.topic);
  const { subscription, sources } = TopicSubscription.open(session, request.sub, topic, request);
  session.subscriptions.set(request.sub, subscription);
  session.services.hub.followTopic(subscription);
  return { sources };
}

function openPattern(
  session: Session,
  request: Extract<SubscribeRequest, { kind: "pattern" }>,
): { sources: SourceRow[] } {
  const { topics, hub } = session.services;
  const subscription = new PatternSubscription(session, request.sub, request.pattern, request.view);
  const matching = topics.matching(session.namespace, compilePattern(request.pattern));
  const sources = subscription.open(matching);
  session.subscriptions.set(request.sub, subscription);
  hub.followPattern(subscription);
  return { sources };
}

async function openGroup(session: Session, request: Extract<SubscribeRequest, { kind: "group" }>): Promise<unknown> {
  const subscription = new GroupSubscription(session, request.sub, request);
  session.subscriptions.set(request.sub, subscription);
  try {
    return await subscription.join();
  } catch (error) {
    session.dropSubscription(request.sub);
    throw error;
  }
}

const subscribe = defineConnected<SubscribeRequest>({
  op: Op.SUBSCRIBE,
  permission: (request, caller) =>
    request.kind === "queue" ? unlessOwnInbox(caller, request.queue, "queue.consume") : PERMISSIONS[request.kind],
  parse,
  resources,
  also,
  run,
  after(session, request) {
    const subscription = session.subscriptions.get(request.sub);
    if (subscription instanceof GroupSubscription) subscription.opened();
  },
});

const unsubscribe = defineConnected({
  op: Op.UNSUBSCRIBE,
  permission: "topic.consume",
  finishes: true,
  parse: (args) => ({ sub: asHandle(args[0], "sub") }),
  resources: () => [],
  async run(session, { sub }) {
    const subscription = session.subscriptions.get(sub);
    if (subscription === undefined)
      throw new MillraceError("subscription_not_found", `there is no subscription ${sub}`);
    session.dropSubscription(sub);
    await subscription.close("closed");
    return {};
  },
});

export const subscribeOps: readonly AnyOperation[] = [subscribe, unsubscribe];
