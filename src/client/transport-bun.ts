import {
  type Address,
  connectFailed,
  notTrusted,
  PendingWrites,
  type TlsOptions,
  type Transport,
  type TransportHandlers,
} from "./transport.ts";

/** TCP with Bun's own sockets, which are faster than its node:net. */

interface BunSocket {
  write(bytes: Uint8Array): number;
  end(): void;
  terminate(): void;
  setNoDelay(on: boolean): void;
}

interface BunTcp {
  connect(options: {
    hostname: string;
    port: number;
    tls?: TlsOptions | true;
    socket: {
      open?(socket: BunSocket): void;
      handshake?(socket: BunSocket, isDone: boolean, error: Error | null): void;
      data(socket: BunSocket, chunk: Uint8Array): void;
      drain(socket: BunSocket): void;
      close(socket: BunSocket, error?: Error): void;
      error(socket: BunSocket, error: Error): void;
      connectError(socket: BunSocket, error: Error): void;
      end(socket: BunSocket): void;
    };
  }): Promise<BunSocket>;
}

class BunTransport implements Transport {
  private readonly socket: BunSocket;
  private readonly pending = new PendingWrites();
  private isEnding = false;
  private isClosed = false;

  constructor(socket: BunSocket) {
    this.socket = socket;
  }

  get pendingBytes(): number {
    return this.pending.bytes;
  }

  write(bytes: Uint8Array): void {
    if (this.isClosed || this.isEnding) return;
    if (!this.pending.isEmpty) {
      this.pending.push(bytes);
      return;
    }
    const taken = Math.max(0, this.socket.write(bytes));
    if (taken < bytes.length) this.pending.push(bytes.subarray(taken));
  }

  drained(): void {
    this.pending.drain((bytes) => this.socket.write(bytes));
    if (this.isEnding && this.pending.isEmpty) this.socket.end();
  }

  closed(): void {
    this.isClosed = true;
  }

  end(): void {
    if (this.isEnding || this.isClosed) return;
    this.isEnding = true;
    if (this.pending.isEmpty) this.socket.end();
  }

  destroy(): void {
    this.isEnding = true;
    if (!this.isClosed) this.socket.terminate();
  }
}

export async function openBunTcp(
  address: Address,
  handlers: TransportHandlers,
  signal?: AbortSignal,
): Promise<Transport> {
  const bun = (globalThis as unknown as { Bun: BunTcp }).Bun;
  let transport: BunTransport | null = null;
  let failure: Error | null = null;
  let isReported = false;
  const close = (error: Error | null): void => {
    transport?.closed();
    // A close before `open` has resolved is reported by the rejection.
    if (transport && !isReported) {
      isReported = true;
      handlers.onClose(error);
    }
  };
  const secured = Promise.withResolvers<void>();
  // Nobody waits for it where there is no TLS, or the connection fails before.
  secured.promise.catch(() => undefined);
  let socket: BunSocket;
  try {
    socket = await bun.connect({
      hostname: address.host,
      port: address.port,
      // Options that are empty would mean no TLS to Bun.
      ...(address.tls === undefined ? {} : { tls: Object.keys(address.tls).length === 0 ? true : address.tls }),
      socket: {
        open: (opened) => {
          opened.setNoDelay(true);
          transport = new BunTransport(opened);
        },
        handshake: (_, isDone, error) => {
          if (isDone) secured.resolve();
          else secured.reject(notTrusted(address, error?.message ?? "the handshake failed"));
        },
        // Bun gives a Buffer, whose views would be Buffers too: what readers get is what the types say.
        data: (_, chunk) => handlers.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)),
        drain: () => transport?.drained(),
        close: (_, error) => {
          secured.reject(connectFailed(address, error ?? failure ?? "the server closed it during the TLS handshake"));
          close(error ?? failure);
        },
        error: (_, error) => {
          failure = error;
        },
        connectError: (_, error) => {
          failure = error;
        },
        end: (ended) => ended.end(),
      },
    });
  } catch (error) {
    throw connectFailed(address, failure ?? error);
  }
  const opened = transport ?? new BunTransport(socket);
  transport = opened;
  if (address.tls !== undefined) {
    const abort = (): void => secured.reject(signal?.reason as Error);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await secured.promise;
    } catch (error) {
      isReported = true;
      opened.destroy();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }
  if (signal?.aborted) {
    isReported = true;
    opened.destroy();
    signal.throwIfAborted();
  }
  return opened;
}
