import type { Socket, TCPSocketListener } from "bun";
import { MillraceError } from "../../src/errors/index.ts";
import {
  BatchEncoder,
  BatchReader,
  decodeContent,
  encodeError,
  encodeFrame,
  encodeMessages,
  encodeOk,
  FrameReader,
  type Headers,
  Op,
  opOf,
  Outcome,
  readSettle,
  type Settle,
  skip,
  unpack,
} from "../../src/protocol/index.ts";

/**
 * The least that speaks the wire of queues, for tests of the client alone: the default exchange, queues in memory,
 * delivery within the prefetch, settlement by tag, and what comes of a lost connection.
 */

interface Stored {
  number: number;
  key: string;
  value: string;
  headers: Headers;
  deliveries: number;
}

interface Consumer {
  link: Link;
  sub: number;
  queue: string;
  prefetch: number;
  nextTag: number;
  readonly held: Map<number, Stored>;
}

interface Link {
  socket: Socket<Link>;
  reader: FrameReader;
  publishers: Map<number, { exchange: string; mandatory?: boolean; requireConsumer?: boolean }>;
}

export class FakeQueueBroker {
  readonly queues = new Map<string, Stored[]>();
  readonly consumers: Consumer[] = [];
  readonly settles: Settle[] = [];
  readonly acked: string[] = [];
  readonly rejected: string[] = [];
  readonly ops: number[] = [];
  /** Refuses a SUBSCRIBE with this. */
  refusal: MillraceError | null = null;
  private readonly listener: TCPSocketListener<Link>;
  private readonly links = new Set<Link>();
  private numbers = 0;

  constructor() {
    this.listener = Bun.listen<Link>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { socket, reader: new FrameReader(), publishers: new Map() };
          this.links.add(socket.data);
        },
        data: (socket, chunk) => {
          socket.data.reader.feed(chunk, (bytes, start, end) => this.frame(socket.data, bytes, start, end));
        },
        close: (socket) => this.gone(socket.data),
      },
    });
  }

  get url(): string {
    return `millrace://127.0.0.1:${this.listener.port}`;
  }

  breakConnections(): void {
    for (const link of this.links) link.socket.terminate();
  }

  stop(): void {
    this.breakConnections();
    this.listener.stop(true);
  }

  /** Puts messages into a queue. */
  put(queue: string, values: readonly string[], headers: Headers = {}): void {
    const waiting = this.queues.get(queue) ?? [];
    this.queues.set(queue, waiting);
    for (const value of values) waiting.push({ number: this.numbers++, key: queue, value, headers, deliveries: 0 });
    this.deliver();
  }

  broadcast(frame: Uint8Array): void {
    for (const link of this.links) link.socket.write(frame);
  }

  private gone(link: Link): void {
    this.links.delete(link);
    for (const consumer of [...this.consumers]) if (consumer.link === link) this.remove(consumer);
    this.deliver();
  }

  private remove(consumer: Consumer): void {
    this.consumers.splice(this.consumers.indexOf(consumer), 1);
    this.giveBack(consumer.queue, [...consumer.held.values()], 1);
  }

  private giveBack(queue: string, messages: readonly Stored[], deliveries: number): void {
    const waiting = this.queues.get(queue) ?? [];
    for (const message of messages) waiting.push({ ...message, deliveries: message.deliveries + deliveries });
    waiting.sort((a, b) => a.number - b.number);
  }

  private frame(link: Link, bytes: Uint8Array, start: number, end: number): void {
    const op = opOf(bytes, start, end);
    this.ops.push(op);
    if (op === Op.PUBLISH) this.publish(link, bytes, start, end);
    else if (op === Op.SETTLE) this.settle(link, readSettle(bytes, start, end));
    else this.control(link, op, decodeContent(bytes, start, end).args);
    this.deliver();
  }

  private publish(link: Link, bytes: Uint8Array, start: number, end: number): void {
    const headEnd = skip(bytes, start, end);
    const [, pub, corr] = unpack(bytes, start, headEnd) as [number, number, number];
    const opened = link.publishers.get(pub);
    const records = [...new BatchReader(bytes, headEnd, end)];
    const returned: number[] = [];
    for (const [index, record] of records.entries()) {
      const key = record.keyText() ?? "";
      const waiting = this.queues.get(key);
      const isHeard = !opened?.requireConsumer || this.consumers.some(({ queue }) => queue === key);
      if (waiting && isHeard) {
        const { headers } = record;
        waiting.push({ number: this.numbers++, key, value: record.text() ?? "", headers, deliveries: 0 });
      } else if (opened?.mandatory || opened?.requireConsumer) returned.push(index);
    }
    if (returned.length > 0) {
      const error = new MillraceError(opened?.requireConsumer ? "no_responder" : "unroutable");
      link.socket.write(encodeFrame(Op.RETURNED, pub, corr, error.code, error.codeName, returned));
    }
    link.socket.write(encodeFrame(Op.CREDIT, end - start + 5));
    link.socket.write(encodeFrame(Op.ACK, pub, corr, 1, 0, this.numbers - records.length, 2));
  }

  private settle(link: Link, settle: Settle): void {
    this.settles.push(settle);
    const { subscription, correlation, outcome, ranges } = settle;
    const consumer = this.consumers.find((each) => each.link === link && each.sub === subscription);
    for (let index = 0; index < ranges.length; index += 2) {
      const first = ranges[index] as number;
      for (let tag = first; tag < first + (ranges[index + 1] as number); tag++) {
        const message = consumer?.held.get(tag);
        if (!consumer || !message) {
          const error = new MillraceError("unknown_delivery", `delivery ${tag} is not open`);
          const values = [error.code, error.codeName, error.message];
          if (correlation !== null) link.socket.write(encodeError(correlation, error));
          else link.socket.write(encodeFrame(Op.SETTLE_FAILED, subscription, outcome, tag, 1, ...values));
          return;
        }
        if (outcome === Outcome.RENEW) continue;
        consumer.held.delete(tag);
        if (outcome === Outcome.ACK) this.acked.push(message.value);
        else if (outcome === Outcome.REJECT) this.rejected.push(message.value);
        else this.giveBack(consumer.queue, [message], outcome === Outcome.RELEASE ? 0 : 1);
      }
    }
    if (correlation !== null) link.socket.write(encodeOk(correlation, {}));
  }

  private control(link: Link, op: number, args: unknown[]): void {
    const [correlation, first, second] = args as [number, unknown, Record<string, unknown>];
    const ok = (result: unknown): unknown => link.socket.write(encodeOk(correlation, result));
    if (op === Op.HELLO) ok(WELCOME);
    else if (op === Op.PRODUCER_INIT) ok({ producerId: ++this.numbers, producerEpoch: 0 });
    else if (op === Op.PUBLISHER_OPEN) {
      link.publishers.set(first as number, second as never);
      ok({ exchange: second["exchange"], partitions: 1 });
    } else if (op === Op.QUEUE_DECLARE) {
      const { name } = first as { name: string };
      if (!this.queues.has(name)) this.queues.set(name, []);
      ok({ created: true, name, config: {} });
    } else if (op === Op.SUBSCRIBE || op === Op.QUEUE_GET) this.subscribe(link, op, args);
    else if (op === Op.PREFETCH) {
      const consumer = this.consumers.find((each) => each.link === link && each.sub === args[0]);
      if (consumer) consumer.prefetch = args[1] as number;
    } else if (op === Op.UNSUBSCRIBE) {
      const consumer = this.consumers.find((each) => each.link === link && each.sub === first);
      if (consumer) this.remove(consumer);
      ok({});
    } else if (op !== Op.GOODBYE && op !== Op.PONG && op !== Op.PING) ok({});
  }

  private subscribe(link: Link, op: number, args: unknown[]): void {
    const [correlation, sub, fields] = args as [number, number, Record<string, unknown>];
    const queue = String(fields["queue"] ?? fields["name"]);
    if (this.refusal || !this.queues.has(queue)) {
      link.socket.write(encodeError(correlation, this.refusal ?? new MillraceError("queue_not_found", "no queue")));
      return;
    }
    const prefetch = Number(fields["prefetch"] ?? fields["max"]);
    this.consumers.push({ link, sub, queue, prefetch, nextTag: 1, held: new Map() });
    // A one-shot subscription hears its OK behind what was there.
    if (op === Op.QUEUE_GET) this.deliver();
    link.socket.write(encodeOk(correlation, {}));
  }

  private deliver(): void {
    for (const consumer of this.consumers) {
      const waiting = this.queues.get(consumer.queue) ?? [];
      const messages = waiting.splice(0, Math.max(0, consumer.prefetch - consumer.held.size));
      if (messages.length > 0) consumer.link.socket.write(deliveryOf(consumer, messages));
    }
  }
}

function deliveryOf(consumer: Consumer, messages: readonly Stored[]): Uint8Array {
  const encoder = new BatchEncoder({ absoluteTimestamps: true });
  const firstTag = consumer.nextTag;
  const redelivered = new Map<number, { deliveries: number; deaths: [] }>();
  for (const [index, message] of messages.entries()) {
    const { key, value, headers, deliveries } = message;
    encoder.append(1_700_000_000_000, key, value, Object.keys(headers).length === 0 ? null : headers);
    if (deliveries > 0) redelivered.set(index, { deliveries, deaths: [] });
    consumer.held.set(consumer.nextTag++, message);
  }
  encoder.finish();
  const numbers = Float64Array.from(messages, ({ number }) => number);
  const head = {
    subscription: consumer.sub,
    firstTag,
    numbers,
    redelivered: redelivered.size > 0 ? redelivered : null,
  };
  return encodeMessages(head, encoder.batch());
}

const WELCOME = {
  version: 1,
  features: [],
  server: "fake",
  namespace: "default",
  principal: "anonymous",
  connection: 1,
  heartbeatMs: 10_000,
  publishCreditBytes: 1 << 20,
  limits: {
    frameBytesMax: 16 << 20,
    batchBytesMax: 8 << 20,
    messageBytesMax: 1 << 20,
    subscriptionCreditBytesMax: 64 << 20,
  },
};
