/**
 * Applies a commit to what it is about, so that applying it again changes nothing: batches carry an identity of the
 * commit's own, acks go by number. Offsets are not here: a group's owner applies them.
 */
import { isMillraceError } from "../../errors/index.ts";
import type { Engine } from "../../log/engine.ts";
import type { Spaces } from "../spaces.ts";
import type { Commit } from "./messages.ts";

/** What a commit has written to: `[log id, partition]` by "log id partition". */
export type Touched = Map<string, readonly [logId: number, partition: number]>;

/** Where the disk refuses, a commit waits; everything else cannot be helped by trying again. */
export function isStorageFault(error: unknown): boolean {
  return isMillraceError(error, "disk_full", "storage_failed");
}

export class Applier {
  readonly #engine: Engine;
  readonly #spaces: Spaces;
  readonly #onLost: (commit: Commit, what: string, error: unknown) => void;

  /** @param onLost hears of a part that could not be applied although it was checked: a fault of the broker. */
  constructor(engine: Engine, spaces: Spaces, onLost: (commit: Commit, what: string, error: unknown) => void) {
    this.#engine = engine;
    this.#spaces = spaces;
    this.#onLost = onLost;
  }

  /** @throws disk_full, storage_failed: apply the same commit again, before any later one. */
  apply(commit: Commit, touched: Touched): void {
    for (const [topicId, partition, batch] of commit.topics) {
      this.#part(commit, "publish", () => {
        this.#engine.append(topicId, partition, batch, -1);
        touch(touched, topicId, partition);
        // What readers may see only once it is synced.
        const { nextOffset, highWatermark } = this.#engine.partition(topicId, partition);
        if (highWatermark < nextOffset) this.#engine.sync(topicId, partition).catch(() => undefined);
      });
    }
    const { namespace, copiesId, epoch, exchanges, acks } = commit;
    if (exchanges.length > 0) {
      this.#part(commit, "publish", () => {
        const answer = this.#spaces.transact(namespace, ["publish", copiesId, epoch, exchanges]);
        const [, copies = []] = (answer ?? []) as [unknown, number[]?];
        for (let at = 0; at + 1 < copies.length; at += 2) touch(touched, copies[at] ?? 0, copies[at + 1] ?? 0);
      });
    }
    for (const [queueId, runs] of acks) {
      this.#part(commit, "ack", () => this.#spaces.transact(namespace, ["settle", queueId, runs]));
    }
    const logs = exchanges.length + acks.length > 0 ? this.#spaces.logsOf(namespace) : undefined;
    if (logs === undefined) return;
    touch(touched, logs.journalLogId, 0);
    touch(touched, logs.ackLogId, 0);
  }

  #part(commit: Commit, what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (isStorageFault(error)) throw error;
      // Gone since the commit was decided, and its messages with it; or fenced by a later commit, so stored before.
      const isOver = isMillraceError(
        error,
        "topic_not_found",
        "partition_not_found",
        "topic_deleted",
        "producer_fenced",
      );
      if (!isOver) this.#onLost(commit, what, error);
    }
  }
}

function touch(touched: Touched, logId: number, partition: number): void {
  touched.set(`${logId} ${partition}`, [logId, partition]);
}
