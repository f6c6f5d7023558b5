/**
 * The HTTP side of a broker.
 *
 *     GET /health/live   200 while the process runs
 *     GET /health/ready  200 when the broker serves; 503 while it recovers or shuts down
 *     GET /metrics       Prometheus text
 *     GET /metrics/latencies.hlog   stage latencies as a log of HdrHistogram
 *     /api/v1/login, /logout, /whoami (log-in.ts)
 *     /schemas/...       the schema registry (registry/), whose errors have another form; also at /api/v1/schemas
 *     /api/v1/...        the REST interface (api/)
 *
 * Errors are JSON: {"error": {"code", "name", "message", "action"}}.
 */
import { isMillraceError, MillraceError, toMillraceError } from "../errors/index.ts";
import {
  exposition,
  HDR_LOG_CONTENT_TYPE,
  hdrLog,
  METRICS_CONTENT_TYPE,
  type MetricsSnapshot,
} from "../metrics/index.ts";
import type { Logger } from "../stdx/index.ts";
import { errorResponse, plainError } from "./answers.ts";
import { API_PATH, type ApiHandler } from "./api/index.ts";
import type { LogInHandler } from "./log-in.ts";
import type { Phase } from "./phase.ts";
import { REGISTRY_PATH, type RegistryHandler } from "./registry/index.ts";

export interface AdminOptions {
  readonly phase: () => Phase;
  readonly snapshot: () => Promise<MetricsSnapshot>;
  readonly registry: RegistryHandler;
  readonly logIn: LogInHandler;
  /** Whether the sender may read metrics. @throws unauthenticated, unauthorized. */
  readonly needMetrics: (request: Request, remote: string) => Promise<void>;
  readonly api: ApiHandler;
  readonly logger: Logger;
}

/** @param remote address of the peer. */
export type AdminHandler = (request: Request, remote: string) => Promise<Response>;

const API_SCHEMAS_PATH = `${API_PATH}${REGISTRY_PATH}`;

export function adminHandler(options: AdminOptions): AdminHandler {
  return async (request, remote) => {
    try {
      return await answer(request, remote, options);
    } catch (error) {
      if (!isMillraceError(error)) options.logger.error("an HTTP request failed", { error, url: request.url });
      return errorResponse(toMillraceError(error));
    }
  };
}

async function answer(request: Request, remote: string, options: AdminOptions): Promise<Response> {
  const { pathname } = new URL(request.url);
  for (const mount of [REGISTRY_PATH, API_SCHEMAS_PATH]) {
    if (isBelow(pathname, mount)) return options.registry(request, pathname.slice(mount.length), remote);
  }
  const logIn = options.logIn(request, pathname, remote);
  if (logIn !== undefined) return logIn;
  if (isBelow(pathname, API_PATH)) return options.api(request, remote);
  if (request.method !== "GET" && request.method !== "HEAD") return plainError(405, "only GET is allowed here");
  switch (pathname) {
    case "/health/live":
      return Response.json({ status: "live" });
    case "/health/ready":
      return ready(options.phase());
    case "/metrics":
    case "/metrics/latencies.hlog":
      if (options.phase() === "recovering") return errorResponse(new MillraceError("not_ready"));
      await options.needMetrics(request, remote);
      return await metrics(await options.snapshot(), pathname !== "/metrics");
    default:
      return plainError(404, `there is nothing at ${pathname.slice(0, 200)}`);
  }
}

async function metrics(snapshot: MetricsSnapshot, isHdrLog: boolean): Promise<Response> {
  const text = isHdrLog ? await hdrLog(snapshot) : await exposition(snapshot);
  return new Response(text, { headers: { "content-type": isHdrLog ? HDR_LOG_CONTENT_TYPE : METRICS_CONTENT_TYPE } });
}

function isBelow(pathname: string, mount: string): boolean {
  return pathname === mount || pathname.startsWith(`${mount}/`);
}

function ready(phase: Phase): Response {
  if (phase === "ready") return Response.json({ status: "ready" });
  const error = phase === "recovering" ? "not_ready" : "shutting_down";
  return errorResponse(new MillraceError(error));
}
