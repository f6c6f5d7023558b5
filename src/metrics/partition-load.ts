/** How evenly a topic's messages spread over its partitions: over the last minute or two, without keeping samples. */

/** A base is taken anew when it is this old, and the one before it serves until then. */
const WINDOW_MS = 60_000;

interface Base {
  readonly atMs: number;
  readonly counts: readonly number[];
}

export class PartitionLoad {
  /** By topic: the base that counts, and the next one. */
  readonly #bases = new Map<number, { old: Base; next: Base }>();

  /**
   * The share of the fullest partition over an even share: 1 is even, the number of partitions is all in one, 0 is no
   * messages at all.
   *
   * @param counts messages so far, by partition.
   */
  skew(topicId: number, counts: readonly number[], nowMs: number): number {
    const now: Base = { atMs: nowMs, counts };
    const found = this.#bases.get(topicId);
    if (found === undefined) this.#bases.set(topicId, { old: { atMs: nowMs, counts: counts.map(() => 0) }, next: now });
    else if (nowMs - found.next.atMs >= WINDOW_MS) this.#bases.set(topicId, { old: found.next, next: now });
    const base = this.#bases.get(topicId)?.old.counts ?? [];
    const fresh = counts.map((count, partition) => Math.max(0, count - (base[partition] ?? 0)));
    const sum = fresh.reduce((total, count) => total + count, 0);
    return sum === 0 ? 0 : (Math.max(...fresh) * counts.length) / sum;
  }

  /** Forgets topics that are no more. */
  keep(topicIds: ReadonlySet<number>): void {
    for (const id of this.#bases.keys()) if (!topicIds.has(id)) this.#bases.delete(id);
  }
}
