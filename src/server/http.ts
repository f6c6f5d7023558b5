/** The HTTP listener: admin paths, and the native protocol over WebSocket at /ws. It listens before recovery begins. */
import type { Server } from "bun";
import { adminHandler, errorResponse, type Phase, plainError } from "../admin/index.ts";
import type { Config } from "../config/index.ts";
import { MillraceError } from "../errors/index.ts";
import type { MetricsSnapshot } from "../metrics/index.ts";
import type { Logger } from "../stdx/index.ts";
import { type WebSocketState, webSocketHandlers } from "../net/index.ts";
import type { Runtime } from "./runtime.ts";

export interface HttpOptions {
  readonly config: Config;
  readonly port: number;
  readonly logger: Logger;
  readonly version: string;
  readonly phase: () => Phase;
  /** There once the phase has been `ready`. */
  readonly runtime: () => Runtime | undefined;
}

export interface HttpListener {
  readonly port: number;
  stop(): Promise<void>;
}

const WS_PATH = "/ws";

/** @throws EADDRINUSE and its like, as Bun gives them. */
export function listenHttp(options: HttpOptions): HttpListener {
  const { config, logger, phase } = options;
  const admin = adminHandler({
    phase,
    logger,
    snapshot: () => snapshotOf(required(options.runtime()), options.version),
  });
  const server: Server<WebSocketState> = Bun.serve<WebSocketState>({
    hostname: config.host,
    port: options.port,
    reusePort: config.threads > 1,
    development: false,
    fetch: (request, self) => {
      if (new URL(request.url).pathname !== WS_PATH) return admin(request);
      return upgrade(request, self, phase());
    },
    error: (error) => {
      logger.error("an HTTP request failed", { error });
      return errorResponse(new MillraceError("internal"));
    },
    websocket: webSocketHandlers(() => required(options.runtime()).loop, config.frameBytesMax),
  });
  return { port: server.port ?? 0, stop: () => server.stop(true) };
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

async function snapshotOf(runtime: Runtime, version: string): Promise<MetricsSnapshot> {
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
  };
}

function required(runtime: Runtime | undefined): Runtime {
  if (runtime === undefined) throw new MillraceError("not_ready");
  return runtime;
}
