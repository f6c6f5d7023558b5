import { existsSync } from "node:fs";
import { join } from "node:path";
import type { BackupManifest, BackupPartition } from "../../stdx/index.ts";
import { formatTime } from "../units.ts";
import type { BatchHead } from "./batches.ts";
import { refused } from "./faults.ts";
import { nameOf } from "./manifest.ts";
import type { Kept } from "./partition.ts";
import { leadingIntegers } from "./small-files.ts";

/**
 * `restore --until`: every log ends in front of its first batch that is later than the time. The broker's own logs, journals
 * and ack logs go by the broker's clock; topics by the times of their records, which their producers may have set. What a
 * snapshot or a compaction has put in place of older records cannot be taken apart again, and is refused by name.
 */

const ADVICE = "take a later time, restore an earlier backup, or restore all of this one without --until";

/** Whether a batch is of the time or before. */
export function isUntil({ kind }: BackupPartition, batch: BatchHead, untilMs: number): boolean {
  // In a journal the routing result in front of each batch has the broker's time; the batch itself has its producer's.
  if (kind === "journal") return !batch.isControl || batch.baseTimestampMs <= untilMs;
  return batch.maxTimestampMs <= untilMs;
}

/**
 * Of a log that compaction has worked on only the last segment is as it was written: a record further down may have gone
 * because of one that is later than the time.
 */
export function checkCompaction(
  folder: string,
  manifest: BackupManifest,
  partition: BackupPartition,
  { nextOffset }: Kept,
  compactedSegments: (folder: string, partition: BackupPartition) => readonly number[],
): void {
  const [lastBase] = partition.segments.at(-1) ?? [0];
  if (nextOffset >= lastBase || compactedSegments(folder, partition).length === 0) return;
  const message = `${nameOf(partition)} was compacted since then, and this backup is of ${formatTime(manifest.atMs)}`;
  throw refused(message, ADVICE);
}

/** A snapshot of queues that was taken later than the time knows what came after. */
export function checkSnapshots(
  folder: string,
  manifest: BackupManifest,
  ends: ReadonlyMap<BackupPartition, Kept>,
): void {
  const journals = [...ends].filter(([{ kind }]) => kind === "journal");
  for (const [journal, { nextOffset }] of journals) {
    const [, acks] = [...ends].find(([{ kind, of }]) => kind === "acks" && of === journal.of) ?? [];
    const spaceId = manifest.spaces[journal.of];
    const path = join(folder, "spaces", String(spaceId));
    if (spaceId === undefined || !existsSync(path)) continue;
    const [, journalNext = 0, acksNext = 0] = leadingIntegers(path, 3);
    if (journalNext <= nextOffset && acksNext <= (acks?.nextOffset ?? 0)) continue;
    throw refused(`the queues of ${journal.of} were written into a snapshot since then`, ADVICE);
  }
}
