import type { Client } from "./client.ts";
import { isMillraceError, type MillraceError } from "./errors.ts";
import { type Source, Subscription, type SubscriptionOptions } from "./subscription.ts";

/** Reads a topic's partitions without a group, from a place of its own choosing. */

export type From =
  "earliest" | "latest" | { offset: number } | { timestamp: number } | { offsets: { [partition: number]: number } };

export interface ConsumerOptions extends SubscriptionOptions {
  /** Default "latest". A timestamp begins at the first record that is not older. */
  from?: From;
  /** "end" stops at the end as it is now; an offset stops before it. Default: follow. */
  until?: "end" | { offset: number };
  /** Default: all. */
  partitions?: number[];
  /** Where to go on when retention has removed the next offset. Default "fail": the iteration throws offset_out_of_range. */
  outOfRange?: "earliest" | "latest" | "fail";
}

interface Place {
  position: number;
  isEnded: boolean;
}

export class Consumer extends Subscription {
  readonly topic: string;
  private readonly options: ConsumerOptions;
  protected override readonly untilOffset: number;
  /** Where each partition's reading stands, across sessions. */
  private readonly places = new Map<number, Place>();

  constructor(client: Client, number: number, topic: string, options: ConsumerOptions) {
    super(client, number, options);
    this.topic = topic;
    this.options = options;
    const { until } = options;
    this.untilOffset = typeof until === "object" ? until.offset : Number.POSITIVE_INFINITY;
  }

  protected parameters(): { [name: string]: unknown } {
    const { from = "latest", until, partitions } = this.options;
    const parameters = { topic: this.topic, from, until, partitions };
    if (this.places.size === 0) return parameters;
    const offsets: { [partition: number]: number } = {};
    for (const [partition, { position, isEnded }] of this.places) {
      if (!isEnded) offsets[partition] = position;
    }
    const rest = partitions || until ? Object.keys(offsets).map(Number) : undefined;
    return { ...parameters, from: { offsets }, partitions: rest };
  }

  protected override subscribe(...args: Parameters<Subscription["subscribe"]>): void {
    this.rememberPlaces();
    if (this.isComplete()) this.wake();
    else super.subscribe(...args);
  }

  override disconnected(): void {
    this.rememberPlaces();
    super.disconnected();
  }

  private rememberPlaces(): void {
    for (const { partition, position, isEnded } of this.sources.values()) {
      this.places.set(partition, { position, isEnded });
    }
  }

  protected subscribed(result: { [name: string]: unknown }): void {
    const sources = result["sources"] as [number, string, number, number][];
    for (const [number, topic, partition, offset] of sources) {
      const known = this.places.get(partition);
      this.addSource(number, topic, partition, known && !known.isEnded ? known.position : offset);
    }
    this.rememberPlaces();
  }

  protected override isComplete(): boolean {
    if (this.options.until === undefined) return false;
    this.rememberPlaces();
    if (this.places.size === 0) return this.isOpen;
    for (const { isEnded } of this.places.values()) if (!isEnded) return false;
    return true;
  }

  protected override sourceFailed(source: Source, error: MillraceError): boolean {
    const { outOfRange = "fail" } = this.options;
    if (!isMillraceError(error, "offset_out_of_range") || outOfRange === "fail") return false;
    void this.moveTo(source, outOfRange);
    return true;
  }

  private async moveTo(source: Source, at: "earliest" | "latest"): Promise<void> {
    try {
      const { partition } = source;
      const [found] = await this.client.topics.offsets(this.topic, at, { partitions: [partition] });
      if (found) source.position = found.offset;
      await this.restart();
    } catch (error) {
      this.fail(error as MillraceError);
    }
  }

  /** The next offset to be handed out, by partition. */
  positions(): Map<number, number> {
    this.rememberPlaces();
    return new Map([...this.places].map(([partition, { position }]) => [partition, position]));
  }
}
