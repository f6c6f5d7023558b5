import { fault } from "./fault.ts";
import { Cursor } from "./msgpack.ts";
import { Op } from "./ops.generated.ts";

/** The frames of the data path that a client reads by hand. */

/** The op of the frame whose content begins at `start`. Errors: malformed_frame. */
export function opOf(bytes: Uint8Array, start: number, end: number): number {
  const cursor = new Cursor(bytes, start, end);
  if (cursor.array() < 1) throw fault("malformed_frame", "a frame's content is an empty array");
  return cursor.uint();
}

/** Steps into the array of a frame and over its op. */
function open(bytes: Uint8Array, start: number, end: number, op: number): Cursor {
  const cursor = new Cursor(bytes, start, end);
  cursor.array();
  if (cursor.uint() !== op) throw fault("malformed_frame", `not a frame of op ${op}`);
  return cursor;
}

export interface DeliverHead {
  subscription: number;
  source: number;
  /** Where the batches begin; they go to the frame's end. */
  batchesStart: number;
}

/** Reads `[23, sub, source]` before the batches of a DELIVER frame. Errors: malformed_frame. */
export function readDeliverHead(bytes: Uint8Array, start: number, end: number): DeliverHead {
  const cursor = open(bytes, start, end, Op.DELIVER);
  const subscription = cursor.uint();
  const source = cursor.uint();
  return { subscription, source, batchesStart: cursor.at };
}

/** Receives one run of an ACK: `count` publishes from `correlation` on; singles have the offsets from `baseOffset` on. */
export type AckSink = (
  publisher: number,
  correlation: number,
  count: number,
  partition: number,
  baseOffset: number | null,
  level: number,
) => void;

const ACK_FIELDS = 6;

/** Reads the runs of an ACK frame. Errors: malformed_frame. */
export function readAck(bytes: Uint8Array, start: number, end: number, sink: AckSink): void {
  const cursor = new Cursor(bytes, start, end);
  const values = cursor.array() - 1;
  if (cursor.uint() !== Op.ACK || values % ACK_FIELDS !== 0) {
    throw fault("malformed_frame", "an ACK is no sequence of runs of six");
  }
  for (let left = values / ACK_FIELDS; left > 0; left--) {
    const publisher = cursor.uint();
    const correlation = cursor.uint();
    const count = cursor.uint();
    const partition = cursor.uint();
    const baseOffset = cursor.uintOrNil();
    sink(publisher, correlation, count, partition, baseOffset, cursor.uint());
  }
}

/** The bytes that a CREDIT frame returns. Errors: malformed_frame. */
export function readCredit(bytes: Uint8Array, start: number, end: number): number {
  return open(bytes, start, end, Op.CREDIT).uint();
}
