import type * as FileSystem from "node:fs/promises";
import type * as Paths from "node:path";
import { builtinModule } from "../../protocol/runtime.ts";
import { clientError } from "../errors.ts";
import type { PayloadStore } from "./payloads.ts";

/** Payloads as files of a folder, which may be one that several machines mount. */

export interface FolderStoreOptions {
  /** Files that are older are removed as new ones come. Default: none, and `sweep` does nothing. */
  keepMs?: number;
  /** Milliseconds since 1970. Default `Date.now`. */
  now?: () => number;
}

/** Two hex digits of a random name: folders of some thousand files stay quick, and nobody counts them all at once. */
const FOLDER_LENGTH = 2;
/** The only names there are, so that none leads out of the folder. */
const ID = /^[0-9a-f]{32}$/;
const FOLDER = /^[0-9a-f]{2}$/;
const TEMPORARY = ".tmp";
/** What a process that died left half written. */
const TEMPORARY_KEEP_MS = 60 * 60 * 1_000;
/** Old files are looked for as often, or ten times in `keepMs` where that is more. */
const SWEEP_EVERY_MS_MAX = 60 * 60 * 1_000;
const SWEEPS_PER_KEEP = 10;

type Files = typeof FileSystem;

export class FolderStore implements PayloadStore {
  private readonly files: Files;
  private readonly path: string;
  private readonly keepMs: number | null;
  private readonly now: () => number;
  private sweptMs = 0;
  private sweeping: Promise<number> | null = null;

  constructor(path: string, options: FolderStoreOptions) {
    const files = builtinModule<Files>("node:fs/promises");
    if (!files) throw clientError("unsupported_feature", "this runtime has no files: use a store of your own");
    const { keepMs = null, now = Date.now } = options;
    if (path === "") throw clientError("invalid_argument", "a folder's path is needed", { field: "path" });
    if (keepMs !== null && !(keepMs > 0)) {
      throw clientError("invalid_argument", "keepMs must be more than 0", { field: "keepMs" });
    }
    this.files = files;
    this.path = (builtinModule<typeof Paths>("node:path") as typeof Paths).resolve(path);
    this.keepMs = keepMs;
    this.now = now;
  }

  /** On the disk, under its name as a whole, before it resolves. */
  async put(bytes: Uint8Array): Promise<string> {
    const id = crypto.randomUUID().replaceAll("-", "");
    const folder = this.folderOf(id);
    const made = await this.files.mkdir(folder, { recursive: true });
    const temporary = `${folder}/${id}${TEMPORARY}`;
    try {
      const file = await this.files.open(temporary, "wx", 0o640);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.files.rename(temporary, `${folder}/${id}`);
    } catch (error) {
      await this.remove(temporary).catch(() => undefined);
      throw error;
    }
    await this.syncFolder(folder);
    if (made !== undefined) await this.syncAbove(folder, made);
    this.sweepSoon();
    return id;
  }

  async get(id: string): Promise<Uint8Array | null> {
    if (!ID.test(id)) return null;
    try {
      const bytes = await this.files.readFile(`${this.folderOf(id)}/${id}`);
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  }

  async delete(id: string): Promise<void> {
    if (ID.test(id)) await this.remove(`${this.folderOf(id)}/${id}`);
  }

  private folderOf(id: string): string {
    return `${this.path}/${id.slice(0, FOLDER_LENGTH)}`;
  }

  /** Returns whether it was there. */
  private async remove(path: string): Promise<boolean> {
    try {
      await this.files.unlink(path);
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  /** A name is the folder's content, and on the disk when the folder is. */
  private async syncFolder(path: string): Promise<void> {
    const folder = await this.files.open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  /** The folders that hold the ones from `first` to `last`, which are new. */
  private async syncAbove(last: string, first: string): Promise<void> {
    for (let path = last; path.length >= first.length;) {
      path = path.slice(0, path.lastIndexOf("/"));
      await this.syncFolder(path || "/");
    }
  }

  private sweepSoon(): void {
    const { keepMs } = this;
    const nowMs = this.now();
    if (keepMs === null || nowMs - this.sweptMs < Math.min(SWEEP_EVERY_MS_MAX, keepMs / SWEEPS_PER_KEEP)) return;
    this.sweptMs = nowMs;
    // What could not be removed is found again next time.
    this.sweep().catch(() => undefined);
  }

  /** Removes files older than `keepMs`, and what was left half written. Returns how many. */
  sweep(): Promise<number> {
    this.sweeping ??= this.removeOld().finally(() => {
      this.sweeping = null;
    });
    return this.sweeping;
  }

  private async removeOld(): Promise<number> {
    const { keepMs } = this;
    if (keepMs === null) return 0;
    let removed = 0;
    for (const folder of await this.namesIn(this.path)) {
      if (!FOLDER.test(folder)) continue;
      for (const name of await this.namesIn(`${this.path}/${folder}`)) {
        const isTemporary = name.endsWith(TEMPORARY);
        const id = isTemporary ? name.slice(0, -TEMPORARY.length) : name;
        const ageMs = isTemporary ? Math.max(keepMs, TEMPORARY_KEEP_MS) : keepMs;
        const path = `${this.path}/${folder}/${name}`;
        if (ID.test(id) && (await this.isOlder(path, ageMs)) && (await this.remove(path))) removed++;
      }
    }
    return removed;
  }

  private async namesIn(folder: string): Promise<string[]> {
    try {
      return await this.files.readdir(folder);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }

  /** False for one that another process has removed meanwhile. */
  private async isOlder(path: string, ageMs: number): Promise<boolean> {
    try {
      return (await this.files.stat(path)).mtimeMs < this.now() - ageMs;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }
}

function isAbsent(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "ENOENT";
}

/** A store in a folder, which is made where it is not there. Errors: invalid_argument; unsupported_feature in browsers. */
export function folderStore(path: string, options: FolderStoreOptions = {}): FolderStore {
  return new FolderStore(path, options);
}
