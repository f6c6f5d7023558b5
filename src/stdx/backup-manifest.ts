/**
 * What a backup says of itself: the file `manifest.json` in its folder, written last. A folder without it is no backup. The
 * broker writes it, the command line reads it without a broker.
 */

export const MANIFEST_FILE = "manifest.json";
export const MANIFEST_FORMAT = 1;

export type LogKind = "metadata" | "offsets" | "transactions" | "topic" | "journal" | "acks" | "other";

export interface BackupPartition {
  readonly logId: number;
  readonly partition: number;
  readonly kind: LogKind;
  /** `namespace/name` of a topic, the namespace of a journal or ack log; empty for the broker's own logs. */
  readonly of: string;
  readonly startOffset: number;
  /** Every offset from the start up to here is in the backup. */
  readonly nextOffset: number;
  /** `[base, next offset, bytes]` of one segment after another. */
  readonly segments: readonly (readonly [base: number, nextOffset: number, bytes: number])[];
}

export interface BackupManifest {
  readonly format: number;
  readonly name: string;
  /** Version of the broker that wrote it. */
  readonly version: string;
  /** The moment that the backup is of, by the broker's clock. */
  readonly atMs: number;
  readonly epoch: number;
  /** Of all segments and files together. */
  readonly bytes: number;
  readonly partitions: readonly BackupPartition[];
  /** Ids of the namespaces that have queues; a snapshot of them is `spaces/ID`. */
  readonly spaces: Readonly<Record<string, number>>;
  /** Files that are no segments. Each ends with the CRC of what is before. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
}

/** @param crc32 of a text's UTF-8 bytes. */
export function manifestText(manifest: BackupManifest, crc32: (text: string) => number): string {
  return `${JSON.stringify({ crc32: crc32(JSON.stringify(manifest)), manifest })}\n`;
}

/** @throws Error for a text that is no manifest, is not what was written, or is of a later version. */
export function readManifest(text: string, crc32: (text: string) => number): BackupManifest {
  const file = JSON.parse(text) as { crc32?: unknown; manifest?: BackupManifest } | null;
  const manifest = file?.manifest;
  if (typeof manifest !== "object" || manifest === null) throw new Error("it is no manifest of a backup");
  if (file?.crc32 !== crc32(JSON.stringify(manifest))) throw new Error("its checksum is not that of its content");
  if (manifest.format > MANIFEST_FORMAT) {
    throw new Error(`it has format ${manifest.format}, and this version reads up to ${MANIFEST_FORMAT}`);
  }
  return manifest;
}
