/** Publishes one message for one request, without a publisher. */
import type { RouteTrace } from "../broker/index.ts";
import { BATCH_HEADER_BYTES, BatchEncoder, KeyPartitioner } from "../protocol/index.ts";
import type { Caller } from "./caller.ts";
import { charge } from "./message-charge.ts";
import type { Published } from "./message-ops.ts";

interface ToTopic extends Published {
  readonly partition: number | undefined;
  readonly timestamp: number | undefined;
}

function batchOf({ key, value, headers }: Published, timestamp: number): Uint8Array {
  const encoder = new BatchEncoder();
  encoder.append(timestamp, key, value, headers);
  encoder.finish();
  return encoder.batch();
}

/** Where a message would go from an exchange. @throws exchange_not_found. */
export function traceMessage({ services, namespace }: Caller, exchange: string, message: Published): RouteTrace {
  const record = batchOf(message, 0).subarray(BATCH_HEADER_BYTES);
  return services.exchanges.trace(namespace, exchange, record);
}

/**
 * @returns the record's place, once it is synced. Without a key it goes to the partition with the lowest end.
 * @throws what a publish is refused with.
 */
export async function publishToTopic(
  caller: Caller,
  name: string,
  message: ToTopic,
): Promise<{ partition: number; offset: number }> {
  const { engine, topics, singles, turnSoon } = caller.services;
  const topic = topics.require(caller.namespace, name);
  const partition =
    message.partition ?? choose(message, topic.partitions, (each) => engine.partition(topic.id, each).nextOffset);
  topics.checkPartition(topic, partition);
  const batch = batchOf(message, message.timestamp ?? engine.now());
  await charge(caller, batch.length);
  const published = singles.toTopic(topic.id, partition, batch);
  turnSoon();
  return { partition, offset: await published };
}

function choose({ key }: Published, partitions: number, endOf: (partition: number) => number): number {
  if (key !== null) return new KeyPartitioner().partitionOf(key, partitions);
  let lowest = 0;
  for (let partition = 1; partition < partitions; partition += 1)
    if (endOf(partition) < endOf(lowest)) lowest = partition;
  return lowest;
}

/** @returns whether a queue or topic took it. @throws what a publish is refused with. */
export async function publishToExchange(
  caller: Caller,
  name: string,
  message: Published,
): Promise<{ routed: boolean }> {
  const { engine, exchanges, singles, turnSoon } = caller.services;
  const exchange = exchanges.requirePublishable(caller.namespace, name);
  const batch = batchOf(message, engine.now());
  await charge(caller, batch.length);
  const published = singles.toExchange(caller.namespace, exchange, batch);
  turnSoon();
  return { routed: await published };
}
