import { Op } from "../protocol/index.ts";
import type { Client } from "./client.ts";

/** Backups of the broker's data directory. They lie on the broker's machine; the command line verifies and restores them there. */

export interface BackupSummary {
  name: string;
  /** On the broker's machine. */
  folder: string;
  /** The moment that it is of. */
  atMs: number;
  bytes: number;
  partitions: number;
}

export interface BackupRun {
  name: string;
  state: "running" | "done" | "failed";
  filesDone: number;
  /** As far as they are known. */
  filesTotal: number;
  error: string | null;
  /** Bytes that it shares with the data directory, and bytes that were copied. */
  linkedBytes: number;
  copiedBytes: number;
  /** How long nothing could be appended. */
  stoppedMs: number;
  /** How long retention and compaction waited. */
  heldMs: number;
}

export interface BackupStatus {
  directory: string;
  /** The one that is being made, or was made last since the broker's start. */
  run: BackupRun | null;
  /** Oldest first. */
  backups: BackupSummary[];
  /** Folders that an interrupted backup has left. */
  unfinished: string[];
}

export interface BackupOptions {
  /** Of its folder; the time of day without it. */
  name?: string;
  /** Called each time that its progress was asked for. */
  onProgress?: (run: BackupRun) => void;
  signal?: AbortSignal;
}

const POLL_FIRST_MS = 20;
const POLL_MAX_MS = 500;

export class Backups {
  private readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /**
   * Begins a backup and returns its name and folder. Errors: backup_running, backup_exists, invalid_argument, disk_full,
   * storage_failed.
   */
  async begin(name?: string, signal?: AbortSignal): Promise<{ name: string; folder: string }> {
    return (await this.client.ask(Op.BACKUP_RUN, [name === undefined ? {} : { name }], signal)) as {
      name: string;
      folder: string;
    };
  }

  async status(signal?: AbortSignal): Promise<BackupStatus> {
    return (await this.client.ask(Op.BACKUP_STATUS, [{}], signal)) as BackupStatus;
  }

  /** Makes a backup and resolves when it is done or has failed, as `state` says. Errors: as `begin`. */
  async run({ name, onProgress, signal }: BackupOptions = {}): Promise<BackupRun & { folder: string }> {
    const begun = await this.begin(name, signal);
    for (let waitMs = POLL_FIRST_MS; ; waitMs = Math.min(POLL_MAX_MS, waitMs * 2)) {
      const { run } = await this.status(signal);
      if (run?.name === begun.name) {
        onProgress?.(run);
        if (run.state !== "running") return { ...run, folder: begun.folder };
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}
