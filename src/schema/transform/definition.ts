import { invalid } from "./fault.ts";
import { FORMATS, type Format } from "./detect.ts";
import { isObject } from "./json.ts";
import { FIELD_TYPES, type MapDefinition, pathFault } from "./map.ts";
import type { HeaderValue, Target } from "./message.ts";
import type { JsonToXml, XmlToJson } from "./xml.ts";

/** What a transform is, as it is put, stored and listed; and the check that it is one. */

export type Source =
  | { readonly topic: string }
  | { readonly queue: string }
  /** Fields beside the name are those of a binding: `key`, `match`, `headers`, `where`. */
  | ({ readonly exchange: string } & Readonly<Record<string, unknown>>);

export interface FunctionDefinition {
  /** A file below `transformsDir`. */
  readonly file: string;
  /** Name of the export. Default "default". */
  readonly export?: string;
  /** Given to the function as `context.config`. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface AvroDefinition {
  readonly subject: string;
  /** Default "latest". */
  readonly version?: number | "latest";
  /** Where the schema's id goes: before the value (the default) or in the header `x-schema-id`. */
  readonly framing?: "prefix" | "header";
}

export interface AvroReader {
  /** The subject whose schema the records are read with. Default: the one that they were written with. */
  readonly subject?: string;
  readonly version?: number | "latest";
}

/** Steps by the format of the value; a format without steps of its own takes those of `otherwise`. */
export type Choose = Partial<Record<Format | "otherwise", readonly StepDefinition[]>>;

export type StepDefinition =
  | { readonly xml_to_json: XmlToJson }
  | { readonly json_to_xml: JsonToXml }
  | { readonly json_to_avro: AvroDefinition }
  | { readonly avro_to_json: AvroReader }
  | { readonly map: MapDefinition }
  | { readonly set_headers: Readonly<Record<string, HeaderValue>> }
  | { readonly route: Target }
  | { readonly choose: Choose }
  | { readonly function: FunctionDefinition };

export interface Definition {
  readonly from: Source;
  readonly to: Target;
  readonly steps: readonly StepDefinition[];
  /** Where messages go that fail. Without it a failing message holds the transform up until it passes. */
  readonly deadLetter?: Target;
  /** Processes that share the work. Default 1. */
  readonly workers?: number;
  /** The longest time that the steps may take for one message. Default 1,000 ms. */
  readonly timeoutMs?: number;
  /** The most memory of a worker's process. Default 256 MiB. */
  readonly memoryBytesMax?: number;
}

const MIB = 1024 * 1024;
export const DEFINITION_BYTES_MAX = 64 * 1024;
export const WORKERS_MAX = 16;
const STEPS_MAX = 32;
const NESTING_MAX = 8;
const LIST_MAX = 1_000;
export const DEFAULT_TIMEOUT_MS = 1_000;
export const DEFAULT_MEMORY_BYTES = 256 * MIB;
/** Bun, the client and the libraries of the steps take 52 MiB of it. */
const MEMORY_BYTES_MIN = 96 * MIB;
const TIMEOUT_MS_MAX = 10 * 60 * 1000;
const FILE = /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*\.(?:ts|mts|js|mjs)$/;

type Fields = Readonly<Record<string, unknown>>;

/** @throws invalid_argument, naming the field and what it has to be. */
export function parseDefinition(value: unknown): Definition {
  const fields = asFields(value, "definition");
  onlyFields(fields, "definition", ["from", "to", "steps", "deadLetter", "workers", "timeoutMs", "memoryBytesMax"]);
  if (sizeOf(fields) > DEFINITION_BYTES_MAX)
    throw invalid("definition", `JSON of at most ${DEFINITION_BYTES_MAX} characters`);
  const from = parseSource(fields["from"]);
  const to = parseTarget(fields["to"], "to");
  if (nameOf(from) === nameOf(to))
    throw invalid("to", "something else than from: its messages would go round without end");
  const definition: Definition = { from, to, steps: parseSteps(fields["steps"], "steps", 0) };
  const { deadLetter, workers, timeoutMs, memoryBytesMax } = fields;
  return {
    ...definition,
    ...given(deadLetter, (it) => ({ deadLetter: parseDeadLetter(it, from) })),
    ...given(workers, (it) => ({ workers: asInteger(it, "workers", 1, WORKERS_MAX) })),
    ...given(timeoutMs, (it) => ({ timeoutMs: asInteger(it, "timeoutMs", 1, TIMEOUT_MS_MAX) })),
    ...given(memoryBytesMax, (it) => ({
      memoryBytesMax: asInteger(it, "memoryBytesMax", MEMORY_BYTES_MIN, Number.MAX_SAFE_INTEGER),
    })),
  };
}

/** Without end for what is no JSON: a number past 2^53 in a frame, a nesting without end. */
function sizeOf(fields: Fields): number {
  try {
    return JSON.stringify(fields).length;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Whether files of `transformsDir` are part of it. */
export function usesFunctions(steps: readonly StepDefinition[]): boolean {
  return steps.some((step) => {
    if ("choose" in step) return Object.values(step.choose).some((inner) => usesFunctions(inner));
    return "function" in step;
  });
}

/** `topic a`, `queue b` or `exchange c`. */
export function nameOf(place: Source | Target): string {
  const { topic, queue, exchange } = place as Target;
  if (topic !== undefined) return `topic ${topic}`;
  return queue === undefined ? `exchange ${exchange}` : `queue ${queue}`;
}

/** Something that messages come from or go to. */
export interface Place {
  readonly topic?: string;
  readonly queue?: string;
  readonly exchange?: string;
  readonly key?: string;
}

/** What a definition names: where its steps may send to, and the subjects whose schemas they use. */
export function namedBy({ to, deadLetter, steps }: Definition): { targets: Place[]; subjects: string[] } {
  const named = { targets: deadLetter === undefined ? [to] : [to, deadLetter], subjects: [] as string[] };
  const look = (inner: readonly StepDefinition[]): void => {
    for (const step of inner) {
      if ("route" in step) named.targets.push(step.route);
      else if ("json_to_avro" in step) named.subjects.push(step.json_to_avro.subject);
      else if ("avro_to_json" in step && step.avro_to_json.subject !== undefined)
        named.subjects.push(step.avro_to_json.subject);
      else if ("choose" in step) for (const chosen of Object.values(step.choose)) look(chosen);
    }
  };
  look(steps);
  return named;
}

function given<T>(value: unknown, read: (value: unknown) => T): T | Record<never, never> {
  return value === undefined || value === null ? {} : read(value);
}

function parseSource(value: unknown): Source {
  const fields = asFields(value, "from");
  const kind = oneOf(fields, "from");
  asName(fields[kind], `from.${kind}`);
  if (kind !== "exchange") onlyFields(fields, "from", [kind]);
  return fields as unknown as Source;
}

function parseTarget(value: unknown, field: string): Target {
  const fields = asFields(value, field);
  const kind = oneOf(fields, field);
  onlyFields(fields, field, kind === "exchange" ? [kind, "key", "mandatory"] : [kind]);
  asName(fields[kind], `${field}.${kind}`);
  given(fields["key"], (it) => asText(it, `${field}.key`));
  given(fields["mandatory"], (it) => asBoolean(it, `${field}.mandatory`));
  return fields as Target;
}

function parseDeadLetter(value: unknown, from: Source): Target {
  const target = parseTarget(value, "deadLetter");
  if (nameOf(target) === nameOf(from))
    throw invalid("deadLetter", "something else than from: it would fail without end");
  return target;
}

function parseSteps(value: unknown, field: string, depth: number): StepDefinition[] {
  if (depth > NESTING_MAX) throw invalid(field, `nested at most ${NESTING_MAX} deep`);
  return asList(value, field, STEPS_MAX).map((step, index) => parseStep(step, `${field}[${index}]`, depth));
}

const STEP_PARSERS: Readonly<Record<string, (fields: Fields, field: string, depth: number) => void>> = {
  xml_to_json: parseXmlToJson,
  json_to_xml: parseJsonToXml,
  json_to_avro: parseJsonToAvro,
  avro_to_json: parseAvroToJson,
  map: parseMap,
  set_headers: parseHeaders,
  route: (fields, field) => void parseTarget(fields, field),
  choose: parseChoose,
  function: parseFunction,
};

function parseStep(value: unknown, field: string, depth: number): StepDefinition {
  const fields = asFields(value, field);
  const [name = "", ...others] = Object.keys(fields);
  const parse = Object.hasOwn(STEP_PARSERS, name) ? STEP_PARSERS[name] : undefined;
  if (parse === undefined || others.length > 0) {
    throw invalid(field, `a map with one of ${Object.keys(STEP_PARSERS).join(", ")}`);
  }
  parse(asFields(fields[name] ?? {}, `${field}.${name}`), `${field}.${name}`, depth);
  return { [name]: fields[name] ?? {} } as unknown as StepDefinition;
}

function parseXmlToJson(fields: Fields, field: string): void {
  onlyFields(fields, field, ["root", "attributePrefix", "textName", "types", "arrays"]);
  given(fields["root"], (it) => asChoice(it, `${field}.root`, ["keep", "drop"]));
  given(fields["attributePrefix"], (it) => asText(it, `${field}.attributePrefix`));
  given(fields["textName"], (it) => asName(it, `${field}.textName`));
  given(fields["types"], (it) => asBoolean(it, `${field}.types`));
  given(fields["arrays"], (it) => asNames(it, `${field}.arrays`));
}

function parseJsonToXml(fields: Fields, field: string): void {
  onlyFields(fields, field, ["root", "attributes", "attributePrefix", "textName"]);
  given(fields["root"], (it) => asName(it, `${field}.root`));
  given(fields["attributes"], (it) => it === "scalars" || asNames(it, `${field}.attributes`));
  given(fields["attributePrefix"], (it) => asText(it, `${field}.attributePrefix`));
  given(fields["textName"], (it) => asName(it, `${field}.textName`));
}

function parseVersion(value: unknown, field: string): void {
  if (value !== "latest") asInteger(value, field, 1, 0x7fffffff);
}

function parseJsonToAvro(fields: Fields, field: string): void {
  onlyFields(fields, field, ["subject", "version", "framing"]);
  asName(fields["subject"], `${field}.subject`);
  given(fields["version"], (it) => parseVersion(it, `${field}.version`));
  given(fields["framing"], (it) => asChoice(it, `${field}.framing`, ["prefix", "header"]));
}

function parseAvroToJson(fields: Fields, field: string): void {
  onlyFields(fields, field, ["subject", "version"]);
  given(fields["subject"], (it) => asName(it, `${field}.subject`));
  given(fields["version"], (it) => parseVersion(it, `${field}.version`));
}

function parseMap(fields: Fields, field: string): void {
  onlyFields(fields, field, ["pick", "remove", "rename", "convert", "set", "require"]);
  for (const name of ["pick", "remove", "require"]) {
    given(fields[name], (it) => asNames(it, `${field}.${name}`).forEach((path) => checkPath(path, `${field}.${name}`)));
  }
  for (const name of ["rename", "convert", "set"]) {
    given(fields[name], (it) => {
      for (const [path, to] of Object.entries(asFields(it, `${field}.${name}`))) {
        checkPath(path, `${field}.${name}`);
        if (name === "rename") checkPath(asText(to, `${field}.rename.${path}`), `${field}.rename.${path}`);
        if (name === "convert") asChoice(to, `${field}.convert.${path}`, FIELD_TYPES);
      }
    });
  }
}

function checkPath(path: string, field: string): void {
  const fault = pathFault(path);
  if (fault !== undefined) throw invalid(`${field}: "${path.slice(0, 100)}"`, fault);
}

function parseHeaders(fields: Fields, field: string): void {
  for (const [name, value] of Object.entries(fields)) {
    const isScalar = value === null || ["string", "number", "boolean"].includes(typeof value);
    if (!isScalar) throw invalid(`${field}.${name}`, "a text, a number, true, false or null (which removes it)");
  }
}

function parseChoose(fields: Fields, field: string, depth: number): void {
  onlyFields(fields, field, [...FORMATS, "otherwise"]);
  for (const [format, steps] of Object.entries(fields)) parseSteps(steps, `${field}.${format}`, depth + 1);
}

function parseFunction(fields: Fields, field: string): void {
  onlyFields(fields, field, ["file", "export", "config"]);
  const file = asText(fields["file"], `${field}.file`);
  if (!FILE.test(file))
    throw invalid(`${field}.file`, "a file below transformsDir that ends with .ts, .mts, .js or .mjs");
  given(fields["export"], (it) => asName(it, `${field}.export`));
  given(fields["config"], (it) => asFields(it, `${field}.config`));
}

// -- Values ---------------------------------------------------------------------

function asFields(value: unknown, field: string): Fields {
  if (isObject(value)) return value;
  throw invalid(field, "a map");
}

function onlyFields(fields: Fields, field: string, names: readonly string[]): void {
  const unknown = Object.keys(fields).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalid(`${field}.${unknown.slice(0, 100)}`, `one of ${names.join(", ")}`);
}

function oneOf(fields: Fields, field: string): "topic" | "queue" | "exchange" {
  const names = (["topic", "queue", "exchange"] as const).filter((name) => name in fields);
  const [name] = names;
  if (name === undefined || names.length !== 1) throw invalid(field, "a map with one of topic, queue and exchange");
  return name;
}

function asText(value: unknown, field: string): string {
  if (typeof value === "string") return value;
  throw invalid(field, "a string");
}

function asName(value: unknown, field: string): string {
  if (typeof value === "string" && value !== "" && value.length <= 249) return value;
  throw invalid(field, "a name of 1 to 249 characters");
}

function asBoolean(value: unknown, field: string): boolean {
  if (typeof value === "boolean") return value;
  throw invalid(field, "true or false");
}

function asChoice(value: unknown, field: string, choices: readonly string[]): string {
  if (typeof value === "string" && choices.includes(value)) return value;
  throw invalid(field, `one of ${choices.join(", ")}`);
}

function asInteger(value: unknown, field: string, min: number, max: number): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalid(field, `an integer from ${min} to ${max}`);
}

function asList(value: unknown, field: string, lengthMax: number): readonly unknown[] {
  if (Array.isArray(value) && value.length <= lengthMax) return value as readonly unknown[];
  throw invalid(field, `a list of at most ${lengthMax}`);
}

function asNames(value: unknown, field: string): string[] {
  return asList(value, field, LIST_MAX).map((item, index) => asName(item, `${field}[${index}]`));
}
