/**
 * The registry over HTTP, as clients of Confluent's Schema Registry speak it. It knows no sockets: a `Request` becomes a
 * `Response`.
 */
import type { Schemas } from "../../broker/index.ts";
import { isMillraceError, MillraceError } from "../../errors/index.ts";
import { DEFAULT_NAMESPACE, splitSubject } from "../../schema/index.ts";
import type { Authorizer, Principal } from "../../security/index.ts";
import type { Logger } from "../../stdx/index.ts";
import type { Phase } from "../phase.ts";
import { HttpFault } from "../http-fault.ts";
import { Router, wordsOf } from "../router.ts";
import { CONTENT_TYPE, faultResponse } from "./faults.ts";
import { Permissions } from "./permissions.ts";
import type { Fields } from "./request.ts";
import { Plain, type Route } from "./route.ts";
import { ROUTES } from "./routes.ts";

export interface RegistryOptions {
  /** There while the broker is ready. */
  readonly schemas: () => Schemas | undefined;
  readonly phase: () => Phase;
  /** Who sends the request. @param remote address of the peer. @throws unauthenticated, unauthorized. */
  readonly authenticate: (request: Request, remote: string) => Promise<Principal>;
  /** There once the phase has been `ready`. */
  readonly authorizer: () => Authorizer | undefined;
  readonly logger: Logger;
}

/** @param path of the request below the place where the registry is mounted. @param remote address of the peer. */
export type RegistryHandler = (request: Request, path: string, remote: string) => Promise<Response>;

/** Where the registry is mounted on the port of the other HTTP paths. */
export const REGISTRY_PATH = "/schemas";

const BODY_TYPES = [
  CONTENT_TYPE,
  "application/vnd.schemaregistry+json",
  "application/json",
  "application/octet-stream",
];

export function registryHandler(options: RegistryOptions): RegistryHandler {
  const router = new Router(ROUTES);
  return async (request, path, remote) => {
    try {
      return await answer(router, options, request, { path, remote });
    } catch (error) {
      const isExpected = error instanceof HttpFault || isMillraceError(error);
      if (!isExpected) options.logger.error("a request of the registry failed", { error, url: request.url });
      return faultResponse(error);
    }
  };
}

async function answer(
  router: Router<Route>,
  options: RegistryOptions,
  request: Request,
  { path, remote }: { path: string; remote: string },
): Promise<Response> {
  const schemas = options.schemas();
  if (options.phase() === "stopping") throw new MillraceError("shutting_down");
  const authorizer = options.authorizer();
  if (schemas === undefined || authorizer === undefined) throw new MillraceError("not_ready");
  const principal = await options.authenticate(request, remote);
  const { namespace, words } = placeOf(path);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const found = router.find(method, words);
  if (found === undefined) throw new HttpFault(404, "HTTP 404 Not Found");
  if ("methods" in found) throw new HttpFault(405, `HTTP 405 Method Not Allowed: ${found.methods.join(", ")} are`);
  const { route, variables } = found;
  const by = { ...principal, namespace };
  const permissions = new Permissions(authorizer, by);
  const resource = permissions.need({ route, words: variables, namespace });
  const body = await bodyOf(request);
  permissions.needReferences(body, namespace);
  const query = new URL(request.url).searchParams;
  const mayRead = (subject: string): boolean => permissions.mayRead(subject);
  const run = async (): Promise<unknown> =>
    await route.run(schemas, { words: variables, query, namespace, body, mayRead });
  const result = await authorizer.audited(by, { operation: route.permission, resources: [resource] }, run);
  const text = result instanceof Plain ? result.text : JSON.stringify(result);
  return new Response(text, { headers: { "content-type": CONTENT_TYPE } });
}

/** The words of a path, and the namespace that `/contexts/.NAMESPACE` in front of them names. */
function placeOf(path: string): { namespace: string; words: string[] } {
  const words = wordsOf(path).map(decoded);
  const [first, context, ...rest] = words;
  if (first !== "contexts" || context === undefined) return { namespace: DEFAULT_NAMESPACE, words };
  const bare = /^:?(\.[^:]*):?$/.exec(context)?.[1];
  if (bare === undefined) throw new HttpFault(404, "a context is named .NAME or :.NAME:");
  return { namespace: splitSubject(`:${bare}:`).namespace, words: rest };
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    throw new HttpFault(400, "the path is not UTF-8 in percent-encoding");
  }
}

async function bodyOf(request: Request): Promise<Fields> {
  if (request.method === "GET" || request.method === "HEAD") return {};
  const text = await request.text();
  if (text === "") return {};
  // A page of another origin can send a body without asking only as one of the types that are refused here.
  const [type = ""] = (request.headers.get("content-type") ?? "").split(";");
  if (!BODY_TYPES.includes(type.trim().toLowerCase())) {
    throw new HttpFault(415, `HTTP 415 Unsupported Media Type: send ${CONTENT_TYPE}`);
  }
  const body: unknown = parsed(text);
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body as Fields;
  throw new HttpFault(400, "the body must be a JSON object");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HttpFault(400, `the body is no JSON: ${(error as Error).message}`);
  }
}
