import { type Content, KeyPartitioner } from "../protocol/index.ts";
import { clientError } from "./errors.ts";
import { Lane, type LaneHost } from "./lane.ts";

/** The lanes of a producer, and which of them a record takes. */
export class Lanes implements Iterable<Lane> {
  private readonly host: LaneHost;
  /** True where records without a partition take the lane whose partitions the broker chooses. */
  private readonly isBrokerChoosing: boolean;
  private readonly partitioner = new KeyPartitioner();
  private readonly all: Lane[] = [];
  private readonly byPartition: (Lane | undefined)[] = [];
  private unpartitioned: Lane | null = null;
  private sticky = 0;

  constructor(host: LaneHost, isBrokerChoosing: boolean) {
    this.host = host;
    this.isBrokerChoosing = isBrokerChoosing;
  }

  [Symbol.iterator](): Iterator<Lane> {
    return this.all[Symbol.iterator]();
  }

  /** The lane that a record takes. Errors: partition_not_found. */
  laneFor(partition: number | undefined, key: Content): Lane {
    const { partitions, topic } = this.host;
    if (partition !== undefined) {
      if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return this.at(partition);
      throw clientError("partition_not_found", `${topic} has no partition ${partition}`);
    }
    if (this.isBrokerChoosing) return (this.unpartitioned ??= this.add(null));
    if (key === null || key === undefined) return this.at(this.sticky);
    return this.at(partitions === 1 ? 0 : this.partitioner.partitionOf(key, partitions));
  }

  private at(partition: number): Lane {
    return this.byPartition[partition] ?? this.add(partition);
  }

  private add(partition: number | null): Lane {
    const lane = new Lane(this.host, partition);
    this.all.push(lane);
    if (partition !== null) this.byPartition[partition] = lane;
    return lane;
  }

  /** Records without a key go to one partition until its batch is on its way, then to the next. */
  sent(lane: Lane): void {
    if (lane.partition === this.sticky) this.sticky = (this.sticky + 1) % Math.max(1, this.host.partitions);
  }

  /** The lane that an answer is for. */
  ownerOf(correlation: number, partition?: number): Lane | undefined {
    const lane = partition === undefined ? undefined : this.byPartition[partition];
    if (lane?.owns(correlation)) return lane;
    return this.all.find((other) => other.owns(correlation));
  }

  pump(): void {
    for (const lane of this.all) lane.pump();
  }
}
