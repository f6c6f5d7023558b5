import { FRAME_BYTES_MAX, FRAME_HEAD_BYTES } from "./constants.ts";
import { errorToWire, fault } from "./fault.ts";
import { FrameReader } from "./frames.ts";
import { pack, unpack } from "./msgpack.ts";
import { Op } from "./ops.generated.ts";

/** Control frames: everything but publishes and deliveries. Their content is one msgpack array `[op, ...args]`. */

export interface ControlFrame {
  op: number;
  args: unknown[];
}

/** A whole frame, head included, around the content. */
export function encodeContent(content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + content.length);
  frame[0] = 0xc6;
  frame[1] = content.length >>> 24;
  frame[2] = content.length >>> 16;
  frame[3] = content.length >>> 8;
  frame[4] = content.length;
  frame.set(content, FRAME_HEAD_BYTES);
  return frame;
}

/** The frame `[op, ...args]`. Trailing undefined arguments are written as nil. */
export function encodeFrame(op: number, ...args: unknown[]): Uint8Array {
  return encodeContent(pack([op, ...args]));
}

/** `[5, corr, result]`; a result of undefined is written as nil. */
export function encodeOk(correlation: number, result?: unknown): Uint8Array {
  return encodeFrame(Op.OK, correlation, result ?? null);
}

/** `[6, corr, code, name, message, retryable, details]`; an error that is not a MillraceError goes out as `internal`, without its message. */
export function encodeError(correlation: number, error: unknown): Uint8Array {
  return encodeFrame(Op.ERROR, correlation, ...errorToWire(error));
}

/** Decodes the content of a control frame. Errors: malformed_frame. */
export function decodeContent(bytes: Uint8Array, start: number, end: number): ControlFrame {
  const value = unpack(bytes, start, end);
  if (!Array.isArray(value)) throw fault("malformed_frame", "a frame's content is no array");
  const [op, ...args] = value as unknown[];
  if (typeof op !== "number") throw fault("malformed_frame", "a frame's op is no integer");
  return { op, args };
}

/**
 * Decodes whole control frames that stand one after another, heads included.
 *
 * Errors: malformed_frame, also when the last frame is incomplete. Frames
 * before a malformed one come out first.
 */
export function* decodeControl(
  frames: Uint8Array,
  frameBytesMax: number = FRAME_BYTES_MAX,
): IterableIterator<ControlFrame> {
  const reader = new FrameReader(frameBytesMax);
  const ready: [bytes: Uint8Array, start: number, end: number][] = [];
  let failure: unknown;
  try {
    reader.feed(frames, (bytes, start, end) => ready.push([bytes, start, end]));
  } catch (error) {
    failure = error;
  }
  for (const [bytes, start, end] of ready) yield decodeContent(bytes, start, end);
  if (failure) throw failure;
  if (!reader.isEmpty) throw fault("malformed_frame", "the last frame is incomplete");
}
