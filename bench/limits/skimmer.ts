import { Op } from "../../src/protocol/index.ts";

/**
 * Cuts a stream of frames without keeping what deliveries carry: a reader for load, which costs a few steps a frame and no
 * copy, wherever the chunks of the socket end. Other frames are small and are handed on whole.
 */

const FRAME_HEAD_BYTES = 5;
/** The frame's head, the array's head, the op: what tells a delivery from the rest. */
const OP_BYTES = FRAME_HEAD_BYTES + 2;
/** A delivery's longest head: behind the op a subscription and a source, each of up to five bytes. */
const DELIVER_HEAD_BYTES_MAX = OP_BYTES + 10;

export interface SkimmerSink {
  /** A whole frame that carries no records; its content stands at `start..end`. */
  control(bytes: Uint8Array, start: number, end: number): void;
  /** A delivery came in to its last byte: the whole frame's bytes, and those of its batches. */
  delivered(frameBytes: number, batchBytes: number): void;
}

/** Bytes of the msgpack uint that begins with this byte; deliveries hold no longer ones than u32. */
function uintBytes(first: number): number {
  if (first < 0x80) return 1;
  return first === 0xcc ? 2 : first === 0xcd ? 3 : 5;
}

export class Skimmer {
  readonly #sink: SkimmerSink;
  /** Bytes of the current delivery that have not come. */
  #left = 0;
  #frameBytes = 0;
  #batchBytes = 0;
  /** The beginning of a frame of which not enough has come. */
  #carry = new Uint8Array(4096);
  #carried = 0;

  constructor(sink: SkimmerSink) {
    this.#sink = sink;
  }

  feed(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) at = this.#skip(chunk, at);
      else if (this.#carried > 0) at = this.#resume(chunk, at);
      else {
        const taken = this.#take(chunk, at, chunk.length);
        if (taken === 0) {
          this.#keep(chunk, at, chunk.length);
          return;
        }
        at += taken;
      }
    }
  }

  #skip(chunk: Uint8Array, at: number): number {
    const count = Math.min(this.#left, chunk.length - at);
    this.#left -= count;
    if (this.#left === 0) this.#sink.delivered(this.#frameBytes, this.#batchBytes);
    return at + count;
  }

  /** Bytes that have to stand in one place before the frame at `at` can be taken. */
  #needed(bytes: Uint8Array, at: number, end: number): number {
    if (end - at < OP_BYTES) return OP_BYTES;
    if (bytes[at] !== 0xc6) throw new Error(`a frame begins with 0x${(bytes[at] ?? 0).toString(16)}, not with 0xc6`);
    const total = FRAME_HEAD_BYTES + lengthOf(bytes, at);
    return bytes[at + OP_BYTES - 1] === Op.DELIVER ? Math.min(total, DELIVER_HEAD_BYTES_MAX) : total;
  }

  /** Takes a frame, or a delivery's head, if enough of it is there; returns the bytes taken, or 0. */
  #take(bytes: Uint8Array, at: number, end: number): number {
    const needed = this.#needed(bytes, at, end);
    if (end - at < needed) return 0;
    if (bytes[at + OP_BYTES - 1] !== Op.DELIVER) {
      this.#sink.control(bytes, at + FRAME_HEAD_BYTES, at + needed);
      return needed;
    }
    const subscriptionBytes = uintBytes(bytes[at + OP_BYTES] as number);
    const sourceBytes = uintBytes(bytes[at + OP_BYTES + subscriptionBytes] as number);
    this.#frameBytes = FRAME_HEAD_BYTES + lengthOf(bytes, at);
    this.#batchBytes = this.#frameBytes - OP_BYTES - subscriptionBytes - sourceBytes;
    this.#left = this.#frameBytes - needed;
    if (this.#left === 0) this.#sink.delivered(this.#frameBytes, this.#batchBytes);
    return needed;
  }

  /** Adds to what was kept just what is missing. Returns where the chunk goes on. */
  #resume(chunk: Uint8Array, at: number): number {
    const needed = this.#needed(this.#carry, 0, this.#carried);
    const end = Math.min(chunk.length, at + needed - this.#carried);
    this.#keep(chunk, at, end);
    // The carry may only now be long enough to tell how long it has to be.
    if (this.#carried === needed && this.#take(this.#carry, 0, this.#carried) > 0) this.#carried = 0;
    return end;
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    const total = this.#carried + end - start;
    if (total > this.#carry.length) {
      const grown = new Uint8Array(total * 2);
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(start, end), this.#carried);
    this.#carried = total;
  }
}

function lengthOf(bytes: Uint8Array, at: number): number {
  const high = bytes[at + 1] as number;
  return (
    high * 0x1000000 +
    (((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number))
  );
}
