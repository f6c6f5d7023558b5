/** A map with a limit: past it, what was put in first goes. */
export class BoundedMap<K, V> extends Map<K, V> {
  private readonly sizeMax: number;

  constructor(sizeMax: number) {
    super();
    this.sizeMax = sizeMax;
  }

  /** Puts a value in, behind all others. */
  override set(key: K, value: V): this {
    this.delete(key);
    super.set(key, value);
    if (this.size > this.sizeMax) {
      const [first] = this.keys();
      this.delete(first as K);
    }
    return this;
  }
}
