/** What a start does with commits that were decided and may not be applied: applies them, before anything is served. */
import type { OffsetsStore } from "../groups/offsets-store.ts";
import type { Applier, Touched } from "./applier.ts";
import type { Replayed } from "./transaction-log.ts";

/**
 * Applies what the last run has not. Runs before the offsets are replayed, on the first worker alone.
 *
 * @returns what was written to.
 * @throws disk_full, storage_failed: the broker must not serve half of a transaction.
 */
export function applyDecided(replayed: Replayed, applier: Applier, offsets: OffsetsStore): Touched {
  const touched: Touched = new Map();
  for (const { commit } of replayed.unapplied) applier.apply(commit, touched);
  const commits = replayed.unapplied.flatMap(({ commit }) =>
    commit.offsets.map((stored) => ({ namespace: commit.namespace, ...stored })),
  );
  offsets.recover(commits, touched);
  return touched;
}
