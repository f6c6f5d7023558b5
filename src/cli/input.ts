import { openSync, readSync, closeSync, fstatSync } from "node:fs";
import { badInput, type Emit, type InputFormat } from "./splitters.ts";
import { usageError } from "./exit.ts";

/** Where `produce` reads from, what it takes for a record, and which key a record gets. */

export interface Input {
  readonly name: string;
  /** Bytes in all, where it is known. */
  readonly totalBytes: number | null;
  readonly isTerminal: boolean;
  stream(): ReadableStream<Uint8Array>;
}

/** The file at `path`, or standard input for undefined and "-". Errors: ENOENT, EACCES, EISDIR. */
export function openInput(path: string | undefined): Input {
  if (path === undefined || path === "-") {
    return {
      name: "standard input",
      totalBytes: null,
      isTerminal: process.stdin.isTTY === true,
      stream: () => Bun.stdin.stream(),
    };
  }
  return { name: path, totalBytes: fileBytes(path), isTerminal: false, stream: () => Bun.file(path).stream() };
}

/** The size of a regular file; null of a pipe or a device. */
function fileBytes(path: string): number | null {
  const file = openSync(path, "r");
  try {
    const stat = fstatSync(file);
    if (stat.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR", path });
    return stat.isFile() ? stat.size : null;
  } finally {
    closeSync(file);
  }
}

export const INPUT_FORMATS: readonly InputFormat[] = ["lines", "ndjson", "json-array"];

/**
 * The format that was asked for, or the likeliest: a key or a schema needs JSON, `.ndjson`
 * and `.jsonl` say so themselves, and a `.json` file holds an array when it begins with one.
 */
export function formatOf(
  format: string | undefined,
  path: string | undefined,
  hasKey: boolean,
  hasSchema: boolean = false,
): InputFormat {
  if (format !== undefined) {
    const known = INPUT_FORMATS.find((name) => name === format);
    if (known === undefined) throw usageError(`--format: "${format}" is unknown`, `use ${INPUT_FORMATS.join(", ")}`);
    if (known === "lines" && hasKey)
      throw usageError("--key needs JSON records", "use --format ndjson, or leave --key out");
    if (known === "lines" && hasSchema) throw usageError("--schema needs JSON records", "use --format ndjson");
    return known;
  }
  if (path !== undefined && path.endsWith(".json")) return beginsWithArray(path) ? "json-array" : "ndjson";
  const isNdjson = hasKey || hasSchema || /\.(ndjson|jsonl)$/.test(path ?? "");
  return isNdjson ? "ndjson" : "lines";
}

function beginsWithArray(path: string): boolean {
  const head = Buffer.alloc(256);
  const file = openSync(path, "r");
  try {
    const bytes = readSync(file, head, 0, head.length, 0);
    return /^\uFEFF?\s*\[/.test(head.toString("utf8", 0, bytes));
  } finally {
    closeSync(file);
  }
}

/** Takes one record with its key; null is no key. The value is a view of the input's bytes. */
export type TakeRecord = (key: string | null, value: Uint8Array) => void;

/** Makes an Emit of a TakeRecord: checks what must be JSON and finds the key in it. */
export function recordReader(format: InputFormat, key: string | undefined, take: TakeRecord): Emit {
  if (format === "lines") return (bytes, start, end) => take(null, bytes.subarray(start, end));
  const path = key?.split(".") ?? [];
  const unit = format === "ndjson" ? "line" : "element";
  let count = 0;
  return (bytes, start, end) => {
    count++;
    const text = textOf(bytes, start, end);
    if (format === "ndjson" && text.trim() === "") return;
    const value = parse(text, `${unit} ${count}`);
    const found = key === undefined ? null : keyText(fieldOf(value, key, path), `${unit} ${count}`, key);
    take(found, bytes.subarray(start, end));
  };
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.prototype.utf8Slice.call(bytes, start, end);
}

function parse(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw badInput(`${place} is no JSON: ${why}`, "repair it, or use --format lines to send it as it is");
  }
}

/** A field by its name, or by a path with dots where no field has the whole name. */
function fieldOf(value: unknown, name: string, path: readonly string[]): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const record = value as Record<string, unknown>;
  if (path.length < 2 || Object.hasOwn(record, name)) return Object.hasOwn(record, name) ? record[name] : undefined;
  let at: unknown = value;
  for (const step of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string, unknown>)[step];
  }
  return at;
}

/** The text of a key; a missing or null field is no key. */
function keyText(field: unknown, place: string, name: string): string | null {
  if (typeof field === "string") return field;
  if (field === undefined || field === null) return null;
  if (typeof field === "number" && Number.isInteger(field) && !Number.isSafeInteger(field)) {
    throw badInput(`${place}: ${name} is a number of 2^53 or more, which JSON readers round`, "write it as a string");
  }
  return typeof field === "object" ? JSON.stringify(field) : String(field);
}
