import type { Client } from "./client.ts";
import { Subscription, type SubscriptionOptions } from "./subscription.ts";

/** Hears what is published from now on to every topic that matches a pattern, at most once. */

export interface PatternOptions extends SubscriptionOptions {
  /** What the broker holds for this subscriber before it drops. Default: the server's. */
  bufferBytesMax?: number;
}

export class PatternSubscription extends Subscription {
  readonly pattern: string;
  private readonly bufferBytesMax: number | undefined;

  constructor(client: Client, number: number, pattern: string, options: PatternOptions) {
    super(client, number, options);
    this.pattern = pattern;
    this.bufferBytesMax = options.bufferBytesMax;
  }

  protected parameters(): { [name: string]: unknown } {
    return { pattern: this.pattern, from: "latest", bufferBytesMax: this.bufferBytesMax };
  }

  protected subscribed(result: { [name: string]: unknown }): void {
    const sources = (result["sources"] ?? []) as [number, string, number, number][];
    for (const [number, topic, partition, offset] of sources) {
      if (!this.sources.has(number)) this.addSource(number, topic, partition, offset);
    }
  }

  /** A topic that is deleted only falls silent here. */
  protected override sourceFailed(): boolean {
    return true;
  }
}
