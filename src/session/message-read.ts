/** Reads records of a topic for one request, without a subscription. */
import type { Topic } from "../broker/index.ts";
import { BatchReader, KeyPartitioner, type Record as StoredRecord } from "../protocol/index.ts";
import { invalid } from "./arguments.ts";
import type { Caller } from "./caller.ts";

export interface ReadRequest {
  readonly topic: string;
  readonly partition: number | undefined;
  readonly key: string | Uint8Array | undefined;
  readonly from: number | undefined;
  /** -1 is the end. */
  readonly before: number | undefined;
  readonly timestamp: number | undefined;
  readonly max: number;
}

export interface RecordRow {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface ReadResult {
  readonly partition: number;
  /** How many the topic has. */
  readonly partitions: number;
  readonly records: readonly RecordRow[];
  /** Where reading forward goes on; with `before`, the first offset that was looked at. */
  readonly next: number;
  /** Of what can be read: the first offset, and the one behind the last. */
  readonly start: number;
  readonly end: number;
}

/** Read at once; others get their turn in between. */
const CHUNK_BYTES = 64 * 1024;
/** One answer holds no more of the log than this; the first record always fits. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
/** One request looks at no more of the log than this. */
const SCAN_BYTES_MAX = 32 * 1024 * 1024;

/** What one look backwards reads at most; one that reaches no end is taken back and made shorter. */
const LOOK_BYTES_MAX = 4 * 1024 * 1024;

/** What is read from one partition, and what was found of it so far. */
class Reading {
  readonly records: RecordRow[] = [];
  readonly end: number;
  readonly start: number;
  next = 0;
  answerBytes = 0;
  scannedBytes = 0;
  readonly #caller: Caller;
  readonly #topic: Topic;
  readonly #partition: number;
  readonly #max: number;
  readonly #key: Uint8Array | undefined;
  readonly #scanBytesMax: number;

  constructor(
    caller: Caller,
    topic: Topic,
    partition: number,
    request: ReadRequest,
    scanBytesMax: number = SCAN_BYTES_MAX,
  ) {
    this.#scanBytesMax = scanBytesMax;
    this.#caller = caller;
    this.#topic = topic;
    this.#partition = partition;
    this.#max = request.max;
    this.#key = typeof request.key === "string" ? new TextEncoder().encode(request.key) : request.key;
    const { startOffset, highWatermark } = caller.services.engine.partition(topic.id, partition);
    this.start = startOffset;
    this.end = highWatermark;
  }

  get isFull(): boolean {
    return (
      this.records.length >= this.#max ||
      this.answerBytes >= ANSWER_BYTES_MAX ||
      this.scannedBytes >= this.#scanBytesMax
    );
  }

  /** Reads on to `until`, or until there is enough. */
  async forward(from: number, until: number): Promise<void> {
    this.next = Math.max(from, this.start);
    while (this.next < until && !this.isFull) {
      const bytes = this.#caller.services.engine.read(this.#topic.id, this.#partition, this.next, CHUNK_BYTES);
      if (bytes.length === 0) break;
      this.#takeBatches(bytes, until);
      // Behind it, so that a batch that is larger than all of this is read too.
      this.scannedBytes += bytes.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #takeBatches(bytes: Uint8Array, until: number): void {
    for (let at = 0; at < bytes.length && !this.isFull;) {
      const batch = new BatchReader(bytes, at, bytes.length);
      at = batch.batchEnd;
      for (const record of batch) {
        if (record.offset < this.next || record.offset >= until) continue;
        if (this.isFull) return;
        this.next = record.offset + 1;
        this.#take(record);
      }
      if (!this.isFull) this.next = Math.max(this.next, Math.min(batch.nextOffset, until));
    }
  }

  #take(record: StoredRecord): void {
    const { key, value } = record;
    if (this.#key !== undefined && (key === null || !Buffer.from(key).equals(this.#key))) return;
    const { offset, timestamp } = record;
    this.records.push({ offset, timestamp, key: copyOf(key), value: copyOf(value), headers: record.headers });
    this.answerBytes += (key?.length ?? 0) + (value?.length ?? 0);
  }
}

/** A view would keep the whole chunk. */
function copyOf(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : bytes.slice();
}

/** @throws topic_not_found, partition_not_found, invalid_argument. */
export async function readRecords(caller: Caller, request: ReadRequest): Promise<ReadResult> {
  const { topics, engine } = caller.services;
  const topic = topics.require(caller.namespace, request.topic);
  const partition = partitionOf(topic, request);
  topics.checkPartition(topic, partition);
  if ([request.from, request.before, request.timestamp].filter((each) => each !== undefined).length > 1) {
    throw invalid("from", "alone: one of from, before and timestamp");
  }
  const reading = new Reading(caller, topic, partition, request);
  if (request.before !== undefined) return await readBackward(caller, topic, partition, request);
  const { timestamp } = request;
  const from = timestamp === undefined ? (request.from ?? 0) : engine.offsetAt(topic.id, partition, timestamp);
  await reading.forward(from, reading.end);
  return resultOf(reading, topic, partition, reading.next);
}

/**
 * The last records before an offset. Where compaction or the key leave few, it looks further back, twice as far each
 * time, until there are enough, the beginning is reached, or it has looked at enough.
 */
async function readBackward(
  caller: Caller,
  topic: Topic,
  partition: number,
  request: ReadRequest,
): Promise<ReadResult> {
  const look = (): Reading =>
    new Reading(caller, topic, partition, { ...request, max: Number.POSITIVE_INFINITY }, LOOK_BYTES_MAX);
  const { start, end } = look();
  const before = request.before === -1 ? end : Math.min(request.before ?? end, end);
  const found: RecordRow[] = [];
  let [until, span, scannedBytes, answerBytes] = [before, request.max, 0, 0];
  const isEnough = (): boolean =>
    found.length >= request.max || scannedBytes >= SCAN_BYTES_MAX || answerBytes >= ANSWER_BYTES_MAX;
  // However much there is to look at, each request comes further.
  while (until > start && (until === before || !isEnough())) {
    const reading = look();
    const from = Math.max(start, until - span);
    await reading.forward(from, until);
    scannedBytes += reading.scannedBytes;
    if (reading.next < until && reading.isFull && span > 1) {
      span = Math.max(1, Math.floor((reading.next - from) / 2));
      continue;
    }
    found.unshift(...reading.records);
    answerBytes += reading.answerBytes;
    until = from;
    span *= 2;
  }
  const shown = found.slice(-request.max);
  const next = found.length > request.max ? (shown[0]?.offset ?? until) : until;
  return { partition, partitions: topic.partitions, records: shown, next, start, end };
}

function resultOf(reading: Reading, topic: Topic, partition: number, next: number): ReadResult {
  return {
    partition,
    partitions: topic.partitions,
    records: reading.records,
    next,
    start: reading.start,
    end: reading.end,
  };
}

/** A key's partition is the one that clients give it. */
function partitionOf(topic: Topic, { partition, key }: ReadRequest): number {
  if (partition !== undefined) return partition;
  if (key !== undefined) return new KeyPartitioner().partitionOf(key, topic.partitions);
  if (topic.partitions === 1) return 0;
  throw invalid("partition", `given: the topic has ${topic.partitions}, and no key says which one`);
}
