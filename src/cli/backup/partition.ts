import { join } from "node:path";
import type { BackupPartition } from "../../stdx/index.ts";
import { SegmentFile } from "../segment-file.ts";
import { type BatchHead, batchAt } from "./batches.ts";
import { damaged } from "./faults.ts";
import { folderOf, nameOf, segmentName } from "./manifest.ts";

/** Reads a partition of a backup whole: every CRC, every offset, and that it ends where the manifest says. */

/** A segment as far as it was kept. */
export interface KeptSegment {
  readonly base: number;
  readonly bytes: number;
  readonly isWhole: boolean;
}

export interface Kept {
  readonly segments: readonly KeptSegment[];
  readonly nextOffset: number;
  /** The first batch that was not kept. */
  readonly firstLeft: BatchHead | null;
}

/**
 * @param isKept says of a batch whether it is to be kept; the first that is not ends the log, and what is behind is read no more.
 * @param onBytes hears how much was read.
 */
export function readPartition(
  folder: string,
  partition: BackupPartition,
  isKept: (batch: BatchHead) => boolean,
  onBytes: (bytes: number) => void,
): Kept {
  const segments: KeptSegment[] = [];
  let expected = partition.startOffset;
  const lastAt = partition.segments.length - 1;
  for (const [at, [base, nextOffset, bytes]] of partition.segments.entries()) {
    const path = join(folder, folderOf(partition), segmentName(base));
    const fault = (position: number, what: string): Error =>
      damaged(`${path}, position ${position} (${nameOf(partition)}): ${what}`);
    if (base < expected && at > 0) throw fault(0, `the segment begins at offset ${base}, before ${expected}`);
    using file = new SegmentFile(path);
    if (file.size < bytes) throw fault(file.size, `the file has ${file.size} bytes, and ${bytes} belong into it`);
    let next = base;
    for (let position = 0; position < bytes;) {
      let batch: BatchHead;
      try {
        batch = batchAt(file, position, bytes);
      } catch (error) {
        throw fault(position, (error as Error).message);
      }
      if (batch.baseOffset < next) throw fault(position, `offset ${batch.baseOffset} stands behind ${next - 1}`);
      if (!isKept(batch)) {
        if (position > 0 || at === 0) segments.push({ base, bytes: position, isWhole: false });
        return { segments, nextOffset: batch.baseOffset, firstLeft: batch };
      }
      next = batch.nextOffset;
      position += batch.bytes;
      onBytes(batch.bytes);
    }
    // Compaction leaves gaps, also at the end of a segment, but never in the last one.
    const isEnd = at === lastAt ? next === nextOffset : next <= nextOffset;
    if (!isEnd) throw fault(bytes, `it ends with offset ${next}, and not with ${nextOffset} as the manifest says`);
    expected = nextOffset;
    segments.push({ base, bytes, isWhole: true });
  }
  return { segments, nextOffset: partition.nextOffset, firstLeft: null };
}
