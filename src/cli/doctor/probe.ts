/** What can only be told by trying: files that are written, synced and removed again. */
import { accessSync, closeSync, constants, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";

const SYNC_BYTES = 64 << 10;
const SYNCS = 9;

function probePath(folder: string): string {
  return join(folder, `millrace-doctor.${process.pid}.tmp`);
}

export function isWritableFolder(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The median of a few syncs of 64 KiB that were appended; undefined where writing fails. */
export function syncMsOf(folder: string): number | undefined {
  const path = probePath(folder);
  const took: number[] = [];
  try {
    const file = openSync(path, "wx", 0o600);
    try {
      for (let round = 0; round < SYNCS; round += 1) {
        writeSync(file, Buffer.alloc(SYNC_BYTES, round + 1));
        const startMs = performance.now();
        fdatasyncSync(file);
        took.push(performance.now() - startMs);
      }
    } finally {
      closeSync(file);
      rmSync(path, { force: true });
    }
  } catch {
    return undefined;
  }
  return took.sort((a, b) => a - b)[SYNCS >> 1];
}

/** Whether a program that lies in the folder may run: not on a file system that is mounted `noexec`. */
export function isExecutableFolder(folder: string): boolean {
  const path = probePath(folder);
  try {
    const file = openSync(path, "wx", 0o700);
    try {
      writeSync(file, "#!/bin/sh\nexit 0\n");
    } finally {
      closeSync(file);
    }
    return spawnSync(path).status === 0;
  } catch {
    return false;
  } finally {
    rmSync(path, { force: true });
  }
}
