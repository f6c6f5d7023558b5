import {
  BATCH_HEADER_BYTES,
  BatchReader,
  COMPRESSION_MASK,
  CONTROL,
  readHeader,
  skip,
  SPARSE,
} from "../../src/protocol/index.ts";

/** Goes over the records of batches by positions, without an object for each. */

const NIL = 0xc0;
const RECORD_HEAD = 0x94;

/** Told of each record's value: where it stands, and its length. A tombstone's is 0. */
export type OnValue = (bytes: Uint8Array, at: number, length: number) => void;

function uintBytes(head: number): number {
  if (head <= 0x7f || head === NIL) return 1;
  return head >= 0xcc && head <= 0xcf ? 1 + (1 << (head - 0xcc)) : 0;
}

/** Reads heads of msgpack str and bin. */
class Walker {
  at: number = 0;
  length: number = 0;

  /** Steps over the head of the content at `at`; its bytes stand at `at` then. False: it is none. */
  open(bytes: Uint8Array): boolean {
    const head = bytes[this.at] as number;
    const first = bytes[this.at + 1] as number;
    if (head >= 0xa0 && head <= 0xbf) {
      this.length = head & 0x1f;
      this.at += 1;
    } else if (head === NIL) {
      this.length = 0;
      this.at += 1;
    } else if (head === 0xc4 || head === 0xd9) {
      this.length = first;
      this.at += 2;
    } else if (head === 0xc5 || head === 0xda) {
      this.length = (first << 8) | (bytes[this.at + 2] as number);
      this.at += 3;
    } else if (head === 0xc6 || head === 0xdb) {
      const second = bytes[this.at + 2] as number;
      this.length = first * 0x1000000 + ((second << 16) | ((bytes[this.at + 3] as number) << 8));
      this.length += bytes[this.at + 4] as number;
      this.at += 5;
    } else {
      return false;
    }
    return true;
  }
}

/**
 * Goes over the batches at `start..end`. The CRC of those that are not compressed is not looked at: that is the work of a
 * client.
 *
 * Errors: bad_batch, and those of the codec; a record of an unknown form.
 */
export function walkBatches(bytes: Uint8Array, start: number, end: number, onValue: OnValue): void {
  for (let at = start; at < end;) {
    const { attributes, recordsBytes } = readHeader(bytes, at, end);
    const recordsAt = at + BATCH_HEADER_BYTES;
    const next = recordsAt + recordsBytes;
    if ((attributes & (COMPRESSION_MASK | SPARSE)) !== 0) readRecords(bytes, at, next, onValue);
    else if ((attributes & CONTROL) === 0) walkRecords(bytes, recordsAt, next, onValue);
    at = next;
  }
}

function walkRecords(bytes: Uint8Array, start: number, end: number, onValue: OnValue): void {
  const walker = new Walker();
  for (let at = start; at < end;) {
    const timeBytes = uintBytes(bytes[at + 1] as number);
    if (bytes[at] !== RECORD_HEAD || timeBytes === 0) throw unknownForm(at - start);
    walker.at = at + 1 + timeBytes;
    if (!walker.open(bytes)) throw unknownForm(at - start);
    walker.at += walker.length;
    if (!walker.open(bytes)) throw unknownForm(at - start);
    const past = walker.at + walker.length;
    onValue(bytes, walker.at, walker.length);
    at = bytes[past] === NIL ? past + 1 : skip(bytes, past, end);
  }
}

const unknownForm = (at: number): Error => new Error(`the record at byte ${at} of its batch has an unknown form`);

function readRecords(bytes: Uint8Array, start: number, end: number, onValue: OnValue): void {
  for (const { value } of new BatchReader(bytes, start, end)) {
    if (value === null) onValue(bytes, start, 0);
    else onValue(value, 0, value.length);
  }
}
