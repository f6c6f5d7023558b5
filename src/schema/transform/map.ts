import { failed } from "./fault.ts";
import { isObject } from "./json.ts";
import type { Step } from "./step.ts";

/** Mapping of JSON objects. Fields are named by paths: `customer.name`. Nothing is changed in place, because messages may share what is in them. */

export type FieldType = "string" | "number" | "integer" | "boolean";
export const FIELD_TYPES: readonly FieldType[] = ["string", "number", "integer", "boolean"];

/** Done in this order; what is not there is left alone. */
export interface MapDefinition {
  /** Only these fields stay. */
  readonly pick?: readonly string[];
  readonly remove?: readonly string[];
  /** Old path to new path. */
  readonly rename?: Readonly<Record<string, string>>;
  /** New type by path. */
  readonly convert?: Readonly<Record<string, FieldType>>;
  /** Constants by path. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** Fields that have to be there in the end. */
  readonly require?: readonly string[];
}

type Fields = Record<string, unknown>;
type Path = readonly string[];
type Change = (body: Fields) => Fields;

/** Fields of these names would reach a prototype. */
const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);

/** Why a path cannot be used, or undefined. */
export function pathFault(path: string): string | undefined {
  const parts = path.split(".");
  if (parts.some((part) => part === "")) return "a path of names joined by dots";
  return parts.some((part) => FORBIDDEN.has(part)) ? "a path without __proto__, constructor and prototype" : undefined;
}

export function mapJson(definition: MapDefinition): Step {
  const changes = changesOf(definition);
  return (message) => {
    let body = message.shared();
    if (!isObject(body)) throw failed("the value is no JSON object");
    for (const change of changes) body = change(body as Fields);
    return message.withJson(body);
  };
}

function changesOf(definition: MapDefinition): Change[] {
  const { pick, remove = [], rename = {}, convert = {}, set = {}, require = [] } = definition;
  const changes: Change[] = [];
  if (pick !== undefined) changes.push(picking(pick.map(pathOf)));
  for (const path of remove.map(pathOf)) changes.push((body) => without(body, path, 0));
  const renames = Object.entries(rename).map(([from, to]) => [pathOf(from), pathOf(to)] as const);
  if (renames.length > 0) changes.push(renames.every(isFlat) ? renamingFlat(renames) : renaming(renames));
  for (const [name, type] of Object.entries(convert)) changes.push(converting(pathOf(name), name, type));
  const constants = Object.entries(set).map(([name, value]) => [pathOf(name), value] as const);
  if (constants.length > 0)
    changes.push((body) => constants.reduce((into, [path, value]) => put(into, path, 0, value), body));
  if (require.length > 0) changes.push(requiring(require.map((name) => [name, pathOf(name)] as const)));
  return changes;
}

function pathOf(path: string): Path {
  return path.split(".");
}

function isFlat([from, to]: readonly [Path, Path]): boolean {
  return from.length === 1 && to.length === 1;
}

/** The field at a path; undefined where there is none. */
function at(body: unknown, path: Path): unknown {
  let value = body;
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** A copy that has `value` at the path; objects on the way are made where there are none. */
function put(body: unknown, path: Path, depth: number, value: unknown): Fields {
  const copy: Fields = isObject(body) ? { ...body } : {};
  const name = path[depth] as string;
  copy[name] = depth === path.length - 1 ? value : put(copy[name], path, depth + 1, value);
  return copy;
}

/** A copy without the path; the object itself where it has none. */
function without(body: Fields, path: Path, depth: number): Fields {
  const name = path[depth] as string;
  if (!Object.hasOwn(body, name)) return body;
  if (depth === path.length - 1) {
    const { [name]: _, ...rest } = body;
    return rest;
  }
  const inner = body[name];
  return isObject(inner) ? { ...body, [name]: without(inner, path, depth + 1) } : body;
}

function picking(paths: readonly Path[]): Change {
  return (body) => {
    let picked: Fields = {};
    for (const path of paths) {
      const value = at(body, path);
      if (value === undefined) continue;
      if (path.length === 1) picked[path[0] as string] = value;
      else picked = put(picked, path, 0, value);
    }
    return picked;
  };
}

/** Top-level names only: fields keep their places, in one walk. A field that another one is renamed to gives way. */
function renamingFlat(renames: readonly (readonly [Path, Path])[]): Change {
  const names = new Map(renames.map(([[from = ""], [to = ""]]) => [from, to]));
  const origins = new Map(renames.map(([[from = ""], [to = ""]]) => [to, from]));
  return (body) => {
    const renamed: Fields = {};
    for (const name in body) {
      const to = names.get(name);
      if (to !== undefined) renamed[to] = body[name];
      else if (!givesWay(body, origins.get(name)) && name !== "__proto__") renamed[name] = body[name];
    }
    return renamed;
  };
}

function givesWay(body: Fields, origin: string | undefined): boolean {
  return origin !== undefined && Object.hasOwn(body, origin);
}

/** All at once: `{a: "b", b: "a"}` swaps. */
function renaming(renames: readonly (readonly [Path, Path])[]): Change {
  return (body) => {
    const moved = renames.map(([from, to]) => [from, to, at(body, from)] as const);
    let into = body;
    for (const [from, , value] of moved) if (value !== undefined) into = without(into, from, 0);
    for (const [, to, value] of moved) if (value !== undefined) into = put(into, to, 0, value);
    return into;
  };
}

function converting(path: Path, name: string, type: FieldType): Change {
  return (body) => {
    const value = at(body, path);
    if (value === undefined || value === null) return body;
    const converted = converters[type](value);
    if (converted === undefined) {
      throw failed(`the field ${name} is ${JSON.stringify(value)?.slice(0, 100)}, which is no ${type}`, {
        field: name,
      });
    }
    return converted === value ? body : put(body, path, 0, converted);
  };
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === "boolean") return value ? 1 : 0;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/** What a value becomes; undefined where it cannot without loss. */
const converters: Readonly<Record<FieldType, (value: unknown) => unknown>> = {
  string: (value) => (typeof value === "object" ? JSON.stringify(value) : String(value)),
  number: numberOf,
  integer: (value) => {
    const number = numberOf(value);
    return Number.isSafeInteger(number) ? number : undefined;
  },
  boolean: (value) => {
    if (value === true || value === 1 || value === "true" || value === "1") return true;
    return value === false || value === 0 || value === "false" || value === "0" ? false : undefined;
  },
};

function requiring(paths: readonly (readonly [string, Path])[]): Change {
  return (body) => {
    for (const [name, path] of paths) {
      if (at(body, path) === undefined) throw failed(`the field ${name} is not there`, { field: name });
    }
    return body;
  };
}
