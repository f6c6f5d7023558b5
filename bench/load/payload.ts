import type { SizeRange } from "./settings.ts";

/**
 * The values of the load. Each begins with 24 bytes that tell where it came from, all little-endian:
 *
 *    0  u64  when it was due (open loop) or handed over (saturating), in µs on the machine's shared clock
 *    8  u32  the run, so that a topic may hold other records as well
 *   12  u32  the producer
 *   16  u64  its number among the producer's records in that partition, from 0 up without a gap
 *
 * The rest is text, different from value to value.
 */

export const STAMP_BYTES = 24;
const TWO_32 = 2 ** 32;
/** Values that are made before the clock starts and used in turn. */
const POOL = 1024;
const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 ";

function writeLittle32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function readLittle32(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return (low | ((bytes[at + 3] as number) << 24)) >>> 0;
}

function writeLittle64(bytes: Uint8Array, at: number, value: number): void {
  writeLittle32(bytes, at, value % TWO_32);
  writeLittle32(bytes, at + 4, value / TWO_32);
}

function readLittle64(bytes: Uint8Array, at: number): number {
  return readLittle32(bytes, at) + readLittle32(bytes, at + 4) * TWO_32;
}

/** The part of a stamp that stays. */
export function writeOrigin(bytes: Uint8Array, at: number, run: number, producer: number): void {
  writeLittle32(bytes, at + 8, run);
  writeLittle32(bytes, at + 12, producer);
}

/** The part that each message has anew. */
export function writeStamp(bytes: Uint8Array, at: number, dueUs: number, number: number): void {
  writeLittle64(bytes, at, Math.floor(dueUs));
  writeLittle64(bytes, at + 16, number);
}

export const dueOf = (bytes: Uint8Array, at: number): number => readLittle64(bytes, at);
export const runOf = (bytes: Uint8Array, at: number): number => readLittle32(bytes, at + 8);
export const producerOf = (bytes: Uint8Array, at: number): number => readLittle32(bytes, at + 12);
export const numberOf = (bytes: Uint8Array, at: number): number => readLittle64(bytes, at + 16);

/** Numbers from 0 to below 1 that are the same in every run (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / TWO_32;
  };
}

function sizeOf({ kind, from, to }: SizeRange, next: () => number): number {
  if (kind === "even") return from + Math.floor(next() * (to - from + 1));
  return Math.max(STAMP_BYTES, Math.min(to, Math.round(-Math.log(1 - next()) * from)));
}

/** Values to be stamped and sent in turn: text of the sizes that were asked for, with the origin in it. */
export function valuePool(sizes: SizeRange, run: number, producer: number): Uint8Array[] {
  const next = random(producer + 1);
  return Array.from({ length: POOL }, () => {
    const value = new Uint8Array(sizeOf(sizes, next));
    for (let at = STAMP_BYTES; at < value.length; at += 1) {
      value[at] = LETTERS.charCodeAt(Math.floor(next() * LETTERS.length));
    }
    writeOrigin(value, 0, run, producer);
    return value;
  });
}

/** The keys of a load that has some. */
export function keyPool(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `key-${number}`);
}
