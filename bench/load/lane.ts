import type { AckLevel } from "../../src/client/index.ts";
import type { Span } from "./meter.ts";
import type { SizeRange } from "./settings.ts";

/** What a load process is told, and what both kinds of producers and consumers have in common. */

/** The same for all processes of a run. */
export interface Run {
  /** A number that all values of the run carry. */
  readonly id: number;
  readonly url: string;
  readonly namespace: string | undefined;
  readonly topic: string;
  readonly partitions: number;
  /** Where each partition ended before the run. */
  readonly offsets: readonly number[];
  readonly sizes: SizeRange;
  readonly batchBytes: number;
  readonly lingerMs: number;
  readonly keys: number;
  readonly acks: AckLevel;
  readonly payload: "pre-encoded" | "client";
  readonly producers: number;
  readonly consumers: number;
  readonly isShared: boolean;
}

/** Where records of this load may go: with keys only partitions that a key leads to. */
export interface LoadProducer {
  /** Records sent and answered, by partition. */
  readonly lanes: readonly { readonly sent: number; readonly acked: number }[];
  /** Why it cannot go on. */
  readonly failure: Error | undefined;
  /** The measured time is known now. */
  begin(span: Span): void;
  /** A message is due (open loop). */
  send(dueUs: number): void;
  /** No more messages are due at this moment. */
  flush(): void;
  /** Sends as fast as it can until `stop`. */
  saturate(): void;
  stop(): void;
  /** Resolves when everything sent is answered. Errors: why it is not. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

export interface LoadConsumer {
  readonly failure: Error | undefined;
  /** Partitions that it reads. */
  readonly partitions: readonly number[];
  /** Subscribes. Errors: what the broker refuses with. */
  begin(span: Span): Promise<void>;
  close(): Promise<void>;
}

/** The partitions that a consumer of this number reads. */
export function partitionsOf(run: Run, consumer: number): number[] {
  const all = Array.from({ length: run.partitions }, (_, partition) => partition);
  return run.isShared ? all.filter((partition) => partition % run.consumers === consumer) : all;
}

/** How long nothing may happen before waiting for answers ends. */
export const QUIET_MS_MAX = 30_000;

/** Waits until `isDone`, as long as `progress` changes now and then. False: nothing changed for too long. */
export async function untilDone(isDone: () => boolean, progress: () => number, quietMs: number): Promise<boolean> {
  let last = progress();
  let sinceMs = performance.now();
  while (!isDone()) {
    await Bun.sleep(2);
    const now = progress();
    if (now !== last) {
      last = now;
      sinceMs = performance.now();
    } else if (performance.now() - sinceMs > quietMs) {
      return false;
    }
  }
  return true;
}
