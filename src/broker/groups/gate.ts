/**
 * Keeps a group as it is while transactions commit offsets of it: between the check that a member owns a partition and
 * the commit of its offset nobody else may be given that partition, or be told its old offset. Pure but for promises.
 */

interface Hold {
  readonly id: string;
  readonly keys: readonly string[];
}

interface Waiting {
  /** Of a hold; a change has none. */
  readonly hold: Hold | undefined;
  start(): void;
}

export class Gate {
  readonly #held = new Map<string, readonly string[]>();
  readonly #waiting: Waiting[] = [];

  get isHeld(): boolean {
    return this.#held.size > 0;
  }

  get isIdle(): boolean {
    return this.#held.size === 0 && this.#waiting.length === 0;
  }

  /** Runs a change of the group as soon as nothing is held; at once when nothing is. */
  change<T>(run: () => T): T | Promise<Awaited<T>> {
    if (this.isIdle) return run();
    return new Promise<Awaited<T>>((resolve, reject) => {
      const start = (): void => {
        try {
          resolve(run() as Awaited<T>);
        } catch (error) {
          reject(error);
        }
      };
      this.#waiting.push({ hold: undefined, start });
    });
  }

  /** Holds the group, once nobody holds one of the partitions `keys`, and runs `check`; a hold whose check throws is over. */
  hold<T>(id: string, keys: readonly string[], check: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const start = (): void => {
        this.#held.set(id, keys);
        try {
          resolve(check());
        } catch (error) {
          this.#held.delete(id);
          reject(error);
        }
      };
      this.#waiting.push({ hold: { id, keys }, start });
      this.#pump();
    });
  }

  /** Ends a hold, or takes one back that still waits; one that is not there is over already. */
  release(id: string): void {
    const at = this.#waiting.findIndex(({ hold }) => hold?.id === id);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#held.delete(id);
    this.#pump();
  }

  /** In the order they came, so that holds that follow each other without a pause starve no change. */
  #pump(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#mayStart(next); next = this.#waiting[0]) {
      this.#waiting.shift();
      next.start();
    }
  }

  #mayStart({ hold }: Waiting): boolean {
    if (hold === undefined) return !this.isHeld;
    const taken = new Set([...this.#held.values()].flat());
    return !hold.keys.some((key) => taken.has(key));
  }
}
