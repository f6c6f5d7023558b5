import type * as Avsc from "avsc";
import type { Schema, Type } from "avsc";

/**
 * The forms that Avro's types have in JavaScript where avsc's own would not do:
 * bytes as Uint8Array, and the logical types. `README.md` has the table.
 *
 * A form is one of avsc's logical types. Their classes are made from a loaded
 * avsc, so that importing this costs nothing.
 */

/** The attribute that has avsc use a form for plain bytes. Schemas that are registered never have it. */
const BYTES_FORM = "millrace-bytes";

/** How longs stand in JavaScript: "number" refuses what a number cannot hold exactly. */
export type LongForm = "number" | "bigint";

/** How a form's values look from outside. */
export type FormKind = "bytes" | "decimal" | "date" | "timestamp-millis" | "uuid";

const MS_PER_DAY = 86_400_000;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const DECIMAL = /^-?\d{1,400}(\.\d{1,400})?$/;

/** From what avsc reads to what a program gets, and back; undefined is what cannot be written. */
interface Form {
  readonly kind: FormKind;
  fromValue(value: unknown): unknown;
  toValue(value: unknown): unknown;
}

type FormOf = (attributes: { readonly [name: string]: unknown }, buffer: BufferConstructor) => Form;

function asBytes(value: Uint8Array): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

/** A Buffer of the same bytes, which is what avsc writes. */
function asBuffer(value: unknown, buffer: BufferConstructor): Buffer | undefined {
  return value instanceof Uint8Array ? buffer.from(value.buffer, value.byteOffset, value.byteLength) : undefined;
}

const bytesForm: FormOf = (_, buffer) => ({
  kind: "bytes",
  fromValue: (value) => asBytes(value as Uint8Array),
  toValue: (value) => asBuffer(value, buffer),
});

const timestampForm: FormOf = () => ({
  kind: "timestamp-millis",
  fromValue: (value) => new Date(Number(value)),
  toValue: (value) => (value instanceof Date && !Number.isNaN(value.getTime()) ? value.getTime() : undefined),
});

const dateForm: FormOf = () => ({
  kind: "date",
  fromValue: (value) => dayText(value as number),
  toValue: (value) => {
    if (typeof value !== "string" || !DAY.test(value)) return undefined;
    const ms = Date.parse(value);
    // Date.parse takes the 30th of February for the 2nd of March.
    return dayText(ms / MS_PER_DAY) === value ? ms / MS_PER_DAY : undefined;
  },
});

/** A day as "2026-11-21"; those outside the years 0 to 9999 as their number, which is not written back. */
function dayText(days: number): string {
  const date = new Date(days * MS_PER_DAY);
  const isPlain = date.getUTCFullYear() >= 0 && date.getUTCFullYear() <= 9999;
  return isPlain ? date.toISOString().slice(0, 10) : String(days);
}

/** A decimal's text, of its two's complement. */
function decimalText(value: Uint8Array, scale: number): string {
  const hex = Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const unscaled = hex === "" ? 0n : BigInt.asIntN(8 * value.length, BigInt(`0x${hex}`));
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const text = scale === 0 ? whole : `${whole}.${digits.slice(digits.length - scale)}`;
  return unscaled < 0n ? `-${text}` : text;
}

/** The two's complement of a decimal's text, in `size` bytes or as few as it needs; undefined where it does not fit. */
function decimalBytes(
  text: unknown,
  precision: number,
  scale: number,
  size: number | undefined,
): Uint8Array | undefined {
  if (typeof text !== "string" || !DECIMAL.test(text)) return undefined;
  const [whole = "", part = ""] = text.split(".");
  if (part.length > scale) return undefined;
  const unscaled = BigInt(whole.replace("-", "") + part.padEnd(scale, "0"));
  if (unscaled.toString().length > precision) return undefined;
  const signed = text.startsWith("-") ? -unscaled : unscaled;
  let length = size ?? 1;
  while (size === undefined && BigInt.asIntN(8 * length, signed) !== signed) length++;
  if (BigInt.asIntN(8 * length, signed) !== signed) return undefined;
  const hex = BigInt.asUintN(8 * length, signed).toString(16);
  return hexBytes(hex.padStart(2 * length, "0"));
}

function hexBytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

const decimalForm: FormOf = ({ precision, scale = 0, size }, buffer) => ({
  kind: "decimal",
  fromValue: (value) => decimalText(value as Uint8Array, scale as number),
  toValue: (text) =>
    asBuffer(decimalBytes(text, precision as number, scale as number, size as number | undefined), buffer),
});

/** Of a uuid in 16 bytes; one that is a string is that string. */
const uuidForm: FormOf = (_, buffer) => ({
  kind: "uuid",
  fromValue: (value) => {
    const hex = Array.from(value as Uint8Array, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  },
  toValue: (text) =>
    typeof text === "string" && UUID.test(text) ? asBuffer(hexBytes(text.replaceAll("-", "")), buffer) : undefined,
});

const FORMS: Readonly<Record<string, FormOf>> = {
  [BYTES_FORM]: bytesForm,
  decimal: decimalForm,
  date: dateForm,
  "timestamp-millis": timestampForm,
  uuid: uuidForm,
};

/** The form of a type that has one. */
export function formKind(type: Type): FormKind | null {
  return (type as Type & { formKind?: FormKind }).formKind ?? null;
}

/** avsc's `logicalTypes`, by the name that a schema has in `logicalType`. */
export function formClasses(avsc: typeof Avsc, buffer: BufferConstructor): Avsc.ForSchemaOptions["logicalTypes"] {
  const classOf = (formOf: FormOf): Avsc.ForSchemaOptions["logicalTypes"][string] =>
    class extends avsc.types.LogicalType {
      readonly form: Form;
      readonly formKind: FormKind;

      constructor(schema: Schema, options?: unknown) {
        super(schema, options);
        this.form = formOf(schema as unknown as { [name: string]: unknown }, buffer);
        this.formKind = this.form.kind;
      }

      protected override _fromValue(value: unknown): unknown {
        return this.form.fromValue(value);
      }

      protected override _toValue(value: unknown): unknown {
        return this.form.toValue(value);
      }

      /** How what another type wrote is read, where the type beneath could read it. */
      protected override _resolve(writer: Type): unknown {
        this.underlyingType.createResolver(writer);
        const isText = writer.typeName === "string";
        return (value: unknown) => this.form.fromValue(isText ? buffer.from(value as string) : value);
      }
    };
  return Object.fromEntries(Object.entries(FORMS).map(([name, formOf]) => [name, classOf(formOf)]));
}

const PRIMITIVES: ReadonlySet<unknown> = new Set(["null", "boolean", "int", "long", "float", "double", "string"]);

type Json = { readonly [name: string]: unknown };

/** A schema in which every bytes and fixed has a form, and nothing else has one that does not fit it. */
export function withForms(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withForms);
  if (schema === "bytes") return { type: "bytes", logicalType: BYTES_FORM };
  if (typeof schema !== "object" || schema === null) return schema;
  const { type, items, values, fields } = schema as Json;
  if (typeof type === "object") return withForms(type);
  switch (type) {
    case "array":
      return { ...schema, items: withForms(items) };
    case "map":
      return { ...schema, values: withForms(values) };
    case "record":
    case "error":
      return { ...schema, fields: Array.isArray(fields) ? fields.map(fieldWithForms) : fields };
    default: {
      const logicalType = formNameOf(schema as Json);
      // avsc looks its own types up by their names alone.
      return logicalType === undefined && PRIMITIVES.has(type) ? type : { ...schema, logicalType };
    }
  }
}

function fieldWithForms(field: unknown): unknown {
  if (typeof field !== "object" || field === null) return field;
  return { ...field, type: withForms((field as Json)["type"]) };
}

function formNameOf({ type, logicalType, precision, scale = 0, size }: Json): string | undefined {
  const isBytes = type === "bytes" || type === "fixed";
  const isDecimal =
    logicalType === "decimal" && isWhole(precision, 1) && isWhole(scale, 0) && scale <= (precision as number);
  if (isBytes && isDecimal) return "decimal";
  if (type === "fixed" && logicalType === "uuid" && size === 16) return "uuid";
  if (isBytes) return BYTES_FORM;
  if (type === "int" && logicalType === "date") return "date";
  if (type === "long" && logicalType === "timestamp-millis") return "timestamp-millis";
  return undefined;
}

function isWhole(value: unknown, least: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least;
}
