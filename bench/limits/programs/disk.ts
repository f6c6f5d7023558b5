/**
 * The disk without a broker: pwrite loops over files of a segment's size, with nothing between the calls. Bun's `writeSync`
 * with a position is one pwrite; for 64 KiB and more the system call is what takes the time.
 */
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { turn } from "../../lib/pace.ts";
import { runProgram } from "../../lib/program.ts";

export type DiskRequest =
  /** Into the page cache; the files go afterwards. */
  | { readonly op: "write"; readonly folder: string; readonly bytes: number; readonly writeBytes: number }
  /** The same for long: first `warmBytes` that do not count; of all only the last `keepBytes` stay. */
  | {
      readonly op: "sustained";
      readonly folder: string;
      readonly warmBytes: number;
      readonly bytes: number;
      readonly keepBytes: number;
      readonly writeBytes: number;
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

const FILE_BYTES = 64 * 1024 * 1024;

const sinceMs = (startMs: number): number => (performance.now() - startMs) / 1e3;

/** A file that is written from its start on. */
class Sheet {
  readonly path: string;
  readonly #file: number;
  #at = 0;

  constructor(folder: string, isAllocated: boolean) {
    this.path = join(folder, crypto.randomUUID());
    this.#file = openSync(this.path, "w");
    if (isAllocated) Bun.spawnSync(["fallocate", "-l", String(FILE_BYTES), this.path]);
  }

  get isFull(): boolean {
    return this.#at >= FILE_BYTES;
  }

  write(block: Uint8Array): void {
    for (let done = 0; done < block.length;) {
      const written = writeSync(this.#file, block, done, block.length - done, this.#at);
      done += written;
      this.#at += written;
    }
  }

  sync(): void {
    fdatasyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }
}

async function sustained(request: DiskRequest & { op: "sustained" }): Promise<number> {
  const { folder, warmBytes, bytes, keepBytes, writeBytes } = request;
  const block = new Uint8Array(writeBytes).fill(1);
  const kept: string[] = [];
  const deletions: Promise<void>[] = [];
  let sheet = new Sheet(folder, false);
  let startMs = performance.now();
  let isWarm = warmBytes === 0;
  for (let done = 0; done < warmBytes + bytes; done += writeBytes) {
    if (!isWarm && done >= warmBytes) {
      isWarm = true;
      startMs = performance.now();
    }
    sheet.write(block);
    if (!sheet.isFull) continue;
    sheet.close();
    kept.push(sheet.path);
    sheet = new Sheet(folder, false);
    // Deleted on another thread, as a broker does it.
    if (kept.length * FILE_BYTES > keepBytes) deletions.push(unlink(kept.shift() as string));
    await turn();
  }
  const seconds = sinceMs(startMs);
  sheet.close();
  await Promise.all(deletions);
  for (const path of [...kept, sheet.path]) unlinkSync(path);
  return seconds;
}

function write({ folder, bytes, writeBytes }: DiskRequest & { op: "write" }): number {
  const block = new Uint8Array(writeBytes).fill(1);
  const sheets: Sheet[] = [];
  const startMs = performance.now();
  for (let done = 0; done < bytes; done += writeBytes) {
    if (sheets.at(-1)?.isFull !== false) sheets.push(new Sheet(folder, false));
    sheets.at(-1)?.write(block);
  }
  const seconds = sinceMs(startMs);
  for (const sheet of sheets) {
    sheet.close();
    unlinkSync(sheet.path);
  }
  return seconds;
}

function synced({ folder, bytes, groupBytes, writeBytes, isAllocated }: DiskRequest & { op: "synced" }): number {
  const block = new Uint8Array(writeBytes).fill(1);
  const sheets: Sheet[] = [];
  let seconds = 0;
  let unsynced = 0;
  let startMs = performance.now();
  for (let done = 0; done < bytes; done += writeBytes) {
    if (sheets.at(-1)?.isFull !== false) {
      sheets.at(-1)?.sync();
      unsynced = 0;
      // To allocate a file takes a process here; its time is not the disk's.
      seconds += sinceMs(startMs);
      sheets.push(new Sheet(folder, isAllocated));
      startMs = performance.now();
    }
    sheets.at(-1)?.write(block);
    unsynced += writeBytes;
    if (unsynced + writeBytes / 2 < groupBytes) continue;
    sheets.at(-1)?.sync();
    unsynced = 0;
  }
  sheets.at(-1)?.sync();
  seconds += sinceMs(startMs);
  for (const sheet of sheets) {
    sheet.close();
    unlinkSync(sheet.path);
  }
  return seconds;
}

await runProgram({}, async (message) => {
  const request = message as DiskRequest;
  if (request.op === "write") return { seconds: write(request) };
  if (request.op === "synced") return { seconds: synced(request) };
  return { seconds: await sustained(request) };
});
