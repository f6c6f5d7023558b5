/**
 * Looks at the keys of some of what topics have got lately, so that a key which most messages have is found. Off the way
 * of messages: a few reads of the log a second, however much comes in.
 */
import type { Engine, Topic } from "../broker/index.ts";
import { type HotKey, HotKeys } from "../metrics/index.ts";
import { BatchReader } from "../protocol/index.ts";

const INTERVAL_MS = 1_000;
/** So many topics are looked at in a round, those that have waited longest first. */
const TOPICS_PER_ROUND = 8;
/** Of those that were looked at last, sketches are kept. */
const TOPICS_MAX = 1_000;
/** Reads for a topic in a round, each of a partition by chance: one read has neighbours only. */
const READS = 4;
const READ_BYTES = 8 * 1024;
const RECORDS_PER_READ = 16;
const KEY_CHARS_MAX = 64;
const ENTRIES_MAX = 64;
const SAMPLES_MAX = 4_096;
/** With fewer samples there is no telling. */
const SAMPLES_MIN = 64;

interface Watched {
  readonly keys: HotKeys;
  /** Messages so far, by partition, when it was looked at last. */
  counts: number[];
}

export class KeySampler {
  readonly #engine: Engine;
  readonly #topics: () => Iterable<Topic>;
  /** By topic; the one that was looked at last is the last. */
  readonly #watched = new Map<number, Watched>();
  readonly #timer: Timer;

  constructor(engine: Engine, topics: () => Iterable<Topic>) {
    this.#engine = engine;
    this.#topics = topics;
    this.#timer = setInterval(() => this.round(), INTERVAL_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** The most frequent keys of a topic. */
  hotKeys(topicId: number, max = 10): HotKey[] {
    const keys = this.#watched.get(topicId)?.keys;
    return keys === undefined || keys.samples < SAMPLES_MIN ? [] : keys.top(max);
  }

  /** The share of the most frequent key, by topic. */
  shares(): [topicId: number, share: number][] {
    return [...this.#watched.keys()].map((id) => [id, this.hotKeys(id, 1)[0]?.share ?? 0]);
  }

  /** Looks at the topics whose turn it is. */
  round(): void {
    const order = new Map([...this.#watched.keys()].map((id, place) => [id, place]));
    const waiting = [...this.#topics()].sort((a, b) => (order.get(a.id) ?? -1) - (order.get(b.id) ?? -1));
    const living = new Set(waiting.map(({ id }) => id));
    for (const id of this.#watched.keys()) if (!living.has(id)) this.#watched.delete(id);
    for (const topic of waiting.slice(0, TOPICS_PER_ROUND)) this.#lookIfThere(topic);
    for (const id of this.#watched.keys()) {
      if (this.#watched.size <= TOPICS_MAX) return;
      this.#watched.delete(id);
    }
  }

  #lookIfThere(topic: Topic): void {
    try {
      this.#look(topic);
    } catch {
      // Its log may be gone, retention may have taken what was to be read, or this runtime cannot read the compression: the
      // next round looks again.
    }
  }

  #look(topic: Topic): void {
    const watched = this.#watched.get(topic.id) ?? { keys: new HotKeys(ENTRIES_MAX, SAMPLES_MAX), counts: [] };
    this.#watched.delete(topic.id);
    this.#watched.set(topic.id, watched);
    const counts: number[] = [];
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      counts.push(this.#engine.partition(topic.id, partition).recordsIn);
    }
    const fresh = counts.map((count, partition) => count - (watched.counts[partition] ?? 0));
    watched.counts = counts;
    for (let read = 0; read < READS; read += 1) {
      const partition = drawn(fresh);
      if (partition === undefined) return;
      this.#sample(topic.id, partition, fresh[partition] ?? 0, watched.keys);
    }
  }

  /** Takes a few batches from somewhere among the newest records. */
  #sample(topicId: number, partition: number, fresh: number, keys: HotKeys): void {
    const { startOffset, highWatermark } = this.#engine.partition(topicId, partition);
    const from = Math.max(startOffset, highWatermark - Math.ceil(Math.random() * fresh));
    if (from >= highWatermark) return;
    const bytes = this.#engine.read(topicId, partition, from, READ_BYTES);
    let left = RECORDS_PER_READ;
    for (let at = 0; at < bytes.length && left > 0;) {
      const batch = new BatchReader(bytes, at, bytes.length, { verify: false });
      at = batch.batchEnd;
      for (const record of batch) {
        if (left === 0) return;
        left -= 1;
        keys.note(shown(record.key));
      }
    }
  }
}

/** A partition by chance, each as likely as its share of the messages; undefined without any. */
function drawn(fresh: readonly number[]): number | undefined {
  const sum = fresh.reduce((total, count) => total + Math.max(0, count), 0);
  if (sum === 0) return undefined;
  let left = Math.random() * sum;
  return fresh.findIndex((count) => (left -= Math.max(0, count)) < 0);
}

function shown(key: string | Uint8Array | null): string | undefined {
  if (key === null) return undefined;
  const text = typeof key === "string" ? key : new TextDecoder().decode(key);
  return text.slice(0, KEY_CHARS_MAX);
}
