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

/** Where a URL leads. */
export interface Address {
  kind: "tcp" | "websocket";
  host: string;
  port: number;
  url: string;
}

export const DEFAULT_PORT = 7400;

/** Reads `millrace://host:port`, `ws://…` or `wss://…`. Errors: invalid_argument. */
export function parseAddress(url: string): Address {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw clientError("invalid_argument", `"${url}" is no URL such as millrace://127.0.0.1:7400`);
  }
  const isTcp = parsed.protocol === "millrace:";
  if (!isTcp && parsed.protocol !== "ws:" && parsed.protocol !== "wss:") {
    throw clientError("invalid_argument", `unknown scheme ${parsed.protocol} in "${url}": use millrace:, ws: or wss:`);
  }
  const host = parsed.hostname.replace(/^\[|\]$/g, "");
  const port = parsed.port === "" ? DEFAULT_PORT : Number(parsed.port);
  return { kind: isTcp ? "tcp" : "websocket", host, port, url };
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
