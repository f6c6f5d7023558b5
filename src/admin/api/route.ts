/** What a route of the REST interface is made of. Routes are data: requests are checked by it, and the OpenAPI document shows it. */
import type { Principal } from "../../security/index.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** A JSON Schema (2020-12), which is what OpenAPI 3.1 writes shapes in. */
export type Shape = Fields;

export type Method = "GET" | "PUT" | "POST" | "PATCH" | "DELETE";

/** A request, read and checked. */
export interface Ask {
  readonly principal: Principal;
  /** The path's, else the query's, else `default`. */
  readonly namespace: string;
  /** The variable words of the path by their names, decoded. */
  readonly path: Readonly<Record<string, string>>;
  /** Of the types that the route gives them; what was not sent is absent. */
  readonly query: Fields;
  /** Empty where there is none. */
  readonly body: Fields;
  readonly request: Request;
  /**
   * Runs an operation of the session, by its name in src/protocol/ops.json.
   *
   * @param namespace default: that of the request.
   * @throws what it throws.
   */
  call(op: string, fields?: Fields, namespace?: string): Promise<Fields>;
}

/** An answer that is more than a body with the route's status. */
export class Answer {
  readonly body: unknown;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(body: unknown, given: { status?: number; headers?: Readonly<Record<string, string>> } = {}) {
    this.body = body;
    this.status = given.status;
    this.headers = given.headers ?? {};
  }
}

export interface Route {
  readonly method: Method;
  /** Below /api/v1, as OpenAPI writes it: `/topics/{namespace}/{name}`. */
  readonly path: string;
  readonly tag: string;
  /** One line without a full stop. */
  readonly summary: string;
  readonly description?: string;
  /** The operations that it runs, whose permissions it needs. */
  readonly ops: readonly string[];
  readonly query?: Readonly<Record<string, Shape>>;
  readonly body?: Shape;
  /** The largest body; the default suits everything but messages and definitions. */
  readonly bodyBytesMax?: number;
  /** Absent where the answer has no body (204). */
  readonly answer?: Shape;
  /** Default `application/json`. */
  readonly answerType?: string;
  /** Default 200, and 204 without an answer. */
  readonly status?: number;
  /** Further statuses that mean success, with what they say. */
  readonly alsoAnswers?: Readonly<Record<number, string>>;
  /** Whether If-Match (and for PUT If-None-Match) is heeded. */
  readonly isConditional?: boolean;
  run(ask: Ask): unknown;
}

/** A route that is one operation. */
export interface OperationRoute extends Omit<Route, "ops" | "run"> {
  readonly op: string;
  /** Default: path, query and body together, without the namespace. */
  readonly fields?: (ask: Ask) => Fields;
  /** Default: the operation's result as it is. */
  readonly shape?: (result: Fields, ask: Ask) => unknown;
}

export function operation({ op, fields = allFields, shape, ...route }: OperationRoute): Route {
  return {
    ...route,
    ops: [op],
    async run(ask) {
      const result = await ask.call(op, fields(ask));
      return shape === undefined ? result : shape(result, ask);
    },
  };
}

export function allFields({ path, query, body }: Ask): Fields {
  const { namespace: _, ...fields } = { ...query, ...body, ...path } as Record<string, unknown>;
  return fields;
}

export function without(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

// Shapes that many routes use.

export const text: Shape = { type: "string" };
export const whole: Shape = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
export const flag: Shape = { type: "boolean" };
export const timeMs: Shape = { ...whole, description: "milliseconds since 1970-01-01T00:00Z" };
export const settings: Shape = { type: "object", additionalProperties: true };

/** A reference to a shape of shapes.ts. */
export function ref(name: string): Shape {
  return { $ref: `#/components/schemas/${name}` };
}

export function listOf(items: Shape): Shape {
  return { type: "array", items };
}

export function nullable(shape: Shape): Shape {
  return { anyOf: [shape, { type: "null" }] };
}

/** An object with these properties, of which all but the optional ones are there. */
export function object(properties: Readonly<Record<string, Shape>>, optional: readonly string[] = []): Shape {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, ...(required.length > 0 && { required }) };
}

/** The body of a request: what is not named here is refused. */
export function bodyOf(properties: Readonly<Record<string, Shape>>, required: readonly string[] = []): Shape {
  return {
    type: "object",
    properties,
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}
