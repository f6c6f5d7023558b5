/** Reads a request of the REST interface and checks it against its route. */
import type Ajv from "ajv";
import type { ValidateFunction } from "ajv";
import { MillraceError } from "../../errors/index.ts";
import { HttpFault } from "../http-fault.ts";
import type { Fields, Route, Shape } from "./route.ts";

const BODY_BYTES_MAX = 1024 * 1024;
/** The largest `bodyBytesMax` of a route, and so what the listener takes. */
export const API_BODY_BYTES_MAX: number = 16 * 1024 * 1024;
const ERRORS_SHOWN = 3;
/** What follows recurses over the body. */
const DEPTH_MAX = 64;
const JSON_TYPES: Readonly<Record<string, readonly string[]>> = {
  PATCH: ["application/json", "application/merge-patch+json"],
};

/** Checks values against the shapes of routes. */
export class Shapes {
  readonly #components: Readonly<Record<string, Shape>>;
  readonly #compiled = new WeakMap<Shape, ValidateFunction>();
  #ajv: Ajv | undefined;

  constructor(components: Readonly<Record<string, Shape>>) {
    this.#components = components;
  }

  /** @param what names the value in the error. @throws invalid_argument. */
  check(shape: Shape, value: unknown, what: string): void {
    const validate = this.#compiled.get(shape) ?? this.#compile(shape);
    this.#compiled.set(shape, validate);
    if (validate(value)) return;
    const faults = (validate.errors ?? []).slice(0, ERRORS_SHOWN).map(({ instancePath, message, params }) => {
      const unknown: unknown = params["additionalProperty"];
      const extra = typeof unknown === "string" ? ` ("${unknown.slice(0, 100)}")` : "";
      return `${what}${instancePath.replaceAll("/", ".").slice(0, 200)} ${message ?? "is wrong"}${extra}`;
    });
    throw new MillraceError("invalid_argument", faults.join("; "));
  }

  #compile(shape: Shape): ValidateFunction {
    // Loaded by the first request that needs it: the broker's start does not wait for it.
    this.#ajv ??= new (require("ajv/dist/2020") as typeof import("ajv/dist/2020")).Ajv2020({
      strict: false,
      validateFormats: false,
      logger: false,
    });
    return this.#ajv.compile({ ...shape, components: { schemas: this.#components } });
  }
}

/** @throws invalid_argument for what the route does not have, has twice or has another type for. */
export function queryOf(route: Route, params: URLSearchParams, shapes: Shapes): Fields {
  const known = route.query ?? {};
  const query: Record<string, unknown> = {};
  for (const [name, value] of params) {
    const shape = Object.hasOwn(known, name) ? known[name] : undefined;
    if (shape === undefined) {
      const names = Object.keys(known).join(", ") || "none";
      throw new MillraceError(
        "invalid_argument",
        `"${name.slice(0, 100)}" is no query parameter here; there are: ${names}`,
      );
    }
    if (Object.hasOwn(query, name)) throw new MillraceError("invalid_argument", `"${name}" is there twice`);
    query[name] = typed(value, shape);
  }
  shapes.check(queryShape(route), query, "query");
  return query;
}

const QUERY_SHAPES = new WeakMap<Route, Shape>();

/** One object for each route, because compiled shapes are kept by it. */
function queryShape(route: Route): Shape {
  const known = QUERY_SHAPES.get(route) ?? { type: "object", properties: route.query ?? {} };
  QUERY_SHAPES.set(route, known);
  return known;
}

/** What cannot be one of the type stays text, which the check refuses. */
function typed(text: string, { type }: Shape): unknown {
  if ((type === "integer" || type === "number") && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (type === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}

/** @throws 413, 415, invalid_argument. */
export async function bodyOf(route: Route, request: Request, shapes: Shapes): Promise<Fields> {
  if (route.method === "GET") return {};
  const bytesMax = route.bodyBytesMax ?? BODY_BYTES_MAX;
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) throw tooLarge(bytesMax);
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.length > bytesMax) throw tooLarge(bytesMax);
  if (bytes.length === 0) {
    if (route.body !== undefined) shapes.check(route.body, {}, "body");
    return {};
  }
  if (route.body === undefined) throw new MillraceError("invalid_argument", "this request takes no body");
  checkType(request);
  const body = parsed(bytes);
  shapes.check(route.body, body, "body");
  return body as Fields;
}

function tooLarge(bytesMax: number): HttpFault {
  return new HttpFault(413, `the body is over ${bytesMax} bytes`);
}

/** A page of another origin can send a body without asking only as one of the types that are refused here. */
function checkType({ headers, method }: Request): void {
  const [type = ""] = (headers.get("content-type") ?? "").split(";");
  const allowed = JSON_TYPES[method] ?? ["application/json"];
  if (allowed.includes(type.trim().toLowerCase())) return;
  throw new HttpFault(415, `send the body as ${allowed.join(" or ")}`, { accept: allowed.join(", ") });
}

function parsed(bytes: Uint8Array): unknown {
  let content: string;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new MillraceError("invalid_argument", "the body is not UTF-8");
  }
  if (isDeeper(content, DEPTH_MAX)) {
    throw new MillraceError("invalid_argument", `the body is nested deeper than ${DEPTH_MAX}`);
  }
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new MillraceError("invalid_argument", `the body is no JSON: ${(error as Error).message}`);
  }
}

/** Whether a JSON text nests objects and arrays deeper than this. */
function isDeeper(text: string, depthMax: number): boolean {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (inText) {
      if (char === BACKSLASH) at += 1;
      else if (char === QUOTE) inText = false;
    } else if (char === QUOTE) inText = true;
    else if (char === BRACKET || char === BRACE) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (char === BRACKET + 2 || char === BRACE + 2) depth -= 1;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** `[` and `{`; what closes them is two further. */
const BRACKET = 0x5b;
const BRACE = 0x7b;
