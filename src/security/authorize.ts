/**
 * The one place that decides whether a principal may do something. Every operation of every session passes it, also
 * now that it allows all: what security adds later changes this function and no code path.
 */
import type { Principal } from "./principal.ts";

export type Operation =
  | "connect"
  | "topic.create"
  | "topic.alter"
  | "topic.describe"
  | "topic.delete"
  | "topic.list"
  | "topic.publish"
  | "topic.consume"
  | "producer.init"
  | "group.join"
  | "group.commit"
  | "group.describe"
  | "group.list"
  | "group.reset"
  | "group.delete"
  | "exchange.declare"
  | "exchange.delete"
  | "exchange.list"
  | "exchange.bind"
  | "exchange.publish"
  | "queue.declare"
  | "queue.alter"
  | "queue.delete"
  | "queue.describe"
  | "queue.list"
  | "queue.consume"
  | "queue.peek"
  | "queue.purge"
  | "queue.redrive"
  | "schema.register"
  | "schema.read"
  | "schema.delete"
  | "schema.configure"
  | "transform.put"
  | "transform.delete"
  | "transform.list"
  | "transform.try"
  | "transaction.run"
  | "transaction.list"
  | "schedule.change"
  | "schedule.list"
  | "quota.change"
  | "quota.list";

export interface Resource {
  readonly kind:
    "broker" | "namespace" | "topic" | "pattern" | "group" | "exchange" | "queue" | "subject" | "transform";
  readonly namespace: string;
  /** Empty for the namespace as a whole. */
  readonly name: string;
}

/** @throws unauthorized, once there are policies. */
export type Authorize = (principal: Principal, operation: Operation, resource: Resource) => void;

export const allowAll: Authorize = () => undefined;
