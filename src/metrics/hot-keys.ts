/**
 * The most frequent keys of a stream in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi: Efficient
 * Computation of Frequent and Top-k Elements in Data Streams, 2005). A key that more than one in `entriesMax` samples
 * has is always among them; a count is too high by at most `error`.
 */

export interface HotKey {
  readonly key: string;
  /** Share of all that were looked at, 0 to 1. */
  readonly share: number;
}

interface Entry {
  count: number;
  /** By so much the count may be too high. */
  error: number;
}

export class HotKeys {
  readonly #entries = new Map<string, Entry>();
  readonly #entriesMax: number;
  readonly #samplesMax: number;
  #samples = 0;

  /** @param samplesMax after so many, all counts are halved: what is old fades. */
  constructor(entriesMax: number, samplesMax: number) {
    this.#entriesMax = entriesMax;
    this.#samplesMax = samplesMax;
  }

  get samples(): number {
    return this.#samples;
  }

  /** @param key undefined for a message without one: it counts among all. */
  note(key: string | undefined): void {
    if (this.#samples >= this.#samplesMax) this.#fade();
    this.#samples += 1;
    if (key === undefined) return;
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.count += 1;
    else if (this.#entries.size < this.#entriesMax) this.#entries.set(key, { count: 1, error: 0 });
    else this.#replace(key);
  }

  /** Those of which it is certain that they have at least so large a share, the largest first. */
  top(max: number): HotKey[] {
    const shares = [...this.#entries].map(([key, { count, error }]) => ({
      key,
      share: (count - error) / this.#samples,
    }));
    return shares
      .filter(({ share }) => share > 0)
      .sort((a, b) => b.share - a.share || (a.key < b.key ? -1 : 1))
      .slice(0, max);
  }

  #replace(key: string): void {
    let least: [string, Entry] | undefined;
    for (const candidate of this.#entries)
      if (least === undefined || candidate[1].count < least[1].count) least = candidate;
    if (least === undefined) return;
    this.#entries.delete(least[0]);
    this.#entries.set(key, { count: least[1].count + 1, error: least[1].count });
  }

  #fade(): void {
    this.#samples = Math.floor(this.#samples / 2);
    for (const [key, entry] of this.#entries) {
      entry.count = Math.floor(entry.count / 2);
      entry.error = Math.floor(entry.error / 2);
      if (entry.count === 0) this.#entries.delete(key);
    }
  }
}
