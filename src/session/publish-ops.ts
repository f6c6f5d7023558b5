/**
 * Publishers. The publishes themselves never come here: the core takes them in.
 *
 *     40 PUBLISHER_OPEN  [40, corr, pub, {topic, producerId?, producerEpoch?}] -> {topic, partitions, config}
 *     41 PUBLISHER_CLOSE [41, corr, pub] -> {}
 *     42 PRODUCER_INIT   [42, corr, {producerId?, producerEpoch?}] -> {producerId, producerEpoch}
 */
import { MillraceError } from "../errors/index.ts";
import { Op } from "../protocol/index.ts";
import { asHandle, asInteger, asText, fieldsAt, invalid, optional } from "./arguments.ts";
import { type AnyOperation, define } from "./operation.ts";
import { namespaceResource, topicResource } from "./resources.ts";

const EPOCH_MAX = 0xffff;

function asEpoch(value: unknown, field: string): number {
  return asInteger(value, field, 0, EPOCH_MAX);
}

function asProducerId(value: unknown, field: string): number {
  return asInteger(value, field, 1);
}

const open = define({
  op: Op.PUBLISHER_OPEN,
  permission: "topic.publish",
  parse(args) {
    const fields = fieldsAt(args, 1);
    return {
      pub: asHandle(args[0], "pub"),
      topic: asText(fields["topic"], "topic"),
      producerId: optional(fields["producerId"], "producerId", (value, field) => asInteger(value, field)) ?? 0,
      producerEpoch: optional(fields["producerEpoch"], "producerEpoch", asEpoch) ?? 0,
    };
  },
  resources: ({ topic }, session) => [topicResource(session, topic)],
  run(session, { pub, topic: name, producerId, producerEpoch }) {
    const { engine, topics } = session.services;
    const topic = topics.require(session.namespace, name);
    if (session.publishers.has(pub)) throw new MillraceError("publisher_exists", `the publisher ${pub} is open`);
    if (producerId === 0 && producerEpoch !== 0) throw invalid("producerEpoch", "absent without a producerId");
    engine.publisherOpen(session.connectionId, pub, topic.id, producerId, producerEpoch);
    session.publishers.set(pub, topic.name);
    return { topic: topic.name, partitions: topic.partitions, config: topics.configOf(topic) };
  },
});

const close = define({
  op: Op.PUBLISHER_CLOSE,
  permission: "topic.publish",
  finishes: true,
  parse: (args) => ({ pub: asHandle(args[0], "pub") }),
  resources: () => [],
  run(session, { pub }) {
    if (!session.publishers.delete(pub)) throw new MillraceError("publisher_not_found", `there is no publisher ${pub}`);
    session.services.engine.publisherClose(session.connectionId, pub);
    return {};
  },
});

const init = define({
  op: Op.PRODUCER_INIT,
  permission: "producer.init",
  parse(args) {
    const fields = fieldsAt(args, 0);
    return {
      producerId: optional(fields["producerId"], "producerId", asProducerId),
      producerEpoch: optional(fields["producerEpoch"], "producerEpoch", asEpoch) ?? 0,
    };
  },
  resources: (_, session) => [namespaceResource(session)],
  run(session, { producerId, producerEpoch }) {
    // The epochs of an id are used up: a fresh id fences nobody, but nobody else has it either.
    if (producerId === undefined || producerEpoch === EPOCH_MAX) {
      return { producerId: session.services.engine.newProducerId(), producerEpoch: 0 };
    }
    return { producerId, producerEpoch: producerEpoch + 1 };
  },
});

export const publishOps: readonly AnyOperation[] = [open, close, init];
