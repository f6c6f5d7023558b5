/** The table of all routes. What can be done over the native protocol can be done here by adding a line. */
import type { Route } from "../route.ts";
import { brokerRoutes } from "./broker.ts";
import { exchangeRoutes } from "./exchanges.ts";
import { groupRoutes } from "./groups.ts";
import { messageRoutes } from "./messages.ts";
import { namespaceRoutes } from "./namespaces.ts";
import { queueRoutes } from "./queues.ts";
import { quotaRoutes } from "./quotas.ts";
import { scheduleRoutes } from "./schedules.ts";
import { topicRoutes } from "./topics.ts";
import { transformRoutes } from "./transforms.ts";

export function routes(): readonly Route[] {
  return [
    ...brokerRoutes(),
    ...topicRoutes,
    ...queueRoutes,
    ...exchangeRoutes,
    ...groupRoutes,
    ...messageRoutes,
    ...namespaceRoutes,
    ...quotaRoutes,
    ...scheduleRoutes,
    ...transformRoutes,
  ];
}
