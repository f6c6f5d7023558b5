/**
 * Keys and values as a person reads them: JSON, text, msgpack, Avro by the schema that the record names, else bytes. What
 * cannot be read as what it seems to be is shown as bytes, with the reason.
 */
import type { Type } from "avsc";
import { Unpackr } from "msgpackr";
import { MillraceError } from "../../errors/index.ts";
import { isPlainMsgpack } from "./msgpack-walk.ts";
import type { Ask, Fields } from "./route.ts";

/** How a content is written; `auto` finds out. */
export const ENCODINGS = ["auto", "json", "text", "msgpack", "avro", "binary"] as const;
export type Encoding = (typeof ENCODINGS)[number];

export interface Content {
  readonly encoding: Exclude<Encoding, "auto">;
  /** Its size as stored. */
  readonly bytes: number;
  /** The value, of json, msgpack and avro. */
  readonly json?: unknown;
  /** The text; also of json whose numbers JavaScript would round. */
  readonly text?: string;
  readonly base64?: string;
  readonly schemaId?: number;
  /** Why it is shown as bytes, although it seemed or was said to be something else. */
  readonly error?: string;
  /** Only the first bytes are shown. */
  readonly truncated?: true;
}

const FRAME_MAGIC = 0;
const FRAME_BYTES = 5;
const SCHEMAS_MAX = 100;
/** More digits than a double holds. */
const LONG_NUMBER = /\d{16,}/;
// Control characters that text does not have.
const UNPRINTABLE = /[^\P{Cc}\t\n\v\f\r]/u;

type Reader = (body: Uint8Array) => unknown;

/** Reads the contents of one request. Schemas are asked for as the request's principal, once each. */
export class ContentReader {
  readonly #ask: Ask;
  readonly #bytesMax: number;
  readonly #as: Encoding;
  readonly #schemas = new Map<number, Promise<{ schemaType: string; read: Reader } | string>>();
  readonly #unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "bigint" });

  /** @param bytesMax a content past this is cut. */
  constructor(ask: Ask, bytesMax: number, as: Encoding = "auto") {
    this.#ask = ask;
    this.#bytesMax = bytesMax;
    this.#as = as;
  }

  async read(bytes: Uint8Array | null | undefined): Promise<Content | null> {
    if (bytes === null || bytes === undefined) return null;
    if (bytes.length > this.#bytesMax)
      return { ...binary(bytes.subarray(0, this.#bytesMax)), bytes: bytes.length, truncated: true };
    switch (this.#as) {
      case "binary":
        return binary(bytes);
      case "json":
        return jsonOf(bytes) ?? binary(bytes, "it is no JSON");
      case "text":
        return textOf(bytes, true) ?? binary(bytes, "it is no UTF-8");
      case "msgpack":
        return this.#msgpackOf(bytes) ?? binary(bytes, "it is no msgpack");
      case "avro":
        return (await this.#framed(bytes)) ?? binary(bytes, "it names no schema of the registry");
      case "auto":
        return (
          (await this.#framed(bytes)) ?? jsonOf(bytes) ?? textOf(bytes, false) ?? this.#packed(bytes) ?? binary(bytes)
        );
    }
  }

  /** Of what nobody said to be msgpack, only maps and arrays count: nearly any bytes are some msgpack. */
  #packed(bytes: Uint8Array): Content | undefined {
    const head = bytes[0] ?? 0;
    const isComposite = (head >= 0x80 && head <= 0x9f) || (head >= 0xdc && head <= 0xdf);
    return isComposite ? this.#msgpackOf(bytes) : undefined;
  }

  #msgpackOf(bytes: Uint8Array): Content | undefined {
    if (!isPlainMsgpack(bytes)) return undefined;
    try {
      const value: unknown = this.#unpackr.unpack(bytes);
      return shown({ encoding: "msgpack", bytes: bytes.length, json: value ?? null });
    } catch {
      return undefined;
    }
  }

  /** Confluent's prefix: a zero, and the schema's id in four bytes. */
  async #framed(bytes: Uint8Array): Promise<Content | undefined> {
    if (bytes[0] !== FRAME_MAGIC || bytes.length < FRAME_BYTES) return undefined;
    const schemaId = Buffer.from(bytes).readUInt32BE(1);
    if (!this.#schemas.has(schemaId) && this.#schemas.size >= SCHEMAS_MAX) return undefined;
    const found = this.#schemas.get(schemaId) ?? this.#schema(schemaId);
    this.#schemas.set(schemaId, found);
    const schema = await found;
    if (typeof schema === "string") return { ...binary(bytes, schema), schemaId };
    try {
      const json = schema.read(bytes.subarray(FRAME_BYTES));
      return shown({ encoding: schema.schemaType === "AVRO" ? "avro" : "json", bytes: bytes.length, json, schemaId });
    } catch (error) {
      return { ...binary(bytes, `schema ${schemaId} does not read it: ${messageOf(error)}`), schemaId };
    }
  }

  async #schema(id: number): Promise<{ schemaType: string; read: Reader } | string> {
    try {
      const found = await this.#ask.call("SCHEMA_GET", { id, resolved: true });
      const schemaType = String(found["schemaType"]);
      return { schemaType, read: schemaType === "AVRO" ? avroReader(found) : jsonReader };
    } catch (error) {
      return `schema ${id}: ${messageOf(error)}`;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 300) : "it failed";
}

function jsonReader(body: Uint8Array): unknown {
  return JSON.parse(decodeUtf8(body));
}

function avroReader({ schema }: Fields): Reader {
  // Loaded by the first record that needs it: the broker's start does not wait for it.
  const avsc = require("avsc") as typeof import("avsc");
  // oxlint-disable-next-line no-underscore-dangle -- it is the name that avsc documents.
  const long = avsc.types.LongType.__with({
    fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
    toBuffer: (value: bigint) => {
      const buffer = Buffer.alloc(8);
      buffer.writeBigInt64LE(value);
      return buffer;
    },
    fromJSON: BigInt,
    toJSON: Number,
    isValid: (value: unknown) => typeof value === "bigint",
    compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
  });
  const type: Type = avsc.Type.forSchema(JSON.parse(String(schema)), { registry: { long } });
  return (body) => type.fromBuffer(Buffer.from(body));
}

function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

function jsonOf(bytes: Uint8Array): Content | undefined {
  try {
    const text = decodeUtf8(bytes);
    const json: unknown = JSON.parse(text);
    return shown({ encoding: "json", bytes: bytes.length, json, ...(LONG_NUMBER.test(text) && { text }) });
  } catch {
    return undefined;
  }
}

function textOf(bytes: Uint8Array, isSaid: boolean): Content | undefined {
  try {
    const text = decodeUtf8(bytes);
    return isSaid || !UNPRINTABLE.test(text) ? { encoding: "text", bytes: bytes.length, text } : undefined;
  } catch {
    return undefined;
  }
}

/** @throws RangeError for what is nested deeper than an answer can be. */
function shown(content: Content): Content {
  JSON.stringify(content.json, (_, value: unknown) => (typeof value === "bigint" ? "" : value));
  return content;
}

function binary(bytes: Uint8Array, error?: string): Content {
  const base64 = Buffer.from(bytes).toString("base64");
  return { encoding: "binary", bytes: bytes.length, base64, ...(error !== undefined && { error }) };
}

// The other way: what a request brings.

/** The value that a body brings as one of `value`, `json` and `base64`. @throws invalid_argument where more are there. */
export function contentOf(body: Fields): string | Uint8Array | null {
  const { value, json, base64 } = body;
  if ([value, json, base64].filter((each) => each !== undefined).length > 1) {
    throw new MillraceError("invalid_argument", "a value is one of value, json and base64");
  }
  if (typeof base64 === "string") return new Uint8Array(Buffer.from(base64, "base64"));
  if (json !== undefined) return JSON.stringify(json);
  return typeof value === "string" ? value : null;
}
