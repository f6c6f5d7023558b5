import { closeSync, copyFileSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BackupManifest, BackupPartition } from "../../stdx/index.ts";
import type { BatchHead } from "./batches.ts";
import { damaged, refused } from "./faults.ts";
import { folderOf, indexName, segmentName } from "./manifest.ts";
import { type Kept, readPartition } from "./partition.ts";
import { leadingIntegers, sealedFile } from "./small-files.ts";
import { checkCompaction, checkSnapshots, isUntil } from "./until.ts";

/**
 * Restores a backup into an empty folder, reading and checking all of it on the way. While that goes on the folder holds
 * the file `restoring`, and a broker refuses it (core/log/state.rs).
 */

const RESTORING = "restoring";
/** An index file begins with numbers; whether the segment was compacted is the ninth (core/log/index.rs). */
const INDEX_COMPACTED_AT = 8;
/** Of a state file: the offset where the log went on at that time (core/log/state.rs). */
const STATE_NEXT_OFFSET_AT = 3;

export interface Restored {
  readonly bytes: number;
  readonly partitions: number;
  /** Partitions that `until` has made shorter. */
  readonly cut: readonly { readonly partition: BackupPartition; readonly nextOffset: number }[];
}

/** @param target of the restore, without it everything is only checked. */
export interface RestoreOptions {
  readonly folder: string;
  readonly manifest: BackupManifest;
  readonly target: string | null;
  readonly untilMs: number | null;
  readonly onBytes: (bytes: number) => void;
}

/**
 * Checks a backup, and restores it where there is a target, which is as it was after an error. Errors: backup_damaged,
 * restore_refused.
 */
export function restore(options: RestoreOptions): Restored {
  const { target } = options;
  if (target === null) return read(options);
  begin(target);
  try {
    const restored = read(options);
    finish(target);
    return restored;
  } catch (error) {
    empty(target);
    throw error;
  }
}

function read(options: RestoreOptions): Restored {
  const { folder, manifest, target, untilMs } = options;
  const ends = new Map<BackupPartition, Kept>();
  const isShort = (partition: BackupPartition): boolean => (ends.get(partition)?.firstLeft ?? null) !== null;
  for (const partition of manifest.partitions) {
    const isKept = untilMs === null ? () => true : (batch: BatchHead) => isUntil(partition, batch, untilMs);
    const kept = readPartition(folder, partition, isKept, options.onBytes);
    ends.set(partition, kept);
    if (kept.firstLeft !== null) checkCompaction(folder, manifest, partition, kept, compactedSegments);
    if (target !== null) copySegments(folder, target, partition, kept);
  }
  if (untilMs !== null) checkSnapshots(folder, manifest, ends);
  const dropped = droppedFiles(folder, ends);
  for (const { path, bytes } of manifest.files) {
    sealedFile(join(folder, path), bytes);
    if (target !== null && !dropped.has(path)) copy(join(folder, path), join(target, path), null);
  }
  const cut = manifest.partitions.filter(isShort);
  return {
    bytes: manifest.bytes,
    partitions: manifest.partitions.length,
    cut: cut.map((partition) => ({ partition, nextOffset: ends.get(partition)?.nextOffset ?? 0 })),
  };
}

function begin(target: string): void {
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const there = readdirSync(target);
  if (there.includes(RESTORING)) {
    throw refused(`a restore into ${target} did not finish`, "remove the folder and restore again");
  }
  if (there.length > 0)
    throw refused(`${target} is not empty`, "restore into an empty folder, or one that is not there");
  // A folder without logs is a data directory too, so this has to be there for good before anything else.
  closeSync(openSync(join(target, RESTORING), "wx", 0o600));
  syncFolder(target);
}

/** Removes what was restored by then; all of it is ours, because the folder was empty. */
function empty(target: string): void {
  for (const name of readdirSync(target)) {
    if (name !== RESTORING) rmSync(join(target, name), { recursive: true, force: true });
  }
  rmSync(join(target, RESTORING), { force: true });
}

function finish(target: string): void {
  rmSync(join(target, RESTORING));
  syncFolder(target);
  syncFolder(dirname(target));
}

function copySegments(folder: string, target: string, partition: BackupPartition, kept: Kept): void {
  const place = folderOf(partition);
  // An empty partition is one too: its place in the log says how many there are.
  mkdirSync(join(target, place), { recursive: true, mode: 0o700 });
  for (const { base, bytes } of kept.segments) {
    const name = join(place, segmentName(base));
    copy(join(folder, name), join(target, name), bytes);
  }
  syncFolder(join(target, place));
}

/** @param bytes how much of the file is wanted; null for all. */
function copy(from: string, to: string, bytes: number | null): void {
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  copyFileSync(from, to);
  if (bytes !== null) truncateSync(to, bytes);
  const file = openSync(to, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Index and state files that say more than a log that was cut: the broker makes them anew. */
function droppedFiles(folder: string, ends: ReadonlyMap<BackupPartition, Kept>): Set<string> {
  const dropped = new Set<string>();
  for (const [partition, { segments, nextOffset, firstLeft }] of ends) {
    if (firstLeft === null) continue;
    const place = folderOf(partition);
    const whole = new Set(segments.filter(({ isWhole }) => isWhole).map(({ base }) => base));
    for (const [base] of partition.segments) if (!whole.has(base)) dropped.add(join(place, indexName(base)));
    const state = join(place, "state");
    if ((numbersOf(join(folder, state), STATE_NEXT_OFFSET_AT + 1).at(-1) ?? 0) > nextOffset) dropped.add(state);
  }
  return dropped;
}

/** Bases of the segments of a partition that compaction has written. */
function compactedSegments(folder: string, partition: BackupPartition): number[] {
  const isCompacted = (base: number): boolean =>
    numbersOf(join(folder, folderOf(partition), indexName(base)), INDEX_COMPACTED_AT + 1).at(-1) === 1;
  return partition.segments.map(([base]) => base).filter(isCompacted);
}

function numbersOf(path: string, count: number): number[] {
  try {
    const numbers = leadingIntegers(path, count);
    if (numbers.length < count) throw damaged(`${path} is too short`);
    return numbers;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
