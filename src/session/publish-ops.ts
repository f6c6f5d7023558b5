/**
 * Publishers. The publishes themselves never come here: the core takes them in.
 *
 *     40 PUBLISHER_OPEN  [40, corr, pub, {topic, producerId?, producerEpoch?}] -> {topic, partitions, config}
 *                        [40, corr, pub, {exchange, mandatory?, requireConsumer?, producerId?, producerEpoch?}] -> {exchange, partitions: 1}
 *     41 PUBLISHER_CLOSE [41, corr, pub] -> {}
 *     42 PRODUCER_INIT   [42, corr, {producerId?, producerEpoch?}] -> {producerId, producerEpoch}
 */
import { PUBLISH_MANDATORY, PUBLISH_REQUIRE_CONSUMER } from "../broker/index.ts";
import { MillraceError } from "../errors/index.ts";
import { Op } from "../protocol/index.ts";
import { asBoolean, asHandle, asInteger, asText, type Fields, fieldsAt, invalid, optional } from "./arguments.ts";
import { type AnyOperation, define, defineConnected } from "./operation.ts";
import { namespaceResource, topicResource } from "./resources.ts";
import { permitPublisher } from "./revocation.ts";
import { publishTouches } from "./touches.ts";
import type { Session } from "./session.ts";

const EPOCH_MAX = 0xffff;

function asEpoch(value: unknown, field: string): number {
  return asInteger(value, field, 0, EPOCH_MAX);
}

function asProducerId(value: unknown, field: string): number {
  return asInteger(value, field, 1);
}

interface OpenRequest {
  readonly pub: number;
  readonly to: { readonly topic: string } | { readonly exchange: string; readonly flags: number };
  readonly producerId: number;
  readonly producerEpoch: number;
}

function asTarget(fields: Fields): OpenRequest["to"] {
  const exchange = optional(fields["exchange"], "exchange", asText);
  if (exchange === undefined) return { topic: asText(fields["topic"], "topic") };
  if (fields["topic"] !== undefined && fields["topic"] !== null) throw invalid("topic", "absent beside an exchange");
  const isMandatory = optional(fields["mandatory"], "mandatory", asBoolean) ?? false;
  const needsConsumer = optional(fields["requireConsumer"], "requireConsumer", asBoolean) ?? false;
  return { exchange, flags: (isMandatory ? PUBLISH_MANDATORY : 0) | (needsConsumer ? PUBLISH_REQUIRE_CONSUMER : 0) };
}

const open = defineConnected<OpenRequest>({
  op: Op.PUBLISHER_OPEN,
  permission: ({ to }) => ("topic" in to ? "topic.publish" : "exchange.publish"),
  parse(args) {
    const fields = fieldsAt(args, 1);
    return {
      pub: asHandle(args[0], "pub"),
      to: asTarget(fields),
      producerId: optional(fields["producerId"], "producerId", (value, field) => asInteger(value, field)) ?? 0,
      producerEpoch: optional(fields["producerEpoch"], "producerEpoch", asEpoch) ?? 0,
    };
  },
  resources: ({ to }, session) => ("topic" in to ? [topicResource(session, to.topic)] : []),
  also: ({ to }, session) => ("topic" in to ? [] : publishTouches(session, to.exchange)),
  run: (session, request) =>
    "topic" in request.to
      ? openOnTopic(session, request, request.to.topic)
      : openOnExchange(session, request, request.to.exchange, request.to.flags),
});

function openOnTopic(session: Session, request: OpenRequest, name: string): unknown {
  const { engine, topics } = session.services;
  const topic = topics.require(session.namespace, name);
  checkNew(session, request);
  const { pub, producerId, producerEpoch } = request;
  engine.publisherOpen(session.connectionId, pub, topic.id, producerId, producerEpoch);
  session.publishers.set(pub, { topic: topic.name });
  return { topic: topic.name, partitions: topic.partitions, config: topics.configOf(topic) };
}

function openOnExchange(session: Session, request: OpenRequest, name: string, flags: number): unknown {
  const { engine, exchanges } = session.services;
  const { id, spaceId } = exchanges.requirePublishable(session.namespace, name);
  checkNew(session, request);
  const { pub, producerId, producerEpoch } = request;
  engine.exchangePublisherOpen(session.connectionId, pub, spaceId, id, flags, producerId, producerEpoch);
  session.publishers.set(pub, { exchange: name });
  permitPublisher(session, pub, { exchange: name });
  return { exchange: name, partitions: 1 };
}

function checkNew(session: Session, { pub, producerId, producerEpoch }: OpenRequest): void {
  if (session.publishers.has(pub)) throw new MillraceError("publisher_exists", `the publisher ${pub} is open`);
  if (producerId === 0 && producerEpoch !== 0) throw invalid("producerEpoch", "absent without a producerId");
}

const close = defineConnected({
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
  resources: (_, caller) => [namespaceResource(caller)],
  run(caller, { producerId, producerEpoch }) {
    // The epochs of an id are used up: a fresh id fences nobody, but nobody else has it either.
    if (producerId === undefined || producerEpoch === EPOCH_MAX) {
      return { producerId: caller.services.engine.newProducerId(), producerEpoch: 0 };
    }
    return { producerId, producerEpoch: producerEpoch + 1 };
  },
});

export const publishOps: readonly AnyOperation[] = [open, close, init];
