/** The TCP listener of the native protocol. */
import type { Socket, TCPSocketListener } from "bun";
import type { Logger } from "../stdx/index.ts";
import type { Connection } from "./connection.ts";
import type { Transport } from "./transport.ts";
import type { WorkerLoop } from "./worker-loop.ts";

export interface TcpOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Several workers listen on the same port, and the kernel spreads connections over them. */
  readonly reusePort: boolean;
  readonly loop: WorkerLoop;
  readonly logger: Logger;
}

export interface TcpListener {
  readonly port: number;
  /** Accepts no more; open connections live on. */
  stop(): void;
}

interface SocketState {
  connection: Connection | undefined;
}

class TcpTransport implements Transport {
  readonly kind = "tcp";
  readonly remote: string;
  readonly #socket: Socket<SocketState>;

  constructor(socket: Socket<SocketState>) {
    this.#socket = socket;
    this.remote = `${socket.remoteAddress}:${socket.remotePort}`;
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    // Offsets instead of a subarray: making a view costs more than the call.
    return this.#socket.write(bytes, start, length);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  terminate(): void {
    this.#socket.terminate();
  }
}

/** @throws EADDRINUSE and its like, as Bun gives them. */
export function listenTcp(options: TcpOptions): TcpListener {
  const { loop, logger } = options;
  // `reusePort` works on Linux but is missing in the types of 1.4.
  const place = { hostname: options.host, port: options.port, reusePort: options.reusePort };
  const listener: TCPSocketListener<SocketState> = Bun.listen<SocketState>({
    ...place,
    data: { connection: undefined },
    socket: {
      open(socket) {
        socket.setNoDelay(true);
        socket.data = { connection: loop.attach(new TcpTransport(socket)) };
      },
      data(socket, chunk) {
        const { connection } = socket.data;
        if (connection !== undefined) loop.received(connection, chunk);
        // Nobody keeps the chunk. Waiting for the garbage collector would give every one of them fresh pages, and the
        // kernel's work on those is a tenth of the produce path.
        (chunk.buffer as ArrayBuffer).transfer(0);
      },
      drain(socket) {
        socket.data.connection?.drained();
      },
      end(socket) {
        // The peer will send no more; what waits for it has nobody to go to.
        socket.data.connection?.terminate();
      },
      close(socket) {
        socket.data.connection?.socketClosed();
      },
      error(socket, error) {
        logger.warn("socket error", { error, remote: socket.data.connection?.transport.remote });
        socket.data.connection?.terminate();
      },
    },
  });
  return { port: listener.port, stop: () => listener.stop(false) };
}
