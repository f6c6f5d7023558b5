/** What is wrong with a value, and where in it. */

/** Of the path to a fault; a longer one is cut at its beginning. */
const PATH_CHARACTERS_MAX = 512;

/** A value that is not what its schema says. */
export class Invalid extends Error {
  /** The way to it, as rules write it: `legs[2].price`; empty for the value as a whole. */
  path: string = "";
  readonly reason: string;

  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

const WORD = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A path with what it lies in before it: a field or a map's key, or an item's number. */
export function joined(step: string | number, path: string): string {
  if (typeof step === "number") return `[${step}]${dotted(path)}`;
  if (!WORD.test(step)) return `[${JSON.stringify(step)}]${dotted(path)}`;
  return `${step}${dotted(path)}`;
}

function dotted(path: string): string {
  return path === "" || path.startsWith("[") ? path : `.${path}`;
}

/** What was thrown within a field, a map's key or an item, with that in its path. */
export function inside(error: unknown, step: string | number): unknown {
  if (!(error instanceof Invalid)) return error;
  if (error.path.startsWith("...")) return error;
  const path = joined(step, error.path);
  error.path = path.length > PATH_CHARACTERS_MAX ? `...${path.slice(-PATH_CHARACTERS_MAX)}` : path;
  return error;
}
