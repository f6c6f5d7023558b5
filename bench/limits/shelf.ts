import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { join } from "node:path";

/** Files of a segment's size that are written one behind another with pwrite, and nothing else: a log without a broker. */

export const FILE_BYTES: number = 64 * 1024 * 1024;

export class Shelf {
  readonly #folder: string;
  readonly #isAllocated: boolean;
  readonly #keepBytes: number;
  readonly #isOverwriting: boolean;
  readonly #paths: string[] = [];
  readonly #deletions: Promise<void>[] = [];
  #file: number | undefined;
  #at = FILE_BYTES;
  /** Time that went into `fallocate`, in seconds: a process of its own here, and not what is measured. */
  allocationSeconds: number = 0;

  /**
   * @param isAllocated files are allocated before they are written, as a log does
   * @param keepBytes past it the oldest files are deleted, by another thread, as a broker does
   * @param isOverwriting past `keepBytes` the oldest file is written over instead
   */
  constructor(folder: string, isAllocated: boolean, keepBytes: number, isOverwriting = false) {
    this.#folder = folder;
    this.#isAllocated = isAllocated;
    this.#keepBytes = keepBytes;
    this.#isOverwriting = isOverwriting;
  }

  /** Writes a block whole; the file it goes to may end up a little longer than the others. */
  write(block: Uint8Array): void {
    if (this.#at >= FILE_BYTES) this.#next();
    for (let done = 0; done < block.length;) {
      const written = writeSync(this.#file as number, block, done, block.length - done, this.#at);
      done += written;
      this.#at += written;
    }
  }

  #next(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#at = 0;
    if (this.#isOverwriting && this.#paths.length * FILE_BYTES >= this.#keepBytes) {
      const oldest = this.#paths.shift() as string;
      this.#file = openSync(oldest, "r+");
      this.#paths.push(oldest);
      return;
    }
    const path = join(this.#folder, `bare-${crypto.randomUUID()}`);
    this.#file = openSync(path, "w");
    this.#paths.push(path);
    if (this.#isAllocated) this.#allocate(path);
    if (this.#paths.length * FILE_BYTES <= this.#keepBytes) return;
    this.#deletions.push(unlink(this.#paths.shift() as string));
  }

  #allocate(path: string): void {
    const startMs = performance.now();
    Bun.spawnSync(["fallocate", "-l", String(FILE_BYTES), path]);
    this.allocationSeconds += (performance.now() - startMs) / 1e3;
  }

  /** True when the next write begins a file. */
  get isAtEnd(): boolean {
    return this.#at >= FILE_BYTES;
  }

  sync(): void {
    if (this.#file !== undefined) fdatasyncSync(this.#file);
  }

  /** Removes every file. */
  async clear(): Promise<void> {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    this.#at = FILE_BYTES;
    await Promise.all([...this.#deletions.splice(0), ...this.#paths.splice(0).map((path) => unlink(path))]);
  }
}
