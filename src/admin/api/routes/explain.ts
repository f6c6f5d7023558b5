/** What became of one message. */
import { operation, ref, type Route, text, whole } from "../route.ts";

export const explainRoutes: readonly Route[] = [
  operation({
    method: "GET",
    path: "/explain",
    tag: "messages",
    summary: "Tells where a message came in, how it was routed, where it lies, whom it was delivered to, and its acks",
    description: "Either `topic` with `offset` (and `partition`), or `queue` with the `number` of its message.",
    op: "EXPLAIN",
    query: { namespace: text, topic: text, partition: whole, offset: whole, queue: text, number: whole },
    answer: ref("Explained"),
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
