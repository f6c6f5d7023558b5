import type { Content } from "../../protocol/index.ts";
import type { Client } from "../client.ts";
import type { Consumer, ConsumerOptions } from "../consumer.ts";
import type { Delivery } from "../delivery.ts";
import type { GroupConsumer, GroupConsumerOptions } from "../group-consumer.ts";
import type { Producer } from "../producer.ts";
import type { ProducerOptions, ProducerRecord, SendOptions } from "../producer-options.ts";
import type { Subscription } from "../subscription.ts";
import type { AvroCodec } from "./codec.ts";
import { openCodec, storeOf } from "./open.ts";
import type { AvroOptions } from "./options.ts";
import { AvroReader } from "./reader.ts";

/** What a record of Avro carries besides its value. */
export type AvroRecordOptions = Omit<ProducerRecord, "value"> & SendOptions;

export interface AvroTopicOptions<T> extends AvroOptions<T> {
  producer?: ProducerOptions;
}

/** A topic whose values are of one schema. */
export class AvroTopic<T> implements AsyncDisposable {
  readonly topic: string;
  readonly codec: AvroCodec<T>;
  private readonly client: Client;
  private readonly options: AvroTopicOptions<T>;
  private opened: Producer | null = null;

  constructor(client: Client, topic: string, codec: AvroCodec<T>, options: AvroTopicOptions<T>) {
    this.client = client;
    this.topic = topic;
    this.codec = codec;
    this.options = options;
  }

  /** The producer beneath, for `ready`, `flush` and what else it does; `record` makes records for it. */
  get producer(): Producer {
    this.opened ??= this.client.producer(this.topic, this.options.producer);
    return this.opened;
  }

  /** Publishes a value; null is a tombstone. Throws schema_violation; errors of the result are those of `producer.send`. */
  send(value: T | null, options: AvroRecordOptions = {}): Delivery {
    const { expectNextOffset, expectKeyOffset, ...rest } = options;
    const record = this.codec.record(value, rest);
    if (expectNextOffset !== undefined) return this.producer.send(record, { expectNextOffset });
    if (expectKeyOffset !== undefined) return this.producer.send(record, { expectKeyOffset });
    return this.producer.send(record);
  }

  /** The same without a result; false = await `producer.ready()` before the next. Throws schema_violation. */
  sendNoWait(value: T | null, rest: Omit<ProducerRecord, "value"> = {}): boolean {
    return this.producer.sendNoWait(this.codec.record(value, rest));
  }

  /** The quickest way: no object for a record. Not with framing "header". False = await `producer.ready()`. Throws schema_violation. */
  append(value: T, key?: Content, partition?: number): boolean {
    if (this.options.framing === "header") return this.sendNoWait(value, withoutNothing({ key, partition }));
    return this.producer.append(this.codec.encodeView(value), key, partition);
  }

  /** A record for a transaction: `tx.send("ticks", ticks.record(tick, { key }))`. Throws schema_violation. */
  record(value: T | null, rest: Omit<ProducerRecord, "value"> = {}): ProducerRecord {
    return this.codec.record(value, rest);
  }

  /** Reads the topic without a group. Iterate the result. */
  consume(options: ConsumerOptions = {}): AvroReader<T, Consumer> {
    return this.read(this.client.consume(this.topic, options));
  }

  /** Reads as a member of a group. */
  consumeInGroup(group: string, options: GroupConsumerOptions = {}): AvroReader<T, GroupConsumer> {
    return this.read(this.client.group(group).consume(this.topic, options));
  }

  /** Reads what any consumer of this client brings. */
  read<C extends Subscription>(consumer: C): AvroReader<T, C> {
    return new AvroReader(consumer, this.codec, this.options.onInvalid);
  }

  /** Flushes and closes its producer. */
  async close(): Promise<void> {
    await this.opened?.close();
    this.opened = null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Without what is undefined. */
function withoutNothing({
  key,
  partition,
}: {
  key: Content | undefined;
  partition: number | undefined;
}): Omit<ProducerRecord, "value"> {
  return { ...(key === undefined ? {} : { key }), ...(partition === undefined ? {} : { partition }) };
}

/**
 * A topic of Avro values: registers the schema or finds it, writes with it, and
 * reads into it what any other version wrote.
 *
 * Errors: invalid_argument; schema_invalid; schema_incompatible with the subject's versions; schema_not_found with
 * `autoRegister: false`; subject_not_found, version_not_found; connection_lost, timeout, closed.
 *
 * @example
 * const ticks = await avroTopic(client, "ticks", tickSchema); // of `millrace schema types`
 * await ticks.send({ symbol: "AAPL", price: 191.5 }, { key: "AAPL" });
 * for await (const { value } of ticks.consume({ from: "earliest" })) console.log(value?.price);
 */
export async function avroTopic<T = unknown>(
  client: Client,
  topic: string,
  options: AvroTopicOptions<T> = {},
): Promise<AvroTopic<T>> {
  const codec = await openCodec<T>(client.schemas, storeOf(client), topic, options);
  return new AvroTopic(client, topic, codec, options);
}
