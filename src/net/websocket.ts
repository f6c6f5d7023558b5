/** The native protocol over WebSocket: the same byte stream, whose cuts into messages mean nothing. */
import type { ServerWebSocket, WebSocketHandler } from "bun";
import type { Connection } from "./connection.ts";
import type { Peer, Transport } from "./transport.ts";
import type { WorkerLoop } from "./worker-loop.ts";

export interface WebSocketState {
  connection: Connection | undefined;
  remote: string;
  peer: Peer;
}

/** sendBinary queues without a limit of its own, so nothing is sent while this much is queued. */
const QUEUED_BYTES_MAX = 256 * 1024;
const CLOSE_PROTOCOL = 1003;

class WebSocketTransport implements Transport {
  readonly kind = "ws";
  readonly remote: string;
  readonly peer: Peer;
  readonly #socket: ServerWebSocket<WebSocketState>;

  constructor(socket: ServerWebSocket<WebSocketState>) {
    this.#socket = socket;
    this.remote = socket.data.remote;
    this.peer = socket.data.peer;
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    if (this.#socket.readyState !== WebSocket.OPEN) return -1;
    if (this.#socket.getBufferedAmount() >= QUEUED_BYTES_MAX) return 0;
    // -1 says that it was queued, 0 that it was dropped.
    return this.#socket.sendBinary(bytes.subarray(start, start + length)) === 0 ? -1 : length;
  }

  pause(): void {
    // Bun cannot stop reading one WebSocket: a client beyond its credit is bounded by publishOverdraftBytesMax alone.
  }

  resume(): void {
    // See pause.
  }

  end(): void {
    this.#socket.close(1000);
  }

  terminate(): void {
    this.#socket.terminate();
  }
}

/**
 * Handlers for `Bun.serve({websocket})`.
 *
 * @param loop the worker's loop, which is there before the first upgrade but may not be when HTTP begins to listen.
 * @param frameBytesMax the largest message, in bytes: a client may send a frame as one message.
 */
export function webSocketHandlers(loop: () => WorkerLoop, frameBytesMax: number): WebSocketHandler<WebSocketState> {
  return {
    maxPayloadLength: frameBytesMax + 64 * 1024,
    // The protocol has heartbeats of its own.
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    backpressureLimit: 2 * frameBytesMax,
    open(socket) {
      socket.data.connection = loop().attach(new WebSocketTransport(socket));
    },
    message(socket, message) {
      const { connection } = socket.data;
      if (connection === undefined) return;
      if (typeof message === "string") socket.close(CLOSE_PROTOCOL, "only binary messages");
      else loop().received(connection, message);
    },
    drain(socket) {
      socket.data.connection?.drained();
    },
    close(socket) {
      socket.data.connection?.socketClosed();
    },
  };
}
