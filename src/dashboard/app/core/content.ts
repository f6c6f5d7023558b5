/** Keys and values of messages as the broker has read them, and as people read them. */

/** src/admin/api/content.ts says when which field is there. */
export interface Content {
  readonly encoding: "json" | "text" | "msgpack" | "avro" | "binary";
  /** Its size as stored. */
  readonly bytes: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly base64?: string;
  readonly schemaId?: number;
  readonly error?: string;
  readonly truncated?: boolean;
}

/** A message of a topic or a queue has at least this. */
export interface Message {
  readonly key?: Content | null;
  readonly value?: Content | null;
  readonly headers?: Readonly<Record<string, unknown>> | null;
}

const SPACES = 2;

export function contentText(content: Content | null | undefined): string {
  if (content === null || content === undefined) return "";
  const { json, text, base64 } = content;
  // The text of JSON is there where its numbers are longer than JavaScript's.
  if (text !== undefined) return text;
  return json === undefined ? hexDump(base64 ?? "") : pretty(json);
}

/** On one line, for tables. */
export function contentLine(content: Content | null | undefined): string {
  if (content === null || content === undefined) return "";
  const { json, text, bytes } = content;
  const line = text ?? (json === undefined ? `${bytes} bytes` : typeof json === "string" ? json : JSON.stringify(json));
  return line.slice(0, LINE_LETTERS_MAX);
}

const LINE_LETTERS_MAX = 200;

export function pretty(value: unknown): string {
  return JSON.stringify(value, null, SPACES);
}

const ROW_BYTES = 16;

/** Offsets, bytes in hexadecimal, and what of them is ASCII. */
function hexDump(base64: string): string {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += ROW_BYTES) {
    const row = [...bytes.subarray(at, at + ROW_BYTES)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const ascii = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(ROW_BYTES * 3)} ${ascii}`);
  }
  return rows.join("\n");
}
