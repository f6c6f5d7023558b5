/** What requests touch besides what they name first: targets of messages, and what definitions lead to. */
import { type Place, qualify } from "../broker/index.ts";
import { INBOX_PREFIX, type Operation as Permission, type Resource } from "../security/index.ts";
import type { Caller } from "./caller.ts";
import { exchangeResource, queueResource, subjectResource, topicResource } from "./resources.ts";

/** One question to `authorize`. */
export interface Touch {
  readonly permission: Permission;
  readonly resource: Resource;
}

type InNamespace = Pick<Caller, "namespace">;

const DEFAULT_EXCHANGE = "";

/** The permission to use a queue, which nobody needs for its own inbox. */
export function unlessOwnInbox(caller: Caller, queue: string, permission: Permission): Permission {
  const isOwn = queue.startsWith(INBOX_PREFIX) && caller.services.queues.isOwned(caller.namespace, queue, caller.owner);
  return isOwn ? "inbox.use" : permission;
}

/**
 * A message that is published through an exchange. The default one routes to the queue that the key names, so the right
 * is that of the queue; with keys that nobody knows yet it is left to the core, message by message.
 */
export function publishTouches(caller: InNamespace, exchange: string, key?: string): Touch[] {
  if (exchange !== DEFAULT_EXCHANGE) {
    return [{ permission: "exchange.publish", resource: exchangeResource(caller, exchange) }];
  }
  return key === undefined ? [] : [{ permission: "queue.publish", resource: queueResource(caller, key) }];
}

/** A queue whose dead letters go on to an exchange: what it holds is read, and written there. */
export function deadLetterTouches(caller: InNamespace, queue: string, config: unknown): Touch[] {
  const { deadLetter } = (config ?? {}) as { deadLetter?: unknown };
  const { exchange, routingKey } = (deadLetter ?? {}) as { exchange?: unknown; routingKey?: unknown };
  if (typeof exchange !== "string") return [];
  const reads: Touch = { permission: "queue.consume", resource: queueResource(caller, queue) };
  if (exchange !== DEFAULT_EXCHANGE) return [reads, ...publishTouches(caller, exchange)];
  // Without a key of its own each message keeps its key, which may name any queue.
  return [reads, ...publishTouches(caller, exchange, typeof routingKey === "string" ? routingKey : "")];
}

/** An exchange whose unroutable messages go on to another one. */
export function alternateTouches(caller: InNamespace, name: string, config: unknown): Touch[] {
  const { alternate } = (config ?? {}) as { alternate?: unknown };
  if (typeof alternate !== "string") return [];
  return [
    { permission: "exchange.bind", resource: exchangeResource(caller, name) },
    ...publishTouches(caller, alternate, ""),
  ];
}

/** What a transform reads. */
export function sourceTouches(caller: InNamespace, { topic, queue, exchange }: Place): Touch[] {
  if (topic !== undefined) return [{ permission: "topic.consume", resource: topicResource(caller, topic) }];
  if (queue !== undefined) return [{ permission: "queue.consume", resource: queueResource(caller, queue) }];
  return [{ permission: "exchange.bind", resource: exchangeResource(caller, exchange ?? "") }];
}

/** Where a transform sends to. */
export function targetTouches(caller: InNamespace, { topic, queue, exchange, key }: Place): Touch[] {
  if (topic !== undefined) return [{ permission: "topic.publish", resource: topicResource(caller, topic) }];
  if (queue !== undefined) return publishTouches(caller, DEFAULT_EXCHANGE, queue);
  return publishTouches(caller, exchange ?? DEFAULT_EXCHANGE, key ?? "");
}

/** @param subjects as the caller's namespace names them. */
export function readTouches(caller: InNamespace, subjects: Iterable<string>): Touch[] {
  return [...subjects].map((subject) => {
    return { permission: "schema.read", resource: subjectResource(qualify(caller.namespace, subject)) };
  });
}

/** Whether a subject, by its global name, may be read. */
export function mayRead(caller: Caller, subject: string): boolean {
  return caller.isAllowed("schema.read", subjectResource(subject));
}
