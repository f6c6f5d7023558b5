/**
 * What every operation of the broker takes, in one table: the right that rules have to give on the thing that it touches.
 * Nothing else maps operations to rights.
 */

/** What rules speak of. */
export const RIGHTS = ["configure", "write", "read", "admin"] as const;
export type Right = (typeof RIGHTS)[number];

/**
 * A right; or `describe`, which comes with any right on the thing, and with the role `monitoring`; or `enter`, which comes
 * with any rule that allows something in the namespace.
 */
export type Need = Right | "describe" | "enter";

interface Row {
  readonly need: Need;
  /** An administrative act: it stands in the audit log also where it was allowed. */
  readonly isAct: boolean;
}

const use = (need: Need): Row => ({ need, isAct: false });
const act = (need: Need): Row => ({ need, isAct: true });

const TABLE = {
  connect: use("enter"),
  "topic.create": act("configure"),
  "topic.alter": act("configure"),
  "topic.delete": act("configure"),
  "topic.describe": use("describe"),
  // Lists are for everybody in the namespace, and show what the reader may describe.
  "topic.list": use("enter"),
  "topic.publish": use("write"),
  "topic.consume": use("read"),
  // Attaches the topics that the reader may consume, also those to come.
  "pattern.subscribe": use("enter"),
  "producer.init": use("enter"),
  "group.join": use("read"),
  "group.commit": use("read"),
  "group.describe": use("describe"),
  "group.list": use("enter"),
  // No more than a commit can do.
  "group.reset": act("read"),
  "group.delete": act("configure"),
  "exchange.declare": act("configure"),
  "exchange.delete": act("configure"),
  "exchange.describe": use("describe"),
  "exchange.list": use("enter"),
  // As in AMQP 0-9-1 brokers: who binds reads from the exchange and writes to what it is bound to.
  "exchange.bind": act("read"),
  "exchange.bindTo": act("write"),
  "exchange.publish": use("write"),
  "queue.declare": act("configure"),
  "queue.alter": act("configure"),
  "queue.delete": act("configure"),
  "queue.describe": use("describe"),
  "queue.list": use("enter"),
  // Through the default exchange, which routes by the queue's name.
  "queue.publish": use("write"),
  "queue.consume": use("read"),
  "queue.peek": use("read"),
  // No more than a consumer can do.
  "queue.purge": act("read"),
  "queue.redrive": act("read"),
  // The queue that a connection takes answers from, which belongs to it alone.
  "inbox.use": use("enter"),
  "schema.register": use("write"),
  "schema.read": use("describe"),
  "schema.list": use("enter"),
  "schema.delete": act("configure"),
  "schema.configure": act("configure"),
  "transform.put": act("configure"),
  "transform.delete": act("configure"),
  "transform.describe": use("describe"),
  "transform.list": use("enter"),
  // It runs code.
  "transform.try": act("configure"),
  "transaction.run": use("enter"),
  "transaction.list": use("describe"),
  // Of the exchange, or the queue, that it publishes to.
  "schedule.change": act("write"),
  "schedule.describe": use("describe"),
  "schedule.list": use("enter"),
  "namespace.change": act("admin"),
  "namespace.list": use("enter"),
  "quota.change": act("admin"),
  "quota.list": use("describe"),
  // Users, roles and rules.
  "access.change": act("admin"),
  "access.list": use("describe"),
  "connection.list": use("describe"),
  "connection.close": act("admin"),
  "config.change": act("admin"),
  "config.read": use("describe"),
  "backup.run": act("admin"),
  "backup.status": use("describe"),
  // With the hashes of passwords in them.
  "definitions.export": act("admin"),
  "definitions.import": act("admin"),
  "metrics.read": use("describe"),
} as const satisfies Readonly<Record<string, Row>>;

export type Operation = keyof typeof TABLE;

export const OPERATIONS = Object.keys(TABLE) as Operation[];

export function needOf(operation: Operation): Need {
  return TABLE[operation].need;
}

export function isAct(operation: Operation): boolean {
  return TABLE[operation].isAct;
}
