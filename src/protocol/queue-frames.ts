import { FRAME_HEAD_BYTES, INTEGER_MAX } from "./constants.ts";
import { encodeContent, encodeFrame } from "./control.ts";
import { fault } from "./fault.ts";
import { writeU32 } from "./header.ts";
import { Cursor, pack, skip, unpack } from "./msgpack.ts";
import { Op } from "./ops.generated.ts";
import { writeContent, writeNil, writeUint } from "./record-writer.ts";

/** The frames of queues: messages to a consumer, and what a consumer says of them. */

/** What a SETTLE does to the messages it names. */
export const Outcome = {
  /** Done: the queue forgets it. */
  ACK: 0,
  /** Back to its place, as a delivery that counts. */
  REQUEUE: 1,
  /** Dead-lettered, or dropped where the queue has no dead-letter exchange. */
  REJECT: 2,
  /** Put aside, to be taken by its number. */
  DEFER: 3,
  /** The lease begins anew. */
  RENEW: 4,
  /** Back to its place, as if it had not been delivered. */
  RELEASE: 5,
  /** Again after a delay: what the argument says (ms, or an error class of the queue's policy), else the policy. */
  RETRY: 6,
  /** Done, and the argument is the state that its session has from now on; nil is none. For one message. */
  ACK_STATE: 7,
} as const;

const OUTCOME_MAX = 7;

/** `[first tag, count, first tag, count, ...]`, each count at least 1. */
export type TagRanges = readonly number[];

export interface Settle {
  subscription: number;
  /** null where only a failure is answered. */
  correlation: number | null;
  outcome: number;
  argument: number | string | Uint8Array | null;
  ranges: TagRanges;
}

/** So many ranges are sent in one frame at most; a receiver may refuse more. */
export const SETTLE_RANGES_MAX = 4096;

const UINT_BYTES_MAX = 9;

/** A SETTLE frame. It has at most `SETTLE_RANGES_MAX` ranges. */
export function encodeSettle({ subscription, correlation, outcome, argument, ranges }: Settle): Uint8Array {
  const argumentBytes = argument === null || typeof argument === "number" ? 0 : 4 * argument.length;
  const bytes = new Uint8Array(FRAME_HEAD_BYTES + (ranges.length + 6) * UINT_BYTES_MAX + argumentBytes);
  let at = FRAME_HEAD_BYTES;
  bytes[at++] = 0x96;
  bytes[at++] = Op.SETTLE;
  at = writeUint(bytes, at, subscription);
  at = correlation === null ? writeNil(bytes, at) : writeUint(bytes, at, correlation);
  bytes[at++] = outcome;
  at = typeof argument === "number" ? writeUint(bytes, at, argument) : writeContent(bytes, at, argument);
  at = writeArrayHead(bytes, at, ranges.length);
  for (const value of ranges) at = writeUint(bytes, at, value);
  bytes[0] = 0xc6;
  writeU32(bytes, 1, at - FRAME_HEAD_BYTES);
  return bytes.subarray(0, at);
}

function writeArrayHead(bytes: Uint8Array, at: number, length: number): number {
  if (length < 16) {
    bytes[at] = 0x90 | length;
    return at + 1;
  }
  bytes[at] = 0xdd;
  writeU32(bytes, at + 1, length);
  return at + 5;
}

/** Reads a SETTLE. Errors: malformed_frame. */
export function readSettle(bytes: Uint8Array, start: number, end: number): Settle {
  const cursor = new Cursor(bytes, start, end);
  if (cursor.array() !== 6 || cursor.uint() !== Op.SETTLE) throw fault("malformed_frame", "no SETTLE");
  const subscription = cursor.uint();
  const correlation = cursor.uintOrNil();
  const outcome = cursor.uint();
  if (outcome > OUTCOME_MAX) throw fault("malformed_frame", `there is no outcome ${outcome}`);
  const argument = readArgument(cursor);
  const count = cursor.array();
  if (count % 2 !== 0 || count > 2 * SETTLE_RANGES_MAX)
    throw fault("malformed_frame", "ranges are pairs, not too many");
  const ranges: number[] = [];
  for (let index = 0; index < count; index++) ranges.push(cursor.uint());
  for (let index = 1; index < count; index += 2) {
    if (ranges[index] === 0) throw fault("malformed_frame", "a range has at least one tag");
  }
  return { subscription, correlation, outcome, argument, ranges };
}

function readArgument(cursor: Cursor): number | string | Uint8Array | null {
  if (cursor.nil()) return null;
  const head = cursor.peek();
  if (head >= 0xc4 && head <= 0xc6) return cursor.bytes.slice(cursor.take(cursor.blob()), cursor.at);
  const isNumber = head <= 0x7f || (head >= 0xcc && head <= 0xd3);
  return isNumber ? cursor.uint() : cursor.str();
}

/** The PREFETCH frame `[14, sub, prefetch]`; 0 = no more. */
export function encodePrefetch(subscription: number, prefetch: number): Uint8Array {
  return encodeFrame(Op.PREFETCH, subscription, prefetch);
}

/** What is known of a message that was delivered before, or that comes from another queue's failure. */
export interface Redelivery {
  /** Earlier deliveries from this queue. */
  deliveries: number;
  deaths: Death[];
}

/** Why and where a message was dead-lettered, oldest first. */
export interface Death {
  queue: string;
  reason: string;
  count: number;
  /** Of the last one, in ms since 1970. */
  atMs: number;
  /** Where it went from there. */
  exchange: string;
  routingKey: string;
}

export interface MessagesHead {
  subscription: number;
  /** Of the batch's first record; the others follow one by one. */
  firstTag: number;
  /** The number of the first record where the others follow one by one, else the numbers of all. */
  numbers: number | Float64Array;
  /** By position in the batch; null where all are delivered for the first time. */
  redelivered: Map<number, Redelivery> | null;
  /** Where the batch begins; it goes to the frame's end. */
  batchStart: number;
}

/** Reads `[28, sub, first tag, numbers, redelivered]` before the batch of a MESSAGES frame. Errors: malformed_frame. */
export function readMessagesHead(bytes: Uint8Array, start: number, end: number): MessagesHead {
  const cursor = new Cursor(bytes, start, end);
  if (cursor.array() !== 5 || cursor.uint() !== Op.MESSAGES) throw fault("malformed_frame", "no MESSAGES");
  const subscription = cursor.uint();
  const firstTag = cursor.uint();
  const numbers = readNumbers(cursor);
  const redelivered = cursor.nil() ? null : readRedelivered(cursor);
  return { subscription, firstTag, numbers, redelivered, batchStart: cursor.at };
}

/** An integer, or the first number and the steps to the next ones. */
function readNumbers(cursor: Cursor): number | Float64Array {
  const head = cursor.peek();
  const isArray = (head >= 0x90 && head <= 0x9f) || head === 0xdc || head === 0xdd;
  if (!isArray) return cursor.uint();
  const count = cursor.array();
  // A count that the bytes cannot hold must not become an allocation.
  if (count > cursor.end - cursor.at) throw fault("malformed_frame", "more numbers than bytes");
  const numbers = new Float64Array(count);
  let number = 0;
  for (let index = 0; index < count; index++) {
    number += cursor.int();
    if (number < 0 || number > INTEGER_MAX) throw fault("malformed_frame", "a message's number is out of range");
    numbers[index] = number;
  }
  return numbers;
}

function readRedelivered(cursor: Cursor): Map<number, Redelivery> {
  const found = new Map<number, Redelivery>();
  for (let left = cursor.array(); left > 0; left--) {
    if (cursor.array() !== 3) throw fault("malformed_frame", "a redelivery is [index, deliveries, details]");
    const index = cursor.uint();
    const deliveries = cursor.uint();
    found.set(index, { deliveries, deaths: cursor.nil() ? [] : readDeaths(cursor) });
  }
  return found;
}

function readDeaths(cursor: Cursor): Death[] {
  const end = skip(cursor.bytes, cursor.at, cursor.end);
  const details = unpack(cursor.bytes, cursor.at, end) as { deaths?: unknown };
  cursor.at = end;
  const rows = Array.isArray(details?.deaths) ? (details.deaths as unknown[]) : [];
  return rows.filter(Array.isArray).map((row: unknown[]) => ({
    queue: String(row[0] ?? ""),
    reason: String(row[1] ?? ""),
    count: Number(row[2] ?? 0),
    atMs: Number(row[3] ?? 0),
    exchange: String(row[4] ?? ""),
    routingKey: String(row[5] ?? ""),
  }));
}

/** The number of record `index`. */
export function numberOf({ numbers }: MessagesHead, index: number): number {
  return typeof numbers === "number" ? numbers + index : (numbers[index] ?? 0);
}

/** A MESSAGES frame, as the broker's core writes it: for tests and tools. */
export function encodeMessages(head: Omit<MessagesHead, "batchStart">, batch: Uint8Array): Uint8Array {
  const { subscription, firstTag, numbers, redelivered } = head;
  const steps =
    typeof numbers === "number"
      ? numbers
      : Array.from(numbers, (number, index) => (index === 0 ? number : number - (numbers[index - 1] as number)));
  const rows = redelivered === null ? null : [...redelivered].map(([index, entry]) => redeliveryRow(index, entry));
  const content = pack([Op.MESSAGES, subscription, firstTag, steps, rows]);
  const whole = new Uint8Array(content.length + batch.length);
  whole.set(content);
  whole.set(batch, content.length);
  return encodeContent(whole);
}

function redeliveryRow(index: number, { deliveries, deaths }: Redelivery): unknown[] {
  const rows = deaths.map(({ queue, reason, count, atMs, exchange, routingKey }) => {
    return [queue, reason, count, atMs, exchange, routingKey];
  });
  return [index, deliveries, rows.length === 0 ? null : { deaths: rows }];
}
