/**
 * The HTTP listeners: the dashboard, admin paths and the native protocol over WebSocket at /ws; and the schema registry on
 * a port of its own. They listen before recovery begins.
 */
import type { Server } from "bun";
import {
  adminHandler,
  API_BODY_BYTES_MAX,
  API_PATH,
  errorResponse,
  type LogInHandler,
  logInHandler,
  type Phase,
  plainError,
  type RegistryHandler,
  registryHandler,
} from "../admin/index.ts";
import type { Schemas } from "../broker/index.ts";
import type { Config } from "../config/index.ts";
import { dashboardHandler } from "../dashboard/index.ts";
import { MillraceError, toMillraceError } from "../errors/index.ts";
import type { Logger } from "../stdx/index.ts";
import { httpTls, type TlsMaterial, type WebSocketState, webSocketHandlers } from "../net/index.ts";
import type { Authorizer, HttpLogins, Principal, Resource } from "../security/index.ts";
import { restApi } from "./api.ts";
import { type Listen, Replaceable } from "./replaceable.ts";
import type { Runtime } from "./runtime.ts";

export interface HttpOptions {
  readonly config: Config;
  readonly port: number;
  readonly registryPort: number;
  readonly logger: Logger;
  readonly version: string;
  readonly tls: TlsMaterial | undefined;
  readonly phase: () => Phase;
  /** There once the phase has been `ready`. */
  readonly runtime: () => Runtime | undefined;
}

export interface HttpListener {
  readonly port: number;
  readonly registryPort: number;
  /** From now on, new connections see this certificate. */
  replaceTls(tls: TlsMaterial): void;
  stop(): Promise<void>;
}

const WS_PATH = "/ws";
const BROKER: Resource = { kind: "broker", namespace: "", name: "" };
/** `\u0061` for one byte. */
const ESCAPED_BYTES_MAX = 6;
const API_TIMEOUT_S = 120;
const OTHER_BODY_BYTES_MAX = 1024 * 1024;

/** Who sends a request. @param remote address of the peer. @throws unauthenticated, unauthorized, limit_exceeded. */
export type Authenticate = (request: Request, remote: string) => Promise<Principal>;

/** @throws EADDRINUSE and its like, as Bun gives them. */
export function listenHttp(options: HttpOptions): HttpListener {
  const { logger, phase } = options;
  const schemas = (): Schemas | undefined => (phase() === "recovering" ? undefined : options.runtime()?.schemas);
  const authorizer = (): Authorizer | undefined => options.runtime()?.access.authorizer;
  const registry = registryHandler({ schemas, phase, authenticate: authenticator(options), authorizer, logger });
  const admin = new Replaceable(adminListener(options, registry), options.port, options.tls);
  try {
    const own = new Replaceable(registryListener(options, registry), options.registryPort, options.tls);
    return {
      port: admin.port,
      registryPort: own.port,
      replaceTls(tls) {
        admin.replace(tls);
        own.replace(tls);
      },
      stop: async () => void (await Promise.all([admin.stop(true), own.stop(true)])),
    };
  } catch (error) {
    void admin.stop(true);
    throw error;
  }
}

function adminListener(options: HttpOptions, registry: RegistryHandler): Listen<Server<WebSocketState>> {
  const { config, logger, phase } = options;
  const authenticate = authenticator(options);
  const admin = adminHandler({
    phase,
    logger,
    registry,
    logIn: logInOf(options),
    needMetrics: async (request, remote) => {
      const principal = await authenticate(request, remote);
      required(options.runtime()).access.authorizer.authorize(principal, "metrics.read", BROKER);
    },
    api: restApi(options, authenticate),
    snapshot: () => required(options.runtime()).figures.snapshot(options.version),
  });
  const dashboard = dashboardHandler();
  const websocket = webSocketHandlers(() => required(options.runtime()).loop, config.frameBytesMax);
  return (port, tls) =>
    Bun.serve<WebSocketState>({
      ...common(options, tls),
      port,
      // Messages may be larger than schemas.
      maxRequestBodySize: Math.max(bodyBytesMax(options.config), API_BODY_BYTES_MAX),
      fetch: (request, self) => {
        const { pathname } = new URL(request.url);
        if (pathname === WS_PATH) return upgraded(request, self, options);
        // Bun gives up on a request after 10 s without a byte, and some changes take longer.
        if (pathname.startsWith(API_PATH)) self.timeout(request, API_TIMEOUT_S);
        return dashboard(request, pathname) ?? admin(request, self.requestIP(request)?.address ?? "");
      },
      websocket,
    });
}

function registryListener(options: HttpOptions, registry: RegistryHandler): Listen<Server<undefined>> {
  return (port, tls) =>
    Bun.serve({
      ...common(options, tls),
      port,
      fetch: (request, self) =>
        registry(request, new URL(request.url).pathname, self.requestIP(request)?.address ?? ""),
    });
}

/** A schema's text in a JSON body, where each of its bytes may be escaped. */
function bodyBytesMax({ schemaBytesMax }: Config): number {
  return schemaBytesMax * ESCAPED_BYTES_MAX + OTHER_BODY_BYTES_MAX;
}

function common({ config, logger }: HttpOptions, tls: TlsMaterial | undefined) {
  return {
    hostname: config.host,
    // Listeners of other threads, or the next one with another certificate, have the same port.
    reusePort: config.threads > 1 || tls !== undefined,
    ...(tls === undefined ? {} : { tls: httpTls(tls) }),
    development: false,
    maxRequestBodySize: bodyBytesMax(config),
    error: (error: Error) => {
      logger.error("an HTTP request failed", { error });
      return errorResponse(new MillraceError("internal"));
    },
  } as const;
}

function authenticator({ runtime, tls }: HttpOptions): Authenticate {
  const isEncrypted = tls !== undefined;
  return async (request, address) => required(runtime()).logins.http.authenticate(request, { address, isEncrypted });
}

function logInOf({ config, logger, phase, runtime, tls }: HttpOptions): LogInHandler {
  const logins = (): HttpLogins => {
    if (phase() === "stopping") throw new MillraceError("shutting_down");
    return required(runtime()).logins.http;
  };
  const isRequired = config.authentication === "required";
  return logInHandler({ logins, isRequired, isEncrypted: tls !== undefined, logger });
}

function upgraded(request: Request, server: Server<WebSocketState>, options: HttpOptions): Response | undefined {
  try {
    return upgrade(request, server, options);
  } catch (error) {
    return errorResponse(toMillraceError(error));
  }
}

/** Who connects logs in by its HELLO, so no cookie of a page counts here; which pages may connect is decided by origin. */
function upgrade(request: Request, server: Server<WebSocketState>, options: HttpOptions): Response | undefined {
  const phase = options.phase();
  if (phase !== "ready")
    return errorResponse(new MillraceError(phase === "recovering" ? "not_ready" : "shutting_down"));
  required(options.runtime()).logins.http.needOrigin(request);
  const address = server.requestIP(request);
  const peer = { address: address?.address ?? "", isEncrypted: options.tls !== undefined, isInternal: false };
  const data: WebSocketState = { connection: undefined, remote: `${address?.address}:${address?.port}`, peer };
  if (server.upgrade(request, { data })) return undefined;
  return plainError(426, "this path takes WebSocket connections");
}

function required(runtime: Runtime | undefined): Runtime {
  if (runtime === undefined) throw new MillraceError("not_ready");
  return runtime;
}
