/** The broker as a whole: overview, live figures, connections, configuration. */
import { HttpFault } from "../../http-fault.ts";
import { Events } from "../events.ts";
import { page, pageFields, pageOf, pageQuery } from "../page.ts";
import { type Fields, listOf, object, operation, ref, type Route, type Shape, text } from "../route.ts";

/** Routes with what they share: one table for each handler of a worker thread. */
export function brokerRoutes(): readonly Route[] {
  const events = new Events();
  return [
    operation({
      method: "GET",
      path: "/overview",
      tag: "broker",
      summary: "Tells what there is, what has flowed since the start, and how fast",
      op: "OVERVIEW",
      query: {
        busiest: {
          type: "integer",
          minimum: 1,
          maximum: 1000,
          description: "so many topics, queues and groups too, those first in which most happens",
        },
      },
      answer: ref("Overview"),
      fields: ({ query }) => ({ busiest: query["busiest"] }),
    }),
    {
      method: "GET",
      path: "/events",
      tag: "broker",
      summary: "Sends figures each second, as server-sent events",
      description:
        "Events are named as their topic: `overview` (as GET /overview), `topic:NAMESPACE/NAME` and `queue:NAMESPACE/NAME` (counters, " +
        "and `rates` of each by the second). `problem` tells of one that cannot be shown: {topic, error: {name, message}}.",
      ops: ["OVERVIEW", "TOPIC_DESCRIBE", "QUEUE_DESCRIBE"],
      query: { topics: { type: "string", default: "overview", description: "names, joined by commas; at most 20" } },
      answer: { type: "string" },
      answerType: "text/event-stream",
      run: (ask) => events.open(ask),
    },
    operation({
      method: "GET",
      path: "/connections",
      tag: "connections",
      summary: "Lists the connections of all threads",
      op: "CONNECTION_LIST",
      query: { namespace: text, principal: text, ...pageQuery },
      answer: pageOf(ref("Connection")),
      fields: (ask) => ({ ...pageFields(ask), namespace: ask.query["namespace"] }),
      shape: ({ connections, next }) => page(connections as Fields[], next),
    }),
    operation({
      method: "DELETE",
      path: "/connections/{id}",
      tag: "connections",
      summary: "Closes a connection",
      op: "CONNECTION_CLOSE",
      query: { reason: { type: "string", maxLength: 200 } },
      shape: ({ closed }) => {
        if (closed !== true) throw new HttpFault(404, "there is no such connection");
      },
    }),
    operation({
      method: "GET",
      path: "/config",
      tag: "broker",
      summary: "Lists the settings in force",
      op: "CONFIG",
      answer: object({ items: listOf(ref("Setting")) }),
      shape: ({ settings }) => ({ items: settings }),
    }),
    operation({
      method: "PATCH",
      path: "/config",
      tag: "broker",
      summary: "Changes settings until the broker stops; null goes back to the value of the start",
      description: "Only those with `isLive` can be changed while the broker runs; the others are 409 `config_fixed`.",
      op: "CONFIG",
      body: settingChanges,
      answer: object({ items: listOf(ref("Setting")) }),
      fields: ({ body }) => ({ set: body }),
      shape: ({ settings }) => ({ items: settings }),
    }),
  ];
}

const settingChanges: Shape = {
  type: "object",
  additionalProperties: { type: ["integer", "string", "null"] },
  minProperties: 1,
};
