/** Whether bytes are one whole plain msgpack value. Only what passes is decoded: the decoder follows extensions and any depth. */

const DEPTH_MAX = 64;

/** Bytes of the length behind str, bin, array and map heads with one of 1, 2 or 4 bytes. */
const LENGTHS: Readonly<Record<number, { readonly width: number; readonly of: "bytes" | "items" | "pairs" }>> = {
  0xc4: { width: 1, of: "bytes" },
  0xc5: { width: 2, of: "bytes" },
  0xc6: { width: 4, of: "bytes" },
  0xd9: { width: 1, of: "bytes" },
  0xda: { width: 2, of: "bytes" },
  0xdb: { width: 4, of: "bytes" },
  0xdc: { width: 2, of: "items" },
  0xdd: { width: 4, of: "items" },
  0xde: { width: 2, of: "pairs" },
  0xdf: { width: 4, of: "pairs" },
};
/** Bytes behind heads from 0xca on: floats, unsigned and signed integers. */
const NUMBER_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

class Walk {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Steps over one value; false where there is none, or one that is not plain. */
  value(depth: number): boolean {
    if (this.at >= this.#bytes.length || depth > DEPTH_MAX) return false;
    const head = this.#bytes.readUInt8(this.at);
    this.at += 1;
    if (head <= 0x7f || head >= 0xe0) return true;
    if (head <= 0x8f) return this.#items(2 * (head & 0x0f), depth);
    if (head <= 0x9f) return this.#items(head & 0x0f, depth);
    if (head <= 0xbf) return this.#skip(head & 0x1f);
    if (head >= 0xca && head <= 0xd3) return this.#skip(NUMBER_BYTES[head - 0xca] ?? 0);
    const length = LENGTHS[head];
    if (length === undefined) return head === 0xc0 || head === 0xc2 || head === 0xc3;
    if (this.at + length.width > this.#bytes.length) return false;
    const count = this.#bytes.readUIntBE(this.at, length.width);
    this.at += length.width;
    if (length.of === "bytes") return this.#skip(count);
    return this.#items(length.of === "pairs" ? 2 * count : count, depth);
  }

  #skip(count: number): boolean {
    this.at += count;
    return this.at <= this.#bytes.length;
  }

  #items(count: number, depth: number): boolean {
    for (let item = 0; item < count; item += 1) if (!this.value(depth + 1)) return false;
    return true;
  }
}

export function isPlainMsgpack(bytes: Uint8Array): boolean {
  const walk = new Walk(bytes);
  return walk.value(0) && walk.at === bytes.length;
}
