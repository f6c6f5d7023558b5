/** The TCP listener of the native protocol, plain or under TLS. */
import type { Socket, SocketHandler, TCPSocketListener } from "bun";
import type { Logger } from "../stdx/index.ts";
import type { Connection } from "./connection.ts";
import { Handshakes } from "./handshakes.ts";
import { certificateName, type TlsMaterial, tcpTls } from "./tls.ts";
import type { Peer, Transport } from "./transport.ts";
import type { WorkerLoop } from "./worker-loop.ts";

export interface TcpOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Several listeners have the same port, and the kernel spreads connections over them. */
  readonly reusePort: boolean;
  /** Time that a TLS handshake may take. */
  readonly handshakeTimeoutMs: number;
  readonly tls?: TlsMaterial | undefined;
  /** Takes only the broker's own processes. */
  readonly isInternal?: boolean;
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
  readonly peer: Peer;
  readonly #socket: Socket<SocketState>;

  constructor(socket: Socket<SocketState>, peer: Omit<Peer, "address">) {
    this.#socket = socket;
    this.remote = `${socket.remoteAddress}:${socket.remotePort}`;
    this.peer = { address: socket.remoteAddress, ...peer };
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
  const { tls, isInternal = false } = options;
  // `reusePort` works on Linux but is missing in the types of 1.4.
  const place = { hostname: options.host, port: options.port, reusePort: options.reusePort };
  const socket = {
    ...shared(options),
    ...(tls === undefined ? plain(options.loop, isInternal) : encrypted(options, tls)),
  };
  const listener: TCPSocketListener<SocketState> = Bun.listen<SocketState>({
    ...place,
    data: { connection: undefined },
    ...(tls === undefined ? {} : { tls: tcpTls(tls) }),
    socket,
  });
  return { port: listener.port, stop: () => listener.stop(false) };
}

function shared({ loop, logger }: TcpOptions) {
  return {
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
  } satisfies SocketHandler<SocketState>;
}

function plain(loop: WorkerLoop, isInternal: boolean) {
  return {
    open(socket) {
      socket.setNoDelay(true);
      socket.data = { connection: loop.attach(new TcpTransport(socket, { isEncrypted: false, isInternal })) };
    },
  } satisfies Partial<SocketHandler<SocketState>>;
}

/** A connection begins when its handshake is done; what is wrong with a certificate is said in a GOODBYE. */
function encrypted({ loop, logger, handshakeTimeoutMs }: TcpOptions, { clientAuth }: TlsMaterial) {
  const handshakes = new Handshakes<Socket<SocketState>>(handshakeTimeoutMs);
  return {
    open(socket) {
      socket.setNoDelay(true);
      socket.data = { connection: undefined };
      handshakes.begin(socket);
    },
    handshake(socket, isDone, fault) {
      handshakes.end(socket);
      if (!isDone) {
        logger.debug("a TLS handshake failed", { error: fault, remote: socket.remoteAddress });
        socket.terminate();
        return;
      }
      const certificate = clientAuth === "none" ? undefined : socket.getPeerCertificate();
      const hasShown = certificate !== undefined && Object.keys(certificate).length > 0;
      const name = hasShown && socket.authorized ? certificateName(certificate) : undefined;
      const transport = new TcpTransport(socket, { isEncrypted: true, isInternal: false, certificateName: name });
      const reason = hasShown ? `is not accepted: ${fault?.message}` : "is missing";
      const isWrong = clientAuth !== "none" && !socket.authorized && (hasShown || clientAuth === "required");
      if (isWrong) loop.refuse(transport, "unauthenticated", `the client certificate ${reason}`);
      else socket.data = { connection: loop.attach(transport) };
    },
    close(socket) {
      handshakes.end(socket);
      socket.data.connection?.socketClosed();
    },
  } satisfies Partial<SocketHandler<SocketState>>;
}
