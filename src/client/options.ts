import type { LargePayloads } from "./payloads/payloads.ts";
import type { TraceContext } from "../protocol/index.ts";
import type { Auth } from "./auth.ts";
import type { SessionOptions } from "./session.ts";
import type { TlsOptions } from "./transport.ts";

/** Options of a client, with their defaults. */

export interface ReconnectOptions {
  /** False makes the first lost connection final. Default true. */
  enabled?: boolean;
  /** The first wait. Default 50 ms; it doubles, and half of it is random. */
  delayMinMs?: number;
  /** The longest wait. Default 5,000 ms. */
  delayMaxMs?: number;
  /** Attempts in a row before the client gives up. Default no limit. */
  attemptsMax?: number;
}

export interface ClientOptions {
  /** Default "default". */
  namespace?: string;
  /** Shown in the server's lists. Default "millrace-js". */
  clientName?: string;
  /** Ends the first attempt to connect. */
  signal?: AbortSignal;
  reconnect?: ReconnectOptions;
  /** The interval to propose. Default 10,000 ms. */
  heartbeatMs?: number;
  /** For the connection and its handshake together. Default 10,000 ms. */
  connectTimeoutMs?: number;
  /** Default 30,000 ms. */
  requestTimeoutMs?: number;
  /** How long `close` waits for producers and consumers. Default 10,000 ms. */
  closeTimeoutMs?: number;
  /** Has large bodies of exchanges and queues go to a store and come back from there. */
  payloads?: LargePayloads;
  /**
   * Asked for each record that is published (not by `append`): the trace that it belongs to, which goes into its headers
   * `traceparent` and `tracestate`.
   */
  traceContext?: () => Partial<TraceContext> | undefined;
  /** Who the client is, for a broker that requires authentication. */
  auth?: Auth;
  /** For `millraces://` and `wss://`. */
  tls?: TlsOptions;
}

export interface ClientSettings {
  session: SessionOptions;
  reconnect: Required<ReconnectOptions>;
  requestTimeoutMs: number;
  closeTimeoutMs: number;
}

export function settingsOf(options: ClientOptions): ClientSettings {
  const reconnect = options.reconnect ?? {};
  return {
    session: {
      namespace: options.namespace ?? "default",
      clientName: options.clientName ?? "millrace-js",
      heartbeatMs: options.heartbeatMs ?? 10_000,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      auth: options.auth ?? (options.tls?.cert === undefined ? null : { mechanism: "EXTERNAL" }),
    },
    reconnect: {
      enabled: reconnect.enabled ?? true,
      delayMinMs: reconnect.delayMinMs ?? 50,
      delayMaxMs: reconnect.delayMaxMs ?? 5_000,
      attemptsMax: reconnect.attemptsMax ?? Number.POSITIVE_INFINITY,
    },
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    closeTimeoutMs: options.closeTimeoutMs ?? 10_000,
  };
}
