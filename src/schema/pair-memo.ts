/** What is known of pairs of types while two schemas are compared, so that recursive ones come to an end. */
import type { Incompatibility } from "./types.ts";

export class PairMemo<T extends object> {
  /** Those that are being compared or were found to fit have no faults. */
  readonly #known = new Map<T, Map<T, Incompatibility[]>>();
  /** Pairs without faults in the order in which they came. */
  readonly #fitting: (readonly [reader: T, writer: T])[] = [];

  /** What `compare` finds, which runs once for a pair; while it runs, the pair is taken to fit. */
  faults(reader: T, writer: T, compare: () => Incompatibility[]): Incompatibility[] {
    const known = this.#known.get(reader) ?? new Map<T, Incompatibility[]>();
    const before = known.get(writer);
    if (before !== undefined) return before;
    this.#known.set(reader, known.set(writer, []));
    const start = this.#fitting.push([reader, writer]) - 1;
    const faults = compare();
    if (faults.length === 0) return faults;
    // What was found to fit since then may have been so only because this pair was taken to fit.
    for (const [reader, writer] of this.#fitting.splice(start)) this.#known.get(reader)?.delete(writer);
    known.set(writer, faults);
    return faults;
  }
}
