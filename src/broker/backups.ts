/**
 * Backups of the running broker: the core makes them (core/log/backup), the first worker keeps them in order and writes
 * what they hold into their manifests. A backup is a folder of `backupDir` with a manifest in it; one that is being made
 * is called `NAME.partial`.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { MillraceError, toMillraceError } from "../errors/index.ts";
import type { BackupReport, Engine } from "../log/engine.ts";
import {
  type BackupManifest,
  type BackupPartition,
  type LogKind,
  type Logger,
  MANIFEST_FILE,
  MANIFEST_FORMAT,
  manifestText,
  readManifest,
} from "../stdx/index.ts";
import { OFFSETS_LOG_ID } from "./groups/offsets-store.ts";
import type { Mailroom } from "./mailroom.ts";
import { METADATA_LOG_ID, type MetadataLog } from "./metadata-log.ts";
import { TRANSACTION_LOG_ID } from "./transactions/transaction-log.ts";

const RUN = "backup.run";
const STATUS = "backup.status";
const PARTIAL = ".partial";
/** A single folder, whatever a client sends: no separator, and no dot in front. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** Listed at most; the newest. */
const LISTED_MAX = 1000;

export interface BackupsOptions {
  readonly engine: Engine;
  readonly metadata: MetadataLog;
  readonly mailroom: Mailroom;
  /** `null` where the broker keeps everything in memory. */
  readonly directory: string | null;
  readonly version: string;
  readonly logger: Logger;
}

export interface BackupSummary {
  readonly name: string;
  readonly folder: string;
  readonly atMs: number;
  readonly bytes: number;
  readonly partitions: number;
}

/** Of the backup that was made last, or is being made. */
export interface BackupRun {
  readonly name: string;
  readonly state: "running" | "done" | "failed";
  readonly filesDone: number;
  /** As far as they are known. */
  readonly filesTotal: number;
  readonly error: string | null;
  /** Of one that is done. */
  readonly linkedBytes: number;
  readonly copiedBytes: number;
  /** How long nothing could be appended. */
  readonly stoppedMs: number;
  /** How long retention and compaction waited. */
  readonly heldMs: number;
}

export interface BackupStatus {
  readonly directory: string;
  readonly run: BackupRun | null;
  readonly backups: readonly BackupSummary[];
  /** Folders that an interrupted backup has left. */
  readonly unfinished: readonly string[];
}

const NOTHING = { linkedBytes: 0, copiedBytes: 0, stoppedMs: 0, heldMs: 0 };

export class Backups {
  readonly #options: BackupsOptions;
  #run: BackupRun | null = null;
  /** By the names of folders. A backup never changes, and its manifest may be long. */
  #summaries = new Map<string, BackupSummary>();

  constructor(options: BackupsOptions) {
    this.#options = options;
    const { mailroom } = options;
    mailroom.onRequest(RUN, ({ name }: { name: string | null }) => this.#start(name));
    mailroom.onRequest(STATUS, () => this.#status());
  }

  /**
   * Begins a backup.
   *
   * @param name of its folder; null takes the time of day.
   * @returns the name. `status` tells how it goes on.
   * @throws backup_running, backup_exists, invalid_argument, disk_full, storage_failed.
   */
  async run(name: string | null): Promise<{ name: string; folder: string }> {
    return await this.#options.mailroom.request(0, RUN, { name });
  }

  async status(): Promise<BackupStatus> {
    return await this.#options.mailroom.request(0, STATUS, null);
  }

  #directory(): string {
    const { directory } = this.#options;
    if (directory !== null) return directory;
    throw new MillraceError("invalid_argument", "a broker that keeps everything in memory has nothing to back up");
  }

  async #start(given: string | null): Promise<{ name: string; folder: string }> {
    const directory = this.#directory();
    const name = given ?? nameOfNow();
    if (!NAME.test(name)) {
      const rule = "1 to 128 letters, digits, dots, dashes and underscores, with no dot or dash in front";
      throw new MillraceError("invalid_argument", `name must be ${rule}`, { details: { field: "name" } });
    }
    if (name.endsWith(PARTIAL)) throw new MillraceError("invalid_argument", `name must not end with ${PARTIAL}`);
    if (this.#run?.state === "running") {
      throw new MillraceError("backup_running", `the backup ${this.#run.name} is being made`);
    }
    const before = this.#run;
    // From here on a second one is refused, also while this one looks at the disk.
    this.#run = { name, state: "running", filesDone: 0, filesTotal: 0, error: null, ...NOTHING };
    const folder = join(directory, name);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      if (await isThere(folder)) throw new MillraceError("backup_exists", `there is a backup ${folder}`);
      await rm(folder + PARTIAL, { recursive: true, force: true });
    } catch (error) {
      this.#run = before;
      throw storageError(error);
    }
    void this.#make(name, folder);
    return { name, folder };
  }

  /** Never throws: what became of it stands in `#run`. */
  async #make(name: string, folder: string): Promise<void> {
    const { engine, logger } = this.#options;
    const partial = folder + PARTIAL;
    try {
      const report = await engine.backup(partial);
      await writeManifest(partial, this.#manifest(name, report));
      await rename(partial, folder);
      // There may have been one of the name, which somebody has removed.
      this.#summaries.delete(name);
      await syncFolder(this.#directory());
      const { linkedBytes, copiedBytes, stoppedMs, heldMs } = report;
      const [filesDone, filesTotal] = engine.backupFiles();
      const took = { linkedBytes, copiedBytes, stoppedMs, heldMs };
      this.#run = { name, state: "done", filesDone, filesTotal, error: null, ...took };
      logger.info("made a backup", { folder, ...took });
    } catch (error) {
      const { codeName, message } = toMillraceError(storageError(error));
      const [filesDone, filesTotal] = engine.backupFiles();
      this.#run = { name, state: "failed", filesDone, filesTotal, error: `${codeName}: ${message}`, ...NOTHING };
      logger.error("a backup failed", { folder, error });
      // It would only take room; what cannot be removed is told by `status`.
      await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    }
  }

  #manifest(name: string, report: BackupReport): BackupManifest {
    const names = this.#logs();
    const partitions = report.partitions.map((found): BackupPartition => {
      const { logId, partition, startOffset, nextOffset, segments: flat } = found;
      const { kind, of } = names.get(logId) ?? { kind: "other", of: "" };
      const segments: [number, number, number][] = [];
      for (let at = 0; at + 2 < flat.length; at += 3) {
        segments.push([flat[at] ?? 0, flat[at + 1] ?? 0, flat[at + 2] ?? 0]);
      }
      return { logId, partition, kind, of, startOffset, nextOffset, segments };
    });
    const { files, atMs, epoch } = report;
    const bytes = report.linkedBytes + report.copiedBytes;
    const opened = [...this.#options.metadata.state.routing.spaces()];
    const spaces = Object.fromEntries(opened.map(({ namespace, id }) => [namespace, id]));
    return {
      format: MANIFEST_FORMAT,
      name,
      version: this.#options.version,
      atMs,
      epoch,
      bytes,
      partitions,
      spaces,
      files,
    };
  }

  #logs(): Map<number, { kind: LogKind; of: string }> {
    const { metadata } = this.#options;
    metadata.catchUp();
    const logs = new Map<number, { kind: LogKind; of: string }>([
      [METADATA_LOG_ID, { kind: "metadata", of: "" }],
      [OFFSETS_LOG_ID, { kind: "offsets", of: "" }],
      [TRANSACTION_LOG_ID, { kind: "transactions", of: "" }],
    ]);
    for (const topic of metadata.state.topics()) {
      logs.set(topic.id, { kind: "topic", of: `${topic.namespace}/${topic.name}` });
    }
    for (const { namespace, journalLogId, ackLogId } of metadata.state.routing.spaces()) {
      logs.set(journalLogId, { kind: "journal", of: namespace });
      logs.set(ackLogId, { kind: "acks", of: namespace });
    }
    return logs;
  }

  async #status(): Promise<BackupStatus> {
    const directory = this.#directory();
    const names = await listed(directory);
    const isPartial = (name: string): boolean => name.endsWith(PARTIAL);
    const whole = names.filter((name) => !isPartial(name)).slice(-LISTED_MAX);
    const backups = await Promise.all(whole.map((name) => this.#summaries.get(name) ?? summary(directory, name)));
    this.#summaries = new Map(backups.flatMap((found) => (found === undefined ? [] : [[found.name, found]])));
    const current = this.#run;
    const [filesDone, filesTotal] = this.#options.engine.backupFiles();
    const run = current?.state === "running" ? { ...current, filesDone, filesTotal } : current;
    const isOrphan = (name: string): boolean => run?.state !== "running" || name !== run.name + PARTIAL;
    return {
      directory,
      run,
      backups: backups.filter((found) => found !== undefined).sort((a, b) => a.atMs - b.atMs),
      unfinished: names.filter(isPartial).filter(isOrphan),
    };
  }
}

function nameOfNow(): string {
  return new Date()
    .toISOString()
    .replaceAll(":", "-")
    .replace(/\.\d+Z$/, "Z");
}

async function listed(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw storageError(error);
  }
}

/** `undefined` for a folder that is no backup. */
async function summary(directory: string, name: string): Promise<BackupSummary | undefined> {
  const folder = join(directory, name);
  try {
    const { atMs, bytes, partitions } = readManifest(await readFile(join(folder, MANIFEST_FILE), "utf8"), crc32);
    return { name, folder, atMs, bytes, partitions: partitions.length };
  } catch {
    return undefined;
  }
}

async function writeManifest(folder: string, manifest: BackupManifest): Promise<void> {
  await using file = await open(join(folder, MANIFEST_FILE), "wx", 0o600);
  await file.writeFile(manifestText(manifest, crc32));
  await file.sync();
  await syncFolder(folder);
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** An error of the file system as one of the catalogue. */
function storageError(error: unknown): unknown {
  const code = codeOf(error);
  if (typeof code !== "string" || error instanceof MillraceError) return error;
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  return new MillraceError(isFull ? "disk_full" : "storage_failed", (error as Error).message);
}
