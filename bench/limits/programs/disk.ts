/**
 * The disk without a broker: pwrite loops over files of a segment's size, with nothing between the calls. Bun's `writeSync`
 * with a position is one pwrite; for 64 KiB and more the system call is what takes the time.
 */
import { turn } from "../../lib/pace.ts";
import { runProgram } from "../../lib/program.ts";
import { Shelf } from "../shelf.ts";

export type DiskRequest =
  /** Into the page cache; the files go afterwards. */
  | { readonly op: "write"; readonly folder: string; readonly bytes: number; readonly writeBytes: number }
  /** The same for long: first `warmBytes` that do not count; of all only the last `keepBytes` stay, because the oldest file is
   * deleted, or written over. */
  | {
      readonly op: "sustained";
      readonly folder: string;
      readonly warmBytes: number;
      readonly bytes: number;
      readonly keepBytes: number;
      readonly writeBytes: number;
      readonly isOverwriting: boolean;
    }
  /** fdatasync after every `groupBytes`. */
  | {
      readonly op: "synced";
      readonly folder: string;
      readonly bytes: number;
      readonly groupBytes: number;
      readonly writeBytes: number;
      /** Allocate the files before they are written, as a log does. */
      readonly isAllocated: boolean;
    };

const sinceMs = (startMs: number): number => (performance.now() - startMs) / 1e3;

async function write({ folder, bytes, writeBytes }: DiskRequest & { op: "write" }): Promise<number> {
  const shelf = new Shelf(folder, false, Number.POSITIVE_INFINITY);
  const block = new Uint8Array(writeBytes).fill(1);
  const startMs = performance.now();
  for (let done = 0; done < bytes; done += writeBytes) shelf.write(block);
  const seconds = sinceMs(startMs);
  await shelf.clear();
  return seconds;
}

async function sustained(request: DiskRequest & { op: "sustained" }): Promise<number> {
  const { folder, warmBytes, bytes, keepBytes, writeBytes, isOverwriting } = request;
  const shelf = new Shelf(folder, false, keepBytes, isOverwriting);
  const block = new Uint8Array(writeBytes).fill(1);
  const put = async (bytes: number): Promise<void> => {
    for (let done = 0; done < bytes; done += writeBytes) {
      shelf.write(block);
      // Deletions are answered in the event loop.
      if (shelf.isAtEnd) await turn();
    }
  };
  await put(warmBytes);
  const startMs = performance.now();
  await put(bytes);
  const seconds = sinceMs(startMs);
  await shelf.clear();
  return seconds;
}

async function synced(request: DiskRequest & { op: "synced" }): Promise<number> {
  const { folder, bytes, groupBytes, writeBytes, isAllocated } = request;
  const shelf = new Shelf(folder, isAllocated, Number.POSITIVE_INFINITY);
  const block = new Uint8Array(writeBytes).fill(1);
  const startMs = performance.now();
  let unsynced = 0;
  for (let done = 0; done < bytes; done += writeBytes) {
    shelf.write(block);
    unsynced += writeBytes;
    if (unsynced + writeBytes / 2 < groupBytes && !shelf.isAtEnd) continue;
    shelf.sync();
    unsynced = 0;
  }
  shelf.sync();
  const seconds = sinceMs(startMs) - shelf.allocationSeconds;
  await shelf.clear();
  return seconds;
}

await runProgram({}, async (message) => {
  const request = message as DiskRequest;
  if (request.op === "write") return { seconds: await write(request) };
  if (request.op === "synced") return { seconds: await synced(request) };
  return { seconds: await sustained(request) };
});
