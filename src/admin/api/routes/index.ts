/** The table of all routes. What can be done over the native protocol can be done here by adding a line. */
import { openApi } from "../openapi.ts";
import type { Route } from "../route.ts";
import { SHAPES } from "../shapes.ts";
import { accessRoutes } from "./access.ts";
import { backupRoutes } from "./backups.ts";
import { brokerRoutes } from "./broker.ts";
import { definitionsRoutes } from "./definitions.ts";
import { exchangeRoutes } from "./exchanges.ts";
import { explainRoutes } from "./explain.ts";
import { groupRoutes } from "./groups.ts";
import { namespaceRoutes } from "./namespaces.ts";
import { LOG_IN } from "./log-in.ts";
import { publishRoutes } from "./publishing.ts";
import { queueMessageRoutes } from "./queue-messages.ts";
import { queueRoutes } from "./queues.ts";
import { quotaRoutes } from "./quotas.ts";
import { recordRoutes } from "./records.ts";
import { scheduleRoutes } from "./schedules.ts";
import { topicRoutes } from "./topics.ts";
import { transformRoutes } from "./transforms.ts";

/** @param version of the broker. */
export function routes(version: string): readonly Route[] {
  const table: Route[] = [
    ...brokerRoutes(),
    ...topicRoutes,
    ...queueRoutes,
    ...exchangeRoutes,
    ...groupRoutes,
    ...recordRoutes,
    ...publishRoutes,
    ...queueMessageRoutes,
    ...namespaceRoutes,
    ...quotaRoutes,
    ...backupRoutes,
    ...definitionsRoutes,
    ...scheduleRoutes,
    ...transformRoutes,
    ...explainRoutes,
    ...accessRoutes,
    {
      method: "GET",
      path: "/openapi.json",
      tag: "broker",
      summary: "This document",
      ops: [],
      answer: { type: "object" },
      run: () => openApi([...LOG_IN, ...table], SHAPES, version),
    },
  ];
  return table;
}
