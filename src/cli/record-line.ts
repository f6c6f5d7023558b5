import { isUtf8 } from "node:buffer";
import type { Headers, HeaderValue, Message } from "../client/index.ts";
import type { SchemaValue } from "./schema-view.ts";

/** A record as one line of JSON. Values that are JSON go in as they are, byte for byte, so that no number is rounded. */

/** First bytes that a JSON text may have; anything else is not worth trying to parse. */
const JSON_START = /^[\s[{"\-0-9tfn]/;
const REPLACEMENT = "\ufffd";

/** The content's JSON text, and whether it is base64 of bytes that are no text. */
interface Rendered {
  json: string;
  isBase64: boolean;
}

/** Text as JSON holds it; bytes that are no UTF-8 as base64. `text` is their decoding. */
function renderText(text: string, bytes: () => Uint8Array | null): Rendered {
  if (text.includes(REPLACEMENT)) {
    const raw = bytes();
    if (raw !== null && !isUtf8(raw))
      return { json: JSON.stringify(Buffer.from(raw).toString("base64")), isBase64: true };
  }
  return { json: JSON.stringify(text), isBase64: false };
}

/** The text itself where it is JSON, on one line: line ends in JSON are only white space. Null where it is none. */
export function embeddedJson(text: string): string | null {
  if (!JSON_START.test(text)) return null;
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  return /[\r\n\u2028\u2029]/.test(text) ? text.replace(/[\r\n]+/g, " ") : text;
}

/** Headers as JSON; bytes become base64, numbers that JSON has not become null. */
export function headersJson(headers: Headers): string {
  const entries: Record<string, HeaderValue> = {};
  for (const [name, value] of Object.entries(headers)) {
    entries[name] = value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
  }
  return JSON.stringify(entries);
}

/** Key, value and headers of a record as members of a JSON object, from a comma on. `shown` is the value where it was written with a schema. */
export function contentJson(
  key: string | null,
  keyBytes: () => Uint8Array | null,
  value: string | null,
  valueBytes: () => Uint8Array | null,
  headers: string,
  shown: SchemaValue | null = null,
): string {
  let json = ',"key":';
  if (key === null) {
    json += "null";
  } else {
    const rendered = renderText(key, keyBytes);
    json += rendered.isBase64 ? `${rendered.json},"keyEncoding":"base64"` : rendered.json;
  }
  json += ',"value":';
  if (shown !== null) {
    json += `${shown.json},"schemaId":${shown.schemaId}`;
  } else if (value === null) {
    json += 'null,"tombstone":true';
  } else {
    const embedded = embeddedJson(value);
    const rendered = embedded === null ? renderText(value, valueBytes) : { json: embedded, isBase64: false };
    json += rendered.isBase64 ? `${rendered.json},"valueEncoding":"base64"` : rendered.json;
  }
  return `${json},"headers":${headers}`;
}

/** Writes records of one topic, whose name it encodes once. */
export class RecordLines {
  private topic = "";
  private prefix = "";

  /** The record's line, with its line end. */
  of(message: Message, shown: SchemaValue | null = null): string {
    if (message.topic !== this.topic) {
      this.topic = message.topic;
      this.prefix = `{"topic":${JSON.stringify(message.topic)},"partition":`;
    }
    const { partition, offset, timestamp } = message;
    const content = contentJson(
      message.keyText(),
      () => message.key,
      shown === null ? message.text() : null,
      () => message.value,
      headersJson(message.headers),
      shown,
    );
    return `${this.prefix}${partition},"offset":${offset},"timestamp":${timestamp}${content}}\n`;
  }
}
