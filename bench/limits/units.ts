import {
  BatchEncoder,
  encodePublish,
  publishOneBytesMax,
  type PublishHead,
  writePublishOne,
} from "../../src/protocol/index.ts";

/** What the load sends, encoded before the clock starts: whole frames of one size, one behind another. */

/** Five bytes in every encoding, so that all frames have one length. */
const FIRST_CORRELATION = 0x1000_0000;

export interface Unit {
  readonly bytes: Uint8Array;
  /** Of one frame; all have the same length. */
  readonly frameBytes: number;
  /** Bytes of one socket write: a whole number of frames, of which the unit has a whole number. */
  readonly strideBytes: number;
  /** Publishes in the unit. */
  readonly publishes: number;
  readonly records: number;
  /** Bytes of the batches in the unit, as they are stored and delivered; 0 for single records. */
  readonly batchBytes: number;
}

export interface UnitOptions {
  readonly recordBytes: number;
  readonly acks: number;
  /** A socket write is as many whole frames as come next to this, at least one. */
  readonly writeBytes: number;
}

/** Values that differ from record to record, so that nothing on the way can take them for one. */
function valueOf(index: number, bytes: number): Uint8Array {
  const value = new Uint8Array(bytes).fill(0x78);
  for (let at = 0; at < Math.min(4, bytes); at += 1) value[at] = (index >>> (at * 8)) & 0xff;
  return value;
}

/** A batch of records as near to `batchBytes` as they fit, without a producer. */
export function encodeBatch(recordBytes: number, batchBytes: number): { batch: Uint8Array; records: number } {
  const encoder = new BatchEncoder({ batchBytesMax: batchBytes });
  const now = Date.now();
  while (encoder.append(now, null, valueOf(encoder.recordCount, recordBytes)));
  encoder.finish();
  return { batch: encoder.batch(), records: encoder.recordCount };
}

/**
 * Batches for partitions 0 to `partitions` - 1 in turn.
 *
 * @param options.frames how many batches the unit holds; rounded up to whole writes
 */
export function batchUnit(
  options: UnitOptions & { readonly batchBytes: number; readonly partitions: number; readonly frames: number },
): Unit {
  const { recordBytes, acks, writeBytes, batchBytes, partitions } = options;
  const { batch, records } = encodeBatch(recordBytes, batchBytes);
  const framesPerWrite = Math.max(1, Math.round(writeBytes / (batch.length + 32)));
  const frames = Math.ceil(options.frames / framesPerWrite) * framesPerWrite;
  const parts = Array.from({ length: frames }, (_, n) => {
    const head: PublishHead = { publisher: 1, correlation: n, partition: n % partitions, acks, condition: null };
    return encodePublish(head, batch);
  });
  const bytes = new Uint8Array(Buffer.concat(parts));
  return {
    bytes,
    frameBytes: bytes.length / frames,
    strideBytes: (bytes.length / frames) * framesPerWrite,
    publishes: frames,
    records: frames * records,
    batchBytes: frames * batch.length,
  };
}

/** Single records for partition 0, as many as fit into one write. */
export function singlesUnit({ recordBytes, acks, writeBytes }: UnitOptions): Unit {
  const frames: Uint8Array[] = [];
  for (let bytes = 0; bytes < writeBytes || frames.length === 0; bytes += frames.at(-1)?.length ?? 0) {
    frames.push(singleFrame(frames.length, recordBytes, acks));
  }
  const bytes = new Uint8Array(Buffer.concat(frames));
  const { length: count } = frames;
  const frameBytes = bytes.length / count;
  return { bytes, frameBytes, strideBytes: bytes.length, publishes: count, records: count, batchBytes: 0 };
}

/** One PUBLISH_ONE frame for partition 0; all have the same length. */
export function singleFrame(index: number, recordBytes: number, acks: number): Uint8Array {
  const value = valueOf(index, recordBytes);
  const bytes = new Uint8Array(publishOneBytesMax(null, null, value, null));
  const correlation = FIRST_CORRELATION + index;
  const head = { publisher: 1, correlation, partition: 0, acks, condition: null, sequence: null };
  return bytes.slice(0, writePublishOne(bytes, 0, head, null, null, value, null));
}

/** Any bytes, for listeners that drop them. */
export function blankUnit(writeBytes: number): Unit {
  return {
    bytes: new Uint8Array(writeBytes).fill(0x78),
    frameBytes: writeBytes,
    strideBytes: writeBytes,
    publishes: 0,
    records: 0,
    batchBytes: 0,
  };
}

/** What `count` units come to that hold at least so many bytes. */
export function unitsFor(unit: Unit, bytes: number): { count: number; records: number; batchBytes: number } {
  const count = Math.ceil(bytes / unit.bytes.length);
  return { count, records: count * unit.records, batchBytes: count * unit.batchBytes };
}
