/** How many connections a broker has over all of its threads: a counter in memory that they share. */
export class ConnectionCount {
  readonly shared: SharedArrayBuffer;
  readonly #count: Int32Array;

  /** @param shared the memory of a count that another thread has made. */
  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.shared = shared;
    this.#count = new Int32Array(shared);
  }

  get value(): number {
    return Atomics.load(this.#count, 0);
  }

  add(): void {
    Atomics.add(this.#count, 0, 1);
  }

  subtract(): void {
    Atomics.sub(this.#count, 0, 1);
  }
}
