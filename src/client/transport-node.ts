import { builtinModule } from "../protocol/runtime.ts";
import {
  type Address,
  connectFailed,
  notTrusted,
  type TlsOptions,
  type Transport,
  type TransportHandlers,
} from "./transport.ts";

/** TCP with node:net, and TLS with node:tls. */

interface NodeSocket {
  readonly writableLength: number;
  write(bytes: Uint8Array): boolean;
  end(): void;
  destroy(): void;
  setNoDelay(on: boolean): void;
  on(event: "data", listener: (chunk: Uint8Array) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  on(event: "close" | "connect" | "secureConnect", listener: () => void): void;
}

interface NodeConnect {
  connect(options: { host: string; port: number; servername?: string } & TlsOptions): NodeSocket;
}

class NodeTransport implements Transport {
  private readonly socket: NodeSocket;

  constructor(socket: NodeSocket) {
    this.socket = socket;
  }

  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

async function nodeModule(module: "net" | "tls"): Promise<NodeConnect> {
  // The name is put together so that bundlers for browsers do not look for it.
  const name = ["node", module].join(":");
  return builtinModule<NodeConnect>(name) ?? ((await import(name)) as NodeConnect);
}

async function begin(address: Address): Promise<NodeSocket> {
  const { host, port, tls } = address;
  if (tls === undefined) return (await nodeModule("net")).connect({ host, port });
  const { serverName, ...options } = tls;
  // A name, and no address, says which certificate is wanted (RFC 6066).
  const isName = /[a-z]/i.test(host) && !host.includes(":");
  const name = serverName ?? (isName ? host : undefined);
  return (await nodeModule("tls")).connect({
    host,
    port,
    ...options,
    ...(name === undefined ? {} : { servername: name }),
  });
}

export async function openNodeTcp(
  address: Address,
  handlers: TransportHandlers,
  signal?: AbortSignal,
): Promise<Transport> {
  const socket = await begin(address);
  return new Promise((resolve, reject) => {
    let isOpen = false;
    let failure: Error | null = null;
    const abort = (): void => {
      socket.destroy();
      reject(signal?.reason as Error);
    };
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    socket.on(address.tls === undefined ? "connect" : "secureConnect", () => {
      isOpen = true;
      signal?.removeEventListener("abort", abort);
      socket.setNoDelay(true);
      resolve(new NodeTransport(socket));
    });
    // Node gives a Buffer, whose views would be Buffers too: what readers get is what the types say.
    socket.on("data", (chunk) => handlers.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)));
    socket.on("error", (error) => {
      failure = error;
    });
    socket.on("close", () => {
      signal?.removeEventListener("abort", abort);
      if (isOpen) handlers.onClose(failure);
      else
        reject(
          isDistrust(failure)
            ? notTrusted(address, failure.message)
            : connectFailed(address, failure ?? "the socket closed"),
        );
    });
  });
}

/** Node names what is wrong with a certificate by codes of OpenSSL and of its own. */
function isDistrust(error: Error | null): error is Error {
  const code = (error as { code?: string } | null)?.code ?? "";
  return /^(ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_SSL_)/.test(code);
}
