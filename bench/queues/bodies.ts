/** The bodies of the suite's messages: each is told from all others of its queue, and each that comes is checked. */

/** Bytes behind a body's number and before its last. */
const FILLING = 0x78;
const NUMBER_BYTES = 4;
const BYTE_MASK = 0xff;

/** Makes bodies in memory that the next one overwrites: clients copy what they are given. */
export class Bodies {
  readonly #value: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: number) {
    this.#value = new Uint8Array(bytes).fill(FILLING);
    this.#view = new DataView(this.#value.buffer);
  }

  /** The number in the first four bytes, its lowest byte in the last. */
  make(number: number): Uint8Array {
    this.#view.setUint32(0, number);
    this.#value[this.#value.length - 1] = number & BYTE_MASK;
    return this.#value;
  }
}

/** What all bytes of the bodies 0 to `count` - 1 add up to. */
function sumOf(count: number, bodyBytes: number): number {
  let sum = count * (bodyBytes - NUMBER_BYTES - 1) * FILLING;
  for (let n = 0; n < count; n += 1) {
    sum += (n >>> 24) + ((n >>> 16) & BYTE_MASK) + ((n >>> 8) & BYTE_MASK) + 2 * (n & BYTE_MASK);
  }
  return sum;
}

/** Takes down what comes from one queue: each number once, and of each body every byte. */
export class Tally {
  readonly #expected: number;
  readonly #bodyBytes: number;
  /** By number: 1 when it has come. */
  readonly #seen: Uint8Array;
  #sum = 0;
  count: number = 0;

  constructor(expected: number, bodyBytes: number) {
    this.#expected = expected;
    this.#bodyBytes = bodyBytes;
    this.#seen = new Uint8Array(expected);
  }

  get isWhole(): boolean {
    return this.count === this.#expected;
  }

  /** Reads a body to its last byte. Errors: it came before, or nobody sent it. */
  read(bytes: Uint8Array, start: number, end: number): void {
    const number =
      (bytes[start] as number) * 0x1000000 +
      (((bytes[start + 1] as number) << 16) | ((bytes[start + 2] as number) << 8) | (bytes[start + 3] as number));
    if (end - start !== this.#bodyBytes || this.#seen[number] !== 0) {
      const why = this.#seen[number] === 1 ? "came twice" : "was never sent";
      throw new Error(`message ${number} of ${end - start} bytes ${why}`);
    }
    this.#seen[number] = 1;
    let sum = 0;
    for (let at = start; at < end; at += 1) sum += bytes[at] as number;
    this.#sum += sum;
    this.count += 1;
  }

  /** Errors: messages are missing, or their bytes are not those that were sent. */
  check(): void {
    if (!this.isWhole) throw new Error(`${this.count} messages came of ${this.#expected}`);
    if (this.#sum !== sumOf(this.#expected, this.#bodyBytes)) {
      throw new Error("the bytes that were read are not those that were sent");
    }
  }
}
