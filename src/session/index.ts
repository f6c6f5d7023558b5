import { exchangeOps } from "./exchange-ops.ts";
import { groupOps } from "./group-ops.ts";
import type { AnyOperation } from "./operation.ts";
import { publishOps } from "./publish-ops.ts";
import { queueOps } from "./queue-ops.ts";
import { subscribeOps } from "./subscribe-ops.ts";
import { topicOps } from "./topic-ops.ts";

export { SessionHub } from "./hub.ts";
export type { SessionLimits, SessionServices } from "./services.ts";
export { Session } from "./session.ts";

/** The table of all requests by op. */
export function operationTable(): ReadonlyMap<number, AnyOperation> {
  return new Map(
    [...topicOps, ...publishOps, ...subscribeOps, ...groupOps, ...exchangeOps, ...queueOps].map((operation) => [
      operation.op,
      operation,
    ]),
  );
}
