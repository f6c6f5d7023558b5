/**
 * The HTTP listeners: the dashboard, admin paths and the native protocol over WebSocket at /ws; and the schema registry on
 * a port of its own. They listen before recovery begins.
 */
import type { Server } from "bun";
import {
  adminHandler,
  type ApiHandler,
  errorResponse,
  type Phase,
  plainError,
  type RegistryHandler,
  registryHandler,
} from "../admin/index.ts";
import type { Schemas } from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { dashboardHandler } from "../dashboard/index.ts";
import { MillraceError } from "../errors/index.ts";
import type { MetricsSnapshot } from "../metrics/index.ts";
import type { Logger } from "../stdx/index.ts";
import { type WebSocketState, webSocketHandlers } from "../net/index.ts";
import { restApi } from "./api.ts";
import type { Runtime } from "./runtime.ts";

export interface HttpOptions {
  readonly config: Config;
  readonly port: number;
  readonly registryPort: number;
  readonly logger: Logger;
  readonly version: string;
  readonly phase: () => Phase;
  /** There once the phase has been `ready`. */
  readonly runtime: () => Runtime | undefined;
}

export interface HttpListener {
  readonly port: number;
  readonly registryPort: number;
  stop(): Promise<void>;
}

const WS_PATH = "/ws";
/** `\u0061` for one byte. */
const ESCAPED_BYTES_MAX = 6;
const OTHER_BODY_BYTES_MAX = 1024 * 1024;

/** @throws EADDRINUSE and its like, as Bun gives them. */
export function listenHttp(options: HttpOptions): HttpListener {
  const { logger, phase } = options;
  const schemas = (): Schemas | undefined => (phase() === "recovering" ? undefined : options.runtime()?.schemas);
  const registry = guarded(
    registryHandler({ schemas, phase, authorizer: () => options.runtime()?.access.authorizer, logger }),
  );
  const admin = listenAdmin(options, registry);
  try {
    const own = listenRegistry(options, registry);
    return {
      port: admin.port ?? 0,
      registryPort: own.port ?? 0,
      stop: async () => void (await Promise.all([admin.stop(true), own.stop(true)])),
    };
  } catch (error) {
    void admin.stop(true);
    throw error;
  }
}

function listenAdmin(options: HttpOptions, registry: RegistryHandler): Server<WebSocketState> {
  const { config, logger, phase } = options;
  const admin = adminHandler({
    phase,
    logger,
    registry,
    api: guardedApi(restApi(options)),
    snapshot: () => snapshotOf(required(options.runtime()), options.version),
  });
  const dashboard = dashboardHandler();
  return Bun.serve<WebSocketState>({
    ...common(options),
    port: options.port,
    fetch: (request, self) => {
      const { pathname } = new URL(request.url);
      if (pathname === WS_PATH) return upgrade(request, self, phase());
      return dashboard(request, pathname) ?? admin(request, self.requestIP(request)?.address ?? "");
    },
    websocket: webSocketHandlers(() => required(options.runtime()).loop, config.frameBytesMax),
  });
}

function listenRegistry(options: HttpOptions, registry: RegistryHandler): Server<undefined> {
  return Bun.serve({
    ...common(options),
    port: options.registryPort,
    fetch: (request) => registry(request, new URL(request.url).pathname),
  });
}

function common({ config, logger }: HttpOptions) {
  return {
    hostname: config.host,
    reusePort: config.threads > 1,
    development: false,
    // A schema's text in a JSON body, where each of its bytes may be escaped.
    maxRequestBodySize: config.schemaBytesMax * ESCAPED_BYTES_MAX + OTHER_BODY_BYTES_MAX,
    error: (error: Error) => {
      logger.error("an HTTP request failed", { error });
      return errorResponse(new MillraceError("internal"));
    },
  } as const;
}

/** Refuses pages of other machines, as for WebSockets. */
function guarded(registry: RegistryHandler): RegistryHandler {
  return (request, path) => {
    if (isLocalOrigin(request.headers.get("origin"))) return registry(request, path);
    return Promise.resolve(plainError(403, "pages of other machines may not use the registry"));
  };
}

/** The same for the REST interface: a page can send some requests without asking. */
function guardedApi(api: ApiHandler): ApiHandler {
  return (request, remote) => {
    if (isLocalOrigin(request.headers.get("origin"))) return api(request, remote);
    return Promise.resolve(plainError(403, "pages of other machines may not use the API"));
  };
}

function upgrade(request: Request, server: Server<WebSocketState>, phase: Phase): Response | undefined {
  if (phase !== "ready")
    return errorResponse(new MillraceError(phase === "recovering" ? "not_ready" : "shutting_down"));
  if (!isLocalOrigin(request.headers.get("origin"))) {
    return plainError(403, "pages of other machines may not connect; the broker authenticates nobody yet");
  }
  const address = server.requestIP(request);
  const data: WebSocketState = { connection: undefined, remote: `${address?.address}:${address?.port}` };
  if (server.upgrade(request, { data })) return undefined;
  return plainError(426, "this path takes WebSocket connections");
}

/**
 * A browser sends the origin of its page with every WebSocket handshake, and asks nobody: without this check any web
 * page could talk to a broker on the loopback interface. Programs send no origin.
 */
function isLocalOrigin(origin: string | null): boolean {
  if (origin === null) return true;
  const host = URL.parse(origin)?.hostname ?? "";
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** What the broker counts, of all its threads. */
export async function snapshotOf(runtime: Runtime, version: string): Promise<MetricsSnapshot> {
  const stats = runtime.engine.stats();
  const [workers, groups] = await Promise.all([runtime.workerGauges(), runtime.groups.lags()]);
  return {
    version,
    epoch: runtime.engine.epoch,
    topics: runtime.topicCounters(),
    workers,
    groups,
    syncLatencyMs: stats.syncLatencyMs,
    syncSumMs: stats.syncSumMs,
    failedPartitions: stats.failedPartitions,
    unroutable: stats.unroutable,
    deadLetterLoops: stats.deadLetterLoops,
    dirtyBytes: stats.dirtyBytes,
    mappedSegments: stats.mappedSegments,
    openFiles: stats.openFiles,
    residentBytes: process.memoryUsage.rss(),
    pressure: runtime.pressure,
  };
}

function required(runtime: Runtime | undefined): Runtime {
  if (runtime === undefined) throw new MillraceError("not_ready");
  return runtime;
}
