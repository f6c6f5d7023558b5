/** One kind of setting each: how text becomes a value, what is accepted, and how a value is printed. */
import { formatBytes, formatMilliseconds, parseBytes, parseMilliseconds } from "../stdx/index.ts";

export type Unit = "bytes" | "ms" | "count" | "text";

/** What a setting is: its default, one line of documentation, and its check. */
export interface Field<T> {
  readonly default: T;
  readonly doc: string;
  readonly unit: Unit;
  /** The accepted values in words: `a whole number from 0 to 65535`. */
  readonly accepts: string;
  /** The value that an input (of a file, or the text of a variable or flag) stands for; undefined when it is not accepted. */
  parse(input: unknown): T | undefined;
  /** The value as a person reads it. */
  format(value: T): string;
  /** A flag of this setting may stand without a value. */
  readonly isSwitch?: boolean;
}

/** The bounds of a number, both included. `none` is a value below them that means "no limit". */
export interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly none?: number;
}

interface NumberKind {
  readonly unit: Unit;
  readonly words: string;
  parse(text: string): number | undefined;
  format(value: number): string;
}

const KINDS = {
  bytes: { unit: "bytes", words: "a size such as 16 MiB", parse: parseBytes, format: formatBytes },
  ms: { unit: "ms", words: "a span such as 500ms, 10s or 7d", parse: parseMilliseconds, format: formatMilliseconds },
  count: { unit: "count", words: "a whole number", parse: parseCount, format: String },
} as const satisfies Record<string, NumberKind>;

function parseCount(text: string): number | undefined {
  return /^\s*-?\d+\s*$/.test(text) ? Number(text) : undefined;
}

/** A number of bytes, of milliseconds or of things. */
export function number(kind: keyof typeof KINDS, value: number, bounds: Bounds, doc: string): Field<number> {
  const { unit, words, parse, format } = KINDS[kind];
  const { min, max, none } = bounds;
  const isIn = (candidate: number): boolean => candidate === none || (candidate >= min && candidate <= max);
  return {
    default: value,
    doc,
    unit,
    accepts: `${words} from ${format(min)} to ${format(max)}${none === undefined ? "" : `, or ${none} for no limit`}`,
    parse(input) {
      const parsed = typeof input === "string" ? parse(input) : input;
      return typeof parsed === "number" && Number.isSafeInteger(parsed) && isIn(parsed) ? parsed : undefined;
    },
    format: (candidate) => (candidate === none ? `${none} (no limit)` : format(candidate)),
  };
}

/** One of a few words. */
export function choice<const T extends string>(value: NoInfer<T>, values: readonly T[], doc: string): Field<T> {
  return {
    default: value,
    doc,
    unit: "text",
    accepts: `one of ${values.join(", ")}`,
    parse: (input) => values.find((candidate) => candidate === input),
    format: (candidate) => candidate,
  };
}

/** A text that passes a test; `accepts` says in words which do. */
export function text(value: string, accepts: string, test: (text: string) => boolean, doc: string): Field<string> {
  return {
    default: value,
    doc,
    unit: "text",
    accepts,
    parse: (input) => (typeof input === "string" && test(input) ? input : undefined),
    format: (candidate) => (candidate === "" ? "none" : candidate),
  };
}

/** Yes or no; the flag alone means yes. */
export function yesOrNo(value: boolean, doc: string): Field<boolean> {
  return {
    default: value,
    doc,
    unit: "text",
    accepts: "true or false",
    isSwitch: true,
    parse: (input) =>
      input === "true" || input === true ? true : input === "false" || input === false ? false : undefined,
    format: String,
  };
}
