import { readFileSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";
import { crc32 } from "node:zlib";
import { type BackupManifest, type BackupPartition, MANIFEST_FILE, readManifest } from "../../stdx/index.ts";
import { CliError, EXIT } from "../exit.ts";
import { damaged } from "./faults.ts";

/** The manifest of a backup's folder. Errors: no_backup, backup_damaged. */
export function manifestOf(folder: string): BackupManifest {
  const path = join(folder, MANIFEST_FILE);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new CliError(
      "no_backup",
      `${folder} has no ${MANIFEST_FILE}: it is no backup, or one that was interrupted`,
      "name the folder of a whole one: millrace backup list",
      EXIT.notFound,
    );
  }
  try {
    const manifest = readManifest(text, crc32);
    for (const { path: file } of manifest.files) checkInside(file);
    return manifest;
  } catch (error) {
    throw damaged(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A manifest names files below its own folder and no others. */
function checkInside(path: string): void {
  const isInside = !isAbsolute(path) && normalize(path) === path && path !== ".." && !path.startsWith("../");
  if (!isInside) throw new Error(`it names ${JSON.stringify(path)}, which is not in the backup`);
}

/** Folder of a partition, below a backup's or a data directory. */
export function folderOf({ logId, partition }: BackupPartition): string {
  return join("logs", String(logId), String(partition));
}

export function segmentName(base: number): string {
  return `${String(base).padStart(20, "0")}.log`;
}

export function indexName(base: number): string {
  return `${String(base).padStart(20, "0")}.idx`;
}

/** A partition as messages name it. */
export function nameOf({ kind, of, logId, partition }: BackupPartition): string {
  const what = { metadata: "the metadata", offsets: "the groups' offsets", transactions: "the transactions" } as const;
  if (kind === "topic") return `${of}/${partition}`;
  if (kind === "journal") return `the queues' messages of ${of}`;
  if (kind === "acks") return `the queues' acks of ${of}`;
  return kind === "other" ? `log ${logId}, partition ${partition}` : what[kind];
}
