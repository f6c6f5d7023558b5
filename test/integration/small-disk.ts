/** A file system of a few megabytes, so that a disk can be full without filling one. */
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CHUNK_BYTES = 64 << 10;

export class SmallDisk implements Disposable {
  readonly path: string;

  /** Needs the right to mount; where that is missing it throws, because a test that was left out proves nothing. */
  constructor(bytes: number) {
    this.path = mkdtempSync(join(tmpdir(), "millrace-disk-"));
    run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "millrace-test", this.path);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Writes a file of this size, or as long as there is space. */
  fill(name: string, bytes: number = Number.POSITIVE_INFINITY): void {
    const file = openSync(join(this.path, name), "w");
    try {
      for (let left = bytes; left > 0; left -= CHUNK_BYTES) writeSync(file, Buffer.alloc(Math.min(left, CHUNK_BYTES)));
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    } finally {
      closeSync(file);
    }
  }

  empty(name: string): void {
    rmSync(join(this.path, name));
  }

  [Symbol.dispose](): void {
    // Lazily: a broker that a failed test left behind must not keep the mount.
    run("umount", "-l", this.path);
    rmSync(this.path, { recursive: true });
  }
}

function run(...words: string[]): void {
  const { success, stderr } = Bun.spawnSync(words);
  if (!success) throw new Error(`${words.join(" ")}: ${stderr.toString()}`);
}
