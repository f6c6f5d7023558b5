/**
 * The HTTP side of a broker, its first part.
 *
 *     GET /health/live   200 while the process runs
 *     GET /health/ready  200 when the broker serves; 503 while it recovers or shuts down
 *     GET /metrics       Prometheus text
 *     /schemas/...       the schema registry (registry/), whose errors have another form
 *
 * Errors are JSON: {"error": {"code", "name", "message", "action"}}.
 */
import { ERRORS, type ErrorName, MillraceError, toMillraceError } from "../errors/index.ts";
import { exposition, METRICS_CONTENT_TYPE, type MetricsSnapshot } from "../metrics/index.ts";
import type { Logger } from "../stdx/index.ts";
import type { Phase } from "./phase.ts";
import { REGISTRY_PATH, type RegistryHandler } from "./registry/index.ts";

export interface AdminOptions {
  readonly phase: () => Phase;
  readonly snapshot: () => Promise<MetricsSnapshot>;
  readonly registry: RegistryHandler;
  readonly logger: Logger;
}

export type AdminHandler = (request: Request) => Promise<Response>;

export function adminHandler(options: AdminOptions): AdminHandler {
  return async (request) => {
    try {
      return await answer(request, options);
    } catch (error) {
      options.logger.error("an HTTP request failed", { error, url: request.url });
      return errorResponse(toMillraceError(error));
    }
  };
}

async function answer(request: Request, options: AdminOptions): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === REGISTRY_PATH || pathname.startsWith(`${REGISTRY_PATH}/`)) {
    return options.registry(request, pathname.slice(REGISTRY_PATH.length));
  }
  if (request.method !== "GET" && request.method !== "HEAD") return plainError(405, "only GET is allowed here");
  switch (pathname) {
    case "/health/live":
      return Response.json({ status: "live" });
    case "/health/ready":
      return ready(options.phase());
    case "/metrics":
      if (options.phase() === "recovering") return errorResponse(new MillraceError("not_ready"));
      return new Response(await exposition(await options.snapshot()), {
        headers: { "content-type": METRICS_CONTENT_TYPE },
      });
    default:
      return plainError(404, `there is nothing at ${pathname.slice(0, 200)}`);
  }
}

function ready(phase: Phase): Response {
  if (phase === "ready") return Response.json({ status: "ready" });
  const error = phase === "recovering" ? "not_ready" : "shutting_down";
  return errorResponse(new MillraceError(error));
}

/** An error of the catalogue as HTTP carries it. */
export function errorResponse(error: MillraceError): Response {
  const { code, codeName, action, retryable, httpStatus } = error;
  const message = codeName === "internal" ? ERRORS.internal.message : error.message;
  return Response.json(
    { error: { code, name: codeName satisfies ErrorName, message, action, retryable } },
    { status: httpStatus },
  );
}

/** What HTTP itself has a status for and the catalogue has no name. */
export function plainError(status: number, message: string): Response {
  return Response.json({ error: { code: status, name: "http", message } }, { status });
}
