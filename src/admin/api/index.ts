/**
 * The REST interface below /api/v1: a view of the session's operations. A `Request` becomes a `Response`; what may be
 * done, and how, is decided where the operation runs.
 */
import { isMillraceError, MillraceError, toMillraceError } from "../../errors/index.ts";
import type { Principal } from "../../security/index.ts";
import type { Logger } from "../../stdx/index.ts";
import { errorResponse, plainError, SAFE_HEADERS } from "../answers.ts";
import { HttpFault } from "../http-fault.ts";
import type { Phase } from "../phase.ts";
import { namedWords, Router, wordsOf } from "../router.ts";
import { bodyOf, queryOf, Shapes } from "./request.ts";
import { Answer, type Ask, type Fields, type Route } from "./route.ts";
import { routes } from "./routes/index.ts";
import { SHAPES } from "./shapes.ts";

export interface ApiOptions {
  readonly phase: () => Phase;
  readonly logger: Logger;
  /** Of the broker. */
  readonly version: string;
  /** Runs an operation of the session by its name. @throws what ERROR would carry. */
  readonly invoke: (
    by: { principal: Principal; namespace: string | undefined },
    op: string,
    fields: Fields,
  ) => Promise<unknown>;
  /** Who sends the request. @throws unauthenticated. */
  readonly authenticate: (request: Request, remote: string) => Promise<Principal>;
}

/** @param remote address of the peer. */
export type ApiHandler = (request: Request, remote: string) => Promise<Response>;

export const API_PATH = "/api/v1";
const NAMESPACE_DEFAULT = "default";

export function apiHandler(options: ApiOptions): ApiHandler {
  const router = new Router<Route>(routes(options.version));
  const shapes = new Shapes(SHAPES);
  return async (request, remote) => {
    try {
      const answer = await run(router, shapes, options, request, remote);
      return request.method === "HEAD" ? new Response(null, answer) : answer;
    } catch (error) {
      if (error instanceof HttpFault) return plainError(error.status, error.message, error.headers);
      if (!isMillraceError(error)) options.logger.error("a request of the API failed", { error, url: request.url });
      return errorResponse(toMillraceError(error));
    }
  };
}

async function run(
  router: Router<Route>,
  shapes: Shapes,
  options: ApiOptions,
  request: Request,
  remote: string,
): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const { route, path } = routeOf(router, request.method, pathname.slice(API_PATH.length));
  const phase = options.phase();
  if (phase !== "ready") throw new MillraceError(phase === "recovering" ? "not_ready" : "shutting_down");
  const principal = await options.authenticate(request, remote);
  const query = queryOf(route, searchParams, shapes);
  const body = await bodyOf(route, request, shapes);
  const own = path["namespace"] ?? namespaceOf(route, query);
  const call: Ask["call"] = async (op, fields = {}, namespace = own) =>
    (await options.invoke({ principal, namespace }, op, fields)) as Fields;
  const namespace = own ?? NAMESPACE_DEFAULT;
  return responseOf(route, await route.run({ principal, namespace, path, query, body, request, call }));
}

function routeOf(router: Router<Route>, method: string, below: string): { route: Route; path: Record<string, string> } {
  const found = router.find(method === "HEAD" ? "GET" : method, wordsOf(below).map(decoded));
  if (found === undefined) throw new HttpFault(404, `there is nothing at ${API_PATH}${below.slice(0, 200)}`);
  if ("methods" in found) {
    const allow = found.methods.join(", ");
    throw new HttpFault(405, `only ${allow} is allowed here`, { allow });
  }
  return { route: found.route, path: namedWords(found.route.path, found.variables) };
}

/** What is of no namespace has no default for it. */
function namespaceOf(route: Route, query: Fields): string | undefined {
  const namespace = query["namespace"] ?? route.query?.["namespace"]?.["default"];
  return namespace === undefined ? undefined : String(namespace);
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    throw new HttpFault(400, "the path is not UTF-8 in percent-encoding");
  }
}

function responseOf(route: Route, result: unknown): Response {
  if (result instanceof Response) return result;
  const { body, status, headers } = result instanceof Answer ? result : new Answer(result);
  if (route.answer === undefined && body === undefined) {
    return new Response(null, { status: status ?? route.status ?? 204, headers });
  }
  return new Response(JSON.stringify(body, plainJson), {
    status: status ?? route.status ?? 200,
    headers: { "content-type": "application/json", ...SAFE_HEADERS, ...headers },
  });
}

/** JSON has neither bytes nor integers past 2^53. */
function plainJson(this: Record<string, unknown>, key: string, value: unknown): unknown {
  // A Buffer would bring its own form of itself as `value`.
  const raw = this[key];
  if (raw instanceof Uint8Array) return { base64: Buffer.from(raw).toString("base64") };
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
