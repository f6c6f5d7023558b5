import { builtinModule } from "../protocol/runtime.ts";
import { type Address, connectFailed, type Transport, type TransportHandlers } from "./transport.ts";

/** TCP with node:net. */

interface NodeSocket {
  readonly writableLength: number;
  write(bytes: Uint8Array): boolean;
  end(): void;
  destroy(): void;
  setNoDelay(on: boolean): void;
  on(event: "data", listener: (chunk: Uint8Array) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  on(event: "close" | "connect", listener: () => void): void;
}

interface NodeNet {
  connect(options: { host: string; port: number }): NodeSocket;
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

async function nodeNet(): Promise<NodeNet> {
  const found = builtinModule<NodeNet>("node:net");
  if (found) return found;
  // The name is put together so that bundlers for browsers do not look for it.
  const name = ["node", "net"].join(":");
  return (await import(name)) as NodeNet;
}

export async function openNodeTcp(
  address: Address,
  handlers: TransportHandlers,
  signal?: AbortSignal,
): Promise<Transport> {
  const net = await nodeNet();
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: address.host, port: address.port });
    let isOpen = false;
    let failure: Error | null = null;
    const abort = (): void => {
      socket.destroy();
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", abort, { once: true });
    socket.on("connect", () => {
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
      else reject(connectFailed(address, failure ?? "the socket closed"));
    });
  });
}
