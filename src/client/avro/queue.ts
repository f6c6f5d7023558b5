import type { Client } from "../client.ts";
import type { Delivery } from "../delivery.ts";
import { asMillraceError } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { Queue } from "../queue.ts";
import type { QueueConsumer } from "../queue-consumer.ts";
import type { QueueMessage } from "../queue-message.ts";
import type { PublishOptions, QueueConsumeOptions } from "../queue-options.ts";
import type { AvroCodec } from "./codec.ts";
import { openCodec, storeOf } from "./open.ts";
import type { AvroOptions } from "./options.ts";
import type { AvroMessage } from "./reader.ts";

/** Queues and exchanges of Avro values. */

export type AvroHandler<T> = (value: T | null, message: QueueMessage) => unknown;

/** A queue whose values are of one schema. */
export class AvroQueue<T> {
  readonly queue: Queue;
  readonly codec: AvroCodec<T>;
  private readonly options: AvroOptions<T>;

  constructor(queue: Queue, codec: AvroCodec<T>, options: AvroOptions<T>) {
    this.queue = queue;
    this.codec = codec;
    this.options = options;
  }

  /** Publishes to this queue alone. Throws schema_violation. */
  publish(value: T | null, options: PublishOptions = {}): Delivery {
    const framed = this.codec.framed(value, options.headers ?? null);
    return this.queue.publish(framed.value, { ...options, headers: framed.headers });
  }

  /**
   * Consumes: the handler gets the value and its message, which is acked when the handler is done. A value that cannot
   * be read is told to `onInvalid` and rejected; without it that is as if the handler had thrown, with the error's name
   * as its class.
   */
  consume(handler: AvroHandler<T>, options: QueueConsumeOptions = {}): QueueConsumer {
    return this.queue.consume(async (message) => {
      const decoded = await this.decoded(message);
      if (decoded) await handler(decoded.value, message);
      else if (!message.isSettled) message.reject();
    }, options);
  }

  /** Consumes by iteration: a message is acked when the next one is asked for. */
  async *messages(options: QueueConsumeOptions = {}): AsyncGenerator<AvroMessage<T, QueueMessage>, void, undefined> {
    for await (const message of this.queue.consume(options)) {
      const decoded = await this.decoded(message);
      if (decoded) yield decoded;
      else if (!message.isSettled) message.reject();
    }
  }

  /** Null for one that cannot be read, where `onInvalid` hears of it. */
  private async decoded(message: QueueMessage): Promise<AvroMessage<T, QueueMessage> | null> {
    try {
      const body = await message.body();
      const value = await this.codec.decode({ value: body, headers: message.headers });
      return { value, message };
    } catch (error) {
      const { onInvalid } = this.options;
      if (!onInvalid) throw error;
      onInvalid(asMillraceError(error), message);
      return null;
    }
  }
}

/** An exchange to which values of one schema are published. */
export class AvroExchange<T> {
  readonly exchange: Exchange;
  readonly codec: AvroCodec<T>;

  constructor(exchange: Exchange, codec: AvroCodec<T>) {
    this.exchange = exchange;
    this.codec = codec;
  }

  /** Throws schema_violation; errors of the result are those of `exchange.publish`. */
  publish(routingKey: string, value: T | null, options: PublishOptions = {}): Delivery {
    const framed = this.codec.framed(value, options.headers ?? null);
    return this.exchange.publish(routingKey, framed.value, { ...options, headers: framed.headers });
  }
}

/**
 * A queue of Avro values, with the subject `<queue>-value`. Errors: as `avroTopic`.
 *
 * @example
 * const orders = await avroQueue(client, "orders", orderSchema);
 * await orders.publish({ id: 17, total: "12.50" });
 * orders.consume((order) => ship(order), { prefetch: 10 });
 */
export async function avroQueue<T = unknown>(
  client: Client,
  queue: string,
  options: AvroOptions<T> = {},
): Promise<AvroQueue<T>> {
  const codec = await openCodec<T>(client.schemas, storeOf(client), queue, options);
  return new AvroQueue(client.queue(queue), codec, options);
}

/** An exchange of Avro values, with the subject `<exchange>-value`; `strategy: "record"` suits it where several queues check. Errors: as `avroTopic`. */
export async function avroExchange<T = unknown>(
  client: Client,
  exchange: string,
  options: AvroOptions<T> = {},
): Promise<AvroExchange<T>> {
  const codec = await openCodec<T>(client.schemas, storeOf(client), exchange, options);
  return new AvroExchange(client.exchange(exchange), codec);
}
