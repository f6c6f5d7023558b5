/** Defaults as bodies: from JSON, as a schema writes them, to Avro's binary encoding. */
import { invalidSchema } from "../faults.ts";
import { integerOf, isArray, isObject, type Json, numberOf } from "../json-text.ts";
import type { AvroRecord, AvroType } from "./ast.ts";

/** Values in all defaults of a schema: those of records bring the defaults of their fields, which can double at every level. */
export const DEFAULT_VALUES_MAX = 1 << 18;
/** Bytes of all defaults of a schema. */
export const DEFAULT_BYTES_MAX = 1 << 20;
/** Values within each other in a default; the core takes no deeper ones either. */
export const DEFAULT_DEPTH_MAX = 256;

/** Encodes the defaults of one schema, which its reader has checked: each is of its field's type. */
export class DefaultEncoder {
  #values = 0;
  #bytes = 0;
  #depth = 0;

  /** @throws schema_invalid where the defaults of the schema are too many or too large. */
  encode(value: Json, type: AvroType): Uint8Array {
    const body: number[] = [];
    this.#value(value, type, body);
    this.#bytes += body.length;
    return Uint8Array.from(body);
  }

  #value(value: Json, type: AvroType, out: number[]): void {
    this.#values += 1;
    this.#depth += 1;
    const isOver = this.#values > DEFAULT_VALUES_MAX || this.#bytes + out.length > DEFAULT_BYTES_MAX;
    if (isOver || this.#depth > DEFAULT_DEPTH_MAX) throw tooLarge();
    this.#encode(value, type, out);
    this.#depth -= 1;
  }

  #encode(value: Json, type: AvroType, out: number[]): void {
    switch (type.kind) {
      case "record":
        return this.#record(value, type, out);
      case "array":
        return this.#array(isArray(value) ? value : [], type.items, out);
      case "map":
        return this.#map(isObject(value) ? Object.entries(value) : [], type.values, out);
      case "union": {
        // A default of a union is of its first branch.
        const [first] = type.branches;
        out.push(0);
        if (first !== undefined) this.#value(value, first, out);
        return undefined;
      }
      case "enum":
        return long(BigInt(type.symbols.indexOf(String(value))), out);
      case "fixed":
        return latin1(String(value), out);
      default:
        return primitive(value, type.kind, out);
    }
  }

  #record(value: Json, { fields }: AvroRecord, out: number[]): void {
    for (const field of fields) {
      const given = isObject(value) && Object.hasOwn(value, field.name) ? value[field.name] : undefined;
      this.#value(given ?? field.default ?? null, field.type, out);
    }
  }

  #array(items: readonly Json[], type: AvroType, out: number[]): void {
    if (items.length > 0) long(BigInt(items.length), out);
    for (const item of items) this.#value(item, type, out);
    out.push(0);
  }

  #map(entries: readonly (readonly [string, Json | undefined])[], type: AvroType, out: number[]): void {
    if (entries.length > 0) long(BigInt(entries.length), out);
    for (const [key, value] of entries) {
      text(key, out);
      this.#value(value ?? null, type, out);
    }
    out.push(0);
  }
}

function tooLarge(): Error {
  return invalidSchema(
    `its defaults come to more than ${DEFAULT_VALUES_MAX} values or ${DEFAULT_BYTES_MAX} bytes, or hold themselves; let records be null by default`,
  );
}

function primitive(value: Json, kind: string, out: number[]): void {
  switch (kind) {
    case "null":
      return;
    case "boolean":
      out.push(value === true ? 1 : 0);
      return;
    case "int":
    case "long":
      long(integerOf(value) ?? 0n, out);
      return;
    case "float":
      push(new Uint8Array(new Float32Array([numberIn(value)]).buffer), out);
      return;
    case "double":
      push(new Uint8Array(new Float64Array([numberIn(value)]).buffer), out);
      return;
    case "bytes":
      long(BigInt(String(value).length), out);
      latin1(String(value), out);
      return;
    default:
      text(String(value), out);
  }
}

/** Numbers that JSON does not have are written as text. */
function numberIn(value: Json): number {
  return numberOf(value) ?? Number(value);
}

/** A number of 64 bits: zigzag, in groups of 7 bits, the lowest first. */
function long(value: bigint, out: number[]): void {
  let left = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  for (; left >= 0x80n; left >>= 7n) out.push(Number(left & 0x7fn) | 0x80);
  out.push(Number(left));
}

function text(value: string, out: number[]): void {
  const bytes = new TextEncoder().encode(value);
  long(BigInt(bytes.length), out);
  push(bytes, out);
}

/** Bytes as a schema writes them: one character each. */
function latin1(value: string, out: number[]): void {
  for (let at = 0; at < value.length; at += 1) out.push(value.charCodeAt(at) & 0xff);
}

function push(bytes: Uint8Array, out: number[]): void {
  for (const byte of bytes) out.push(byte);
}
