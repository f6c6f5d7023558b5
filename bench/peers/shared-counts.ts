import { writeFileSync } from "node:fs";

/**
 * Counts that several processes share through a mapped file: how far each reader has come, so that a publisher can stay
 * near the slowest without a message per record.
 */

/** A cache line each. */
const STRIDE = 16;
const INT_BYTES = 4;

export class SharedCounts {
  private readonly cells: Int32Array;
  private readonly count: number;

  /** Makes the file; those that share it open it. */
  static make(path: string, count: number): SharedCounts {
    writeFileSync(path, new Uint8Array(count * STRIDE * INT_BYTES));
    return new SharedCounts(path, count);
  }

  constructor(path: string, count: number) {
    const bytes = Bun.mmap(path, { shared: true });
    this.cells = new Int32Array(bytes.buffer, bytes.byteOffset, count * STRIDE);
    this.count = count;
  }

  set(index: number, value: number): void {
    Atomics.store(this.cells, index * STRIDE, value);
  }

  /** The lowest of all counts. */
  least(): number {
    let least = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.count; index += 1) {
      least = Math.min(least, Atomics.load(this.cells, index * STRIDE));
    }
    return least;
  }
}
