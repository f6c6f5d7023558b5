import { BATCH_HEADER_BYTES, FRAME_BYTES_MAX, FRAME_HEAD_BYTES } from "./constants.ts";
import { readDeliverHead } from "./delivery.ts";
import { fault } from "./fault.ts";
import { readU32 } from "./header.ts";
import { Op } from "./ops.generated.ts";

/**
 * Cuts a byte stream into frames. A frame is a msgpack bin32: `c6`, the
 * content's length as big-endian u32, the content.
 */

const BIN32 = 0xc6;
const CARRY_BYTES_MIN = 4096;
/** How far an announced length is believed before its bytes are here. */
const CARRY_BYTES_AHEAD = 1024 * 1024;
/** `93 17`, subscription and source as integers of up to nine bytes. */
const DELIVER_HEAD_BYTES_MAX = 20;

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
 * Receives whole batches of a DELIVER frame as they come, where the frame is
 * split over chunks: they stand at `start..end`. `frameBytes` is what the part
 * takes of the frame, so that all parts together are the whole frame.
 */
export type PartSink = (
  subscription: number,
  source: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  frameBytes: number,
) => void;

/**
 * Holds what is left of a frame that is split over chunks. Frames that lie
 * inside a chunk are handed on as positions in that chunk, without a copy; the
 * chunk must therefore not be overwritten while their records are in use.
 *
 * With a sink for parts, only the batch that lies over a chunk's end is copied
 * and not the frame, which may be sixteen times as long.
 */
export class FrameReader {
  private readonly frameBytesMax: number;
  private carry: Uint8Array = new Uint8Array(0);
  private carried = 0;
  /** Of the DELIVER frame that comes in parts. */
  private subscription = 0;
  private source = 0;
  /** Bytes of it that were not handed on, those carried included; 0 = there is no such frame. */
  private left = 0;

  constructor(frameBytesMax: number = FRAME_BYTES_MAX) {
    this.frameBytesMax = frameBytesMax;
  }

  /** True between frames. */
  get isEmpty(): boolean {
    return this.carried === 0 && this.left === 0;
  }

  /**
   * Takes the next bytes of the stream and hands on each frame they complete.
   *
   * Errors: malformed_frame, frame_too_large; the stream is over after one.
   */
  feed(chunk: Uint8Array, sink: FrameSink, parts?: PartSink): void {
    let at = 0;
    if (this.left > 0) {
      at = this.readParts(chunk, 0, parts as PartSink, 0);
      if (this.left > 0) return;
    } else if (this.carried > 0) {
      at = this.complete(chunk, sink);
      if (this.carried > 0) return;
    }
    while (chunk.length - at >= FRAME_HEAD_BYTES) {
      const start = at + FRAME_HEAD_BYTES;
      const end = start + contentLength(chunk, at, this.frameBytesMax);
      if (end > chunk.length) {
        if (!parts || !isDelivery(chunk, start)) break;
        this.beginParts(chunk, start, end, parts);
        return;
      }
      at = end;
      sink(chunk, start, end);
    }
    if (at < chunk.length) {
      if (chunk[at] !== BIN32) contentLength(chunk, at, this.frameBytesMax);
      this.keep(chunk, at, chunk.length, 0);
    }
  }

  /** Completes the carried frame; returns how many bytes of the chunk it took. */
  private complete(chunk: Uint8Array, sink: FrameSink): number {
    let at = 0;
    if (this.carried < FRAME_HEAD_BYTES) {
      at = Math.min(FRAME_HEAD_BYTES - this.carried, chunk.length);
      this.keep(chunk, 0, at, 0);
      if (this.carried < FRAME_HEAD_BYTES) return at;
    }
    const total = FRAME_HEAD_BYTES + contentLength(this.carry, 0, this.frameBytesMax);
    const take = Math.min(total - this.carried, chunk.length - at);
    this.keep(chunk, at, at + take, total);
    if (this.carried === total) sink(this.takeCarry(), FRAME_HEAD_BYTES, total);
    return at + take;
  }

  private beginParts(chunk: Uint8Array, start: number, end: number, parts: PartSink): void {
    const { subscription, source, batchesStart } = readDeliverHead(chunk, start, chunk.length);
    this.subscription = subscription;
    this.source = source;
    this.left = end - batchesStart;
    this.readParts(chunk, batchesStart, parts, FRAME_HEAD_BYTES + batchesStart - start);
  }

  /** Hands on what the chunk has of the frame's batches and carries the one that is cut; returns where the frame's bytes end in the chunk. */
  private readParts(chunk: Uint8Array, begin: number, parts: PartSink, headBytes: number): number {
    let at = begin;
    if (this.carried > 0) {
      at = this.completeBatch(chunk, at, parts);
      if (this.carried > 0) return at;
    }
    const end = Math.min(chunk.length, at + this.left);
    let behind = at;
    for (let next = at; next <= end; next += this.batchBytes(chunk, next, end, this.left - (next - at))) {
      behind = next;
      if (next === end) break;
    }
    if (behind > at || headBytes > 0) {
      this.left -= behind - at;
      parts(this.subscription, this.source, chunk, at, behind, headBytes + behind - at);
    }
    if (behind < end) this.keep(chunk, behind, end, this.batchBytes(chunk, behind, end, this.left));
    return end;
  }

  /** Completes the carried batch; returns how far into the chunk that went. */
  private completeBatch(chunk: Uint8Array, begin: number, parts: PartSink): number {
    let at = begin;
    if (this.carried < BATCH_HEADER_BYTES) {
      at = Math.min(at + BATCH_HEADER_BYTES - this.carried, at + this.left - this.carried, chunk.length);
      this.keep(chunk, begin, at, 0);
    }
    const total = this.batchBytes(this.carry, 0, this.carried, this.left);
    const take = Math.min(total - this.carried, chunk.length - at);
    this.keep(chunk, at, at + take, total);
    if (this.carried === total) {
      this.left -= total;
      parts(this.subscription, this.source, this.takeCarry(), 0, total, total);
    }
    return at + take;
  }

  /**
   * The length of the batch at `at`, of which the bytes up to `end` are here. A
   * batch that claims more than the frame's `left` bytes gets those, and whoever
   * reads it finds the fault.
   */
  private batchBytes(bytes: Uint8Array, at: number, end: number, left: number): number {
    if (end - at < BATCH_HEADER_BYTES) return Math.min(left, BATCH_HEADER_BYTES);
    return Math.min(left, BATCH_HEADER_BYTES + readU32(bytes, at + BATCH_HEADER_BYTES - 4));
  }

  /** What was carried. Its records may outlive it, so its buffer is not used again. */
  private takeCarry(): Uint8Array {
    const { carry } = this;
    this.carry = new Uint8Array(0);
    this.carried = 0;
    return carry;
  }

  /** Appends bytes to the carry, which grows with what has come, and no more than `CARRY_BYTES_AHEAD` ahead of it to the length that was announced. */
  private keep(chunk: Uint8Array, start: number, end: number, announced: number): void {
    const needed = this.carried + end - start;
    if (needed > this.carry.length) {
      const ahead = Math.min(announced, needed + CARRY_BYTES_AHEAD);
      const grown = new Uint8Array(ahead >= needed ? ahead : Math.max(CARRY_BYTES_MIN, needed, this.carry.length * 2));
      grown.set(this.carry.subarray(0, this.carried));
      this.carry = grown;
    }
    this.carry.set(chunk.subarray(start, end), this.carried);
    this.carried = needed;
  }
}

/** Whether the content that begins at `start` is a DELIVER whose head is here. */
function isDelivery(chunk: Uint8Array, start: number): boolean {
  return chunk.length - start >= DELIVER_HEAD_BYTES_MAX && chunk[start] === 0x93 && chunk[start + 1] === Op.DELIVER;
}
