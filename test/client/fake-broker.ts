import type { Socket, TCPSocketListener } from "bun";
import {
  ACKS_NONE,
  BatchEncoder,
  BatchReader,
  decodeContent,
  encodeError,
  encodeFrame,
  encodeOk,
  FrameReader,
  Op,
  opOf,
  type Record,
  renumberBatch,
  skip,
  unpack,
  utf8Bytes,
  writeHeader,
} from "../../src/protocol/index.ts";
import { type ErrorName, MillraceError } from "../../src/errors/index.ts";

/**
 * The least that speaks the wire, for tests of the client alone: topics in
 * memory, idempotence by sequence, deliveries, and faults on demand. What the
 * broker does beyond that is tested against the broker.
 */

interface Stored {
  value: string;
  key: string | null;
}

interface PublisherState {
  topic: string;
  producerId?: number;
  producerEpoch?: number;
}

interface Link {
  socket: Socket<Link>;
  reader: FrameReader;
  publishers: Map<number, PublisherState>;
  subscriptions: Map<number, { topic: string }>;
}

interface Publish {
  link: Link;
  publisher: number;
  correlation: number;
  partition: number;
  acks: number;
  condition: unknown;
  records: Stored[];
  producerId: number;
  producerEpoch: number;
  sequence: number;
  frameBytes: number;
}

/** What to do with a publish instead of storing it. */
export type Fault = null | "drop" | "store-and-drop" | ErrorName;

const PARTITIONS = 4;

export class FakeBroker {
  /** Records by partition, in order. */
  readonly partitions: Stored[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly ops: number[] = [];
  readonly flows: number[] = [];
  readonly commits: unknown[] = [];
  /** Decides about each publish; it may count calls. */
  fault: (publish: Publish) => Fault = () => null;
  publishCreditBytes: number = 1024 * 1024;
  connections: number = 0;
  heartbeatMs: number = 10_000;
  /** Swallows answers to PING and everything else. */
  isSilent: boolean = false;
  private readonly sequences = new Map<string, { next: number; epoch: number }>();
  private readonly listener: TCPSocketListener<Link>;
  private readonly links = new Set<Link>();
  private producers = 100;

  constructor(port = 0) {
    this.listener = Bun.listen<Link>({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => {
          this.connections++;
          const link: Link = { socket, reader: new FrameReader(), publishers: new Map(), subscriptions: new Map() };
          socket.data = link;
          this.links.add(link);
        },
        data: (socket, chunk) => {
          socket.data.reader.feed(chunk, (bytes, start, end) => this.frame(socket.data, bytes, start, end));
        },
        close: (socket) => {
          this.links.delete(socket.data);
        },
      },
    });
  }

  get url(): string {
    return `millrace://127.0.0.1:${this.listener.port}`;
  }

  /** Breaks every connection. */
  breakConnections(): void {
    for (const link of this.links) link.socket.terminate();
  }

  stop(): void {
    this.breakConnections();
    this.listener.stop(true);
  }

  values(): string[] {
    return this.partitions.flat().map(({ value }) => value);
  }

  /** Sends a frame to every connection. */
  broadcast(frame: Uint8Array): void {
    for (const link of this.links) link.socket.write(frame);
  }

  private frame(link: Link, bytes: Uint8Array, start: number, end: number): void {
    const op = opOf(bytes, start, end);
    this.ops.push(op);
    if (this.isSilent) return;
    if (op === Op.PUBLISH) this.publishBatch(link, bytes, start, end);
    else if (op === Op.PUBLISH_ONE) this.publishOne(link, bytes, start, end);
    else this.control(link, op, decodeContent(bytes, start, end).args);
  }

  private publishBatch(link: Link, bytes: Uint8Array, start: number, end: number): void {
    const headEnd = skip(bytes, start, end);
    const [, publisher, correlation, partition, acks, condition] = unpack(bytes, start, headEnd) as number[];
    const batch = new BatchReader(bytes, headEnd, end);
    const records = [...batch].map((record: Record) => ({ value: record.text() ?? "", key: record.keyText() }));
    const { producerId, producerEpoch, baseSequence } = batch.header;
    this.publish({
      link,
      publisher: publisher as number,
      correlation: correlation as number,
      partition: partition as number,
      acks: acks as number,
      condition,
      records,
      producerId,
      producerEpoch,
      sequence: baseSequence,
      frameBytes: end - start + 5,
    });
  }

  private publishOne(link: Link, bytes: Uint8Array, start: number, end: number): void {
    const [, publisher, correlation, partition, acks, sequence, condition, record] = unpack(bytes, start, end) as [
      number,
      number,
      number,
      number | null,
      number,
      number | null,
      unknown,
      [number, string | null, string | Uint8Array | null, unknown],
    ];
    const [, key, content] = record;
    const value = content instanceof Uint8Array ? new TextDecoder().decode(content) : (content ?? "");
    const opened = link.publishers.get(publisher);
    this.publish({
      link,
      publisher,
      correlation,
      partition: partition ?? 0,
      acks,
      condition,
      records: [{ key, value }],
      producerId: sequence === null ? 0 : (opened?.producerId ?? 0),
      producerEpoch: opened?.producerEpoch ?? 0,
      sequence: sequence ?? 0,
      frameBytes: end - start + 5,
    });
  }

  private publish(publish: Publish): void {
    const { link, publisher, correlation } = publish;
    link.socket.write(encodeFrame(Op.CREDIT, publish.frameBytes));
    const fault = this.fault(publish);
    if (fault === "drop") {
      link.socket.terminate();
      return;
    }
    try {
      if (fault && fault !== "store-and-drop") throw new MillraceError(fault, "on demand");
      const base = this.store(publish);
      if (fault === "store-and-drop") link.socket.terminate();
      else if (publish.acks !== ACKS_NONE) {
        link.socket.write(encodeFrame(Op.ACK, publisher, correlation, 1, publish.partition, base, publish.acks));
      }
      this.deliverAll();
    } catch (error) {
      const known = error as MillraceError;
      const values = [known.code, known.codeName, known.message, known.retryable, known.details ?? null];
      link.socket.write(encodeFrame(Op.NACK, publisher, correlation, 1, ...values));
    }
  }

  private store(publish: Publish): number | null {
    const log = this.partitions[publish.partition] as Stored[];
    if (publish.producerId !== 0) {
      const key = `${publish.producerId}/${publish.partition}`;
      let state = this.sequences.get(key) ?? { next: 0, epoch: publish.producerEpoch };
      if (publish.producerEpoch < state.epoch) throw new MillraceError("producer_fenced");
      if (publish.producerEpoch > state.epoch) state = { next: 0, epoch: publish.producerEpoch };
      if (publish.sequence < state.next) return null;
      if (publish.sequence > state.next) throw new MillraceError("sequence_gap");
      this.checkCondition(publish, log);
      this.sequences.set(key, { ...state, next: state.next + publish.records.length });
    } else {
      this.checkCondition(publish, log);
    }
    const base = log.length;
    log.push(...publish.records);
    return base;
  }

  private checkCondition({ condition, partition }: Publish, log: Stored[]): void {
    if (typeof condition === "number" && condition !== log.length) {
      throw new MillraceError("offset_conflict", "moved on", { details: { partition, nextOffset: log.length } });
    }
    if (!Array.isArray(condition)) return;
    const [key, lastOffset] = condition as [string, number | null];
    const last = log.findLastIndex((stored) => stored.key === key);
    if ((last < 0 ? null : last) !== lastOffset) {
      throw new MillraceError("key_conflict", "changed", { details: { lastOffset: last } });
    }
  }

  private control(link: Link, op: number, args: unknown[]): void {
    const [correlation, first, second] = args as [number, unknown, unknown];
    const ok = (result: unknown): unknown => link.socket.write(encodeOk(correlation, result));
    if (op === Op.HELLO) ok(this.welcome());
    else if (op === Op.PING) link.socket.write(encodeFrame(Op.PONG, args[0]));
    else if (op === Op.PRODUCER_INIT) {
      const { producerId, producerEpoch } = first as { producerId?: number; producerEpoch?: number };
      if (producerId === undefined) ok({ producerId: ++this.producers, producerEpoch: 0 });
      else ok({ producerId, producerEpoch: (producerEpoch ?? 0) + 1 });
    } else if (op === Op.PUBLISHER_OPEN) {
      const state = second as PublisherState;
      const { topic } = state;
      if (topic === "missing") {
        link.socket.write(encodeError(correlation, new MillraceError("topic_not_found", "no topic")));
        return;
      }
      link.publishers.set(first as number, state);
      ok({ topic, partitions: PARTITIONS, config: {} });
    } else if (op === Op.SUBSCRIBE) this.subscribe(link, correlation, first as number, second as never);
    else if (op === Op.FLOW) this.flows.push(args[1] as number);
    else if (op === Op.COMMIT) {
      this.commits.push(first);
      ok(null);
    } else if (op !== Op.GOODBYE && op !== Op.PONG) ok(null);
  }

  private welcome(): unknown {
    return {
      version: 1,
      features: [],
      server: "fake",
      namespace: "default",
      principal: "anonymous",
      connection: this.connections,
      heartbeatMs: this.heartbeatMs,
      publishCreditBytes: this.publishCreditBytes,
      limits: {
        frameBytesMax: 16 << 20,
        batchBytesMax: 8 << 20,
        messageBytesMax: 1 << 20,
        subscriptionCreditBytesMax: 64 << 20,
      },
    };
  }

  /** Where each source of a connection's subscription reads; a source's number is its partition. */
  private readonly cursors = new Map<string, { link: Link; sub: number; partition: number; offset: number }>();

  private subscribe(
    link: Link,
    correlation: number,
    sub: number,
    options: { group?: string; from: unknown; until?: unknown; partitions?: number[] },
  ): void {
    const chosen = options.partitions ?? this.partitions.map((_, partition) => partition);
    const sources = chosen.map((partition) => {
      const { offsets } = options.from as { offsets?: { [partition: number]: number } };
      const latest = options.from === "latest" ? this.partitions[partition]?.length : 0;
      const offset = offsets?.[partition] ?? latest ?? 0;
      this.cursors.set(`${this.connections}/${sub}/${partition}`, { link, sub, partition, offset });
      return [partition, "topic", partition, offset] as const;
    });
    link.subscriptions.set(sub, { topic: "topic" });
    if (options.group) {
      const added = sources.map((source) => [...source, null]);
      const answer = [encodeOk(correlation, { sources: [], member: "m-1", generation: 1 })];
      answer.push(encodeFrame(Op.ASSIGNMENT, sub, 1, added, []));
      link.socket.write(Buffer.concat(answer));
    } else {
      // One write, so that the client sees the answer and the first deliveries in one chunk.
      link.socket.write(encodeOk(correlation, { sources }));
    }
    this.deliverAll();
    if (options.until !== "end") return;
    for (const [partition, , , offset] of sources) {
      const end = Math.max(offset, this.partitions[partition]?.length ?? 0);
      link.socket.write(encodeFrame(Op.SOURCE_END, sub, partition, end, 0, ""));
    }
  }

  private deliverAll(): void {
    for (const cursor of this.cursors.values()) {
      if (!this.links.has(cursor.link)) continue;
      const log = this.partitions[cursor.partition] as Stored[];
      if (cursor.offset >= log.length) continue;
      const content = deliverContent(cursor.sub, cursor.partition, log, cursor.offset);
      cursor.offset = log.length;
      cursor.link.socket.write(content);
    }
  }
}

/** A DELIVER of the log from `offset` on; the batch begins one record earlier where it can, as stored batches do. */
function deliverContent(sub: number, source: number, log: Stored[], offset: number): Uint8Array {
  const base = Math.max(0, offset - 1);
  const encoder = new BatchEncoder({ batchBytesMax: 1 << 20 });
  for (const { key, value } of log.slice(base)) encoder.append(1_700_000_000_000, key, utf8Bytes(value));
  encoder.finish();
  const batch = encoder.batch();
  const { header } = new BatchReader(batch, 0, batch.length);
  writeHeader(batch, 0, { ...header, baseOffset: base });
  renumberBatch(batch, 0, batch.length, { producerId: 0, producerEpoch: 0, baseSequence: 0 });
  const head = encodeFrame(Op.DELIVER, sub, source);
  const frame = Buffer.concat([head, batch]);
  frame.writeUInt32BE(frame.length - 5, 1);
  return frame;
}
