/** Whether a field's default, as JSON writes it, is a value of the field's type. */
import { shown } from "../faults.ts";
import { integerOf, isArray, isObject, type Json, numberOf } from "../json-text.ts";
import { type AvroField, type AvroType, nameOf } from "./ast.ts";

const INT = [-(2n ** 31n), 2n ** 31n - 1n] as const;
const LONG = [-(2n ** 63n), 2n ** 63n - 1n] as const;
/** Not numbers of JSON, which Avro's libraries write as text. */
const NOT_FINITE = ["NaN", "Infinity", "-Infinity"];

/** Why the value does not fit the type; undefined when it does. The default of a union is of its first branch. */
export function defaultFault(value: Json, type: AvroType): string | undefined {
  switch (type.kind) {
    case "record":
      return recordFault(value, type.fields);
    case "array":
      if (!isArray(value)) return expected(value, "an array");
      return firstFault(value, (item) => defaultFault(item, type.items));
    case "map":
      if (!isObject(value)) return expected(value, "an object");
      return firstFault(Object.values(value), (entry) => defaultFault(entry ?? null, type.values));
    case "union": {
      const [first] = type.branches;
      if (first === undefined) return "the union has no branch";
      const why = defaultFault(value, first);
      return why && `${why} (a union's default is of its first branch, ${nameOf(first)}; put the default's type first)`;
    }
    case "enum":
      return typeof value === "string" && type.symbols.includes(value)
        ? undefined
        : expected(value, "one of the symbols");
    case "fixed":
      return isBinary(value) && value.length === type.sizeBytes
        ? undefined
        : expected(value, `a text of ${type.sizeBytes} characters from \\u0000 to \\u00ff`);
    default:
      return primitiveFault(value, type.kind);
  }
}

function primitiveFault(value: Json, kind: string): string | undefined {
  switch (kind) {
    case "null":
      return value === null ? undefined : expected(value, "null");
    case "boolean":
      return typeof value === "boolean" ? undefined : expected(value, "true or false");
    case "int":
      return isWithin(value, INT) ? undefined : expected(value, "a whole number of 32 bits");
    case "long":
      return isWithin(value, LONG) ? undefined : expected(value, "a whole number of 64 bits");
    case "float":
    case "double":
      return numberOf(value) !== undefined || NOT_FINITE.includes(String(value))
        ? undefined
        : expected(value, "a number");
    case "bytes":
      return isBinary(value) ? undefined : expected(value, "a text of characters from \\u0000 to \\u00ff");
    default:
      return typeof value === "string" ? undefined : expected(value, "a text");
  }
}

function recordFault(value: Json, fields: readonly AvroField[]): string | undefined {
  if (!isObject(value)) return expected(value, "an object");
  return firstFault(fields, ({ name, type, default: standard }) => {
    const given = Object.hasOwn(value, name) ? value[name] : standard;
    if (given === undefined) return `it has no "${name}"`;
    return given === standard ? undefined : defaultFault(given, type);
  });
}

function firstFault<T>(items: Iterable<T>, faultOf: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const why = faultOf(item);
    if (why !== undefined) return why;
  }
  return undefined;
}

function isWithin(value: Json, [min, max]: readonly [bigint, bigint]): boolean {
  const whole = integerOf(value);
  return whole !== undefined && whole >= min && whole <= max;
}

function isBinary(value: Json): value is string {
  return typeof value === "string" && !/[^\0-\xff]/.test(value);
}

function expected(value: Json, what: string): string {
  return `${shown(JSON.stringify(value))} is not ${what}`;
}
