import { formatBytes, formatMilliseconds, parseBytes, parseMilliseconds } from "../stdx/index.ts";
import { usageError } from "./exit.ts";

/** Sizes, durations and positions as people write and read them. */

/** `1048576`, `64KiB`, `1.5GB`: KB is 1,000 and KiB 1,024 bytes. -1 stands for no limit. */
export function sizeOf(name: string, text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes < -1)
    throw usageError(`${name}: "${text}" is no size`, "write it as 65536, 64KiB or 1GiB");
  return bytes;
}

/** `500`, `500ms`, `30s`, `10m`, `12h`, `7d`, in milliseconds. -1 stands for no limit. */
export function durationOf(name: string, text: string): number {
  const ms = parseMilliseconds(text);
  if (ms === undefined || ms < -1)
    throw usageError(`${name}: "${text}" is no duration`, "write it as 500ms, 30s, 12h or 7d");
  return ms;
}

/** A whole number of at least `min`. */
export function countOf(name: string, text: string, min: number = 0): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count) || count < min) {
    throw usageError(
      `${name}: "${text}" is no whole number from ${min} up`,
      `give a number, such as ${name} ${Math.max(min, 3)}`,
    );
  }
  return count;
}

/** Partition numbers such as `0,2,5-7`. */
export function partitionsOf(name: string, text: string): number[] {
  const partitions = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (!match || last < first || last - first > 100_000) {
      throw usageError(`${name}: "${part}" is no partition number`, "list them as 0,2,5-7");
    }
    for (let partition = first; partition <= last; partition++) partitions.add(partition);
  }
  return [...partitions].sort((a, b) => a - b);
}

/** A place in a topic: its ends, an offset, or the first record at or after a time. */
export type Position = "earliest" | "latest" | { offset: number } | { timestamp: number };

const ISO = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?\s*(Z|[+-]\d\d:?\d\d)?$/i;

/** `earliest`, `latest`, an offset, or an ISO time; a time without a zone is UTC, so that a script means the same on every machine. */
export function positionOf(name: string, text: string): Position {
  if (text === "earliest" || text === "latest") return text;
  if (/^\d+$/.test(text)) return { offset: countOf(name, text) };
  const match = ISO.exec(text.trim());
  const timestamp = match
    ? Date.parse(`${match[1]}T${match[2] ?? "00:00"}${(match[3] ?? "Z").toUpperCase()}`)
    : Number.NaN;
  if (Number.isNaN(timestamp) || timestamp < 0) {
    throw usageError(
      `${name}: "${text}" is no position`,
      "use earliest, latest, an offset such as 1500, or a time such as 2026-01-31T12:00:00Z",
    );
  }
  return { timestamp };
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** A measured size, rounded: `9.4 MiB`. Settings are printed exactly, by stdx. */
export function roundBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** A measured span, rounded: `350 ms`, `12.5 s`, `3.0 h`. */
export function roundMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120e3) return `${(ms / 1e3).toFixed(1)} s`;
  if (ms < 2 * 3600e3) return `${(ms / 60e3).toFixed(1)} min`;
  if (ms < 48 * 3600e3) return `${(ms / 3600e3).toFixed(1)} h`;
  return `${(ms / 86400e3).toFixed(1)} d`;
}

export function groupDigits(count: number): string {
  return count.toLocaleString("en-US");
}

/** A setting with its unit, which its name ends with; -1 is no limit. */
export function formatSetting(name: string, value: unknown): string {
  if (typeof value !== "number") return String(value);
  if (value === -1) return "none";
  if (name.endsWith("Ms")) return formatMilliseconds(value);
  return /Bytes(Max|Min)?$|BytesPerTurn$/.test(name) ? formatBytes(value) : String(value);
}

export function formatTime(ms: number | null | undefined): string {
  return typeof ms === "number" && ms >= 0 && ms <= 8.64e15 ? new Date(ms).toISOString() : "-";
}
