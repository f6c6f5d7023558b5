/**
 * What a consumer got of each producer's records in each partition. Records of a producer are numbered by partition and
 * a partition keeps their order, so one number tells whether the next is the right one.
 */
export class Ledger {
  /** The number that should come next. */
  private readonly next: Float64Array;
  private readonly partitions: number;
  /** Records that came: of all, and by lane. */
  received: number = 0;
  private readonly receivedBy: Float64Array;
  /** Records whose number had been passed: they came twice, or too late. */
  duplicates: number = 0;
  private readonly duplicatesBy: Float64Array;
  /** Records of something else than this run. */
  foreign: number = 0;

  constructor(producers: number, partitions: number) {
    this.partitions = partitions;
    this.next = new Float64Array(producers * partitions);
    this.receivedBy = new Float64Array(producers * partitions);
    this.duplicatesBy = new Float64Array(producers * partitions);
  }

  saw(producer: number, partition: number, number: number): void {
    const lane = producer * this.partitions + partition;
    this.received += 1;
    this.receivedBy[lane] = (this.receivedBy[lane] as number) + 1;
    if (number >= (this.next[lane] as number)) {
      this.next[lane] = number + 1;
      return;
    }
    this.duplicates += 1;
    this.duplicatesBy[lane] = (this.duplicatesBy[lane] as number) + 1;
  }

  /** Different records that came. */
  get distinct(): number {
    return this.received - this.duplicates;
  }

  /** By lane, which is `producer * partitions + partition`. */
  distinctByLane(): number[] {
    return [...this.receivedBy].map((count, lane) => count - (this.duplicatesBy[lane] as number));
  }
}

/** Records that were acknowledged and did not come. */
export function lostOf(acked: readonly number[], distinct: readonly number[]): number {
  return acked.reduce((lost, count, lane) => lost + Math.max(0, count - (distinct[lane] ?? 0)), 0);
}
