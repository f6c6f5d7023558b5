import { FRAME_HEAD_BYTES } from "./constants.ts";
import { writeU32, writeU64 } from "./header.ts";
import { Op } from "./ops.generated.ts";
import {
  type Content,
  type Headers,
  recordBytesMax,
  writeContent,
  writeNil,
  writeRecord,
  writeUint,
} from "./record-writer.ts";

/** Publish frames, written by hand: they are the producer's hot path. */

/** The key's last record must be at `lastOffset`; null = the key must not exist. */
export interface KeyCondition {
  key: string | Uint8Array;
  lastOffset: number | null;
}

/** null = unconditional; a number = the partition's next offset must be this. */
export type Condition = null | number | KeyCondition;

export interface PublishHead {
  publisher: number;
  correlation: number;
  /** null lets the broker choose by the record's key (PUBLISH_ONE only). */
  partition: number | null;
  acks: number;
  condition: Condition;
}

/** The most bytes before the batch in a PUBLISH frame whose condition names no key. */
export const PUBLISH_HEAD_BYTES_MAX = 32;

const CONDITION_BYTES_MAX = 16;

function writeFixed32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = 0xce;
  writeU32(bytes, at + 1, value);
  return at + 5;
}

function writeCondition(bytes: Uint8Array, at: number, condition: Condition): number {
  if (condition === null) return writeNil(bytes, at);
  if (typeof condition === "number") {
    bytes[at] = 0xcf;
    writeU64(bytes, at + 1, condition);
    return at + 9;
  }
  bytes[at] = 0x92;
  const end = writeContent(bytes, at + 1, condition.key);
  const { lastOffset } = condition;
  return lastOffset === null ? writeNil(bytes, end) : writeUint(bytes, end, lastOffset);
}

function conditionBytesMax(condition: Condition): number {
  const isKeyed = condition !== null && typeof condition !== "number";
  return CONDITION_BYTES_MAX + (isKeyed ? recordBytesMax(condition.key, null, null) : 0);
}

function headBytes(head: PublishHead): number {
  const partition = head.partition === null ? 1 : 5;
  const condition = head.condition === null ? 1 : 9;
  return FRAME_HEAD_BYTES + 2 + 5 + 5 + partition + 1 + condition;
}

/**
 * Writes a PUBLISH frame's head so that it ends at `batchStart`, right before
 * the batch (which ends at `batchEnd`): the whole frame is then one range.
 * `condition` must not name a key; see `encodePublish` for that.
 *
 * @returns where the frame begins
 */
export function writePublishHead(bytes: Uint8Array, batchStart: number, batchEnd: number, head: PublishHead): number {
  const start = batchStart - headBytes(head);
  bytes[start] = 0xc6;
  writeU32(bytes, start + 1, batchEnd - start - FRAME_HEAD_BYTES);
  writeHeadValues(bytes, start + FRAME_HEAD_BYTES, head);
  return start;
}

function writeHeadValues(bytes: Uint8Array, at: number, head: PublishHead): number {
  bytes[at] = 0x96;
  bytes[at + 1] = Op.PUBLISH;
  let end = writeFixed32(bytes, at + 2, head.publisher);
  end = writeFixed32(bytes, end, head.correlation);
  end = head.partition === null ? writeNil(bytes, end) : writeFixed32(bytes, end, head.partition);
  bytes[end] = head.acks;
  return writeCondition(bytes, end + 1, head.condition);
}

/** A whole PUBLISH frame in a buffer of its own, with any condition. */
export function encodePublish(head: PublishHead, batch: Uint8Array): Uint8Array {
  const room = PUBLISH_HEAD_BYTES_MAX + conditionBytesMax(head.condition);
  const bytes = new Uint8Array(room + batch.length);
  const headEnd = writeHeadValues(bytes, FRAME_HEAD_BYTES, head);
  bytes[0] = 0xc6;
  writeU32(bytes, 1, headEnd + batch.length - FRAME_HEAD_BYTES);
  bytes.set(batch, headEnd);
  return bytes.subarray(0, headEnd + batch.length);
}

export interface SingleHead extends PublishHead {
  /** Per partition, for publishers opened with a producer id; null otherwise. */
  sequence: number | null;
}

/** Room to make for a PUBLISH_ONE frame. */
export function publishOneBytesMax(
  condition: Condition,
  key: Content,
  value: Content,
  headers: Headers | null | undefined,
): number {
  const heads = PUBLISH_HEAD_BYTES_MAX + 16;
  return heads + conditionBytesMax(condition) + recordBytesMax(key, value, headers);
}

/**
 * Writes a whole PUBLISH_ONE frame at `at`; the caller has made room for
 * `publishOneBytesMax`.
 *
 * @param timestamp milliseconds since 1970; null lets the broker set its own
 * @returns the position behind the frame
 */
export function writePublishOne(
  bytes: Uint8Array,
  at: number,
  head: SingleHead,
  timestamp: number | null,
  key: Content,
  value: Content,
  headers: Headers | null | undefined,
): number {
  const content = at + FRAME_HEAD_BYTES;
  bytes[content] = 0x98;
  bytes[content + 1] = Op.PUBLISH_ONE;
  let end = writeUint(bytes, content + 2, head.publisher);
  end = writeUint(bytes, end, head.correlation);
  end = head.partition === null ? writeNil(bytes, end) : writeUint(bytes, end, head.partition);
  bytes[end++] = head.acks;
  end = head.sequence === null ? writeNil(bytes, end) : writeUint(bytes, end, head.sequence);
  end = writeCondition(bytes, end, head.condition);
  end = writeRecord(bytes, end, timestamp, key, value, headers);
  bytes[at] = 0xc6;
  writeU32(bytes, at + 1, end - content);
  return end;
}

/** The FLOW frame `[12, sub, bytes]`. */
export function encodeFlow(subscription: number, creditBytes: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEAD_BYTES + 12);
  bytes[0] = 0xc6;
  bytes[FRAME_HEAD_BYTES] = 0x93;
  bytes[FRAME_HEAD_BYTES + 1] = Op.FLOW;
  const end = writeFixed32(bytes, writeFixed32(bytes, FRAME_HEAD_BYTES + 2, subscription), creditBytes);
  writeU32(bytes, 1, end - FRAME_HEAD_BYTES);
  return bytes.subarray(0, end);
}
