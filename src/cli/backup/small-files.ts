import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { damaged } from "./faults.ts";

/** The small files beside the segments: msgpack, and behind it the CRC of all before as a msgpack uint32 (core/log). */

const CRC_BYTES = 5;
const UINT32 = 0xce;
const HEAD_BYTES = 128;

/** The content of a file without its CRC. Errors: backup_damaged. */
export function sealedFile(path: string, bytes: number): Buffer {
  const content = readFileSync(path);
  if (content.length !== bytes) throw damaged(`${path} has ${content.length} bytes instead of ${bytes}`);
  const split = content.length - CRC_BYTES;
  const isRight =
    split >= 0 && content[split] === UINT32 && content.readUInt32BE(split + 1) === crc32(content.subarray(0, split));
  if (!isRight) throw damaged(`${path}: its CRC is wrong`);
  return content.subarray(0, split);
}

/** The first integers of a file that is an array; nothing behind them is read. */
export function leadingIntegers(path: string, count: number): number[] {
  const head = Buffer.alloc(HEAD_BYTES);
  const file = openSync(path, "r");
  try {
    readSync(file, head, 0, HEAD_BYTES, 0);
  } finally {
    closeSync(file);
  }
  const numbers: number[] = [];
  let at = arrayHeadBytes(head[0] ?? 0);
  while (numbers.length < count && at < HEAD_BYTES - 9) {
    const first = head[at] ?? 0;
    const width = [1, 2, 4, 8][first - 0xcc];
    if (first < 0x80) numbers.push(first);
    else if (width === undefined) throw damaged(`${path}: an integer is missing in front`);
    else numbers.push(width === 8 ? Number(head.readBigUInt64BE(at + 1)) : head.readUIntBE(at + 1, width));
    at += 1 + (first < 0x80 ? 0 : (width ?? 0));
  }
  return numbers;
}

/** msgpack's fixarray, array 16 and array 32. */
function arrayHeadBytes(first: number): number {
  return first === 0xdc ? 3 : first === 0xdd ? 5 : 1;
}
