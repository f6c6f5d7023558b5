import {
  BatchEncoder,
  encodePublish,
  publishOneBytesMax,
  type PublishHead,
  type SingleHead,
  writePublishOne,
} from "../../src/protocol/index.ts";
import type { Unit } from "../limits/units.ts";
import { Bodies } from "./bodies.ts";

/** What raw load publishes to exchanges, encoded before its clock starts. */

/** Five bytes in every encoding, so that all frames have one length. */
const FIRST_CORRELATION = 0x1000_0000;
const PUBLISHER = 1;
const MESSAGES_PER_BATCH = 500;

export interface UnitSpec {
  /** Routing keys, all of one length; message n has key n modulo their count, or with `isByBatch` batch n has. */
  readonly keys: readonly string[];
  readonly isByBatch: boolean;
  /** PUBLISH_ONE frames instead of batches. */
  readonly isSingle: boolean;
  readonly messages: number;
  readonly bodyBytes: number;
  readonly acks: number;
}

const headOf = (spec: UnitSpec, correlation: number): PublishHead => {
  return { publisher: PUBLISHER, correlation, partition: null, acks: spec.acks, condition: null };
};

function batchFrame(spec: UnitSpec, bodies: Bodies, batch: number): Uint8Array {
  const { keys, isByBatch } = spec;
  const encoder = new BatchEncoder({ batchBytesMax: 1024 * 1024 });
  const first = batch * MESSAGES_PER_BATCH;
  const nowMs = Date.now();
  for (let number = first; number < first + MESSAGES_PER_BATCH; number += 1) {
    const key = keys[(isByBatch ? batch : number) % keys.length] as string;
    if (!encoder.append(nowMs, key, bodies.make(number))) throw new Error("a batch does not hold its messages");
  }
  encoder.finish();
  return encodePublish(headOf(spec, batch), encoder.batch());
}

function singleFrame(spec: UnitSpec, bodies: Bodies, number: number): Uint8Array {
  const key = spec.keys[number % spec.keys.length] as string;
  const value = bodies.make(number);
  const bytes = new Uint8Array(publishOneBytesMax(null, key, value, null));
  const head: SingleHead = { ...headOf(spec, FIRST_CORRELATION + number), sequence: null };
  return bytes.slice(0, writePublishOne(bytes, 0, head, null, key, value, null));
}

/** The frames of so many messages, rounded up to whole batches. */
export function publishUnit(spec: UnitSpec): Unit {
  const bodies = new Bodies(spec.bodyBytes);
  const frames: Uint8Array[] = [];
  const count = spec.isSingle ? spec.messages : Math.ceil(spec.messages / MESSAGES_PER_BATCH);
  while (frames.length < count) frames.push((spec.isSingle ? singleFrame : batchFrame)(spec, bodies, frames.length));
  const frameBytes = frames[0]?.length ?? 0;
  if (frames.some(({ length }) => length !== frameBytes)) throw new Error("the frames differ in their length");
  const bytes = new Uint8Array(Buffer.concat(frames));
  // One batch a write; single messages go as many at once as come to one.
  const framesPerWrite = spec.isSingle ? divisorOf(count, MESSAGES_PER_BATCH) : 1;
  return {
    bytes,
    frameBytes,
    strideBytes: frameBytes * framesPerWrite,
    publishes: count,
    records: spec.isSingle ? count : count * MESSAGES_PER_BATCH,
    batchBytes: 0,
  };
}

/** The largest divisor of a count that is not above `most`: a unit is a whole number of writes. */
function divisorOf(count: number, most: number): number {
  let divisor = Math.min(count, most);
  while (count % divisor !== 0) divisor -= 1;
  return divisor;
}

/** One PUBLISH_ONE frame, and where the number in its body stands. */
export function stampedFrame(key: string, bodyBytes: number, acks: number): { frame: Uint8Array; numberAt: number } {
  const spec = { keys: [key], isByBatch: false, isSingle: true, messages: 1, bodyBytes, acks };
  const frame = singleFrame(spec, new Bodies(bodyBytes), 0);
  // Behind the body only the nil of its headers follows.
  return { frame, numberAt: frame.length - 1 - bodyBytes };
}
