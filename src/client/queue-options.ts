import type { Headers } from "../protocol/index.ts";
import { nextCronTime } from "./cron.ts";
import { clientError, type MillraceError } from "./errors.ts";
import type { LargePayloads } from "./payloads/payloads.ts";
import type { QueueMessage } from "./queue-message.ts";

/** What queues and exchanges can be told, and what a message carries besides its value. */

export interface RetryPolicy {
  /** The same delay each time, one that grows by it, or one that doubles. Default "exponential". */
  kind?: "fixed" | "linear" | "exponential";
  /** Default 1,000. */
  delayMs?: number;
  /** Default 60,000. */
  delayMaxMs?: number;
  /** The part of a delay that is random, 0 to 1. */
  jitter?: number;
  /** Deliveries after which the message is dead-lettered. */
  attemptsMax?: number;
}

/** A queue's configuration; what is left out takes the broker's default. */
export interface QueueConfig {
  /** False: gone with a restart of the broker, and its messages with it. Default true. */
  durable?: boolean;
  /** Belongs to this connection, and goes with it. */
  exclusive?: boolean;
  /** Goes when its last consumer has left. */
  autoDelete?: boolean;
  /** Goes when nobody has used it for so long. */
  expiresMs?: number;
  /** At most one unsettled message of each group (`group`, else the routing key), in order. */
  ordered?: boolean;
  /**
   * Groups (`group`, else the routing key), such as tenants, take turns: the backlog of one does not hold up the others.
   * Not with `ordered` or `priorityMax`; `lengthMax` and `bytesMax` need `overflow: "reject"`.
   */
  fairShare?: boolean;
  /** How many messages of a group go out in its turn, by its name, 1 to 1,000. Default 1 each. */
  weights?: { [group: string]: number };
  /** One consumer at a time gets messages. */
  singleActive?: boolean;
  messageTtlMs?: number;
  /** Messages may have priorities from 0 to this, at most 31. Default 0. */
  priorityMax?: number;
  /** Who goes first where the broker has more to deliver than it can; for consumers from then on. Default "normal". */
  deliveryPriority?: "high" | "normal" | "low";
  lengthMax?: number;
  bytesMax?: number;
  /** What happens past them. Default "drop-head". */
  overflow?: "drop-head" | "reject" | "dead-letter";
  /** Deliveries after which a message is dead-lettered, or dropped. */
  deliveryLimit?: number;
  /**
   * How long a consumer may hold a message without renewing it; then it goes to another. The consumer gets no message
   * in its place until it settles or renews something, so that one that hangs does not hold up more than its prefetch.
   */
  leaseMs?: number;
  /** How long before the end of a lease its consumer is warned. Default: a quarter of the lease; 0 is never. */
  leaseWarningMs?: number;
  /** Messages whose `messageId` came within this time are dropped. */
  dedupWindowMs?: number;
  dedupEntriesMax?: number;
  retry?: RetryPolicy & { classes?: { [errorClass: string]: RetryPolicy } };
  /** Where messages go that are rejected, expire, overflow or reach the delivery limit; "" is the default exchange. */
  deadLetter?: { exchange: string; routingKey?: string };
  /** When and how fast messages are given out. */
  release?: {
    ratePerSec?: number;
    /** Bytes of messages a second. */
    bytesPerSec?: number;
    burst?: number;
    /** "HH:MM" each. */
    window?: { from: string; to: string; utcOffsetMinutes?: number };
  };
  inFlightMax?: number;
  deferredMax?: number;
  delayedMax?: number;
  groupsMax?: number;
  /** Records must name a schema of the queue's subjects ("id"), and decode with it ("full"). Default "none". */
  schemaEnforce?: "none" | "id" | "full";
  /** The subjects: QUEUE-value ("topic"), the record's full name ("record"), or QUEUE-NAME ("topic_record"). */
  schemaStrategy?: "topic" | "record" | "topic_record";
  /**
   * How long a session of an ordered queue stays with the consumer that settled a message of it last: until then it alone
   * gets what comes, and keeps the credit for it, so that it has at most as many sessions as its prefetch. A consumer that
   * gives a message back, or whose lease runs out, gives the session back as well. Default: not at all.
   */
  sessionLockMs?: number;
  /** Sessions of an ordered queue that may have a state. Default 100,000. */
  sessionStatesMax?: number;
  /** Of one state. Default 64 KiB. */
  sessionStateBytesMax?: number;
}

/** A change of something: what is left out stays, null takes it back to its default. */
type Change<T> = { [K in keyof T]?: (NonNullable<T[K]> extends object ? Change<NonNullable<T[K]>> : T[K]) | null };

export type QueueConfigChange = Change<QueueConfig>;

export interface MessageOptions {
  headers?: Headers | null;
  /** 0 to 31; higher ones come first, as far as the queue's `priorityMax` goes. */
  priority?: number;
  /** It expires after this. */
  ttlMs?: number;
  /** It is given out after this. */
  delayMs?: number;
  /** It is given out from this time on: ms since 1970, a Date, or the next time that a cron schedule names, once. */
  deliverAt?: number | Date | { cron: string; utcOffsetMinutes?: number };
  /** For queues that drop duplicates. */
  messageId?: string;
  /** What an ordered queue keeps in order, and one with `fairShare` shares between. Default: the routing key. */
  group?: string;
  /** The queue that an answer goes to. */
  replyTo?: string;
  correlationId?: string;
}

export interface PublishOptions extends MessageOptions {
  /** The result fails with `unroutable` where no queue gets the message. */
  mandatory?: boolean;
  /** The result fails with `no_responder` where no queue with a consumer gets it, and nothing is stored. */
  requireConsumer?: boolean;
}

export interface QueueConsumeOptions {
  /** The most messages that are delivered and not settled. Default 100. */
  prefetch?: number;
  /** Handlers that run side by side. Default 1. */
  concurrency?: number;
  /** Consumers of higher priority get messages first. Default 0. */
  priority?: number;
  /** Nobody else may consume meanwhile. */
  exclusive?: boolean;
  /** How long each message may be held. Default: the queue's. */
  leaseMs?: number;
  /** Messages are acked when their handler is done, or when the next one is asked for. Default true. */
  autoAck?: boolean;
  /** What becomes of a message whose handler throws. Default "retry": again after the queue's retry policy, by the error's class. */
  onThrow?: "retry" | "requeue" | "reject";
  /** Leases of messages that are being handled or wait for that are renewed when the broker warns of their end. Default false. */
  autoRenew?: boolean;
  /** Where large bodies come from. Default: the client's; null is none. */
  payloads?: LargePayloads | null;
  /** How long `close` waits for handlers that run. Default 10,000 ms. */
  drainTimeoutMs?: number;
  /** Ends the consumer as `close` does; iteration ends with `cancelled`. */
  signal?: AbortSignal;
  /** Hears what handlers throw, and settlements that came too late. */
  onError?: (error: unknown, message: QueueMessage | null) => void;
  /** A lease is about to end. */
  onLeaseWarning?: (warning: { tag: number; number: number }) => void;
  /** Of a queue with `singleActive`: whether this consumer is the one. */
  onActive?: (active: boolean) => void;
}

const PRIORITY_MAX = 31;

function invalid(what: string, rule: string): MillraceError {
  return clientError("invalid_argument", `${what} must be ${rule}`, { field: what });
}

function whole(what: string, value: number, max: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= max) return value;
  throw invalid(what, `a whole number from 0 to ${max}`);
}

function timeOf(deliverAt: NonNullable<MessageOptions["deliverAt"]>): number {
  if (typeof deliverAt === "number") return deliverAt;
  if (deliverAt instanceof Date) return deliverAt.getTime();
  return nextCronTime(deliverAt.cron, Date.now(), deliverAt.utcOffsetMinutes);
}

/** The headers that a message goes out with; null for none. Errors: invalid_argument, schedule_never. */
export function messageHeaders(options: MessageOptions): Headers | null {
  const { priority, ttlMs, delayMs, deliverAt, messageId, group, replyTo, correlationId } = options;
  const headers: { -readonly [K in keyof Headers]: Headers[K] } = { ...options.headers };
  if (priority !== undefined) headers["x-priority"] = whole("priority", priority, PRIORITY_MAX);
  if (ttlMs !== undefined) headers["x-ttl-ms"] = whole("ttlMs", ttlMs);
  if (delayMs !== undefined) headers["x-delay-ms"] = whole("delayMs", delayMs);
  if (deliverAt !== undefined) {
    if (delayMs !== undefined) throw invalid("deliverAt", "absent beside delayMs");
    headers["x-deliver-at-ms"] = whole("deliverAt", timeOf(deliverAt));
  }
  if (messageId !== undefined) headers["x-message-id"] = messageId;
  if (group !== undefined) headers["x-group"] = group;
  if (replyTo !== undefined) headers["x-reply-to"] = replyTo;
  if (correlationId !== undefined) headers["x-correlation-id"] = correlationId;
  for (const _ in headers) return headers;
  return null;
}
