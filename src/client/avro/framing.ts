import type { HeaderValue } from "../../protocol/index.ts";

/** How a value says which schema it was written with: five bytes in front of its body, or a header beside it. */

export type Framing = "prefix" | "header";

/** The header that holds the id of a bare body's schema. */
export const SCHEMA_HEADER = "x-schema-id";

/** A zero, and the id in four bytes, the highest first: as Confluent's clients write it. */
export const PREFIX_BYTES = 5;

const MAGIC = 0;
const ID_MAX = 0xffff_ffff;

/** What a body can be read from: a message of a topic, or of a queue. */
export interface AvroCarrier {
  readonly value: Uint8Array | null;
  readonly headers: { readonly [name: string]: HeaderValue };
}

/** Where a body begins in its value, and the schema it was written with. */
export interface Framed {
  readonly id: number;
  readonly bodyStart: number;
}

export function writePrefix(bytes: Uint8Array, id: number): void {
  bytes[0] = MAGIC;
  bytes[1] = id >>> 24;
  bytes[2] = id >>> 16;
  bytes[3] = id >>> 8;
  bytes[4] = id;
}

/** The id that a value names, by its header or by its first bytes; null where it names none. */
export function framedOf(value: Uint8Array, headers: AvroCarrier["headers"]): Framed | null {
  const given = headers[SCHEMA_HEADER];
  if (given !== undefined) {
    const isId = typeof given === "number" && Number.isInteger(given) && given > 0 && given <= ID_MAX;
    return isId ? { id: given, bodyStart: 0 } : null;
  }
  if (value.length < PREFIX_BYTES || value[0] !== MAGIC) return null;
  const [, a = 0, b = 0, c = 0, d = 0] = value;
  const id = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  return id > 0 ? { id, bodyStart: PREFIX_BYTES } : null;
}

/** The id of the schema that a message was written with; null where it names none. */
export function schemaIdOf({ value, headers }: AvroCarrier): number | null {
  return value === null ? null : (framedOf(value, headers)?.id ?? null);
}

/** A message's value without the prefix; null for a tombstone and for a value that names no schema. */
export function bodyOf({ value, headers }: AvroCarrier): Uint8Array | null {
  const framed = value === null ? null : framedOf(value, headers);
  return value === null || framed === null ? null : value.subarray(framed.bodyStart);
}
