import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** Reads a segment by position through one window. It uses read calls, not a map: an error of the disk is an error, never a signal. */

const WINDOW_BYTES = 4 * 1024 * 1024;

export class SegmentFile implements Disposable {
  readonly size: number;
  private readonly descriptor: number;
  private readonly modifiedMs: number;
  private window = Buffer.allocUnsafe(WINDOW_BYTES);
  private start = 0;
  private length = 0;

  /** Errors: ENOENT, EACCES, EISDIR. */
  constructor(path: string) {
    this.descriptor = openSync(path, "r");
    const stat = fstatSync(this.descriptor);
    this.modifiedMs = stat.mtimeMs;
    if (stat.isFile()) {
      this.size = stat.size;
      return;
    }
    closeSync(this.descriptor);
    const code = stat.isDirectory() ? "EISDIR" : "EINVAL";
    throw Object.assign(new Error(`${path} is no regular file`), { code, path });
  }

  /** Whether somebody has written to the file since it was opened here. */
  get hasChanged(): boolean {
    const { mtimeMs, size } = fstatSync(this.descriptor);
    return mtimeMs !== this.modifiedMs || size !== this.size;
  }

  /** The bytes `at..at+length`, fewer at the end of the file. They are valid until the next call. */
  view(at: number, length: number): Buffer {
    const wanted = Math.max(0, Math.min(length, this.size - at));
    const isInside = at >= this.start && at + wanted <= this.start + this.length;
    if (!isInside) this.fill(at, wanted);
    return this.window.subarray(at - this.start, at - this.start + wanted);
  }

  private fill(at: number, wanted: number): void {
    if (wanted > this.window.length) this.window = Buffer.allocUnsafe(wanted);
    this.start = at;
    this.length = 0;
    const most = Math.min(this.window.length, this.size - at);
    while (this.length < most) {
      const read = readSync(this.descriptor, this.window, this.length, most - this.length, at + this.length);
      // The file became shorter while it was read; what is missing reads as zeros, as the broker's unwritten space does.
      if (read === 0) {
        this.window.fill(0, this.length, most);
        this.length = most;
        return;
      }
      this.length += read;
    }
  }

  /** The first position from `at` on that holds a byte other than zero; the file's size when there is none. */
  nextNonZero(at: number): number {
    const zeros = Buffer.alloc(WINDOW_BYTES);
    for (let position = at; position < this.size; position += WINDOW_BYTES) {
      const view = this.view(position, WINDOW_BYTES);
      if (view.equals(zeros.subarray(0, view.length))) continue;
      return position + view.findIndex((byte) => byte !== 0);
    }
    return this.size;
  }

  /** The next position of `byte` from `at` on; the file's size when there is none. */
  nextByte(byte: number, at: number): number {
    for (let position = at; position < this.size;) {
      const view = this.view(position, WINDOW_BYTES);
      const found = view.indexOf(byte);
      if (found >= 0) return position + found;
      position += view.length;
    }
    return this.size;
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}
