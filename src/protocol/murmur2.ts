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
