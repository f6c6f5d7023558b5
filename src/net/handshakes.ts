/**
 * Sockets whose TLS handshake is under way: a peer that opens a connection and says nothing must not hold it for ever, and
 * however many do, they are bounded.
 */
interface Endable {
  terminate(): unknown;
}

/** Of one listener; the oldest gives way, which an honest peer is only while the broker is flooded. */
export const HANDSHAKES_MAX = 1024;
const SWEEP_MS = 500;

export class Handshakes<S extends Endable> {
  /** When each began, oldest first. */
  readonly #began = new Map<S, number>();
  readonly #timeoutMs: number;
  #timer: Timer | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  begin(socket: S): void {
    this.#began.set(socket, performance.now());
    if (this.#began.size > HANDSHAKES_MAX) {
      const [oldest] = this.#began.keys();
      if (oldest !== undefined) this.#giveUp(oldest);
    }
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** It is done, or the socket is closed. */
  end(socket: S): void {
    this.#began.delete(socket);
    if (this.#began.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    const overMs = performance.now() - this.#timeoutMs;
    for (const [socket, beganMs] of [...this.#began]) {
      if (beganMs > overMs) return;
      this.#giveUp(socket);
    }
  }

  #giveUp(socket: S): void {
    this.end(socket);
    socket.terminate();
  }
}
