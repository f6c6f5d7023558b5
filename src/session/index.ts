import { accessOps } from "./access-ops.ts";
import { brokerOps } from "./broker-ops.ts";
import { backupOps } from "./backup-ops.ts";
import { definitionsOps } from "./definitions-ops.ts";
import { exchangeOps } from "./exchange-ops.ts";
import { explainOps } from "./explain-ops.ts";
import { groupOps } from "./group-ops.ts";
import type { AnyOperation } from "./operation.ts";
import { messageOps } from "./message-ops.ts";
import { namespaceOps } from "./namespace-ops.ts";
import { publishOps } from "./publish-ops.ts";
import { queueOps } from "./queue-ops.ts";
import { quotaOps } from "./quota-ops.ts";
import { scheduleOps } from "./schedule-ops.ts";
import { schemaOps } from "./schema-ops.ts";
import { subscribeOps } from "./subscribe-ops.ts";
import { topicOps } from "./topic-ops.ts";
import { transactionOps } from "./transaction-ops.ts";
import { transformOps } from "./transform-ops.ts";

export { type InvokedBy, type Invoke, invoker } from "./caller.ts";
export { Connections } from "./connections.ts";
export { Handshakes } from "./handshakes.ts";
export { SessionHub } from "./hub.ts";
export { Tracer } from "./tracer.ts";
export type { SessionLimits, SessionServices } from "./services.ts";
export { Session } from "./session.ts";

/** The table of all requests by op. */
export function operationTable(): ReadonlyMap<number, AnyOperation> {
  const families = [
    brokerOps,
    topicOps,
    publishOps,
    messageOps,
    subscribeOps,
    groupOps,
    exchangeOps,
    queueOps,
    transactionOps,
    schemaOps,
    namespaceOps,
    quotaOps,
    scheduleOps,
    transformOps,
    explainOps,
    accessOps,
    backupOps,
    definitionsOps,
  ];
  return new Map(families.flat().map((operation) => [operation.op, operation]));
}
