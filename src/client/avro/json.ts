import type { Type, types } from "avsc";
import { clientError } from "../errors.ts";
import { formKind } from "./forms.ts";
import { inside, Invalid } from "./invalid.ts";

/**
 * Avro values as JSON, for people and for the command line: a value as
 * JSON.stringify would write it, but exact. Bytes are text whose characters are
 * the bytes, as in Avro's own JSON; longs are digits, also past 2^53.
 */

// -- To JSON --------------------------------------------------------------------

/** A decoded value as JSON text on one line. */
export function jsonText(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object") return JSON.stringify(value);
  if (value instanceof Date) return JSON.stringify(value);
  if (value instanceof Uint8Array) return JSON.stringify(latin1(value));
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
  const members = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}:${jsonText(each)}`);
  return `{${members.join(",")}}`;
}

/** Avro's floats have three values that JSON has not, and one that JSON.stringify loses. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  return Object.is(value, -0) ? "-0" : String(value);
}

const LATIN1_STEP = 8_192;

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += LATIN1_STEP) {
    text += String.fromCharCode(...bytes.subarray(at, at + LATIN1_STEP));
  }
  return text;
}

// -- From JSON ------------------------------------------------------------------

const DEPTH_MAX = 256;
const LONG_DIGITS = /^-?\d{1,19}$/;
const BIG_NUMBER = /\d{16}/;
const TIME = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:?\d{2})?)?$/;

interface Source {
  readonly source?: string;
}

/** Parses JSON without rounding: integers that a number does not hold come as bigints. Errors: schema_violation. */
export function exactJson(text: string): unknown {
  try {
    return parsed(text);
  } catch (error) {
    const reason = `no JSON: ${error instanceof Error ? error.message : String(error)}`;
    throw clientError("schema_violation", `the record is ${reason}`, { field: "", reason });
  }
}

function parsed(text: string): unknown {
  if (!BIG_NUMBER.test(text)) return JSON.parse(text) as unknown;
  const exact = (_: string, value: unknown, context?: Source): unknown => {
    const { source } = context ?? {};
    const isRounded = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isRounded && source !== undefined && LONG_DIGITS.test(source) ? BigInt(source) : value;
  };
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown) as unknown;
}

/**
 * The value of a type that JSON stands for. Branches of unions may have their
 * names beside them, as in Avro's own JSON; fields with a default may be left out.
 *
 * Errors: schema_violation, with the field.
 */
export function valueOfJson(type: Type, json: unknown): unknown {
  try {
    return valueOf(type, json, 0);
  } catch (error) {
    if (!(error instanceof Invalid)) throw error;
    const { path: field, reason } = error;
    const where = field === "" ? reason : `${field}: ${reason}`;
    throw clientError("schema_violation", `the record does not fit its schema: ${where}`, { field, reason });
  }
}

function valueOf(type: Type, json: unknown, depth: number): unknown {
  if (depth > DEPTH_MAX) throw new Invalid(`nested deeper than ${DEPTH_MAX}`);
  const kind = formKind(type);
  if (kind !== null) return formValue(type, kind, json);
  switch (type.typeName) {
    case "record":
    case "error":
      return recordValue(type as types.RecordType, json, depth);
    case "array": {
      if (!Array.isArray(json)) throw unfit(type, json);
      const { itemsType } = type as types.ArrayType;
      return json.map((item, index) => within(index, () => valueOf(itemsType, item, depth + 1)));
    }
    case "map":
      return mapValue(type as types.MapType, json, depth);
    case "union:wrapped":
    case "union:unwrapped":
      return unionValue(type as types.UnwrappedUnionType, json, depth);
    default:
      return plainValue(type, json);
  }
}

function within<T>(step: string | number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw inside(error, step);
  }
}

function unfit(type: Type, json: unknown): Invalid {
  const text = jsonText(json);
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  const { name, typeName } = type;
  return new Invalid(`${shown} is no ${name ? `${typeName} ${name}` : typeName.replace(/^logical:|^abstract:/, "")}`);
}

function isObject(json: unknown): json is { [name: string]: unknown } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function recordValue(type: types.RecordType, json: unknown, depth: number): unknown {
  if (!isObject(json)) throw unfit(type, json);
  const value: { [name: string]: unknown } = {};
  for (const { name, type: fieldType, defaultValue } of type.fields) {
    const given = Object.hasOwn(json, name) ? json[name] : undefined;
    if (given !== undefined) value[name] = within(name, () => valueOf(fieldType, given, depth + 1));
    else if (defaultValue() === undefined) throw inside(new Invalid("is missing, and has no default"), name);
  }
  for (const name of Object.keys(json)) {
    // A misspelt name of a field with a default would be lost without a word.
    if ((type.field(name) as types.Field | undefined)?.name !== name)
      throw inside(new Invalid("is no field of the schema"), name);
  }
  return value;
}

function mapValue(type: types.MapType, json: unknown, depth: number): unknown {
  if (!isObject(json)) throw unfit(type, json);
  const entries = Object.entries(json).map(([name, each]) => [
    name,
    within(name, () => valueOf(type.valuesType as Type, each, depth + 1)),
  ]);
  return Object.fromEntries(entries) as unknown;
}

/** A union takes its value as it is, by the first branch that fits, or with the branch's name. */
function unionValue(type: types.UnwrappedUnionType, json: unknown, depth: number): unknown {
  const isWrapped = type.typeName === "union:wrapped";
  const value = (branch: Type, inner: unknown): unknown =>
    isWrapped && branch.typeName !== "null" ? { [branch.branchName as string]: inner } : inner;
  const names = isObject(json) ? Object.keys(json) : [];
  const named = names.length === 1 ? type.types.find(({ branchName }) => branchName === names[0]) : undefined;
  if (named && isObject(json)) {
    // A branch's name wins over a map that has one key of that name.
    const name = names[0] as string;
    return value(
      named,
      within(name, () => valueOf(named, json[name], depth + 1)),
    );
  }
  // A number is taken for a time or a decimal only where no branch is of numbers.
  const isLoose = (branch: Type): boolean => typeof json === "number" && formKind(branch) !== null;
  const ordered = [...type.types].sort((one, other) => Number(isLoose(one)) - Number(isLoose(other)));
  let fault: unknown = null;
  for (const branch of ordered) {
    try {
      return value(branch, valueOf(branch, json, depth + 1));
    } catch (error) {
      // What is wrong within the only branch of its kind says more than that nothing fits.
      if (!(error instanceof Invalid)) throw error;
      if (error.path !== "") fault ??= error;
    }
  }
  throw fault ?? new Invalid(`${jsonText(json)} fits no branch of ${type.toString()}`);
}

function plainValue(type: Type, json: unknown): unknown {
  switch (type.typeName) {
    case "abstract:long":
      if (typeof json === "bigint" || (typeof json === "string" && LONG_DIGITS.test(json)))
        return checked(type, BigInt(json), json);
      if (typeof json === "number" && Number.isSafeInteger(json)) return BigInt(json);
      throw unfit(type, json);
    case "float":
    case "double":
      if (json === "NaN" || json === "Infinity" || json === "-Infinity") return Number(json);
      return checked(type, typeof json === "bigint" ? Number(json) : json, json);
    default:
      return checked(type, json, json);
  }
}

function checked(type: Type, value: unknown, json: unknown): unknown {
  if (type.isValid(value)) return value;
  throw unfit(type, json);
}

function formValue(type: Type, kind: NonNullable<ReturnType<typeof formKind>>, json: unknown): unknown {
  switch (kind) {
    case "bytes": {
      // Past the last of them the text holds characters that are no byte.
      const isBytes = typeof json === "string" && /^[\0-\xff]*$/.test(json);
      if (!isBytes) throw unfit(type, json);
      return checked(
        type,
        Uint8Array.from(json, (character) => character.charCodeAt(0)),
        json,
      );
    }
    case "timestamp-millis":
      return checked(type, timeOf(json), json);
    case "decimal":
      return checked(type, typeof json === "number" ? String(json) : json, json);
    default:
      return checked(type, json, json);
  }
}

/** Milliseconds, or a time as ISO 8601 writes it, which is UTC without a zone. */
function timeOf(json: unknown): unknown {
  if (typeof json === "number") return new Date(json);
  const [text, clock, zone] = (typeof json === "string" && TIME.exec(json)) || [];
  if (text === undefined) return json;
  return new Date(clock !== undefined && zone === undefined ? `${text}Z` : text);
}
