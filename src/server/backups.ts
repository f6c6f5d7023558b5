/** Where the broker's backups lie. */
import { join } from "node:path";
import { Backups, type Mailroom, type MetadataLog } from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import type { RuntimeOptions } from "./runtime.ts";
import { VERSION } from "./version.ts";

export function openBackups(
  { engine, config, logger }: RuntimeOptions,
  metadata: MetadataLog,
  mailroom: Mailroom,
): Backups {
  return new Backups({ engine, metadata, mailroom, directory: backupDirectory(config), version: VERSION, logger });
}

/** `null` where nothing is kept on a disk. */
function backupDirectory({ storage, dataDir, backupDir }: Config): string | null {
  if (storage === "memory") return null;
  return backupDir === "" ? join(dataDir, "backups") : backupDir;
}
