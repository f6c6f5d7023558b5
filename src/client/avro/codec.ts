import type { Type } from "avsc";
import type { Content, Headers } from "../../protocol/index.ts";
import { asMillraceError, clientError, isMillraceError, MillraceError } from "../errors.ts";
import type { ProducerRecord } from "../producer-options.ts";
import { BoundedMap } from "./bounded-map.ts";
import { type AvroCarrier, type Framing, framedOf, PREFIX_BYTES, SCHEMA_HEADER, writePrefix } from "./framing.ts";
import { Invalid, joined } from "./invalid.ts";
import { exactJson, valueOfJson } from "./json.ts";
import type { Parser } from "./parse.ts";
import type { SchemaStore, WriterSchema } from "./schema-store.ts";

/** Values to bytes and back: written with one schema, read from whatever schema they were written with. */

/** Writers' schemas that are kept with how they are read; past it the first goes. */
const DECODERS_MAX = 1_000;
const SCRATCH_BYTES = 1_024;
/** A scratch buffer that grew past this is let go of after use. */
const SCRATCH_KEPT_BYTES_MAX = 1024 * 1024;
/** Of a value in an error's message. */
const SHOWN_CHARACTERS_MAX = 100;

/** How values of one writer's schema are read. */
interface Decoder {
  readonly writer: WriterSchema;
  read(body: Buffer): unknown;
}

/** What a codec is made of; `openCodec` gathers it. */
export interface CodecParts {
  readonly store: SchemaStore;
  readonly parser: Parser & { readonly buffer: BufferConstructor };
  /** What values are read as; null reads each as it was written. */
  readonly type: Type | null;
  /** The id of that schema, where it can be written with. */
  readonly schemaId: number | null;
  readonly subject: string | null;
  readonly framing: Framing;
}

export class AvroCodec<T> {
  /** The id that values are written with; null where this codec only reads. */
  readonly schemaId: number | null;
  /** The subject that the schema was registered or found under. */
  readonly subject: string | null;
  private readonly parts: CodecParts;
  private readonly decoders = new BoundedMap<number, Decoder | MillraceError>(DECODERS_MAX);
  private scratch: Buffer;

  constructor(parts: CodecParts) {
    this.parts = parts;
    this.schemaId = parts.schemaId;
    this.subject = parts.subject;
    this.scratch = parts.parser.buffer.alloc(SCRATCH_BYTES);
  }

  // -- Writing ------------------------------------------------------------------

  /** A value's bytes: five of prefix and its body, or with framing "header" the body alone. Errors: schema_violation. */
  encode(value: T): Uint8Array {
    return new Uint8Array(this.encodeView(value));
  }

  /** The same in a buffer that the next call overwrites: for what copies anyway, such as `producer.append`. */
  encodeView(value: T): Uint8Array {
    const { parser, framing, schemaId, type } = this.parts;
    if (schemaId === null || type === null) {
      throw clientError("invalid_argument", "there is no schema to write with: give one, and no readOnly");
    }
    const start = framing === "prefix" ? PREFIX_BYTES : 0;
    let end = this.write(type, value, start);
    if (end < 0) {
      this.scratch = parser.buffer.alloc(2 * (this.scratch.length - end));
      end = this.write(type, value, start);
    }
    const view = this.scratch.subarray(0, end);
    if (start > 0) writePrefix(view, schemaId);
    if (this.scratch.length > SCRATCH_KEPT_BYTES_MAX) this.scratch = parser.buffer.alloc(SCRATCH_BYTES);
    return view;
  }

  /** Returns where the value ends in the scratch buffer, or how many bytes that lacks as a negative number. */
  private write(type: Type, value: T, start: number): number {
    try {
      return type.encode(value, this.scratch, start);
    } catch (error) {
      throw violation(type, value, error);
    }
  }

  /** What goes out for a value: null is a tombstone, which has no schema. Errors: schema_violation. */
  framed(value: T | null, headers: Headers | null = null): { value: Content; headers: Headers | null } {
    if (value === null) return { value: null, headers };
    const bytes = this.encode(value);
    if (this.parts.framing === "prefix") return { value: bytes, headers };
    return { value: bytes, headers: { ...headers, [SCHEMA_HEADER]: this.schemaId } };
  }

  /** A record for any producer, transaction or `send`. Errors: schema_violation. */
  record(value: T | null, rest: Omit<ProducerRecord, "value"> = {}): ProducerRecord {
    return { ...rest, ...this.framed(value, rest.headers) };
  }

  /**
   * The value that JSON text stands for: unions with or without the branch's name, bytes as text of as many characters,
   * times as ISO 8601 writes them. Null is a tombstone. Errors: schema_violation, also for what is no JSON.
   */
  valueOfJson(text: string): T | null {
    const { type } = this.parts;
    if (type === null) throw clientError("invalid_argument", "there is no schema to read JSON with");
    const json = exactJson(text);
    return json === null ? null : (valueOfJson(type, json) as T);
  }

  // -- Reading ------------------------------------------------------------------

  /**
   * A message's value; a promise of it where its schema has to be asked for first. Null is a tombstone.
   *
   * Errors, thrown or of the promise: schema_violation where the body is not what its schema says, or the value names
   * no schema; schema_incompatible where this codec's schema cannot read it; schema_not_found, schema_unsupported.
   */
  decode(message: AvroCarrier): T | null | Promise<T> {
    const { value } = message;
    if (value === null) return null;
    const framed = framedOf(value, message.headers);
    if (framed === null) {
      throw clientError("schema_violation", "the value names no schema: it has neither the prefix nor the header");
    }
    const decoder = this.known(framed.id);
    if (decoder) return this.read(decoder, value, framed.bodyStart);
    return this.load(framed.id).then((loaded) => this.read(loaded, value, framed.bodyStart));
  }

  private known(id: number): Decoder | null {
    const found = this.decoders.get(id);
    if (found instanceof MillraceError) throw found;
    if (found) return found;
    const writer = this.parts.store.known(id);
    return writer && this.keep(writer);
  }

  private async load(id: number): Promise<Decoder> {
    return this.keep(await this.parts.store.load(id));
  }

  private keep(writer: WriterSchema): Decoder {
    let decoder: Decoder | MillraceError;
    try {
      decoder = this.decoderOf(writer);
    } catch (error) {
      decoder = asMillraceError(error);
    }
    this.decoders.set(writer.id, decoder);
    if (decoder instanceof MillraceError) throw decoder;
    return decoder;
  }

  private decoderOf(writer: WriterSchema): Decoder {
    const { parser, schemaId, type } = this.parts;
    const reader = type ?? parser.parse(writer.text);
    if (type === null || writer.id === schemaId)
      return { writer, read: (body) => reader.decode(body).value as unknown };
    try {
      const resolver = reader.createResolver(writer.type);
      return { writer, read: (body) => reader.decode(body, 0, resolver).value as unknown };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const message = `what schema ${writer.id} wrote cannot be read with this one: ${reason}`;
      throw clientError("schema_incompatible", message, { schemaId: writer.id });
    }
  }

  private read({ writer, read }: Decoder, value: Uint8Array, bodyStart: number): T {
    const { buffer } = this.parts.parser;
    try {
      writer.check(value, bodyStart, value.length);
      return read(buffer.from(value.buffer, value.byteOffset + bodyStart, value.length - bodyStart)) as T;
    } catch (error) {
      const { path, reason } = error instanceof Invalid ? error : { path: "", reason: reasonOf(error) };
      const message = `the value is not what its schema (id ${writer.id}) says: ${placed(path, reason)}`;
      throw clientError("schema_violation", message, { schemaId: writer.id, field: path, reason });
    }
  }
}

function placed(path: string, reason: string): string {
  return path === "" ? reason : `${path}: ${reason}`;
}

function reasonOf(error: unknown): string {
  if (isMillraceError(error)) return error.message;
  const reason = error instanceof Error ? error.message : String(error);
  return reason === "potential precision loss" ? 'a long that no number holds exactly: use longs: "bigint"' : reason;
}

/** The error for a value that its schema does not take, with the first field that is at fault. */
function violation(type: Type, value: unknown, error: unknown): MillraceError {
  let field = "";
  let reason: string | null = null;
  const errorHook = (path: string[], found: unknown, expected: Type): void => {
    if (reason !== null) return;
    field = path.reduceRight((inner, step) => joined(/^\d+$/.test(step) ? Number(step) : step, inner), "");
    reason = `${shown(found)} is no ${nameOf(expected)}`;
  };
  try {
    type.isValid(value, { errorHook });
  } catch {
    // What writing it failed with says enough.
  }
  reason ??= reasonOf(error);
  return clientError("schema_violation", `the value does not fit its schema: ${placed(field, reason)}`, {
    field,
    reason,
  });
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "bigint") return `the bigint ${value}`;
  if (value instanceof Uint8Array) return `Uint8Array of ${value.length} bytes`;
  try {
    const text = JSON.stringify(value) ?? String(value);
    return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
  } catch {
    return typeof value;
  }
}

/** A type in a sentence. */
export function nameOf(type: Type): string {
  const { name, typeName } = type;
  if (typeName.startsWith("logical:")) return typeName === "logical:millrace-bytes" ? "Uint8Array" : typeName.slice(8);
  if (typeName === "abstract:long") return "long (bigint)";
  if (typeName.startsWith("union")) return `value of the union ${type.toString()}`;
  return name ? `${typeName} ${name}` : typeName;
}
