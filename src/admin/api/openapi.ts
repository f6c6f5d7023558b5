/** The OpenAPI 3.1 document, made from the same routes that requests are checked by (https://spec.openapis.org/oas/v3.1.0). */
import { COOKIE } from "../../security/index.ts";
import type { Fields, Route, Shape } from "./route.ts";

const JSON_TYPE = "application/json";

/** What the document needs of a route. */
type Described = Omit<Route, "run">;

/** @param version of the broker. */
export function openApi(
  routes: readonly Described[],
  shapes: Readonly<Record<string, Shape>>,
  version: string,
): Fields {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= { ...pathParameters(route.path) });
    path[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Millrace",
      version,
      summary: "The REST interface of a Millrace broker",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/api/v1" }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    // Nobody has to log in while `authentication` is off.
    security: [{}, { basic: [] }, { bearer: [] }, { cookie: [] }],
    paths,
    components: {
      schemas: shapes,
      securitySchemes: {
        basic: { type: "http", scheme: "basic" },
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
        cookie: {
          type: "apiKey",
          in: "cookie",
          name: COOKIE,
          description: "POST /login sets it; changes carry the header x-millrace-csrf",
        },
      },
      responses: {
        Error: {
          description: "an error of the catalogue (src/errors), or what HTTP has a status for",
          content: { [JSON_TYPE]: { schema: { $ref: "#/components/schemas/Error" } } },
        },
      },
      headers: {
        ETag: { description: "names the definition, for If-Match", schema: { type: "string" } },
      },
    },
  };
}

function pathParameters(path: string): Fields {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  if (names.length === 0) return {};
  const schemaOf = (name: string): Shape =>
    path.startsWith("/exchanges") && name === "name" ? EXCHANGE : pathWord(name);
  return { parameters: names.map((name) => ({ name, in: "path", required: true, schema: schemaOf(name) })) };
}

// What names hold (src/broker/names.ts), as far as a pattern can say it.
const NAME: Shape = { type: "string", pattern: "^[A-Za-z0-9._/:-]+$", minLength: 1, maxLength: 249 };
const EXCHANGE: Shape = { anyOf: [NAME, { const: "(default)" }] };

function pathWord(name: string): Shape {
  if (name === "kind") return { type: "string", enum: ["namespace", "user"] };
  return ["namespace", "name", "group"].includes(name) ? NAME : { type: "string", minLength: 1 };
}

function operationOf(route: Described): Fields {
  const { method, path, tag, summary, description, ops, query = {}, body } = route;
  const needed = new Set((body?.["required"] as string[] | undefined) ?? []);
  const parameters = [
    ...Object.entries(query).map(([name, shape]) => queryParameter(name, shape)),
    ...conditions(route),
  ];
  return {
    operationId: operationId(method, path),
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    "x-millrace-operations": ops,
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && {
      requestBody: { required: needed.size > 0, content: { [JSON_TYPE]: { schema: body } } },
    }),
    responses: { ...successes(route), default: { $ref: "#/components/responses/Error" } },
  };
}

function queryParameter(name: string, { description, ...schema }: Shape): Fields {
  return { name, in: "query", ...(description !== undefined && { description }), schema };
}

function conditions({ isConditional, method }: Described): Fields[] {
  if (isConditional !== true) return [];
  const names = method === "PUT" ? ["If-Match", "If-None-Match"] : ["If-Match"];
  return names.map((name) => ({ name, in: "header", schema: { type: "string" } }));
}

function successes(route: Described): Record<string, unknown> {
  const { answer, answerType = JSON_TYPE, status = answer === undefined ? 204 : 200, alsoAnswers = {} } = route;
  const content = answer === undefined ? {} : { content: { [answerType]: { schema: answer } } };
  const headers = route.isConditional === true && answer !== undefined ? { headers: ETAG } : {};
  const answered = (description: string): Fields => ({ description, ...headers, ...content });
  const also = Object.entries(alsoAnswers).map(([code, description]) => [code, answered(description)] as const);
  return { [status]: answered("done"), ...Object.fromEntries(also) };
}

const ETAG = { ETag: { $ref: "#/components/headers/ETag" } };

/** `get_topics_namespace_name`: each method of each path has another. */
function operationId(method: string, path: string): string {
  const words = path.split("/").map((word) => word.replace(/[{}]/g, "").replaceAll("-", "_"));
  return [method.toLowerCase(), ...words.filter((word) => word !== "")].join("_");
}
