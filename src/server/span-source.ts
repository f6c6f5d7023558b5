/**
 * Spans of messages whose senders asked for it: `traceparent` with the flag "sampled" among the headers. Off the way of
 * messages: several times a second the newest entries of the flight recorder are looked at, and the records that they name
 * are read from the log, within limits. Only where `otlpUrl` is set.
 */
import type { Engine, MetadataState, Queues } from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { type Span, SpanSender, type SpanSenderOptions } from "../metrics/index.ts";
import { BatchReader, childTrace, type Record as StoredRecord, traceContextOf } from "../protocol/index.ts";
import type { Tracer } from "../session/index.ts";
import type { Logger } from "../stdx/index.ts";

const ROUND_MS = 250;
/** Entries of each kind, and bytes of log, that a round looks at. What came faster has no spans. */
const ENTRIES_PER_ROUND = 256;
const READ_BYTES_PER_ROUND = 4 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
/** Of the spans of arrivals that those of deliveries hang on. */
const REMEMBERED_MAX = 4_096;

/** What a log is called in spans. */
export interface Destination {
  readonly namespace: string;
  readonly name: string;
}

export interface SpanSourceOptions extends SpanSenderOptions {
  readonly engine: Engine;
  readonly tracer: Tracer;
  /** Undefined for the broker's own logs. */
  readonly destination: (logId: number) => Destination | undefined;
  readonly queues: Queues;
  /** Of the namespaces that have queues. */
  readonly spaces: () => Iterable<JournalOf>;
}

interface JournalOf {
  readonly namespace: string;
  readonly journalLogId: number;
}

/** Undefined where there is no collector. */
export function spanSource(parts: {
  engine: Engine;
  config: Config;
  logger: Logger;
  tracer: Tracer;
  queues: Queues;
  state: () => MetadataState;
}): SpanSource | undefined {
  const { engine, config, logger, tracer, queues, state } = parts;
  if (config.otlpUrl === "") return undefined;
  const destination = (logId: number): Destination | undefined => {
    for (const topic of state().topics()) if (topic.id === logId) return topic;
    for (const { namespace, journalLogId } of state().routing.spaces())
      if (journalLogId === logId) return { namespace, name: "exchanges" };
    return undefined;
  };
  const resource = { "service.name": "millrace", "millrace.worker": engine.worker };
  const spaces = (): Iterable<JournalOf> => state().routing.spaces();
  return new SpanSource({ engine, tracer, logger, queues, spaces, url: config.otlpUrl, resource, destination });
}

interface Place {
  readonly logId: number;
  readonly partition: number;
  readonly from: number;
  readonly until: number;
}

export class SpanSource {
  readonly #options: SpanSourceOptions;
  readonly #sender: SpanSender;
  readonly #timer: Timer;
  /** By log, partition and offset: the span of the arrival, and when it ended. */
  readonly #arrivals = new Map<string, { spanId: string; endMs: number }>();
  /** By namespace. */
  readonly #handedSeen = new Map<string, number>();
  #arrivalsSeen = 0;
  #sentSeen = 0;
  #bytesLeft = 0;

  constructor(options: SpanSourceOptions) {
    this.#options = options;
    this.#sender = new SpanSender(options);
    this.#timer = setInterval(() => this.#roundIfPossible(), ROUND_MS);
    this.#timer.unref();
  }

  /** Looks no more, and sends no more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#sender.stop();
  }

  /** Sends what there is. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#roundIfPossible();
    await this.#sender.close();
  }

  /** A log that cannot be read costs spans and nothing else. */
  #roundIfPossible(): void {
    try {
      this.round();
    } catch (error) {
      this.#options.logger.warn("spans could not be made", { error });
    }
  }

  /** Looks at what was noted since the last round. */
  round(): void {
    const noted = this.#options.engine.notedSince(this.#arrivalsSeen, this.#sentSeen, ENTRIES_PER_ROUND);
    this.#arrivalsSeen = noted.arrivalsSeen;
    this.#sentSeen = noted.sentSeen;
    this.#bytesLeft = READ_BYTES_PER_ROUND;
    for (const { logId, partition, baseOffset, count, ...arrival } of noted.arrivals) {
      const place = { logId, partition, from: baseOffset, until: baseOffset + count };
      this.#each(place, (record, destination) => this.#arrived(record, place, destination, arrival));
    }
    for (const { logId, partition, firstOffset, nextOffset, ...sent } of noted.sent) {
      const place = { logId, partition, from: firstOffset, until: nextOffset };
      this.#each(place, (record, destination) => this.#delivered(record, place, destination, sent));
    }
    for (const space of this.#options.spaces()) this.#queues(space);
  }

  /** Deliveries of queues are noted by their namespace; here those of this worker's connections count. */
  #queues({ namespace, journalLogId }: JournalOf): void {
    const { engine, queues } = this.#options;
    const handed = queues.handedSince(namespace, this.#handedSeen.get(namespace) ?? 0, ENTRIES_PER_ROUND);
    if (handed === undefined) return;
    this.#handedSeen.set(namespace, handed.seen);
    for (const [queue, first, count, , atMs, [worker, connection, generation]] of handed.rows) {
      if (worker !== engine.worker) continue;
      const place = { logId: journalLogId, partition: 0, from: first, until: first + count };
      const destination = { namespace, name: queue };
      this.#each(place, (record) => this.#delivered(record, place, destination, { connection, generation, atMs }));
    }
  }

  /** Calls `visit` with the records of a place that may be traced. */
  #each(place: Place, visit: (record: StoredRecord, destination: Destination) => void): void {
    const destination = this.#options.destination(place.logId);
    if (destination === undefined || this.#bytesLeft <= 0 || this.#sender.room === 0) return;
    try {
      const bytes = this.#options.engine.read(place.logId, place.partition, place.from, READ_BYTES);
      this.#bytesLeft -= bytes.length;
      for (let at = 0; at < bytes.length;) {
        const batch = new BatchReader(bytes, at, bytes.length, { verify: false });
        at = batch.batchEnd;
        for (const record of batch) {
          if (record.offset >= place.until) return;
          if (record.offset >= place.from) visit(record, destination);
        }
      }
    } catch (error) {
      // Retention may have taken it meanwhile, or compaction: then there is nothing to tell of it.
      this.#options.logger.debug("records could not be read for their spans", { error });
    }
  }

  #arrived(
    record: StoredRecord,
    place: Place,
    destination: Destination,
    arrival: { connection: number; generation: number; receivedMs: number; appendedMs: number },
  ): void {
    const context = traceContextOf(record.headers);
    if (context?.isSampled !== true) return;
    const { spanId } = childTrace(context);
    const { receivedMs: startMs, appendedMs: endMs } = arrival;
    this.#remember(`${place.logId}.${place.partition}.${record.offset}`, { spanId, endMs });
    const ids = { traceId: context.traceId, spanId, parentSpanId: context.spanId };
    const attributes = this.#attributes(record, place, destination, arrival);
    const name = `publish ${destination.name}`;
    this.#sender.add({ ...ids, name, kind: "server", startMs, endMs, attributes });
  }

  #delivered(
    record: StoredRecord,
    place: Place,
    destination: Destination,
    sent: { connection: number; generation: number; atMs: number },
  ): void {
    const context = traceContextOf(record.headers);
    if (context?.isSampled !== true) return;
    const arrival = this.#arrivals.get(`${place.logId}.${place.partition}.${record.offset}`);
    const ids = {
      traceId: context.traceId,
      spanId: childTrace(context).spanId,
      parentSpanId: arrival?.spanId ?? context.spanId,
    };
    const attributes = this.#attributes(record, place, destination, sent);
    const startMs = arrival?.endMs ?? sent.atMs;
    const name = `deliver ${destination.name}`;
    this.#sender.add({ ...ids, name, kind: "internal", startMs, endMs: sent.atMs, attributes });
  }

  /** OpenTelemetry's semantic conventions for messaging name most of them. */
  #attributes(
    record: StoredRecord,
    { partition }: Place,
    { namespace, name }: Destination,
    { connection, generation }: { connection: number; generation: number },
  ): Span["attributes"] {
    const who = this.#options.tracer.book.name(connection, generation);
    return {
      "messaging.system": "millrace",
      "messaging.destination.name": name,
      "messaging.destination.partition.id": String(partition),
      "messaging.message.id": String(record.offset),
      "messaging.message.body.size": record.valueBytes,
      "millrace.namespace": namespace,
      ...(who === undefined ? {} : { "messaging.client.id": who.client, "network.peer.address": who.remote }),
    };
  }

  #remember(key: string, arrival: { spanId: string; endMs: number }): void {
    this.#arrivals.set(key, arrival);
    if (this.#arrivals.size <= REMEMBERED_MAX) return;
    const oldest = this.#arrivals.keys().next();
    if (oldest.done !== true) this.#arrivals.delete(oldest.value);
  }
}
