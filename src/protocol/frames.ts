import { FRAME_BYTES_MAX, FRAME_HEAD_BYTES } from "./constants.ts";
import { fault } from "./fault.ts";

/**
 * Cuts a byte stream into frames. A frame is a msgpack bin32: `c6`, the
 * content's length as big-endian u32, the content.
 */

const BIN32 = 0xc6;
const CARRY_BYTES_MIN = 4096;

/** Receives a frame's content, which stands at `start..end` of `bytes`. */
export type FrameSink = (bytes: Uint8Array, start: number, end: number) => void;

/** The content length of the frame whose head is at `at`. Errors: malformed_frame, frame_too_large. */
function contentLength(bytes: Uint8Array, at: number, frameBytesMax: number): number {
  if (bytes[at] !== BIN32) {
    throw fault("malformed_frame", `a frame begins with 0x${(bytes[at] ?? 0).toString(16)}, not with 0xc6`);
  }
  const length =
    (bytes[at + 1] as number) * 0x1000000 +
    (((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number));
  if (length > frameBytesMax) {
    throw fault("frame_too_large", `a frame of ${length} bytes is over the limit of ${frameBytesMax}`);
  }
  return length;
}

/**
 * Holds what is left of a frame that is split over chunks. Frames that lie
 * inside a chunk are handed on as positions in that chunk, without a copy; the
 * chunk must therefore not be overwritten while their records are in use.
 */
export class FrameReader {
  private readonly frameBytesMax: number;
  private carry: Uint8Array = new Uint8Array(0);
  private carried = 0;

  constructor(frameBytesMax: number = FRAME_BYTES_MAX) {
    this.frameBytesMax = frameBytesMax;
  }

  /** True between frames. */
  get isEmpty(): boolean {
    return this.carried === 0;
  }

  /**
   * Takes the next bytes of the stream and hands on each frame they complete.
   *
   * Errors: malformed_frame, frame_too_large; the stream is over after one.
   */
  feed(chunk: Uint8Array, sink: FrameSink): void {
    let at = this.carried === 0 ? 0 : this.complete(chunk, sink);
    if (this.carried !== 0) return;
    while (chunk.length - at >= FRAME_HEAD_BYTES) {
      const start = at + FRAME_HEAD_BYTES;
      const end = start + contentLength(chunk, at, this.frameBytesMax);
      if (end > chunk.length) break;
      at = end;
      sink(chunk, start, end);
    }
    if (at < chunk.length) {
      if (chunk[at] !== BIN32) contentLength(chunk, at, this.frameBytesMax);
      this.keep(chunk, at, chunk.length);
    }
  }

  /** Completes the carried frame; returns how many bytes of the chunk it took. */
  private complete(chunk: Uint8Array, sink: FrameSink): number {
    let at = 0;
    if (this.carried < FRAME_HEAD_BYTES) {
      at = Math.min(FRAME_HEAD_BYTES - this.carried, chunk.length);
      this.keep(chunk, 0, at);
      if (this.carried < FRAME_HEAD_BYTES) return at;
    }
    const total = FRAME_HEAD_BYTES + contentLength(this.carry, 0, this.frameBytesMax);
    const take = Math.min(total - this.carried, chunk.length - at);
    this.keep(chunk, at, at + take);
    if (this.carried === total) {
      const frame = this.carry;
      // The records of this frame may outlive it, so its buffer is not used again.
      this.carry = new Uint8Array(0);
      this.carried = 0;
      sink(frame, FRAME_HEAD_BYTES, total);
    }
    return at + take;
  }

  /** Appends bytes to the carry, which grows with what has come and never to an announced length at once. */
  private keep(chunk: Uint8Array, start: number, end: number): void {
    const needed = this.carried + end - start;
    if (needed > this.carry.length) {
      const grown = new Uint8Array(Math.max(CARRY_BYTES_MIN, needed, this.carry.length * 2));
      grown.set(this.carry.subarray(0, this.carried));
      this.carry = grown;
    }
    this.carry.set(chunk.subarray(start, end), this.carried);
    this.carried = needed;
  }
}
