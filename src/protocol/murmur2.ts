import { utf8BytesMax, writeUtf8 } from "./utf8.ts";

/**
 * Murmur2 as Kafka's clients use it to pick partitions, so that a key lands on
 * the same partition whichever client publishes it.
 */

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** The hash of `length` bytes from `start`, as a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array, start: number = 0, length: number = bytes.length - start): number {
  const byteAt = (index: number): number => bytes[index] as number;
  let hash = SEED ^ length;
  const end = start + length;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    let k = byteAt(at) | (byteAt(at + 1) << 8) | (byteAt(at + 2) << 16) | (byteAt(at + 3) << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(k, M);
  }
  const left = end - at;
  if (left === 3) hash ^= byteAt(at + 2) << 16;
  if (left >= 2) hash ^= byteAt(at + 1) << 8;
  if (left >= 1) hash = Math.imul(hash ^ byteAt(at), M);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** The partition of a key's content bytes among `partitions`. */
export function partitionOf(bytes: Uint8Array, start: number, length: number, partitions: number): number {
  return (murmur2(bytes, start, length) & 0x7fffffff) % partitions;
}

const SCRATCH_BYTES = 256;

/** Picks partitions of keys; it holds the buffer in which text becomes UTF-8, so that a key costs no allocation. */
export class KeyPartitioner {
  private scratch: Uint8Array = new Uint8Array(SCRATCH_BYTES);

  /** The partition of a key among `partitions`. */
  partitionOf(key: string | Uint8Array, partitions: number): number {
    if (typeof key !== "string") return partitionOf(key, 0, key.length, partitions);
    const room = utf8BytesMax(key);
    if (room > this.scratch.length) this.scratch = new Uint8Array(room);
    return partitionOf(this.scratch, 0, writeUtf8(this.scratch, 0, key), partitions);
  }
}
