import { clientError } from "./errors.ts";
import { type Address, connectFailed, type TlsOptions, type Transport, type TransportHandlers } from "./transport.ts";

/** The same byte stream over a WebSocket; message boundaries carry no meaning. */

interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  send(bytes: Uint8Array): void;
  close(code?: number): void;
  onopen: (() => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: unknown) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
}

type SocketClass = new (url: string, options?: { tls: TlsOptions }) => Socket;

const NORMAL_CLOSE = 1000;
const NO_TLS_OPTIONS =
  "a WebSocket of this runtime takes no TLS options: use NODE_EXTRA_CA_CERTS, the browser's settings, or millraces://";
const OPEN_FAILED = "the WebSocket could not be opened; a broker has it at /ws of its HTTP port";

class WebSocketTransport implements Transport {
  private readonly socket: Socket;
  private isEnding = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  get pendingBytes(): number {
    return this.socket.bufferedAmount;
  }

  write(bytes: Uint8Array): void {
    if (!this.isEnding) this.socket.send(bytes);
  }

  end(): void {
    this.isEnding = true;
    this.socket.close(NORMAL_CLOSE);
  }

  destroy(): void {
    this.end();
  }
}

/** Node has a global WebSocket from version 22 on, behind a flag in 20. */
export function openWebSocket(address: Address, handlers: TransportHandlers, signal?: AbortSignal): Promise<Transport> {
  const Class = (globalThis as { WebSocket?: unknown }).WebSocket as SocketClass | undefined;
  if (!Class) return Promise.reject(connectFailed(address, "this runtime has no WebSocket"));
  return new Promise((resolve, reject) => {
    const { tls } = address;
    const hasOptions = tls !== undefined && Object.keys(tls).length > 0;
    if (hasOptions && !("Bun" in globalThis)) {
      reject(clientError("unsupported_feature", NO_TLS_OPTIONS));
      return;
    }
    const socket = hasOptions ? new Class(address.url, { tls }) : new Class(address.url);
    socket.binaryType = "arraybuffer";
    let isOpen = false;
    const abort = (): void => {
      socket.close();
      reject(signal?.reason as Error);
    };
    signal?.addEventListener("abort", abort, { once: true });
    socket.onopen = () => {
      isOpen = true;
      signal?.removeEventListener("abort", abort);
      resolve(new WebSocketTransport(socket));
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) handlers.onData(new Uint8Array(data));
    };
    socket.onerror = () => undefined;
    socket.onclose = (event) => {
      signal?.removeEventListener("abort", abort);
      const why = event.reason || `code ${event.code}`;
      if (isOpen) handlers.onClose(event.code === NORMAL_CLOSE ? null : new Error(`WebSocket closed: ${why}`));
      else reject(connectFailed(address, OPEN_FAILED));
    };
  });
}
