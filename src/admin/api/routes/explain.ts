/** What became of one message. */
import { MillraceError } from "../../../errors/index.ts";
import { allFields, operation, ref, type Route, text, whole } from "../route.ts";

export const explainRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/explain",
    tag: "messages",
    summary: "Tells where a message came in, how it was routed, where it lies, whom it was delivered to, and its acks",
    description: "Either `topic` with `offset` (and `partition`), or `queue` with the `number` of its message.",
    op: "EXPLAIN",
    query: {
      namespace: { type: "string", default: "default" },
      topic: text,
      partition: whole,
      offset: whole,
      queue: text,
      number: whole,
    },
    answer: ref("Explained"),
    fields: (ask) => {
      const { topic, offset } = ask.query;
      if (topic === undefined || offset !== undefined) return allFields(ask);
      throw new MillraceError("invalid_argument", "offset: that of the record in the topic");
    },
  }),
  operation({
    method: "GET",
    path: "/topics/{namespace}/{name}/load",
    tag: "topics",
    summary: "Shows how a topic's messages spread over its partitions and keys",
    op: "EXPLAIN",
    answer: ref("Load"),
    fields: ({ path }) => ({ topic: path["name"] }),
  }),
];
