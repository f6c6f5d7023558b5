/** Publishes one message for one request, without a publisher. */
import { BatchEncoder, KeyPartitioner } from "../protocol/index.ts";
import type { Caller } from "./caller.ts";
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

/**
 * @returns the record's place, once it is synced. Without a key it goes to the partition with the lowest end.
 * @throws what a publish is refused with.
 */
export async function publishToTopic(
  { services, namespace }: Caller,
  name: string,
  message: ToTopic,
): Promise<{ partition: number; offset: number }> {
  const { engine, topics, singles } = services;
  const topic = topics.require(namespace, name);
  const partition =
    message.partition ?? choose(message, topic.partitions, (each) => engine.partition(topic.id, each).nextOffset);
  topics.checkPartition(topic, partition);
  const published = singles.toTopic(topic.id, partition, batchOf(message, message.timestamp ?? engine.now()));
  services.turnSoon();
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
  { services, namespace }: Caller,
  name: string,
  message: Published,
): Promise<{ routed: boolean }> {
  const { engine, exchanges, singles } = services;
  const exchange = exchanges.requirePublishable(namespace, name);
  const published = singles.toExchange(namespace, exchange, batchOf(message, engine.now()));
  services.turnSoon();
  return { routed: await published };
}
