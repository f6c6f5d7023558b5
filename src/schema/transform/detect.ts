import { unpack } from "msgpackr";
import { type Headers, type TransformMessage, utf8Of } from "./message.ts";

/** What a value seems to be, by its first bytes and, where these leave it open, by reading it. */

export const FORMATS = ["xml", "json", "avro", "msgpack", "text", "binary"] as const;
export type Format = (typeof FORMATS)[number];

const MAGIC = 0;
const PREFIX_BYTES = 5;
const SCHEMA_HEADER = "x-schema-id";
const JSON_SCALAR = /^\s*(?:"|-?\d|true\b|false\b|null\b)/;

/**
 * The format of a message's value: `avro` by the schema's id before it or in a header, `xml` and `json` by the first
 * character that is no space (a scalar is JSON where it parses), `msgpack` where one map or array fills the value,
 * else `text` where it is UTF-8 and `binary` where it is not.
 *
 * A value that begins like a format and is malformed has that format: the step that reads it says what is wrong.
 */
export function detect(message: TransformMessage): Format {
  const { content, headers } = message;
  if (content === null) return "binary";
  if (hasSchema(headers)) return "avro";
  if (typeof content === "string") return detectText(content);
  if (content[0] === MAGIC && content.length >= PREFIX_BYTES) return "avro";
  const quick = detectByte(content);
  if (quick !== null) return quick;
  const text = utf8Of(content);
  if (isMsgpack(content)) return "msgpack";
  return text === null ? "binary" : detectText(text);
}

function hasSchema(headers: Headers): boolean {
  return typeof headers[SCHEMA_HEADER] === "number";
}

/** By the first byte alone, which decides nearly always. */
function detectByte(bytes: Uint8Array): Format | null {
  let at = 0;
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) at = 3;
  while (bytes[at] === 0x20 || (bytes[at] as number) - 9 < 5) at += 1;
  if (bytes[at] === 0x3c) return "xml";
  return bytes[at] === 0x7b || bytes[at] === 0x5b ? "json" : null;
}

function detectText(text: string): Format {
  const start = text.trimStart().replace(/^\uFEFF/, "");
  if (start.startsWith("<")) return "xml";
  if (start.startsWith("{") || start.startsWith("[")) return "json";
  return JSON_SCALAR.test(start) && parses(start) ? "json" : "text";
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Maps and arrays only: any byte below 0x80 would be a msgpack integer. */
function isMsgpack(bytes: Uint8Array): boolean {
  const head = bytes[0] ?? 0;
  const isContainer = (head >= 0x80 && head <= 0x9f) || (head >= 0xdc && head <= 0xdf);
  if (!isContainer) return false;
  try {
    unpack(bytes);
    return true;
  } catch {
    return false;
  }
}
