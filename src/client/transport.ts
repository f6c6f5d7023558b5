import { builtinModule } from "../protocol/runtime.ts";
import { clientError } from "./errors.ts";

/** The byte stream under a session: TCP in Bun and Node, WebSocket anywhere. */

export interface TransportHandlers {
  onData(chunk: Uint8Array): void;
  /** Called once, whoever closed. */
  onClose(error: Error | null): void;
}

export interface Transport {
  /** Queues what the socket does not take at once. The bytes must stay unchanged until they are out. */
  write(bytes: Uint8Array): void;
  /** Bytes accepted by `write` that the socket has not taken yet. */
  readonly pendingBytes: number;
  /** Closes after what is pending has been written. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

/** How TLS is spoken: certificates and keys as PEM texts. Browsers have settings of their own for all of it. */
export interface TlsOptions {
  /** Who signs the server's certificate. Default: whom the runtime trusts. */
  ca?: string;
  /** The client's own certificate, with its chain. */
  cert?: string;
  key?: string;
  /** The name in the server's certificate, where it is not the host of the URL. */
  serverName?: string;
  /** False takes any certificate: whoever stands in between can read and change everything. Default true. */
  rejectUnauthorized?: boolean;
}

/** Where a URL leads. */
export interface Address {
  kind: "tcp" | "websocket";
  host: string;
  port: number;
  url: string;
  /** Undefined without TLS. */
  tls: TlsOptions | undefined;
}

export const DEFAULT_PORT = 7400;
const SCHEMES: Readonly<Record<string, Address["kind"]>> = {
  "millrace:": "tcp",
  "millraces:": "tcp",
  "ws:": "websocket",
  "wss:": "websocket",
};

/** Reads `millrace://host:port`, `millraces://…`, `ws://…` or `wss://…`. Errors: invalid_argument. */
export function parseAddress(url: string, tls?: TlsOptions): Address {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw clientError("invalid_argument", `"${url}" is no URL such as millrace://127.0.0.1:7400`);
  }
  // A password in an URL would end up in every message that names the URL.
  if (parsed.username !== "" || parsed.password !== "") {
    throw clientError("invalid_argument", "credentials do not belong into the URL: use the option auth");
  }
  const kind = SCHEMES[parsed.protocol];
  if (kind === undefined) {
    const schemes = Object.keys(SCHEMES).join(", ");
    throw clientError("invalid_argument", `unknown scheme ${parsed.protocol} in "${url}": use one of ${schemes}`);
  }
  const isSecure = parsed.protocol === "millraces:" || parsed.protocol === "wss:";
  if (tls !== undefined && !isSecure) {
    throw clientError("invalid_argument", `"${url}" is not a TLS address: use millraces: or wss: with the option tls`);
  }
  const host = parsed.hostname.replace(/^\[|\]$/g, "");
  const port = parsed.port === "" ? DEFAULT_PORT : Number(parsed.port);
  return { kind, host, port, url, tls: isSecure ? (tls ?? {}) : undefined };
}

/** Opens a transport that suits the address and the runtime. Errors: connection_lost, cancelled. */
export async function openTransport(
  address: Address,
  handlers: TransportHandlers,
  signal?: AbortSignal,
): Promise<Transport> {
  if (address.kind === "websocket") {
    const { openWebSocket } = await import("./transport-websocket.ts");
    return openWebSocket(address, handlers, signal);
  }
  if ("Bun" in globalThis) {
    const { openBunTcp } = await import("./transport-bun.ts");
    return openBunTcp(address, handlers, signal);
  }
  if (builtinModule("node:net") || "process" in globalThis) {
    const { openNodeTcp } = await import("./transport-node.ts");
    return openNodeTcp(address, handlers, signal);
  }
  throw clientError("unsupported_feature", "this runtime has no TCP: use a ws:// address");
}

/** The error for a connection that could not be made. */
export function connectFailed(address: Address, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message || ((cause as { code?: string }).code ?? "") : String(cause);
  const place = address.kind === "tcp" ? `${address.host}:${address.port}` : address.url;
  return clientError("connection_lost", `cannot connect to ${place}: ${why}`);
}

/** The error for a server that is not who it should be; trying again does not help. */
export function notTrusted(address: Address, why: string): Error {
  return clientError("tls_failed", `no TLS with ${address.host}:${address.port}: ${why}`);
}

/** What could not be written yet, in order. */
export class PendingWrites {
  bytes: number = 0;
  private readonly queue: Uint8Array[] = [];

  get isEmpty(): boolean {
    return this.queue.length === 0;
  }

  push(rest: Uint8Array): void {
    this.queue.push(rest);
    this.bytes += rest.length;
  }

  /** Writes on with `write`, which returns how many bytes were taken, until one comes short. */
  drain(write: (bytes: Uint8Array) => number): void {
    while (this.queue.length > 0) {
      const head = this.queue[0] as Uint8Array;
      const taken = Math.max(0, write(head));
      this.bytes -= taken;
      if (taken < head.length) {
        this.queue[0] = head.subarray(taken);
        return;
      }
      this.queue.shift();
    }
  }
}
