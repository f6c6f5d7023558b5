/** The records of the Millrace side, made and read as the driver of the peers does it (driver/records.go). */

/** Builds values that differ in their first 8 bytes: a number, or in latency runs the time they are counted from. */
export class Maker {
  readonly value: Uint8Array;
  private readonly view: DataView;

  /** @param sizeBytes 8 or more */
  constructor(sizeBytes: number) {
    this.value = new Uint8Array(sizeBytes);
    crypto.getRandomValues(this.value.subarray(0, Math.min(sizeBytes, 65_536)));
    this.view = new DataView(this.value.buffer);
  }

  /** The value of this number, in memory that the next call overwrites: the client copies before it returns. */
  make(number: number): Uint8Array {
    this.view.setUint32(0, number >>> 0, true);
    this.view.setUint32(4, Math.floor(number / 2 ** 32), true);
    return this.value;
  }

  /** The value that carries this time. */
  stamp(timeUs: number): Uint8Array {
    this.view.setFloat64(0, timeUs, true);
    return this.value;
  }
}

/** The time that a value carries, in µs. */
export function readTime(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset, 8).getFloat64(0, true);
}

/** Reads values as an application would at the least: the first and the last byte. */
export class Toucher {
  total: number = 0;
  count: number = 0;

  /** The value stands at `start..end`. */
  touch(bytes: Uint8Array, start: number = 0, end: number = bytes.length): void {
    this.total += (bytes[start] as number) + (bytes[end - 1] as number);
    this.count += 1;
  }
}
