import { asMillraceError } from "../errors.ts";
import type { Message, Subscription } from "../subscription.ts";
import type { AvroCodec } from "./codec.ts";
import type { AvroOptions } from "./options.ts";

/** Reads a topic's values with their messages. */

export interface AvroMessage<T, M = Message> {
  /** Null is a tombstone. */
  readonly value: T | null;
  /** Topic, partition, offset, key, headers and time. */
  readonly message: M;
}

export class AvroReader<T, C extends Subscription = Subscription>
  implements AsyncIterable<AvroMessage<T>>, AsyncDisposable
{
  /** What it reads from: of a group to commit, of all to close. */
  readonly consumer: C;
  private readonly codec: AvroCodec<T>;
  private readonly onInvalid: AvroOptions<T>["onInvalid"];

  constructor(consumer: C, codec: AvroCodec<T>, onInvalid: AvroOptions<T>["onInvalid"]) {
    this.consumer = consumer;
    this.codec = codec;
    this.onInvalid = onInvalid;
  }

  /** One by one. A message counts as done when the next one is asked for. */
  async *[Symbol.asyncIterator](): AsyncGenerator<AvroMessage<T>, void, undefined> {
    for await (const message of this.consumer) {
      const decoded = this.decoded(message);
      const found = decoded instanceof Promise ? await decoded : decoded;
      if (found) yield found;
    }
  }

  /** Those that came together, which is faster. */
  async *batches(): AsyncGenerator<AvroMessage<T>[], void, undefined> {
    for await (const messages of this.consumer.batches()) {
      const all: AvroMessage<T>[] = [];
      for (const message of messages) {
        const decoded = this.decoded(message);
        const found = decoded instanceof Promise ? await decoded : decoded;
        if (found) all.push(found);
      }
      yield all;
    }
  }

  private decoded(message: Message): AvroMessage<T> | null | Promise<AvroMessage<T> | null> {
    try {
      const value = this.codec.decode(message);
      if (!(value instanceof Promise)) return { value, message };
      return value.then(
        (loaded) => ({ value: loaded, message }),
        (error: unknown) => this.invalid(error, message),
      );
    } catch (error) {
      return this.invalid(error, message);
    }
  }

  /** What cannot be read is told and left out, or thrown where nobody listens. */
  private invalid(error: unknown, message: Message): null {
    if (!this.onInvalid) throw error;
    this.onInvalid(asMillraceError(error), message);
    return null;
  }

  close(): Promise<void> {
    return this.consumer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
